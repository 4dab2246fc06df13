"""Proxies: reward models of several sizes, each trained on several amounts of pairs by the trainer of `tenfold align reward`.

Shapes: P measured prompts, N completions of each.
"""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
import optax

from tenfold.align.comparison import train_on_comparisons
from tenfold.align.comparison_config import ComparisonRecipe, RewardModel
from tenfold.align.overoptimize_config import layers_and_embed, size_name
from tenfold.align.overoptimize_pairs import held_out_file, pairs_file
from tenfold.align.overoptimize_work import Work, sized
from tenfold.align.reward_model import ModelReward, load_reward_model
from tenfold.corpus.files import new_directory
from tenfold.errors import UserError
from tenfold.model.config import ModelConfig
from tenfold.model.params import Params, init_params, restack
from tenfold.tokens.config import DataConfig
from tenfold.train.checkpoint import Checkpoints
from tenfold.train.recipe import OptimizerConfig, Recipe, TrainConfig, save_recipe
from tenfold.train.records import write_json
from tenfold.train.run import Run, read_run
from tenfold.train.start import open_start
from tenfold.train.state import state_of


@dataclass(frozen=True)
class Proxy:
    """A trained reward model."""

    name: str
    size: str
    count: int
    """Pairs that it learned from."""
    run: Run


def proxy_name(size: str, count: int) -> str:
    """How its folder is called."""
    return f"{size_name(size)}-{count}"


def train_proxy(work: Work, size: str, count: int) -> Proxy | None:
    """Trained from its start, or from where it stopped; None where it was stopped again."""
    recipe, name = work.recipe, proxy_name(size, count)
    path = work.out / "proxies" / name
    if not (path / "result.json").exists() or not read_run(path).result.get("finished"):
        start, proxies = proxy_start(work, size), recipe.proxies
        config = open_start(Recipe("start", start=str(start))).config
        steps = max(1, round(count * proxies.epochs / proxies.batch))
        rates = OptimizerConfig(proxies.learning_rate, weight_decay=0.0)
        train = TrainConfig(steps=steps, batch=proxies.batch, evaluate_every=steps, checkpoint_every=steps, tensorboard=False)
        reward = Recipe(
            name,
            model=ModelConfig(context=config.context, dtype=config.dtype),
            data=DataConfig(paths=(str(pairs_file(work, count)),), held_out=str(held_out_file(work)), seed=recipe.seed),
            optimizer=rates,
            train=replace(train, seed=recipe.seed),
            start=str(start),
        )
        work.watch.stage(f"proxy {size_name(size)} on {count:,} pairs")
        bodies = tuple(str(own_body(work, size, member)) for member in range(proxies.ensemble)) if proxies.own_bodies else ()
        asked = ComparisonRecipe(reward, reward_model=RewardModel(ensemble=proxies.ensemble, share=proxies.share, starts=bodies))
        trained = train_on_comparisons(asked, path, lambda step, figures: work.watch.step(step, steps, figures))
        if not trained.result.get("finished"):
            return None
    return Proxy(name, size, count, read_run(path))


def proxy_start(work: Work, size: str) -> Path:
    """The model that a proxy of that size begins as: a directory that is there, or one that is written here."""
    asked = layers_and_embed(size) if work.recipe.proxies.sizes else None
    if asked is None:
        return Path(size).expanduser()
    path = work.out / "sizes" / size
    if not path.exists():
        config = sized(work.start.model, *asked)
        _write_model(work, path, config, _weights(work, config))
    return path


def own_body(work: Work, size: str, member: int) -> Path:
    """New weights of that size for a member of an ensemble, written where they are not there."""
    path, asked = work.out / "sizes" / f"{size}-{member}", layers_and_embed(size)
    assert asked is not None
    if not path.exists():
        config = sized(work.start.model, *asked)
        _write_model(work, path, config, _new_weights(config, work.recipe.seed + member))
    return path


def _write_model(work: Work, path: Path, config: ModelConfig, params: Params) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with new_directory(path) as folder:
        with Checkpoints(folder / "checkpoints", keep=1) as checkpoints:
            checkpoints.save(state_of(params, config, optax.identity(), work.mesh))
        work.tokenizer.save(folder / "tokenizer")
        save_recipe(Recipe("size", model=config), folder / "recipe.yaml")
        write_json(folder / "result.json", {"finished": True})


def _new_weights(config: ModelConfig, seed: int) -> Params:
    return jax.jit(lambda key: init_params(key, config))(jax.random.key(seed))


def _weights(work: Work, config: ModelConfig) -> Params:
    """The start's first layers, or new weights."""
    start = work.start.model
    if config.embed != start.embed:
        return _new_weights(config, work.recipe.seed)
    first = restack(work.params["blocks"], start.layers)[: config.layers]
    return work.params | {"blocks": restack(first, config.period)}


def load_proxy(work: Work, proxy: Proxy) -> ModelReward:
    """A proxy as a reward: what its ensemble says together."""
    return load_reward_model(proxy.run.path, work.recipe.proxies.pool, work.recipe.proxies.penalty)


def pool_scores(work: Work, proxy: Proxy, pool: dict[str, Any]) -> np.ndarray:
    """f64[P, N]: what a proxy thinks of the pool, from its file where it has been asked. Raises UserError where it tells none apart."""
    file = work.out / "best_of_n" / f"{proxy.name}.json"
    if not file.exists():
        work.watch.stage(f"proxy {proxy.name} scores the pool")
        model = load_proxy(work, proxy)
        rows = zip(work.measured, pool["completions"], strict=True)
        scores = [model([example["prompt"]] * len(texts), texts) for example, texts in rows]
        file.parent.mkdir(parents=True, exist_ok=True)
        write_json(file, {"proxy": scores})
    scores_PN = np.asarray(json.loads(file.read_text())["proxy"], np.float64)
    if not scores_PN.std() > 0:
        raise UserError(f"the proxy {proxy.name} gives the same score to all of the pool.\n  Train it longer: --proxies.epochs.")
    return scores_PN
