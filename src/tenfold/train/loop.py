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

from tenfold.generate.complete import TextTokenizer, generate
from tenfold.model.params import Params
from tenfold.tokens.prefetch import Prefetcher
from tenfold.train.batches import Batches
from tenfold.train.checkpoint import Checkpoints
from tenfold.train.frozen import own_weights
from tenfold.train.held_out import measure, token_bytes
from tenfold.train.lora import merge, weights_of
from tenfold.train.meter import Meter, Watch
from tenfold.train.noise import Rows
from tenfold.train.optimizer import make_optimizer
from tenfold.train.recipe import Recipe, to_dict
from tenfold.train.records import Records, cut_back, held, seconds_so_far
from tenfold.train.signals import stop_on_signals
from tenfold.train.start import base_params, first_state
from tenfold.train.state import State, abstract_state, state_shardings
from tenfold.train.step import RouterLosses, evaluate_step, jit_train_step


@dataclass
class Session:
    """All that a run needs while it runs."""

    recipe: Recipe
    path: Path
    mesh: Mesh
    batches: Batches
    tokenizer: TextTokenizer | None
    held_out: list[Rows]
    watch: Watch
    most: int = 0
    """No row to train on has more places that count; 0: all may."""
    seconds: float = 0.0
    """Spent on steps by earlier sittings."""
    base: Params | None = None
    """The model under the adapters, where adapters are trained."""
    train_step: Callable = field(init=False)
    evaluate: Callable = field(init=False)
    optimizer: Any = field(init=False)
    whole: Callable = field(init=False)
    """(what is trained, base) -> the model's weights, each as one array."""
    lengths: np.ndarray | None = field(init=False)

    def __post_init__(self):
        config, train = self.recipe.model, self.recipe.train
        self.optimizer = make_optimizer(self.recipe)
        shardings = state_shardings(config, self.optimizer, self.mesh, self.recipe.lora)
        weights, router = weights_of(self.recipe), RouterLosses(train.balance_loss, train.router_z_loss)
        self.train_step = jit_train_step(config, self.optimizer, train.z_loss, shardings, router, weights, train.seed, self.most)
        self.whole = jax.jit(lambda trained, base: merge(base, trained, self.recipe.lora)) if self.recipe.lora.rank else own_weights
        self.evaluate = jax.jit(lambda base, trained, batch: evaluate_step(config, weights(trained, base, None), batch))
        self.lengths = None
        if self.recipe.train.objective == "causal":
            self.lengths = token_bytes(self.tokenizer, config.vocab) if self.tokenizer else np.ones(config.vocab, np.int64)


def fit(session: Session) -> tuple[State, bool]:
    """Trains from the newest checkpoint, or the start, to the recipe's last step. Returns the state and whether it got there."""
    recipe, writes = session.recipe, jax.process_index() == 0
    with (
        held(session.path, writes),
        Checkpoints(session.path / "checkpoints", recipe.train.keep) as checkpoints,
        jax.set_mesh(session.mesh),
        stop_on_signals() as stop,
    ):
        state = checkpoints.restore_newest(abstract_state(recipe.model, session.optimizer, session.mesh, recipe.lora))
        if state is None:
            state = first_state(recipe, session.optimizer, session.mesh)
        if recipe.lora.rank:
            session.base = base_params(recipe, session.mesh)
        first = int(state.step)
        records = None
        if writes:
            cut_back(session.path, first if first else -1)
            session.seconds = seconds_so_far(session.path)
            records = Records(session.path, recipe.train.tensorboard, recipe.train.wandb, to_dict(recipe))
        session.watch.start(first, recipe.train.steps)
        try:
            if recipe.start and first == 0 and session.held_out:
                _write_held_out(session, state, 0, records)
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
            state, metrics = session.train_step(state, batch, session.base)
            meter.put(step, metrics)
            done = step + 1
            ending = done == last or (stop.asked if alone else done % train.log_every == 0 and _anywhere(stop.asked))
            due = {name for name in ("evaluate", "checkpoint", "sample") if done % train.every(name) == 0 or done == last}
            if due or ending:
                with meter.pause():
                    if "evaluate" in due and session.held_out:
                        _write_held_out(session, state, done, records)
                    if "sample" in due and alone and session.mesh.shape["sequence"] == 1:
                        _write_samples(session, state, done, records)
                    if "checkpoint" in due or ending:
                        checkpoints.save(state)
            if ending:
                return state, done == last
    return state, True


def _write_held_out(session: Session, state: State, done: int, records) -> None:
    found = measure(partial(session.evaluate, session.base), state.params, session.held_out, session.lengths, session.mesh)
    if records:
        bits = {} if found.bits_per_byte is None else {"held_out_bits_per_byte": found.bits_per_byte}
        records.write("metrics.jsonl", done, held_out_loss=found.loss, **bits)
    session.watch.held_out(done, found)


def _write_samples(session: Session, state: State, done: int, records: Records) -> None:
    train, config, tokenizer = session.recipe.train, session.recipe.model, session.tokenizer
    if not train.prompts or tokenizer is None or train.objective != "causal":
        return
    room = config.context - max(len(tokenizer.encode(prompt) or [0]) for prompt in train.prompts)
    params = session.whole(state.params, session.base)
    texts = generate(params, config, tokenizer, list(train.prompts), max_tokens=min(train.sample_tokens, room), seed=train.seed)
    for prompt, completion in zip(train.prompts, texts, strict=True):
        records.write("samples.jsonl", done, prompt=prompt, text=completion.text)
        session.watch.sample(done, prompt, completion.text)


def _anywhere(asked: bool) -> bool:
    """Whether any process was asked to stop, so that all stop at the same step."""
    from jax.experimental import multihost_utils

    return bool(multihost_utils.process_allgather(np.array(asked)).any())
