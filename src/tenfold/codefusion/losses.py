"""What the three kinds learn by, as sums over a batch's tokens. Pure.

CodeFusion (Singh et al. 2023, section 3), at a random step t of each row, with x_t = q_sample(L(y)):

    L_t = | noise^_t - noise_t |  +  | D_s - L(y) |  -  log p(y | D_s)

Here each norm is the mean of squares over W, as Ho et al. 2020 (equation 14) and GENIE's code have it; the paper says neither power nor
weights. Where the denoiser predicts the embedding, the first term is Diffusion-LM's | x0^_t - L(y) | (Li et al. 2022, section 4.2).
Letters: config.py.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from tenfold.codefusion.config import FusionConfig
from tenfold.codefusion.model import code_table, decode, denoise, embed_code, noise_for, read_text
from tenfold.codefusion.noise import q_sample
from tenfold.codefusion.rows import Rows
from tenfold.model.params import Params
from tenfold.model.transformer import Encoded, forward
from tenfold.objectives.causal import loss_sums, token_losses

MEMORY, NOISE, MASK = range(3)  # what a row's key is split for
LEAST_TIME = 1e-3


class Sums(NamedTuple):
    """Sums over tokens, each times its weight; divide by `weight` for means."""

    loss: jax.Array
    weight: jax.Array
    parts: dict[str, jax.Array]
    """What the loss is made of, or what a person may want to see beside it."""


def squares(a_BTW: jax.Array, b_BTW: jax.Array) -> jax.Array:
    """f32[B, T]: the mean of squares of a difference over W."""
    return jnp.square(a_BTW - b_BTW).mean(-1)


def row_normal(key_B: jax.Array, purpose: int, shape: tuple[int, ...]) -> jax.Array:
    """f32[B, *shape] from N(0, 1): a row's numbers are those of its key and the purpose alone."""
    return jax.vmap(lambda key: jax.random.normal(jax.random.fold_in(key, purpose), shape))(key_B)


def read_rows(params: Params, config: FusionConfig, rows: Rows, key_B: jax.Array) -> Encoded:
    """What the rows' texts are encoded as, with noise for those that have none."""
    encoded = read_text(params, config, rows.text)
    return noise_for(encoded, row_normal(key_B, MEMORY, encoded.memory_BSD.shape[1:]), rows.alone_B)


def noisy(config: FusionConfig, code_BTW, held_BT, t_B, noise_BTW) -> jax.Array:
    """x_t, with no noise on what is given."""
    return jnp.where(held_BT[..., None], code_BTW, q_sample(config.steps, code_BTW, t_B, noise_BTW))


def steps_of(config: FusionConfig, time_B: jax.Array) -> jax.Array:
    """int32[B]: from [0, 1) to 1, ..., steps, each as likely."""
    return jnp.clip(1 + jnp.floor(time_B * config.steps).astype(jnp.int32), 1, config.steps)


def fusion_loss(params: Params, config: FusionConfig, rows: Rows, key_B: jax.Array, first_estimate: jax.Array | bool = True) -> Sums:
    """CodeFusion's loss. `first_estimate`: where the denoiser reads its own estimate, whether it makes one here, as half of the time."""
    encoded = read_rows(params, config, rows, key_B)
    code_BTW, t_B = embed_code(params, config, rows.code_BT), steps_of(config, rows.time_B)
    noise_BTW = row_normal(key_B, NOISE, code_BTW.shape[1:])
    x_BTW = noisy(config, code_BTW, rows.held_BT, t_B, noise_BTW)
    estimate_BTW = None
    if config.self_conditioned:
        still = jax.lax.stop_gradient((params, x_BTW, encoded))
        estimate_BTW = jax.lax.cond(
            jnp.asarray(first_estimate), lambda p, x, e: denoise(p, config, x, t_B, e).x0_BTW, lambda p, x, e: jnp.zeros_like(x), *still
        )
        estimate_BTW = jax.lax.stop_gradient(estimate_BTW)
    found = denoise(params, config, x_BTW, t_B, encoded, estimate_BTW)
    error_BT = squares(found.out_BTW, code_BTW if config.predicts == "code" else noise_BTW)
    held_x0_BTW = jnp.where(rows.held_BT[..., None], code_BTW, found.x0_BTW)
    d_BTW = decode(params, config, held_x0_BTW, encoded)
    tokens = token_losses(d_BTW, params["head"], rows.code_BT, rows.weight_BT, config.dtype, bias_V=params["head_bias"])
    sums = {"noise": error_BT, "embedding": squares(d_BTW, code_BTW)}
    parts = {name: (x_BT * rows.weight_BT).sum() for name, x_BT in sums.items()} | {"tokens": tokens.nll}
    size = jnp.sqrt(jnp.square(code_table(params, config)).mean())
    return Sums(parts["noise"] + parts["embedding"] + tokens.loss, tokens.weight, parts | {"embedding_size": size * tokens.weight})


def masked_loss(params: Params, config: FusionConfig, rows: Rows, key_B: jax.Array) -> Sums:
    """MDLM's bound in continuous time (Sahoo et al. 2024), with a mask rate of t: the masked tokens' -log p over t.

    A token is masked with probability t, in (0, 1], given ones never.
    """
    time_B = jnp.maximum(1 - rows.time_B, LEAST_TIME)
    chance_BT = jax.vmap(lambda key: jax.random.uniform(jax.random.fold_in(key, MASK), rows.code_BT.shape[1:]))(key_B)
    masked_BT = (chance_BT < time_B[:, None]) & ~rows.held_BT
    read_BT = jnp.where(masked_BT, config.mask, rows.code_BT)
    output = forward(params, config.stack, read_BT, encoded=read_rows(params, config, rows, key_B))
    weight_BT = rows.weight_BT * masked_BT / time_B[:, None]
    sums = loss_sums(params, config.stack, output, rows.code_BT, weight_BT)
    return Sums(sums.loss, rows.weight_BT.sum(), {})


def autoregressive_loss(params: Params, config: FusionConfig, rows: Rows, key_B: jax.Array, pad: int | jax.Array) -> Sums:
    """-log p of each token, and of the first pad, given those before it and the text. The first is read after a mask."""
    before_BT = jnp.pad(rows.code_BT, ((0, 0), (1, 0)), constant_values=config.mask)[:, :-1]
    ended_BT = jnp.cumsum(before_BT == pad, axis=1) > 0
    weight_BT = jnp.where(ended_BT | rows.held_BT, 0.0, 1.0)
    output = forward(params, config.stack, before_BT, encoded=read_rows(params, config, rows, key_B))
    sums = loss_sums(params, config.stack, output, rows.code_BT, weight_BT)
    return Sums(sums.loss, sums.weight, {})


def batch_loss(
    params: Params, config: FusionConfig, rows: Rows, key_B: jax.Array, pad: int, first_estimate: jax.Array | bool = True
) -> Sums:
    """The loss of the model's kind."""
    match config.kind:
        case "codefusion":
            return fusion_loss(params, config, rows, key_B, first_estimate)
        case "masked":
            return masked_loss(params, config, rows, key_B)
        case "autoregressive":
            return autoregressive_loss(params, config, rows, key_B, pad)
