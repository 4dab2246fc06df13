"""Run by test_invariance.py with 8 virtual CPU devices; prints a JSON line of the method that it is given. Not a test by itself.

How far one update's weights are from those of one device and one microbatch, of the same completions or comparisons: with rows cut over
devices, with more microbatches, and with more padding.
"""

import json
import sys
from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax

from tenfold.align.comparison_config import Dpo, Kto, RewardModel
from tenfold.align.comparison_step import Judge, learn
from tenfold.align.comparisons import Ranked
from tenfold.align.ensemble import first_members, learn_all
from tenfold.align.forks import Forks
from tenfold.align.headed import first_headed, headed_params
from tenfold.align.kto_step import kto_learn
from tenfold.align.labelled import LabelledRows
from tenfold.align.policy_config import Grpo, Ppo
from tenfold.align.policy_round import on_host, placed
from tenfold.align.policy_step import Learner, Rows, grpo_lessons, look, ppo_lessons, update
from tenfold.model.attention.blocked import SHARED
from tenfold.model.config import ModelConfig
from tenfold.model.params import init_params
from tenfold.sharding.axes import make_mesh
from tenfold.sharding.config import MeshConfig
from tenfold.train.frozen import own_weights
from tenfold.train.recipe import LoraConfig
from tenfold.train.state import State, param_shardings, tree_shardings

CONFIG = ModelConfig(vocab=32, context=24, layers=1, embed=16, heads=4, dtype="float32")
OPTIMIZER = optax.sgd(1.0)
METHODS = {
    "grpo": Grpo(kl=0.1, over="token"),
    "sequence": Grpo(kl=0.1, over="sequence"),
    "longest": Grpo(over="longest", scaled=False),
    "ppo": Ppo(unended=-1.0, whiten_rewards=True),
}
WAYS = {"mesh": (MeshConfig(data=2, fsdp=2, tensor=2), 8, 0), "microbatches": (MeshConfig(), 2, 0), "padding": (MeshConfig(), 8, 8)}
random = np.random.default_rng(0)
TOKENS = np.int32(random.integers(1, 30, (8, 13)))
LENGTHS = random.integers(1, 8, 8)  # of completions after prompts of 4: uneven, so that means of means would differ


def params():
    noise = np.random.default_rng(1)
    return jax.tree.map(lambda w: np.float32(w + noise.normal(0, 0.1, w.shape)), init_params(jax.random.key(0), CONFIG))


def policy_update(method, mesh, microbatch, padding):
    tokens = np.pad(TOKENS, ((0, 0), (0, padding)), constant_values=7)
    mask = np.float32((np.arange(12 + padding) >= 3) & (np.arange(12 + padding) < 3 + LENGTHS[:, None]))
    rows = Rows(tokens[:, :-1], tokens[:, 1:], mask)
    critic_optimizer = OPTIMIZER if isinstance(method, Ppo) else None
    learner = Learner(method, CONFIG, own_weights, OPTIMIZER, critic_optimizer, 0.7, 30, 8)
    trained = jax.device_put(params(), param_shardings(CONFIG, mesh))
    start = jax.device_put(jax.tree.map(lambda w: 0.9 * w, params()), param_shardings(CONFIG, mesh))
    opt_state = OPTIMIZER.init(trained)
    if critic_optimizer:
        critic = jax.jit(
            lambda p: first_headed(p, CONFIG, jax.random.key(2)), out_shardings=tree_shardings(headed_params(CONFIG, LoraConfig()), mesh)
        )(trained)
        opt_state = {"policy": opt_state, "critic": critic, "critic_optimizer": OPTIMIZER.init(critic), "beta": jnp.float32(0.1)}
    state = State(jnp.int32(0), trained, opt_state)
    seen = on_host(jax.jit(partial(look, learner))(state, None, start, placed(rows, microbatch, mesh)))
    score, ended = np.float32(np.arange(8) % 3), np.arange(8) % 2 == 0
    lessons = (
        grpo_lessons(method, score, ended, 4, mask) if isinstance(method, Grpo) else ppo_lessons(method, score, ended, seen, mask, 0.1)
    )
    moved = seen._replace(logp_T=seen.logp_T - 0.1 * mask)  # as if the policy had moved
    alone = isinstance(method, Grpo) and not method.kl  # an only update, which sees for itself
    everything = placed((rows, None if alone else moved, jax.tree.map(np.asarray, lessons)), microbatch, mesh)
    state, figures, found = jax.jit(partial(update, learner))(state, None, *everything)
    if alone:
        np.testing.assert_allclose(on_host(found).logp_T, seen.logp_T, rtol=0, atol=1e-5)
    return jax.device_get((state.params, state.opt_state["critic"] if critic_optimizer else None, tuple(figures)))


