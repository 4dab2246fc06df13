"""The driver: moves data, writes records, obeys signals. All arithmetic is in step.py.

Metrics are fetched a step late, so the device never waits for Python.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from tenfold.generate.complete import generate
from tenfold.tokens.loader import Batch
from tenfold.tokens.prefetch import Prefetcher
from tenfold.tokens.tokenizer import Tokenizer
from tenfold.train.batches import Batches
from tenfold.train.checkpoint import Checkpoints
from tenfold.train.held_out import measure, token_bytes
from tenfold.train.meter import Meter, Watch
from tenfold.train.optimizer import make_optimizer
from tenfold.train.recipe import Recipe, to_dict
from tenfold.train.records import Records, cut_back, seconds_so_far
from tenfold.train.signals import stop_on_signals
from tenfold.train.state import State, abstract_state, init_state, state_shardings
from tenfold.train.step import evaluate_step, jit_train_step


@dataclass
class Session:
    """All that a run needs while it runs."""

    recipe: Recipe
    path: Path
    mesh: Mesh
    batches: Batches
    tokenizer: Tokenizer | None
    held_out: list[Batch]
    watch: Watch
    seconds: float = 0.0
    """Spent on steps by earlier sittings."""
    train_step: Callable = field(init=False)
    evaluate: Callable = field(init=False)
    optimizer: Any = field(init=False)
    lengths: np.ndarray = field(init=False)

    def __post_init__(self):
        config = self.recipe.model
        self.optimizer = make_optimizer(self.recipe)
        shardings = state_shardings(config, self.optimizer, self.mesh)
        self.train_step = jit_train_step(config, self.optimizer, self.recipe.train.z_loss, shardings)
        self.evaluate = jax.jit(partial(evaluate_step, config))
        self.lengths = token_bytes(self.tokenizer, config.vocab) if self.tokenizer else np.ones(config.vocab, np.int64)


def fit(session: Session) -> tuple[State, bool]:
    """Trains from the newest checkpoint, or the start, to the recipe's last step. Returns the state and whether it got there."""
    recipe, writes = session.recipe, jax.process_index() == 0
    with Checkpoints(session.path / "checkpoints", recipe.train.keep) as checkpoints, jax.set_mesh(session.mesh), stop_on_signals() as stop:
        state = checkpoints.restore_newest(abstract_state(recipe.model, session.optimizer, session.mesh))
        if state is None:
            state = init_state(recipe.model, session.optimizer, session.mesh, recipe.train.seed)
        first = int(state.step)
        records = None
        if writes:
            cut_back(session.path, first)
            session.seconds = seconds_so_far(session.path)
            records = Records(session.path, recipe.train.tensorboard, recipe.train.wandb, to_dict(recipe))
        session.watch.start(first, recipe.train.steps)
        try:
            return _steps(session, state, first, checkpoints, records, stop)
        finally:
            if records:
                records.close()


def _steps(session: Session, state: State, first: int, checkpoints: Checkpoints, records, stop) -> tuple[State, bool]:
    train, last = session.recipe.train, session.recipe.train.steps
    meter = Meter(session.recipe, session.batches, records, checkpoints, session.watch, session.seconds)
    alone = jax.process_count() == 1
    with Prefetcher(session.batches, range(first, last)) as batches:
        for step, batch in batches:
            state, metrics = session.train_step(state, batch)
            meter.put(step, metrics)
            done = step + 1
            ending = done == last or (stop.asked if alone else done % train.log_every == 0 and _anywhere(stop.asked))
            due = {name for name in ("evaluate", "checkpoint", "sample") if done % train.every(name) == 0 or done == last}
            if due or ending:
                with meter.pause():
                    if "evaluate" in due and session.held_out:
                        _write_held_out(session, state, done, records)
                    if "sample" in due and alone:
                        _write_samples(session, state, done, records)
                    if "checkpoint" in due or ending:
                        checkpoints.save(state)
            if ending:
                return state, done == last
    return state, True


def _write_held_out(session: Session, state: State, done: int, records) -> None:
    found = measure(session.evaluate, state.params, session.held_out, session.lengths, session.mesh, session.recipe.data.mask_documents)
    if records:
        records.write("metrics.jsonl", done, held_out_loss=found.loss, held_out_bits_per_byte=found.bits_per_byte)
    session.watch.held_out(done, found)


def _write_samples(session: Session, state: State, done: int, records: Records) -> None:
    train, config, tokenizer = session.recipe.train, session.recipe.model, session.tokenizer
    if not train.prompts or tokenizer is None:
        return
    room = config.context - max(len(tokenizer.encode(prompt) or [0]) for prompt in train.prompts)
    texts = generate(state.params, config, tokenizer, list(train.prompts), max_tokens=min(train.sample_tokens, room), seed=train.seed)
    for prompt, completion in zip(train.prompts, texts, strict=True):
        records.write("samples.jsonl", done, prompt=prompt, text=completion.text)
        session.watch.sample(done, prompt, completion.text)


def _anywhere(asked: bool) -> bool:
    """Whether any process was asked to stop, so that all stop at the same step."""
    from jax.experimental import multihost_utils

    return bool(multihost_utils.process_allgather(np.array(asked)).any())
