"""Weights and passes of the three kinds of model: E, N, D, H and L of CodeFusion (Singh et al. 2023, section 3), or E and one stack.

Blocks, norms and the encoder are the Transformer's own (model/transformer.py). Letters: config.py.
"""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from tenfold.codefusion.config import FusionConfig
from tenfold.codefusion.noise import embedding_under
from tenfold.model.config import ModelConfig
from tenfold.model.layers import linear, lookup, norm
from tenfold.model.matmul import matmul_transposed
from tenfold.model.params import Param, Params, init_tree, map_params, model_params, normal, tower_params, zeros
from tenfold.model.transformer import Around, Encoded, blocks, encode, keep_encoded
from tenfold.sharding.axes import constrain

LONGEST_PERIOD = 10_000  # of the embedding of steps
TABLES = ("embedding", "code", "head", "head_bias", "position")


class Text(NamedTuple):
    """Texts that code is written for, on the host or the device."""

    ids_BS: Any
    real_BS: Any
    """False where there is padding."""
    states_BRH: Any = None
    """What a language model makes of them (reader.py), zeros where there is padding; None: the model has no reader."""

    def take(self, rows) -> "Text":
        """These rows, on the device."""
        return jax.tree.map(lambda array: jnp.asarray(array[rows]), self)


class Denoised(NamedTuple):
    """What a pass of the denoiser gives, f32[B, T, W] each."""

    x0_BTW: jax.Array
    """Its estimate of x_0."""
    out_BTW: jax.Array
    """What it put out: that estimate, or one of the noise."""


def fusion_params(config: FusionConfig) -> Params:
    """The whole model as a tree of Params."""
    E, V, D, W = config.encoder, config.vocab, config.embed, config.width
    encoder = tower_params(E, E.encoder_layers, E.encoder_period)
    reader = {"reader": Param((config.reader_width, D), (None, "embed"), normal(0.02))} if config.reader_width else {}
    if config.kind != "codefusion":
        return model_params(config.stack) | {"encoder": encoder} | reader
    denoiser = _embedding_tower(config, config.denoiser)
    denoiser |= {"time_in": Param((D, D), ("embed", None), normal(0.02)), "time_in_bias": Param((D,), (None,), zeros)}
    denoiser |= {"time_out": Param((D, D), (None, "embed"), normal(0.02)), "time_out_bias": Param((D,), ("embed",), zeros)}
    if config.self_conditioned:
        denoiser["estimate"] = Param((W, D), (None, "embed"), normal(0.02))
    return reader | {
        "embedding": Param((V, D), ("vocab", "embed"), normal(0.02)),
        "encoder": encoder,
        "code": Param((V, W), ("vocab", None), normal(1.0)),  # as large as the noise
        "denoiser": denoiser,
        "decoder": _embedding_tower(config, config.decoder),
        "head": Param((V, W), ("vocab", None), normal(0.02)),
        "head_bias": Param((V,), ("vocab",), zeros),
    }


def _embedding_tower(config: FusionConfig, tower: ModelConfig) -> Params:
    """Blocks between embeddings of width W."""
    D, W = config.embed, config.width
    return tower_params(tower, tower.layers, tower.period, cross=True) | {
        "in": Param((W, D), (None, "embed"), normal(0.02)),
        "position": Param((config.length, D), (None, "embed"), normal(0.02)),
        "out": Param((D, W), ("embed", None), normal(0.02)),
    }


def init_fusion(key: jax.Array, config: FusionConfig) -> Params:
    """Arrays for `fusion_params(config)`: f32, the same for the same key on any mesh, scanned or not."""
    return init_tree(key, config.encoder, fusion_params(config))


def fusion_count(config: FusionConfig) -> int:
    """Weights of the model, tables of tokens included."""
    return sum(p.size for p in jax.tree.leaves(fusion_params(config), is_leaf=lambda p: isinstance(p, Param)))


def layer_count(config: FusionConfig) -> int:
    """Weights of all but the tables of tokens, which is what models of one size have alike."""
    return outside_tables(fusion_params(config))


def outside_tables(tree: Params) -> int:
    """Weights of a tree of Params that are in no table of tokens or positions."""
    rest = {name: value for name, value in tree.items() if name not in TABLES}
    return sum(p.size for p in jax.tree.leaves(rest, is_leaf=lambda p: isinstance(p, Param)))


def read_text(params: Params, config: FusionConfig, text: Text) -> Encoded:
    """E(s), and behind it what a reader has made of s."""
    own = encode(params, config.encoder, text.ids_BS, text.real_BS)
    if text.states_BRH is None:
        return own
    states_BRD = linear(text.states_BRH.astype(jnp.float32), params["reader"], None, config.encoder)
    real_BR = (text.states_BRH != 0).any(-1)
    return Encoded(jnp.concatenate([own.memory_BSD, states_BRD], 1), jnp.concatenate([text.real_BS, real_BR], 1))


def keep_text(params: Params, config: FusionConfig, encoded: Encoded) -> Params:
    """The weights for many passes over one text: N's, or the stack's, keys and values of it are worked out once."""
    if config.kind != "codefusion":
        return keep_encoded(params, config.stack, encoded)
    return params | {"denoiser": keep_encoded(params["denoiser"], config.denoiser, encoded)}


def noise_for(encoded: Encoded, noise_BSD: jax.Array, alone_B: jax.Array) -> Encoded:
    """With noise in place of what was encoded in the rows whose code stands alone (the unsupervised task)."""
    memory_BSD = jnp.where(alone_B[:, None, None], noise_BSD, encoded.memory_BSD)
    assert encoded.real_BS is not None
    return Encoded(memory_BSD, encoded.real_BS | alone_B[:, None])


