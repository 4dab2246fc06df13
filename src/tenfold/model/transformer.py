"""The one forward pass: embed -> blocks -> final norm, and the head.

Training, scoring, decoding, serving and planning all call `forward`. Shapes are in config.py.
Pre-norm blocks as GPT-2 and GPT-3 (Radford et al. 2019, section 2.3; Brown et al. 2020, section 2.1).
"""

import jax
import jax.numpy as jnp

from tenfold.model.attention.kinds import attend, attend_cached
from tenfold.model.cache import Cache, LayerCache, extend
from tenfold.model.config import AttentionKind, ModelConfig
from tenfold.model.layers import linear, linear_many, mlp, norm
from tenfold.model.matmul import matmul_transposed
from tenfold.model.params import Params
from tenfold.sharding.axes import constrain


def forward(
    params: Params,
    config: ModelConfig,
    tokens_BT: jax.Array,
    segments_BT: jax.Array | None = None,
    cache: Cache | None = None,
) -> tuple[jax.Array, Cache | None]:
    """The last hidden state, f32[B, T, D] after the final norm, and the cache with these tokens added.

    `segments_BT` numbers the documents packed in a row; where it is given, positions see only their own document.
    `cache` holds what earlier calls saw: row b's tokens stand at positions `cache.length_B[b] + [0, T)`.
    """
    B, T = tokens_BT.shape
    if cache is None and T > config.context:
        raise ValueError(f"{T} tokens in a row, but the model knows {config.context} positions")
    start_B = jnp.zeros(B, jnp.int32) if cache is None else cache.length_B
    # Whole in D, as the head needs it too: cut over fsdp there, each device would look up every row of the batch and then exchange them.
    x_BTD = constrain(params["embedding"], "vocab", None)[tokens_BT]
    if cache is None:
        x_BTD += params["position"][:T]
    else:
        x_BTD += params["position"][start_B[:, None] + jnp.arange(T)]
    x_BTD = constrain(x_BTD, "batch", None, None)
    x_BTD, layer_caches = blocks(params["blocks"], config, x_BTD, segments_BT, None if cache is None else cache.layers, start_B)
    x_BTD = norm(params["final_norm"], x_BTD, config)
    return x_BTD, None if cache is None else Cache(layer_caches, start_B + T)


def blocks(stacks: list, config: ModelConfig, x_BTD, segments_BT, caches: list | None, start_B):
    """All layers in order. Each round runs one layer of every stack; rounds are looped over when there are several."""
    kinds = config.kinds[: config.period]

    def one_round(x_BTD, layers_and_caches):
        layers, round_caches = layers_and_caches
        new_caches = []
        for kind, layer, layer_cache in zip(kinds, layers, round_caches, strict=True):
            x_BTD, new_cache = block(layer, config, kind, x_BTD, segments_BT, layer_cache, start_B)
            new_caches.append(new_cache)
        return x_BTD, new_caches

    caches = [None] * config.period if caches is None else caches
    if config.layers == config.period:
        return one_round(x_BTD, (jax.tree.map(lambda w: w[0], stacks), caches))
    return jax.lax.scan(one_round, x_BTD, (stacks, caches))


def block(layer: Params, config: ModelConfig, kind: AttentionKind, x_BTD, segments_BT, cache: LayerCache | None, start_B):
    """One pre-norm block: attention, then the feed-forward layer, each added to the residual stream."""

    def body(layer, x_BTD, cache):
        attended_BTD, cache = attention(
            layer["attention"], config, kind, norm(layer["attention_norm"], x_BTD, config), segments_BT, cache, start_B
        )
        x_BTD = constrain(x_BTD + attended_BTD, "batch", None, None)
        x_BTD = x_BTD + mlp(layer["mlp"], norm(layer["mlp_norm"], x_BTD, config), config)
        return constrain(x_BTD, "batch", None, None), cache

    if config.remat == "block" and cache is None:
        body = jax.checkpoint(body)
    return body(layer, x_BTD, cache)


def attention(weights: Params, config: ModelConfig, kind: AttentionKind, x_BTD, segments_BT, cache: LayerCache | None, start_B):
    """Multi-head self-attention of one layer: f32[B, T, D], and the layer's cache."""
    if "joined" in weights:  # by prepare_for_decode
        projected = list(jnp.moveaxis(linear(x_BTD, weights["joined"], weights["joined_bias"], config), 2, 0))
    else:
        names = ("query", "key", "value")
        projected = linear_many(x_BTD, [weights[n] for n in names], [weights[f"{n}_bias"] for n in names], config)
    q_BTHK, k_BTHK, v_BTHK = (constrain(y, "batch", None, "heads", None) for y in projected)
    if cache is not None:
        cache = extend(cache, config, k_BTHK, v_BTHK, start_B)
        mixed_BTHK = attend_cached(kind, config, q_BTHK, cache.k_BHSK, cache.v_BHSK, start_B)
    else:
        mixed_BTHK = attend(kind, config, q_BTHK, k_BTHK, v_BTHK, segments_BT)
    return linear(mixed_BTHK, weights["out"], weights["out_bias"], config, contract=2), cache


def logits(params: Params, config: ModelConfig, x_BTD: jax.Array) -> jax.Array:
    """f32[B, T, V]: the head, tied to the embedding table. For training use `objectives.causal`, which never holds them whole."""
    return constrain(
        matmul_transposed(x_BTD, params["head"] if "head" in params else params["embedding"], config.dtype), "batch", None, "vocab"
    )
