"""Over-optimisation, measured: a gold reward labels pairs, proxies learn from them, and policies are optimised against the proxies.

Source: Gao, Schulman and Hilton 2022, "Scaling laws for reward model overoptimization". The stages leave their files in one folder and are
not done again: pool.json, comparisons/, sizes/ and proxies/ (runs), best_of_n/, policies/ (runs), measured/. What is found of them is one
JSON object, overoptimize.json, which the page shows and docs/overoptimize.md describes.

Shapes: P measured prompts, N completions of each in the pool, K points of a curve.
"""

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from tenfold.align.overoptimize_config import OveroptimizeRecipe, size_name
from tenfold.align.overoptimize_fit import fit, samples
from tenfold.align.overoptimize_pairs import draw_pairs, pool
from tenfold.align.overoptimize_policies import optimised
from tenfold.align.overoptimize_proxies import Proxy, pool_scores, train_proxy
from tenfold.align.overoptimize_work import Quiet, Work, open_work
from tenfold.align.reward_pool import weighted
from tenfold.align.rewards import Reward
from tenfold.errors import UserError
from tenfold.evaluate.statistics import interval
from tenfold.model.host_memory import keep_freed_memory
from tenfold.model.params import parameter_count
from tenfold.objectives.best_of_n import best_of_each, best_of_n_kl
from tenfold.train.records import write_json

FORMAT = 1
FOUND = "overoptimize.json"


def overoptimize(
    recipe: OveroptimizeRecipe, out: Path, gold: dict[str, Reward] | None = None, watch: Quiet | None = None
) -> dict[str, Any] | None:
    """What is found, which is also OUT/overoptimize.json; None where it was stopped, and the same call goes on.

    `gold` are rewards by name, beside those that the recipe names. Raises UserError for anything in the recipe, the prompts, the gold
    reward or the folder that cannot work.
    """
    keep_freed_memory()  # before JAX is asked anything
    if not (recipe.gold.names or gold):
        raise UserError("gold.names is empty: nothing says what a completion is truly worth.\n  Name a reward with --gold.")
    with ExitStack() as stack:
        work = open_work(recipe, out, weighted(recipe.gold, gold or {}, stack), watch or Quiet())
        draw_pairs(work)
        drawn = pool(work)
        proxies = []
        for size in recipe.sizes:
            for count in recipe.comparisons.counts:
                if (proxy := train_proxy(work, size, count)) is None:
                    return None
                proxies.append(proxy)
        scores = [pool_scores(work, proxy, drawn) for proxy in proxies]
        measured = []
        for proxy, scores_PN in zip(proxies, scores, strict=True):
            if (steps := optimised(work, proxy, float(scores_PN.std()))) is None:
                return None
            measured.append(steps)
        gold_PN = np.asarray(drawn["gold"], np.float64)
        rows = [_proxy(work, *each, gold_PN) for each in zip(proxies, scores, measured, strict=True)]
        found = summary(work, rows, gold_PN)
    write_json(out / FOUND, found)
    return found


def summary(work: Work, rows: list[dict[str, Any]], gold_PN: np.ndarray) -> dict[str, Any]:
    """All that was found, for JSON."""
    recipe = work.recipe
    return {
        "format": FORMAT,
        "command": "align overoptimize",
        "start": recipe.start,
        "parameters": parameter_count(work.start.model),
        "gold": {"names": list(work.gold.rewards), "mean": float(gold_PN.mean()), "spread": float(gold_PN.std())},
        "prompts": {"learned": len(work.learned), "measured": len(work.measured)},
        "noise": recipe.comparisons.noise,
        "ensemble": {
            "members": recipe.proxies.ensemble,
            "pool": recipe.proxies.pool,
            "penalty": recipe.proxies.penalty,
            "share": recipe.proxies.share,
            "own_bodies": recipe.proxies.own_bodies,
        },
        "pool": recipe.best_of.pool,
        "method": recipe.rl.method,
        "kl_weight": recipe.rl.kl,
        "cut": recipe.fit.cut,
        "until": recipe.fit.until,
        "repeats": recipe.fit.repeats,
        "proxies": rows,
    }


def _proxy(work: Work, proxy: Proxy, scores_PN: np.ndarray, measured: list[dict[str, Any]], gold_PN: np.ndarray) -> dict[str, Any]:
    """One proxy's two curves with their fits. Scores are above the start's of the same prompt, in standard deviations of the start's."""
    n = work.recipe.best_of.n
    gold_of, proxy_of = (_standard(x_PN) for x_PN in (gold_PN, scores_PN))
    best_gold_PK, best_proxy_PK = (best_of_each(scores_PN, of(x_PN), n) for x_PN, of in ((gold_PN, gold_of), (scores_PN, proxy_of)))
    kl_PK = np.tile([best_of_n_kl(each) for each in n], (len(gold_PN), 1))
    steps = [each["step"] for each in measured]
    rl_kl_PK, rl_gold, rl_proxy = (np.array([each[name] for each in measured], np.float64).T for name in ("kl", "gold", "proxy"))
    rl_gold_PK, rl_proxy_PK = gold_of(rl_gold), proxy_of(rl_proxy)
    rl_gold_PK, rl_proxy_PK = (x_PK - x_PK[:, :1] for x_PK in (rl_gold_PK, rl_proxy_PK))  # the laws begin at 0, where the start is
    result = proxy.run.result
    return {
        "name": proxy.name,
        "size": size_name(proxy.size),
        "parameters": result["parameters"],
        "comparisons": proxy.count,
        "accuracy": result["held_out_accuracy"],
        "calibration": result["held_out_calibration"],
        "best_of_n": {"n": list(n)} | _curve(work, "best_of_n", kl_PK, best_gold_PK, best_proxy_PK),
        "rl": {"step": steps} | _curve(work, "rl", rl_kl_PK, rl_gold_PK, rl_proxy_PK) | {"samples": measured[-1]["samples"]},
    }


def _standard(pool_PN: np.ndarray):
    """Scores [P, ...] less the pool's mean of each prompt, over the pool's standard deviation."""
    mean_P1, spread = pool_PN.mean(1, keepdims=True), pool_PN.std()
    return lambda x_PK: (x_PK - mean_P1) / spread


def _curve(work: Work, form, kl_PK: np.ndarray, gold_PK: np.ndarray, proxy_PK: np.ndarray) -> dict[str, Any]:
    """A curve, the interval of its gold scores over prompts, and the law fitted to it."""
    asked = work.recipe.fit
    drawn_RK = samples(len(gold_PK), asked.repeats, asked.seed) @ gold_PK
    low_K, high_K = zip(*(interval(drawn_R) for drawn_R in drawn_RK.T), strict=True)
    return {
        "kl": kl_PK.mean(0).tolist(),
        "d": np.sqrt(np.maximum(kl_PK.mean(0), 0.0)).tolist(),
        "gold": gold_PK.mean(0).tolist(),
        "low": list(low_K),
        "high": list(high_K),
        "proxy": proxy_PK.mean(0).tolist(),
        "fit": fit(form, kl_PK, gold_PK, asked.cut, asked.repeats, asked.seed, asked.until).written(),
    }