def code_table(params: Params, config: FusionConfig) -> jax.Array:
    """L: f32[V, W], each row sqrt(W) long where it is normalised."""
    table_VW = params["code"]
    if not config.normalised:
        return table_VW
    return table_VW * (math.sqrt(config.width) * jax.lax.rsqrt(jnp.square(table_VW).sum(-1, keepdims=True) + 1e-12))


def embed_code(params: Params, config: FusionConfig, code_BT: jax.Array) -> jax.Array:
    """L(y): f32[B, T, W]."""
    return constrain(lookup(code_table(params, config), code_BT), "batch", None, None)


def denoise(params: Params, config: FusionConfig, x_BTW, t_B, encoded: Encoded, estimate_BTW=None) -> Denoised:
    """N(x_t, t, E_s).

    A mean of embeddings is no longer than the longest of them, and neither is the estimate: where the noise's error would be many times the
    embedding, at the last steps, only its direction stays. `estimate_BTW` is what an earlier pass gave; None: nothing.
    """
    tower = params["denoiser"]
    x_BTD = linear(x_BTW, tower["in"], None, config.denoiser) + time_embedding(tower, config, t_B)[:, None]
    if config.self_conditioned and estimate_BTW is not None:
        x_BTD += linear(estimate_BTW, tower["estimate"], None, config.denoiser)
    out_BTW = _through(tower, config.denoiser, x_BTD, encoded)
    x0_BTW = out_BTW if config.predicts == "code" else embedding_under(config.steps, x_BTW, t_B, out_BTW)
    longest = jax.lax.stop_gradient(jnp.sqrt(jnp.square(code_table(params, config)).sum(-1).max()))
    length_BT1 = jnp.sqrt(jnp.square(x0_BTW).sum(-1, keepdims=True) + 1e-12)
    return Denoised(x0_BTW * jnp.minimum(1, longest / length_BT1), out_BTW)


def decode(params: Params, config: FusionConfig, x0_BTW, encoded: Encoded) -> jax.Array:
    """D_s = D(x_0, E_s): f32[B, T, W], what the head reads."""
    tower = params["decoder"]
    return _through(tower, config.decoder, linear(x0_BTW, tower["in"], None, config.decoder), encoded)


def likeliest(params: Params, config: FusionConfig, d_BTW: jax.Array) -> jax.Array:
    """int32[B, T]: argmax of H(d), row by row, so that no batch of logits exists. The mask is no token."""

    return jax.lax.map(lambda d_TW: _row_logits(params, config, d_TW).argmax(-1).astype(jnp.int32), d_BTW)


def _row_logits(params: Params, config: FusionConfig, d_TW: jax.Array) -> jax.Array:
    """f32[T, V - 1]: H(d) without the mask."""
    return (matmul_transposed(d_TW[None], params["head"], config.dtype)[0] + params["head_bias"])[:, : config.mask]


def expected(params: Params, config: FusionConfig, d_BTW: jax.Array) -> jax.Array:
    """f32[B, T, W]: the mean of the embeddings by H(d)'s probabilities, row by row. The mask is no token."""
    table_VW = code_table(params, config)[: config.mask]
    return jax.lax.map(lambda d_TW: jax.nn.softmax(_row_logits(params, config, d_TW)) @ table_VW, d_BTW)


def nearest(params: Params, config: FusionConfig, x0_BTW: jax.Array) -> jax.Array:
    """int32[B, T]: the token whose embedding is nearest, without decoder and head (an ablation of the paper's)."""
    table_VW = code_table(params, config)[: config.mask]
    half_V = 0.5 * jnp.square(table_VW).sum(-1)
    return jax.lax.map(lambda x_TW: (x_TW @ table_VW.T - half_V).argmax(-1).astype(jnp.int32), x0_BTW)


def time_embedding(tower: Params, config: FusionConfig, t_B: jax.Array) -> jax.Array:
    """f32[B, D]: sines and cosines of the step (Vaswani et al. 2017, section 3.5; Ho et al. 2020, appendix B) through two layers."""
    half = config.embed // 2
    frequency = jnp.exp(-math.log(LONGEST_PERIOD) * jnp.arange(half) / half)
    angle = t_B[:, None].astype(jnp.float32) * frequency
    waves_BD = jnp.pad(jnp.concatenate([jnp.cos(angle), jnp.sin(angle)], -1), ((0, 0), (0, config.embed % 2)))
    hidden_BD = jax.nn.silu(linear(waves_BD, tower["time_in"], tower["time_in_bias"], config.denoiser))
    return linear(hidden_BD, tower["time_out"], tower["time_out_bias"], config.denoiser)


def _through(tower: Params, config: ModelConfig, x_BTD, encoded: Encoded) -> jax.Array:
    """All blocks of a tower, both ways and across to the text: f32[B, T, W]."""
    B, T, _ = x_BTD.shape
    around = Around(jnp.zeros(B, jnp.int32), causal=False, encoded=encoded)
    x_BTD = constrain(x_BTD + tower["position"][:T], "batch", None, None)
    x_BTD, _, _ = blocks(tower["blocks"], config, x_BTD, None, around)
    return linear(norm(tower["final_norm"], x_BTD, config), tower["out"], None, config)


def fusion_axes(config: FusionConfig, place) -> Any:
    """`place(axes)` for each weight."""
    return map_params(lambda p: place(p.axes), fusion_params(config))
