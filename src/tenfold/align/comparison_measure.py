"""What held-out comparisons say of a reward model, or of a policy from pairs; and of length, its rival.

Shapes: N prompts, K answers of each, E members of an ensemble, P pairs.
"""

from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tenfold.align.comparison_step import figures_of
from tenfold.align.comparison_work import Work
from tenfold.align.kto_measure import measure_labelled, named
from tenfold.align.length import fit_length, length_loss, length_rights
from tenfold.align.policy_round import placed
from tenfold.evaluate.statistics import ratio
from tenfold.model.params import Params, parameter_count
from tenfold.objectives.reward import calibration
from tenfold.train.device import machine
from tenfold.train.records import Stopwatch


@dataclass(frozen=True)
class Measured:
    """Held-out figures, for metrics.jsonl, and what they come of."""

    figures: dict[str, float] = field(default_factory=dict)
    right_N: np.ndarray = field(default_factory=lambda: np.zeros(0))
    """Pairs of each prompt whose better answer scores higher; equal scores count a half."""


def measure(work: Work, trained: Params) -> Measured:
    """Held-out figures, of whatever method."""
    return Measured(measure_labelled(work, trained)) if work.comparison.kto else measure_compared(work, trained)


def measure_compared(work: Work, trained: Params) -> Measured:
    """Of held-out comparisons: loss, accuracy over their pairs with its interval, and the calibration of differences of scores.

    The interval is of a bootstrap over prompts, as the pairs of one prompt are not independent of each other. Of an ensemble all but the
    loss are those of the members' mean scores.
    """
    size, sums, ahead_NEP = work.comparison.recipe.train.microbatch or work.comparison.recipe.train.batch, None, []
    for first in range(0, len(work.held_out), size):
        some = work.held_out[first : first + size]
        rows = work.rows(some + some[:1] * (size - len(some)))
        rows = rows._replace(real_NK=rows.real_NK & (np.arange(size) < len(some))[:, None])
        found, score_ENK = work.judged(trained, work.base, work.start, jax.tree.map(lambda x: x[0], placed(rows, size, work.mesh)))
        sums = found if sums is None else jax.tree.map(jnp.add, sums, found)
        score_ENK = np.asarray(score_ENK)
        ahead_NEP += [np.stack([score_ENK[:, n, i] - score_ENK[:, n, j] for i, j in each.pairs], 1) for n, each in enumerate(some)]
    assert sums is not None
    values = {f"held_out_{name}": float(value) for name, value in figures_of(sums).items()}
    ahead = [each_EP.mean(0) for each_EP in ahead_NEP]
    if work.members > 1:
        values["held_out_member_accuracy"] = values["held_out_accuracy"]
        values["held_out_disagreement"] = float(np.concatenate([each_EP.std(0) for each_EP in ahead_NEP]).mean())
    right_N = np.array([((each > 0) + 0.5 * (each == 0)).sum() for each in ahead])
    values |= named("held_out_accuracy", ratio(right_N, [len(each) for each in ahead]))
    return Measured(values | {"held_out_calibration": float(calibration(jnp.asarray(np.concatenate(ahead))))}, right_N)


def beside_length(work: Work, measured: Measured) -> dict[str, float | str]:
    """How often, on the same held-out pairs, the longer (or the shorter) answer is the better one, whichever is so more often in training;
    the loss of the logistic regression on lengths; and how far above it the trained model is."""
    rule = fit_length(work.train)
    right_N, pairs_N = length_rights(rule, work.held_out), [len(each.pairs) for each in work.held_out]
    found: dict[str, float | str] = {"length_rule": "longer" if rule.longer else "shorter"}
    found |= named("length_accuracy", ratio(right_N, pairs_N)) | {"length_loss": length_loss(rule, work.held_out)}
    return found | named("above_length", ratio(measured.right_N - right_N, pairs_N))


def result_of(work: Work, step: int, measured: Measured) -> dict[str, Any]:
    """What result.json says."""
    comparison = work.comparison
    values: dict[str, Any] = {"command": f"align {comparison.action}", "finished": step == comparison.recipe.train.steps, "steps": step}
    values |= {"comparisons": len(work.train), "held_out": len(work.held_out), "seconds": Stopwatch(work.path).spent}
    if comparison.kto:
        values |= {"good": sum(each.good for each in work.train), "bad": sum(not each.good for each in work.train)} | measured.figures
    elif work.held_out:
        values |= {"held_out_pairs": sum(len(each.pairs) for each in work.held_out)} | measured.figures | beside_length(work, measured)
    return values | {"parameters": parameter_count(comparison.recipe.model), "machine": machine()}