def as_forks(rows: Ranked, padding: int) -> Forks:
    """The same pairs, each prompt read once."""
    forks = Forks(
        *(np.zeros((8, 20 + padding), np.int32) for _ in range(3)), *(np.zeros((8, 2, 9), np.int32) for _ in range(3)), *rows[3:5]
    )
    for n, (two, lengths) in enumerate(zip(rows.tokens_NKS, rows.length_NK, strict=True)):
        for k, (ids, length) in enumerate(zip(two, lengths, strict=True)):
            at = np.arange(4, length - 1) + (k and lengths[0] - 5)
            for array, prompt, own in ((0, two[0, :4], ids[4 : length - 1]), (1, SHARED, k + 1), (2, range(4), range(4, length - 1))):
                forks[array][n, :4], forks[array][n, at] = prompt, own
            for array, values in ((3, [3, *at]), (4, ids[4:length]), (5, 1)):
                forks[array][n, k, : length - 4] = values
    return forks


def comparison_update(method, mesh, microbatch, padding, forks=False):
    length = np.int32(np.stack([5 + LENGTHS % 4, 4 + LENGTHS // 2, 6 + LENGTHS % 3], 1))
    tokens = np.int32(np.random.default_rng(2).integers(1, 30, (8, 3, 13)))
    rank, real = np.tile(np.int32([0, 1, 1]), (8, 1)), np.ones((8, 3), bool)
    real[::3, 2], real[1] = False, [True, False, False]  # uneven numbers of pairs, and a prompt with none
    place = np.arange(13 + padding)
    tokens = np.pad(tokens, ((0, 0), (0, 0), (0, padding)), constant_values=7)
    mask = np.float32((place >= 4) & (place < length[..., None]))
    rows = Ranked(tokens, mask, length, rank, real, np.float32(np.arange(8) / 8))
    if not isinstance(method, RewardModel):
        rows = Ranked(*(x[:, :2] if x.ndim > 1 else x for x in rows))
    if isinstance(method, Kto):
        rows = LabelledRows(rows.tokens_NKS, rows.mask_NKS, rows.real_NK, np.arange(8) % 3 == 0)
    if forks:
        rows = as_forks(rows, padding)
    trained = jax.device_put(params(), param_shardings(CONFIG, mesh))
    start = jax.device_put(jax.tree.map(lambda w: 0.9 * w, params()), param_shardings(CONFIG, mesh))
    if isinstance(method, RewardModel):
        members = method.ensemble
        trained = first_headed(trained, CONFIG, jax.random.key(2)) if members == 1 else first_members([trained], CONFIG, 2, members)
        rows = jax.tree.map(lambda x: np.concatenate([np.roll(x, member, 0) for member in range(members)]), rows)
    state = State(jnp.int32(0), trained, OPTIMIZER.init(trained))
    judge = Judge(method, CONFIG, own_weights, OPTIMIZER, 30, 0)
    step = partial(kto_learn, judge) if isinstance(method, Kto) else partial(learn, judge)
    step = partial(learn_all, judge, method.ensemble) if isinstance(method, RewardModel) else step
    state, figures = jax.jit(step)(state, None, start, placed(rows, microbatch, mesh))
    return jax.device_get((state.params, figures))


def main() -> None:
    cases = {name: partial(policy_update, method) for name, method in METHODS.items()}
    cases |= {"reward": partial(comparison_update, RewardModel()), "dpo": partial(comparison_update, Dpo())}
    cases |= {"forks": partial(comparison_update, Dpo(), forks=True)}
    cases |= {"ensemble": partial(comparison_update, RewardModel(ensemble=2)), "kto": partial(comparison_update, Kto())}
    name = sys.argv[1]
    case = cases[name]
    plain = case(make_mesh(MeshConfig(), jax.devices()[:1]), 8, 0)
    moved = max(jax.tree.leaves(jax.tree.map(lambda a, b: float(np.abs(a - b).max()), plain[0].get("model", plain[0]), params())))
    line = {"method": name, "moved": moved, "devices": len(jax.devices())}
    for way, (mesh, microbatch, padding) in WAYS.items():
        devices = jax.devices() if way == "mesh" else jax.devices()[:1]
        made = make_mesh(replace(mesh, data=mesh.data if way == "mesh" else 1), devices)
        with jax.set_mesh(made):
            found = case(made, microbatch, padding)
        line[way] = max(jax.tree.leaves(jax.tree.map(lambda a, b: float(np.abs(a - b).max()), plain, found)))
    print(json.dumps(line))


if __name__ == "__main__":
    main()
