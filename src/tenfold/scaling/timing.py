"""How long a ladder will take on this machine, measured before it starts.

A step of each shape is timed on a model that is thrown away. One that would take long is timed on fewer rows, and its time multiplied.
"""

import json
import time
from dataclasses import replace
from pathlib import Path

import jax

from tenfold.corpus.files import fingerprint
from tenfold.model.host_memory import keep_freed_memory
from tenfold.scaling.budget import Cost
from tenfold.scaling.ladder import Opened
from tenfold.scaling.read import flops_per_token
from tenfold.scaling.rungs import Rung
from tenfold.sharding.axes import make_mesh
from tenfold.train.device import machine, peak_flops
from tenfold.train.noise import row_tokens
from tenfold.train.recipe import Recipe, to_dict
from tenfold.train.records import write_json
from tenfold.train.state import init_state
from tenfold.train.train import Quiet, make_session

TIMED_STEPS = 6
SHORT = 0.5  # seconds at the device's peak: what a timed step may ask for
BETWEEN = 1.1  # for what comes between steps
TIMING = "timing.json"


def time_rungs(opened: Opened, rungs: list[Rung], done: set[str]) -> list[Cost]:
    """Predicted seconds of each rung. Timings are kept in OUT/timing.json and not made again on the same machine."""
    file = opened.out / TIMING
    kept = json.loads(file.read_text()) if file.exists() else {}
    costs, here = [], machine()
    for rung in rungs:
        key = fingerprint(to_dict(rung.recipe.model), rung.recipe.train.batch, rung.recipe.train.microbatch, here["device"], here["cores"])
        if key not in kept and rung.name not in done:
            first, later = seconds_a_step(rung.recipe, opened)
            kept[key] = {"first_step": round(first, 4), "step": round(later, 6)}
            write_json(file, kept)
        costs.append(Cost(rung, _seconds(rung.recipe, kept[key]) if key in kept else 0.0, rung.name in done))
    return costs


def _seconds(recipe: Recipe, timed: dict[str, float]) -> float:
    """Of a whole run: compiling, its steps, and measuring, which costs a third of a step for as many rows."""
    train = recipe.train
    rows = train.steps // train.every("evaluate") * train.evaluate_rows
    return timed["first_step"] + BETWEEN * timed["step"] * (train.steps + rows / train.batch / 3)


def seconds_a_step(recipe: Recipe, opened: Opened) -> tuple[float, float]:
    """(the first step with its compilation, the median of later ones), of a model that is thrown away."""
    keep_freed_memory()
    rows = _timed_rows(recipe, opened.parts)
    micro = recipe.train.microbatch
    small = replace(recipe.train, batch=rows, microbatch=micro if micro and rows % micro == 0 else 0, evaluate_rows=1, prompts=())
    timed = replace(recipe, train=small, optimizer=replace(recipe.optimizer, ramp_batch=0))
    session = make_session(timed, Path(opened.out), opened.data, make_mesh(recipe.mesh), Quiet())
    times = []
    with jax.set_mesh(session.mesh):
        state = init_state(recipe.model, session.optimizer, session.mesh, 0)
        for step in range(TIMED_STEPS):
            batch, start = session.batches(step), time.perf_counter()
            state, metrics = session.train_step(state, batch)
            metrics.loss.block_until_ready()
            times.append(time.perf_counter() - start)
    return times[0], sorted(times[1:])[len(times) // 2 - 1] * recipe.train.batch / rows


def _timed_rows(recipe: Recipe, parts: int) -> int:
    peak, _ = peak_flops(jax.devices())
    affordable = int(SHORT * peak / (flops_per_token(recipe) * row_tokens(recipe)))
    return min(recipe.train.batch, parts * max(1, affordable // parts))
