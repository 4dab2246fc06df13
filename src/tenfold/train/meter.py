"""What a run's numbers pass through: fetched a step late, written, timed, and checked for being numbers."""

import time
from typing import Protocol

import jax
import jax.numpy as jnp
import numpy as np

from tenfold.errors import UserError
from tenfold.model.flops import train_flops_per_token
from tenfold.model.moe import Routing
from tenfold.train.batches import Batches
from tenfold.train.checkpoint import Checkpoints
from tenfold.train.device import peak_flops
from tenfold.train.held_out import HeldOut
from tenfold.train.noise import decoded, head_reads
from tenfold.train.recipe import Recipe
from tenfold.train.records import Records
from tenfold.train.schedule import learning_rate
from tenfold.train.step import Metrics


class Watch(Protocol):
    """Whoever shows a run's progress."""

    def start(self, first_step: int, steps: int) -> None: ...
    def step(self, step: int, loss: float, tokens_per_second: float | None, mfu: float | None) -> None: ...
    def held_out(self, step: int, found: HeldOut) -> None: ...
    def sample(self, step: int, prompt: str, text: str) -> None: ...


class Diverged(UserError):
    """Training that left the numbers: its loss or its gradient is none any more."""


class Meter:
    """Takes each step's metrics and deals with those of the step before, so that the device never waits for Python."""

    def __init__(self, recipe: Recipe, batches: Batches, records: Records | None, checkpoints: Checkpoints, watch: Watch, spent: float):
        self.recipe, self.batches, self.schedule = recipe, batches, batches.schedule
        self.records, self.checkpoints, self.watch = records, checkpoints, watch
        self.rate = learning_rate(recipe.optimizer, self.schedule, recipe.train.steps)
        self.flops = train_flops_per_token(recipe.model, decoded(recipe), head_reads(recipe), still=recipe.lora.rank > 0)
        self.peak, _ = peak_flops(jax.devices())
        self.waiting: tuple[int, Metrics] | None = None
        self.spent = spent
        """Seconds of steps so far, in all sittings."""
        self.mark = time.perf_counter()
        self.marked_tokens: int | None = None

    def put(self, step: int, metrics: Metrics) -> None:
        """Takes the metrics of a step, which may not be computed yet."""
        self.drain()
        self.waiting = (step, metrics)

    def drain(self) -> None:
        """Deals with what is waiting. Raises Diverged where the loss or the gradient is no longer a number."""
        if self.waiting is None:
            return
        (step, metrics), self.waiting = self.waiting, None
        loss, grad_norm = float(metrics.loss), float(metrics.grad_norm)
        if not np.isfinite(loss) or not np.isfinite(grad_norm):
            raise Diverged(self._not_a_number(step, loss, grad_norm))
        if self.marked_tokens is None:  # the first step of a sitting is mostly compilation: the clock starts after it
            self.mark, self.marked_tokens = time.perf_counter(), self.schedule.tokens_before(step + 1)
        done, train = step + 1, self.recipe.train
        if done % train.log_every == 0 or done == train.steps or step == 0:
            self._write(step, loss, grad_norm, metrics.routing)

    def pause(self) -> "_Pause":
        """A context in which the device does something else than steps: the clock stands."""
        return _Pause(self)

    def _write(self, step: int, loss: float, grad_norm: float, routing: Routing | None) -> None:
        done, now, tokens = step + 1, time.perf_counter(), self.schedule.tokens_before(step + 1)
        new_tokens, seconds = tokens - (self.marked_tokens or 0), now - self.mark
        self.spent, self.mark, self.marked_tokens = self.spent + seconds, now, tokens
        if self.records:
            values = dict(tokens=tokens, loss=loss, grad_norm=grad_norm, lr=float(self.rate(jnp.int32(step))))
            self.records.write("metrics.jsonl", done, **values, batch=self.schedule.batch_rows(step), **routing_values(routing))
        if not new_tokens:
            self.watch.step(done, loss, None, None)
            return
        rate = new_tokens / seconds
        mfu = rate * self.flops / self.peak
        if self.records:
            timing = dict(seconds=round(self.spent, 3), tokens_per_second=round(rate, 1), mfu=round(mfu, 4))
            self.records.write("timing.jsonl", done, **timing)
        self.watch.step(done, loss, rate, mfu)

    def _not_a_number(self, step: int, loss: float, grad_norm: float) -> str:
        rows = range(self.schedule.rows_before(step), self.schedule.rows_before(step + 1))
        names = sorted({record["source"] for row in rows for record, _, _ in self.batches.loader.provenance(row)})
        good = self.checkpoints.steps()
        from_good = f"The last good checkpoint is step {good[-1]}." if good else "There is no checkpoint yet."
        return (
            f"step {step + 1}: the loss is {loss} and the gradient's norm {grad_norm}: training cannot go on.\n"
            f"  Its batch holds {len(names)} documents: {', '.join(names[:8])}{' ...' if len(names) > 8 else ''}\n"
            f"  {from_good} See the text with --show-batch {step + 1}; a lower optimizer.learning_rate is the usual mend."
        )


def routing_values(routing: Routing | None) -> dict:
    """What metrics.jsonl says of a mixture of experts; `load` is each expert's share of the pairs of a token and an expert."""
    if routing is None:
        return {}
    numbers = dict(balance=float(routing.balance_loss), router_z=float(routing.z_loss), dropped=float(routing.dropped))
    return numbers | {"load": [round(float(share), 6) for share in np.asarray(routing.load_E)]}


class _Pause:
    def __init__(self, meter: Meter):
        self.meter = meter

    def __enter__(self) -> None:
        self.meter.drain()
        self.start = time.perf_counter()

    def __exit__(self, *_) -> None:
        self.meter.mark += time.perf_counter() - self.start
