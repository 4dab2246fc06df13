"""What a person sees in the terminal while things run."""

import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import jax
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from tenfold.generate.config import ChatOptions, GenerateConfig
from tenfold.train.held_out import HeldOut


class Display:
    """Watches a training run: a live line in a terminal, a plain line now and then elsewhere. Silent in all processes but the first."""

    def __init__(self, path: Path, console: Console | None = None):
        self.path = path
        self.console = console or Console(quiet=jax.process_index() != 0, highlight=False)
        self.progress = Progress(
            TextColumn("step {task.completed:,.0f}/{task.total:,.0f}"),
            BarColumn(bar_width=None),
            TaskProgressColumn(),
            TextColumn("{task.fields[figures]}"),
            TimeRemainingColumn(compact=True),
            console=self.console,
            expand=True,
            disable=not self.console.is_terminal or self.console.quiet,
        )
        self.task = self.progress.add_task("train", total=None, figures="compiling ...")
        self.held_out_loss = ""
        self.said = 0

    def __enter__(self) -> "Display":
        self.progress.start()
        return self

    def __exit__(self, *_) -> None:
        self.progress.stop()

    def start(self, first_step: int, steps: int) -> None:
        self.steps = steps
        self.progress.update(self.task, total=steps, completed=first_step)
        if first_step:
            self.console.print(f"continuing {self.path} at step {first_step:,} of {steps:,}")

    def step(self, step: int, loss: float, tokens_per_second: float | None, mfu: float | None) -> None:
        speed = f"  {tokens_per_second:,.0f} tokens/s" if tokens_per_second else ""
        speed += f"  MFU {mfu:.0%}" if speed and mfu is not None else ""
        figures = f"loss {loss:.3f}{self.held_out_loss}{speed}"
        self.progress.update(self.task, completed=step, figures=figures)
        if not self.console.is_terminal and (step - self.said >= self.steps / 10 or step == self.steps or not self.said):
            self.said = step
            self.console.print(f"  step {step:,}/{self.steps:,}  {figures}")

    def held_out(self, step: int, found: HeldOut) -> None:
        self.held_out_loss = f"  held out {found.loss:.3f}"

    def sample(self, step: int, prompt: str, text: str) -> None: ...


def stream_completions(run: str, prompts: tuple[str, ...], settings: GenerateConfig, adapter: str | None = None) -> None:
    """Prints completions of what `load` takes, as they are written: one prompt flows, several are printed one after the other."""
    from tenfold.api import load

    model = load(run, adapter)
    asked: dict[str, Any] = asdict(settings) | {"stop": settings.stops}
    if len(prompts) == 1:
        write(prompts[0])
        model.generate(prompts[0], **asked, on_text=lambda _, piece: write(piece))
        write("\n")
        return
    for prompt, text in zip(prompts, model.generate(prompts, **asked), strict=True):
        write(f"{prompt}{text}\n{'-' * 40}\n")


def stream_answer(run: str, asked: ChatOptions, settings: GenerateConfig, adapter: str | None = None) -> None:
    """Prints what a model answers, as it is written."""
    from tenfold.api import load

    system = [{"role": "system", "content": asked.system}] if asked.system else []
    said = [*system, {"role": "user", "content": asked.chat}]
    options: dict[str, Any] = asdict(settings) | {"stop": settings.stops}
    load(run, adapter).chat(said, template=asked.template, **options, on_text=lambda _, piece: write(piece))
    write("\n")


def write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def reading_lines(console: Console) -> Callable[[int, int], None]:
    """Hears of texts that a reader has read: a line for each tenth."""
    said = [-1]

    def hear(done: int, total: int) -> None:
        tenth = 10 * done // max(total, 1)
        if tenth > said[0]:
            said[0] = tenth
            console.print(f"  {done:,} of {total:,} texts read")

    return hear
