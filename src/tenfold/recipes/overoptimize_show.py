"""What a person sees of a measurement of over-optimisation: a line a stage, lines of trainings, and the laws as tables."""

import sys
import time
from pathlib import Path
from typing import Any

from rich.console import Console

from tenfold.align.overoptimize_work import Quiet
from tenfold.recipes.evaluate_show import table
from tenfold.report.overoptimize import LAWS, WAYS, row
from tenfold.train.device import machine
from tenfold.train.records import write_json

FIGURES = {"reward": "proxy", "entropy": "entropy", "loss": "loss", "held_out_accuracy": "held-out accuracy"}


class Lines(Quiet):
    """Prints each stage with the seconds since the beginning, and of a training a few lines."""

    def __init__(self, console: Console):
        self.console = console
        self._began = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Since the beginning."""
        return time.perf_counter() - self._began

    def stage(self, text: str) -> None:
        """One line."""
        self.console.print(f"{self.seconds:6.0f} s  {text}", soft_wrap=True)

    def step(self, step: int, steps: int, figures: dict[str, Any]) -> None:
        """In a terminal twenty lines a training, elsewhere three."""
        every = max(1, steps // (20 if sys.stdout.isatty() else 3))
        if step and (step % every == 0 or step == steps):
            said = "  ".join(f"{shown} {figures[name]:.3g}" for name, shown in FIGURES.items() if name in figures)
            self.console.print(f"          step {step:,}/{steps:,}  {said}", soft_wrap=True)


def write_result(path: Path, found: dict[str, Any], seconds: float) -> None:
    """OUT/result.json: what the command found, in short."""
    laws = [
        {"proxy": proxy["name"], "way": way, **{name: proxy[way]["fit"][name] for name in ("verdict", "alpha", "beta", "peak")}}
        for proxy in found["proxies"]
        for way in WAYS
    ]
    told = {"command": found["command"], "finished": True, "seconds": round(seconds, 1), "laws": laws, "machine": machine()}
    write_json(path / "result.json", told)


def show(found: dict[str, Any], console: Console) -> None:
    """A table of the laws of each way to optimise."""
    for way, name in WAYS.items():
        shown = table("proxy", "accuracy", "alpha (95%)", "beta (95%)", "peak, d (95%)", "gold there", "gold last", "proxy last")
        for proxy in found["proxies"]:
            said, curve = row(proxy, proxy[way]["fit"]), proxy[way]
            cells = (said[key] for key in ("proxy", "accuracy", "alpha", "beta", "peak", "score"))
            shown.add_row(*cells, f"{curve['gold'][-1]:+.2f}", f"{curve['proxy'][-1]:+.2f}")
        console.print("", f"{name}: {LAWS[way]}, d = sqrt(KL), scores in the start's standard deviations", shown, sep="\n")
