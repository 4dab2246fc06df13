"""Several reward models in one run, side by side by vmap: where they disagree, none of them is to be trusted.

Source: Coste et al. 2024, "Reward model ensembles help mitigate overoptimization", section 3. Member e is the model that would be trained
alone with the recipe's seeds plus e: another head (other adapters too), and another order of prompts. Where asked, it has a share of the
prompts and a body of its own too.
Shapes: E members, in the first axis of every weight and moment; A microbatches, as in comparison_step.py.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tenfold.align.comparison_step import Judge, Judged, judged, learn
from tenfold.align.comparisons import Ranked
from tenfold.align.headed import first_headed
from tenfold.model.config import ModelConfig
from tenfold.model.params import Params, map_params, stack
from tenfold.train.state import State

SHARES = 7  # the stream of random numbers of shares


def of_members(declared: Params, members: int) -> Params:
    """A tree of Params for so many members; one alone has no axis of its own."""
    return map_params(lambda p: stack(p, members, None), declared) if members > 1 else declared


def first_members(trained: list[Params], config: ModelConfig, seed: int, members: int) -> Params:
    """New heads on weights, or on the adapters of each member."""
    keys = [jax.random.fold_in(jax.random.key(seed + member), 1) for member in range(members)]
    headed = [first_headed(trained[member % len(trained)], config, key) for member, key in enumerate(keys)]
    return jax.tree.map(lambda *each: jnp.stack(each), *headed) if members > 1 else headed[0]


def own_share(count: int, share: float, seed: int) -> np.ndarray:
    """int64[N]: which of `count` prompts a member learns from, in order, at least one."""
    return np.sort(np.random.default_rng([seed, SHARES]).permutation(count)[: max(1, round(share * count))])


def learn_all(judge: Judge, members: int, state: State, base: Params | None, start: Params | None, rows) -> tuple[State, dict[str, Any]]:
    """One update of each member by its own comparisons, [E x A, N, ...], and the means of their figures."""
    if members == 1:
        return learn(judge, state, base, start, rows)
    each = jax.tree.map(lambda x: x.reshape(members, -1, *x.shape[1:]), rows)
    axes: Any = State(None, 0, 0)  # type: ignore[arg-type]
    updated, figures = jax.vmap(partial(learn, judge), (axes, None, None, 0), (axes, 0))(state, base, start, each)
    return updated, jax.tree.map(lambda x_E: x_E.mean(0), figures)


def judged_all(
    judge: Judge, members: int, trained: Params, base: Params | None, start: Params | None, rows: Ranked
) -> tuple[Judged, jax.Array]:
    """What the members say of the same comparisons [N, K, S]: the means of their sums, and f32[E, N, K]."""
    if members == 1:
        sums, score_NK = judged(judge, trained, base, start, rows)
        return sums, score_NK[None]
    sums, score_ENK = jax.vmap(partial(judged, judge), (0, None, None, None))(trained, base, start, rows)
    return jax.tree.map(lambda x_E: x_E.mean(0), sums), score_ENK
