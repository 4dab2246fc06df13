"""What held-out good and bad answers say of a policy that learns by KTO. Shapes: N examples, K = 2 rows of each, as in kto_step.py."""

from collections import defaultdict

import jax
import jax.numpy as jnp
import numpy as np

from tenfold.align.comparison_step import figures_of
from tenfold.align.comparison_work import Work
from tenfold.align.kto_step import kto_sums
from tenfold.align.labelled import Labelled
from tenfold.align.policy_round import placed
from tenfold.evaluate.statistics import Estimate, ratio
from tenfold.model.params import Params
from tenfold.objectives.preference import implicit_rewards, kto_reference


def measure_labelled(work: Work, trained: Params) -> dict[str, float]:
    """Loss, share of answers on their side of the reference point, mean implicit reward, the reference point (kl), and, of prompts that
    have both kinds, in how many pairs the good answer has the higher reward. Intervals are of a bootstrap over prompts."""
    method, recipe, examples = work.comparison.kto, work.comparison.recipe, work.held_out
    assert method is not None
    size, found = recipe.train.microbatch or recipe.train.batch, []
    for first in range(0, len(examples), size):
        some = examples[first : first + size]
        rows = work.rows(some + some[:1] * (size - len(some)))
        said = work.judged(trained, work.base, work.start, jax.tree.map(lambda x: x[0], placed(rows, size, work.mesh)))
        found.append([np.asarray(x)[: len(some)] for x in (*said, rows.real_NK)])
    logp_NK, ref_NK, real_NK = (np.concatenate(each) for each in zip(*found, strict=True))
    kl = kto_reference(jnp.asarray(logp_NK[:, 1]), jnp.asarray(ref_NK[:, 1]), jnp.asarray(real_NK[:, 1]))
    good_N = np.array([each.good for each in examples])
    logp_N, ref_N, real_N = (jnp.asarray(x_NK[:, 0]) for x_NK in (logp_NK, ref_NK, real_NK))
    sums = kto_sums(method, logp_N, ref_N, jnp.asarray(good_N), real_N, kl)
    values = {f"held_out_{name}": float(value) for name, value in figures_of(sums).items()} | {"held_out_kl": float(kl)}
    score_N = np.asarray(implicit_rewards(logp_N, ref_N, method.beta))
    above_N = np.where(good_N, 1, -1) * (score_N - method.beta * float(kl))
    values |= named("held_out_accuracy", _by_prompt(examples, (above_N > 0) + 0.5 * (above_N == 0)))
    return values | _pairs(examples, score_N)


def named(name: str, estimate: Estimate) -> dict[str, float]:
    """A figure and the ends of its interval."""
    return {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}


def _by_prompt(examples: list[Labelled], right_N: np.ndarray) -> Estimate:
    each: dict[str, list[float]] = defaultdict(list)
    for example, right in zip(examples, right_N, strict=True):
        each[example.prompt].append(float(right))
    return ratio([sum(rights) for rights in each.values()], [len(rights) for rights in each.values()])


def _pairs(examples: list[Labelled], score_N: np.ndarray) -> dict[str, float]:
    """The accuracy over pairs of one prompt, comparable with DPO's; nothing where no prompt has both kinds."""
    scores: dict[str, tuple[list[float], list[float]]] = defaultdict(lambda: ([], []))
    for example, score in zip(examples, score_N, strict=True):
        scores[example.prompt][0 if example.good else 1].append(float(score))
    ahead = [np.subtract.outer(good, bad) for good, bad in scores.values() if good and bad]
    if not ahead:
        return {}
    right = [float(((each > 0) + 0.5 * (each == 0)).sum()) for each in ahead]
    return named("held_out_pair_accuracy", ratio(right, [each.size for each in ahead]))
