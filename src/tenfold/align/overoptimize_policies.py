"""Policies that are optimised against a proxy by the trainers of `tenfold align grpo` and `ppo`, and measured as they go.

Every so many steps there is a checkpoint; its policy writes completions of the measured prompts, of which gold, proxy and the KL to the
start are kept for each prompt. Shapes: P measured prompts.
"""

import json
from typing import Any

import numpy as np

from tenfold.align.overoptimize_proxies import Proxy, load_proxy
from tenfold.align.overoptimize_work import MEASURED, Work, prompts_file
from tenfold.align.policy import train_policy
from tenfold.align.policy_config import Grpo, PolicyRecipe, Ppo, RewardConfig
from tenfold.model.config import ModelConfig
from tenfold.model.params import Params
from tenfold.tokens.config import DataConfig
from tenfold.train.checkpoint import Checkpoints
from tenfold.train.recipe import OptimizerConfig, Recipe, TrainConfig
from tenfold.train.records import write_json
from tenfold.train.state import abstract_params

SHOWN = 3
"""Completions of a measurement that are kept to be read."""


def optimised(work: Work, proxy: Proxy, spread: float) -> list[dict[str, Any]] | None:
    """What was measured of the start and of each checkpoint of the policy that learns from a proxy; None where it was stopped.

    `spread` is the standard deviation of the proxy over the start's completions: what the policy learns from is over it.
    """
    file = work.out / "measured" / f"{proxy.name}.json"
    found = json.loads(file.read_text()) if file.exists() else []
    wanted = (0, *work.recipe.rl.measured)
    if [each["step"] for each in found] == list(wanted):
        return found
    policy = policy_recipe(work, proxy, spread)
    work.watch.stage(f"{work.recipe.rl.method} against {proxy.name}")
    path, steps = work.out / "policies" / proxy.name, work.recipe.rl.steps
    if not train_policy(policy, path, watch=lambda step, figures: work.watch.step(step, steps, figures)).result.get("finished"):
        return None
    work.watch.stage(f"{work.recipe.rl.method} against {proxy.name}: measuring {len(wanted)} policies")
    reward, like = load_proxy(work, proxy), abstract_params(work.start.model, work.mesh)
    file.parent.mkdir(exist_ok=True)
    with Checkpoints(path / "checkpoints") as checkpoints:
        for step in wanted[len(found) :]:
            params = checkpoints.params_of(step, like) if step else work.params
            found.append({"step": step} | measure(work, params, reward))
            write_json(file, found)
    return found


def policy_recipe(work: Work, proxy: Proxy, spread: float) -> PolicyRecipe:
    """What the policy's trainer is told."""
    recipe, rl = work.recipe, work.recipe.rl
    train = TrainConfig(
        steps=rl.steps,
        batch=rl.batch,
        log_every=1,
        checkpoint_every=rl.every,
        keep=len(rl.measured),
        seed=recipe.seed,
        tensorboard=False,
    )
    plain = Recipe(
        proxy.name,
        model=ModelConfig(context=work.start.model.context, dtype=work.start.model.dtype),
        data=DataConfig(paths=(str(prompts_file(work.out, "learned")),), seed=recipe.seed),
        optimizer=OptimizerConfig(rl.learning_rate, weight_decay=0.0, final_fraction=1.0),
        train=train,
        start=recipe.start,
    )
    reward = RewardConfig((str(proxy.run.path),), (1 / spread,), pool=recipe.proxies.pool, penalty=recipe.proxies.penalty)
    method: dict[str, Any] = {"grpo": Grpo(kl=rl.kl)} if rl.method == "grpo" else {"ppo": Ppo(kl=rl.kl)}
    return PolicyRecipe(plain, recipe.rollout, reward, **method)


def measure(work: Work, params: Params, reward) -> dict[str, Any]:
    """Means over each prompt's completions: gold and proxy as they score, nats of KL to the start; and some completions."""
    samples = work.recipe.rl.samples
    asked = [example for example in work.measured for _ in range(samples)]
    parts = work.draw(params, asked, MEASURED)
    texts = [text for part in parts for text in part.completions][: len(asked)]
    kl = np.concatenate([work.distance(params, part) for part in parts])[: len(asked)]
    scores = {"gold": work.worth(asked, texts), "proxy": np.asarray(reward([example["prompt"] for example in asked], texts), np.float64)}
    by_prompt = {name: x.reshape(-1, samples).mean(1).tolist() for name, x in (scores | {"kl": kl}).items()}
    places = range(0, len(asked), max(samples, samples * (len(work.measured) // SHOWN)))
    shown = [
        {"prompt": asked[i]["prompt"], "text": texts[i], "gold": float(scores["gold"][i]), "proxy": float(scores["proxy"][i])}
        for i in list(places)[:SHOWN]
    ]
    return by_prompt | {"samples": shown}
