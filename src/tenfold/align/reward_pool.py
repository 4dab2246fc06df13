"""Slow rewards: each completion is scored by itself in one of several processes, and a process that takes too long is ended.

Imports no JAX, as each process imports this module.
"""

import multiprocessing
import queue
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from multiprocessing.connection import Connection
from typing import Any

from tenfold.align.policy_config import RewardConfig
from tenfold.align.prompts import Example
from tenfold.align.rewards import Reward, Weighted, asked, example_text, find_reward
from tenfold.errors import UserError

START_SECONDS = 60.0
"""For a process to start and to import what the reward is in."""


class Pool:
    """A reward in `workers` processes, with `seconds` by the clock for each completion. Is a reward itself; use it in a `with`.

    The reward must be one that pickle can name: a function of a module, or `rewards.Named`. `late` is the score of a completion that takes
    too long; None: that is a UserError naming it.
    """

    def __init__(self, name: str, reward: Reward, workers: int, seconds: float, late: float | None = None):
        self.name, self.reward, self.seconds, self.late_score = name, reward, seconds, late
        self.late = 0
        """Completions that took too long so far."""
        self._idle: queue.Queue[_Worker] = queue.Queue()
        self._workers = [_Worker(reward) for _ in range(workers)]
        for worker in self._workers:
            self._idle.put(worker)
        self._threads = ThreadPoolExecutor(workers)

    def __enter__(self) -> "Pool":
        return self

    def __exit__(self, *_) -> None:
        self._threads.shutdown()
        for worker in self._workers:
            worker.stop()

    def __call__(self, prompts: Sequence[str], completions: Sequence[str], examples: Sequence[Example]) -> list[float]:
        return list(self._threads.map(self._one, prompts, completions, examples))

    def _one(self, prompt: str, completion: str, example: Example) -> float:
        worker = self._idle.get()
        try:
            kind, value = worker.ask((prompt, completion, example), self.seconds)
        finally:
            self._idle.put(worker)
        where = example_text(prompt, completion)
        if kind == "late":
            self.late += 1
            if self.late_score is None:
                raise UserError(
                    f"the reward {self.name} took more than {self.seconds:g} s for {where}.\n  Give it more, or a score for late ones."
                )
            return self.late_score
        if kind == "raised":
            raise UserError(f"the reward {self.name} raised {value} for {where}")
        if not isinstance(value, list) or len(value) != 1:
            raise UserError(
                f"the reward {self.name} returned {str(value)[:60]} for one completion, {where}.\n  Return a list of one float."
            )
        return value[0]


class _Worker:
    """One process, started when it is first asked, and anew after it was ended."""

    def __init__(self, reward: Reward):
        self.reward = reward
        self.process: Any = None
        self.pipe: Any = None

    def ask(self, item: tuple, seconds: float) -> tuple[str, Any]:
        """("said", what the reward returned), ("raised", why) or ("late", None)."""
        if self.process is None and not self._start():
            self.stop()
            return "raised", "an error before it started: it cannot be imported in another process, or took too long"
        try:
            self.pipe.send(item)
            if self.pipe.poll(seconds):
                return self.pipe.recv()
        except (EOFError, OSError):
            self.stop()
            return "raised", "no Python error: its process ended"
        self.stop()
        return "late", None

    def _start(self) -> bool:
        several = multiprocessing.get_context("spawn")
        self.pipe, theirs = several.Pipe()
        self.process = several.Process(target=_serve, args=(theirs, self.reward), daemon=True)
        self.process.start()
        theirs.close()
        try:
            return self.pipe.poll(START_SECONDS) and self.pipe.recv() == "ready"
        except (EOFError, OSError):
            return False

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.join()
            self.pipe.close()
            self.process = self.pipe = None


def _serve(pipe: Connection, reward: Reward) -> None:
    """The process's side."""
    pipe.send("ready")
    while True:
        try:
            prompt, completion, example = pipe.recv()
        except EOFError:
            return
        try:
            found = asked(reward, [prompt], [completion], [example])
            pipe.send(("said", [float(each) for each in found]))
        except Exception as error:
            pipe.send(("raised", f"{type(error).__name__}: {error}"))


def weighted(config: RewardConfig, given: dict[str, Reward], stack: ExitStack) -> Weighted:
    """The rewards that a recipe names and those that are given; with workers, functions of a user in pools, which end with `stack`."""
    rewards = dict(given)
    for name in config.names:
        reward = find_reward(name, config.run_code, config.pool, config.penalty)
        pooled = config.workers and ":" in name
        rewards[name] = stack.enter_context(Pool(name, reward, config.workers, config.seconds, config.late)) if pooled else reward
    if not rewards:
        raise UserError("reward.names is empty: nothing says what a completion is worth.\n  Name a reward with --reward.")
    return Weighted(rewards, dict(zip(config.names, config.weights, strict=False)))
