"""A model that half knows how to add two digits, small enough to make in seconds, and prompts to learn it from. For the tests of align/."""

import json
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import optax

from tenfold.align.policy_config import Grpo, PolicyRecipe, Ppo, RewardConfig, RolloutConfig
from tenfold.model.config import ModelConfig
from tenfold.model.params import init_params
from tenfold.objectives.causal import causal_loss
from tenfold.sharding.axes import make_mesh
from tenfold.sharding.config import MeshConfig
from tenfold.tokens.config import DataConfig
from tenfold.tokens.tokenizer import Tokenizer
from tenfold.train.checkpoint import Checkpoints
from tenfold.train.recipe import OptimizerConfig, Recipe, TrainConfig, save_recipe
from tenfold.train.records import write_json
from tenfold.train.state import state_of

LETTERS = "0123456789+= "
CONFIG = ModelConfig(vocab=16, context=16, layers=2, embed=32, heads=2, dtype="float32")
SUMS = [(a, b) for a in range(10) for b in range(10)]


def tokenizer() -> Tokenizer:
    """One token a letter of LETTERS, and end_of_text as id 0."""
    vocab = {"<|endoftext|>": 0} | {letter: number for number, letter in enumerate(LETTERS, 1)}
    split = {"type": "Split", "pattern": {"Regex": "."}, "behavior": "Isolated", "invert": False}
    end = {
        "id": 0,
        "content": "<|endoftext|>",
        "single_word": False,
        "lstrip": False,
        "rstrip": False,
        "normalized": False,
        "special": True,
    }
    model = {"type": "WordLevel", "vocab": vocab, "unk_token": "<|endoftext|>"}
    return Tokenizer(json.dumps({"added_tokens": [end], "pre_tokenizer": split, "decoder": {"type": "Fuse"}, "model": model}))


def write_prompts(path: Path, sums=SUMS) -> Path:
    """A line for each sum: {"prompt": "3+4=", "answer": "7"}."""
    path.write_text("".join(json.dumps({"prompt": f"{a}+{b}=", "answer": str(a + b)}) + "\n" for a, b in sums))
    return path


def write_start(folder: Path, steps: int = 0, seed: int = 0) -> Path:
    """A run directory of a model that has seen `steps` batches of the sums with their answers, ends among them."""
    params, token = init_params(jax.random.key(seed), CONFIG), tokenizer()
    optimizer, random = optax.adam(3e-3), np.random.default_rng(seed)

    @jax.jit
    def step(params, opt_state, rows):
        def loss(p):
            sums = causal_loss(p, CONFIG, rows[:, :-1], rows[:, 1:], (np.arange(7) >= 3) * (rows[:, :-1] >= 0) * 1.0)
            return sums.loss / sums.weight

        updates, opt_state = optimizer.update(jax.grad(loss)(params), opt_state)
        return optax.apply_updates(params, updates), opt_state

    opt_state = optimizer.init(params)
    for _ in range(steps):
        rows = np.zeros((32, 8), np.int32)
        for row, (a, b) in enumerate(SUMS[i] for i in random.integers(0, 100, 32)):
            ids = token.encode(f"{a}+{b}={a + b}")
            rows[row, : len(ids)] = ids
        params, opt_state = step(params, opt_state, rows)
    with Checkpoints(folder / "checkpoints", keep=1) as checkpoints:
        checkpoints.save(state_of(params, CONFIG, optax.sgd(0.1), make_mesh(MeshConfig(), jax.devices()[:1])))
    token.save(folder / "tokenizer")
    save_recipe(Recipe("start", model=CONFIG), folder / "recipe.yaml")
    write_json(folder / "result.json", {"finished": True})
    return folder


def tiny_policy(
    start: Path, prompts: Path, *, grpo: Grpo | None = None, ppo: Ppo | None = None, completions: int = 4, **train
) -> PolicyRecipe:
    """Steps of 16 completions of at most 4 tokens, each step in metrics.jsonl."""
    defaults = dict(steps=4, batch=16, log_every=1, checkpoint_every=2, evaluate_every=4, tensorboard=False, evaluate_rows=16)
    recipe = Recipe(
        "tiny",
        start=str(start),
        model=replace(CONFIG),
        data=DataConfig(paths=(str(prompts),)),
        optimizer=OptimizerConfig(learning_rate=1e-3, weight_decay=0.0, final_fraction=1.0, beta2=0.99),
        train=TrainConfig(**(defaults | train)),
    )
    method = dict(ppo=ppo) if ppo else dict(grpo=grpo or Grpo())
    return PolicyRecipe(recipe, RolloutConfig(completions=completions, max_tokens=4), RewardConfig(("exact",)), **method)
