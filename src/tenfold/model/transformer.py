"""The one forward pass: embed -> blocks -> final norm, and the head.

Training, scoring, decoding, serving and planning all call `forward`, for every family: what differs between them is in ModelConfig.
Shapes are in config.py. Blocks: pre-norm as GPT-2 (Radford et al. 2019, section 2.3), post-norm as Vaswani et al. 2017, parallel as GPT-J.
"""

from dataclasses import replace
from typing import NamedTuple

import jax
import jax.numpy as jnp

from tenfold.errors import UserError
from tenfold.model.attention.kinds import attend, attend_across, attend_cached, takes_trees
from tenfold.model.attention.tree import Tree
from tenfold.model.cache import Cache, DilatedCache, LayerCache, extend
from tenfold.model.config import AttentionKind, Dense, ModelConfig
from tenfold.model.forms import dense, spelled
from tenfold.model.layers import ACTIVATIONS, linear, linear_many, lookup, mlp, norm, plus, sub_norm
from tenfold.model.matmul import matmul_transposed
from tenfold.model.moe import Routing, moe, no_routing
from tenfold.model.params import Params
from tenfold.model.parts import in_parts, kept_rounded
from tenfold.model.positions import Turns, relative_bias, turn, turns
from tenfold.model.sequence import check_sequence
from tenfold.sharding.axes import constrain, sequence_parts


class Encoded(NamedTuple):
    """What a decoder attends to."""

    memory_BSD: jax.Array
    real_BS: jax.Array | None
    """False where there is padding; None: nowhere."""


class Output(NamedTuple):
    """What `forward` returns."""

    x_BTD: jax.Array
    """f32: the head's input at each position."""
    cache: Cache | None
    """The cache with these tokens added, where one was given."""
    routing: Routing | None
    """What the routers did, in a mixture of experts."""


class Around(NamedTuple):
    """What all blocks of a pass share."""

    start_B: jax.Array
    segments_BT: jax.Array | None = None
    turns: Turns | None = None
    bias_BHTS: jax.Array | None = None
    causal: bool = True
    encoded: Encoded | None = None
    alone: bool = True
    """These positions see each other only; nothing stands before them in a cache."""
    real_B: jax.Array | None = None
    """How many of each row's positions are no padding; None: all."""
    tree: Tree | None = None


def forward(
    params: Params,
    config: ModelConfig,
    tokens_BT: jax.Array,
    segments_BT: jax.Array | None = None,
    cache: Cache | None = None,
    encoded: Encoded | None = None,
    real_B: jax.Array | None = None,
    tree: Tree | None = None,
    places_BT: jax.Array | None = None,
) -> Output:
    """The head's input for each token: the last hidden state, normed, f32[B, T, D].

    `segments_BT` numbers the documents packed in a row; where it is given, positions see only their own document, and what is SHARED.
    `cache` holds what earlier calls saw: row b's tokens stand at positions `cache.length_B[b] + [0, T)`.
    `real_B` says how many of each row's tokens are real, what follows being padding that a cache need not keep; None: all.
    `encoded`, from `encode`, is what an encoder-decoder's decoder attends to.
    `tree` says that rows are forests of texts that begin alike (attention/tree.py): they may be longer than the context, but not deeper.
    `places_BT` is where each token stands in its own document, for positions to count from there; rows may then be longer than the context.
    Kinds other than learned ones know distances only, which are the same inside a document wherever it stands.
    """
    B, T = tokens_BT.shape
    if tree is not None and (cache is not None or segments_BT is not None or not takes_trees(config)):
        raise ValueError("rows that are trees go without a cache and segments, and with dense or banded causal attention on whole rows")
    if cache is None and tree is None and places_BT is None and T > config.context:
        raise ValueError(f"{T} tokens in a row, but the model knows {config.context} positions")
    if (encoded is None) != (config.encoder_layers == 0):
        raise ValueError("an encoder-decoder's decoder takes what `encode` returns, and no other model does")
    if cache is not None and sequence_parts() > 1:
        raise UserError(f"mesh.sequence is {sequence_parts()}, but a row is decoded on whole positions.\n  Decode on a mesh without it.")
    check_sequence(config, T, sequence_parts())
    if cache is not None:
        config = replace(config, expert_capacity=0.0, chunk=0)  # or what a row gets would depend on who else is decoded beside it
    start_B = jnp.zeros(B, jnp.int32) if cache is None else cache.length_B
    if tree is not None:
        positions_BT = tree.positions_BT
    elif places_BT is not None and cache is None:
        positions_BT = places_BT
    else:
        positions_BT = constrain(jnp.arange(T)[None], None, "positions") if cache is None else start_B[:, None] + jnp.arange(T)
    alone = cache is None or cache.empty
    bias_BHTS = None
    if config.positions == "relative":
        S = T if cache is None or alone else cache.layers[0].k_BGSK.shape[-2]
        bias_BHTS = relative_bias(params["relative"], config, positions_BT, jnp.arange(S) if tree is None else positions_BT, config.causal)
    around = Around(start_B, segments_BT, turns(config, positions_BT), bias_BHTS, config.causal, encoded, alone, real_B, tree)
    x_BTD = embed(params, config, tokens_BT, places_BT if cache is None and tree is None else positions_BT)
    x_BTD, layer_caches, routing = blocks(params["blocks"], config, x_BTD, None if cache is None else cache.layers, around)
    if "final_norm" in params:
        x_BTD = norm(params["final_norm"], x_BTD, config)
    x_BTD = head_input(params, config, x_BTD)
    return Output(x_BTD, None if cache is None else Cache(layer_caches, start_B + T), routing)


def encode(params: Params, config: ModelConfig, tokens_BS: jax.Array, real_BS: jax.Array | None = None) -> Encoded:
    """An encoder-decoder's encoder over whole rows; `real_BS` is False where there is padding."""
    B, S = tokens_BS.shape
    tower, positions_BS = params["encoder"], jnp.arange(S)[None]
    bias_BHSS = relative_bias(tower["relative"], config, positions_BS, positions_BS, False) if config.positions == "relative" else None
    segments_BS = None if real_BS is None else real_BS.astype(jnp.int32)
    around = Around(jnp.zeros(B, jnp.int32), segments_BS, turns(config, positions_BS), bias_BHSS, False, None)
    x_BSD, _, _ = blocks(tower["blocks"], config, embed(params, config, tokens_BS, None), None, around)
    return Encoded(norm(tower["final_norm"], x_BSD, config) if "final_norm" in tower else x_BSD, real_BS)


def embed(params: Params, config: ModelConfig, tokens_BT: jax.Array, positions_BT: jax.Array | None) -> jax.Array:
    """f32[B, T, D]. Positions absent: 0, 1, 2, ..."""
    x_BTD = lookup(params["embedding"], tokens_BT)
    if config.positions == "learned":
        x_BTD += params["position"][: tokens_BT.shape[1]] if positions_BT is None else params["position"][positions_BT]
    if config.token_types:
        x_BTD += params["token_type"][0]
    if config.embedding_norm:
        x_BTD = norm(params["embedding_norm"], x_BTD, config)
    return constrain(x_BTD, "batch", "positions", None)


def blocks(stacks: list, config: ModelConfig, x_BTD, caches: list | None, around: Around):
    """All layers in order. Each round runs one layer of every stack; rounds are looped over when there are several."""
    period = len(stacks)
    kinds = (Dense(),) * period if config.encoder_layers and not around.causal else config.kinds[:period]

    def one_round(carry, layers_and_caches):
        (x_BTD, routing), (layers, round_caches) = carry, layers_and_caches
        layers = spelled(layers)
        new_caches = []
        for kind, layer, layer_cache in zip(kinds, layers, round_caches, strict=True):
            x_BTD, new_cache, routed = block(layer, config, kind, x_BTD, layer_cache, around)
            routing = routing + routed if config.experts else None
            new_caches.append(new_cache)
        return (x_BTD, routing), new_caches

    start = (x_BTD, no_routing(config) if config.experts else None)
    caches = [None] * period if caches is None else caches
    if jax.tree.leaves(stacks[0])[0].shape[0] == 1:
        (x_BTD, routing), new_caches = one_round(start, (jax.tree.map(lambda w: w[0], stacks), caches))
    else:
        (x_BTD, routing), new_caches = jax.lax.scan(one_round, start, (stacks, caches))
    return x_BTD, new_caches, routing


def block(layer: Params, config: ModelConfig, kind: AttentionKind, x_BTD, cache: LayerCache | DilatedCache | None, around: Around):
    """Attention and the feed-forward layer, each added to the residual stream; between them attention over what was encoded, if any."""

    def body(layer, x_BTD, cache):
        before, shared = config.norm_place == "before", config.residual == "shared"

        def normed(name, x_BTD):
            return norm(layer[name], x_BTD, config)

        y_BTD = normed("attention_norm", x_BTD) if shared else x_BTD
        own_norm = layer["attention_norm"] if before and not shared else None
        attended_BTD, cache = attention(layer["attention"], config, kind, y_BTD, cache, around, own_norm)
        if config.residual != "sequential":
            fed_BTD, routed = feed_forward(layer, config, y_BTD, None if shared else layer["mlp_norm"])
            return constrain(x_BTD + attended_BTD + fed_BTD, "batch", "positions", None), cache, routed
        x_BTD = constrain(x_BTD + attended_BTD, "batch", "positions", None)
        x_BTD = x_BTD if before else normed("attention_norm", x_BTD)
        if "cross" in layer:
            x_BTD = x_BTD + cross_attention(layer["cross"], config, normed("cross_norm", x_BTD) if before else x_BTD, around.encoded)
            x_BTD = x_BTD if before else normed("cross_norm", x_BTD)
        fed_BTD, routed = feed_forward(layer, config, x_BTD, layer["mlp_norm"] if before else None)
        x_BTD = constrain(x_BTD + fed_BTD, "batch", "positions", None)
        return x_BTD if before else normed("mlp_norm", x_BTD), cache, routed

    if cache is not None or config.remat == "none":
        return body(layer, x_BTD, cache)
    if config.remat == "block":
        return jax.checkpoint(body)(layer, x_BTD, cache)
    return kept_rounded(lambda layer, x_BTD: body(layer, x_BTD, None), config.dtype, layer, x_BTD)


def feed_forward(layer: Params, config: ModelConfig, x_BTD, norm_before: Params | None) -> tuple[jax.Array, Routing | None]:
    """One feed-forward layer for all tokens, or a choice of several, of x through the norm before it, if any."""
    if config.experts:
        return moe(layer["moe"], x_BTD if norm_before is None else norm(norm_before, x_BTD, config), config)

    def some(weights, x_BTD):
        norm_before, mlp_weights = weights
        return mlp(mlp_weights, x_BTD if norm_before is None else norm(norm_before, x_BTD, config), config)

    return in_parts(some, config.chunk, (norm_before, layer["mlp"]), x_BTD), None


def attention(
    weights: Params,
    config: ModelConfig,
    kind: AttentionKind,
    x_BTD,
    cache: LayerCache | DilatedCache | None,
    around: Around,
    norm_before: Params | None,
):
    """Multi-head self-attention of one layer, of x through the norm before it, if any: f32[B, T, D], and the layer's cache."""

    def project(weights, some):
        (norm_before, weights), (x_BTD, turns) = weights, some
        x_BTD = x_BTD if norm_before is None else norm(norm_before, x_BTD, config)
        qkv = [constrain(y, "batch", "positions", at, None) for y, at in zip(linear_many(weights, QKV, x_BTD, config), HEADS, strict=True)]
        if turns is not None:
            qkv[:2] = turn(qkv[0], turns, config), turn(qkv[1], turns, config, key=True)
        return [y.astype(config.dtype) for y in qkv] if config.chunk else qkv  # whole rows of them need half the room so

    q_BTHK, k_BTGK, v_BTGK = (y.astype(jnp.float32) for y in in_parts(project, config.chunk, (norm_before, weights), (x_BTD, around.turns)))
    before = cache
    if cache is not None:
        cache = extend(cache, kind, config, k_BTGK, v_BTGK, around.start_B, around.real_B)
    if cache is not None and not around.alone:
        mixed_BTHK = attend_cached(kind, config, q_BTHK, k_BTGK, v_BTGK, before, cache, around.start_B, around.bias_BHTS)
    else:
        mixed_BTHK = attend(kind, config, q_BTHK, k_BTGK, v_BTGK, around.segments_BT, around.bias_BHTS, around.causal, around.tree)

    def out(weights, mixed_BTHK):
        return linear(sub_norm(weights, mixed_BTHK, config), weights["out"], weights.get("out_bias"), config, contract=2)

    return in_parts(out, config.chunk, weights, mixed_BTHK), cache


def keep_encoded(params: Params, config: ModelConfig, encoded: Encoded) -> Params:
    """The weights with, beside each layer's, its keys and values of what was encoded, f32: for several passes over the same, each of which
    is given that as well, for its padding."""

    def kept(stack: Params) -> Params:
        found = jax.lax.map(lambda cross: keys_and_values(spelled(cross), config, encoded), stack["cross"])
        return stack | {"cross": stack["cross"] | {KEPT: found}}

    return params | {"blocks": [kept(stack) for stack in params["blocks"]]}


def keys_and_values(weights: Params, config: ModelConfig, encoded: Encoded) -> tuple[jax.Array, jax.Array]:
    """Of one layer's attention over what was encoded: f32[B, S, G, K] each."""
    key, value = (linear(encoded.memory_BSD, weights[name], weights.get(f"{name}_bias"), config) for name in ("key", "value"))
    return key, value


KEPT = "kept"
QKV = ("query", "key", "value")
HEADS = ("heads", "kv_heads", "kv_heads")


def cross_attention(weights: Params, config: ModelConfig, x_BTD: jax.Array, encoded: Encoded | None) -> jax.Array:
    """f32[B, T, D]: every position sees all that was encoded."""
    assert encoded is not None
    q_BTHK = linear(x_BTD, weights["query"], weights.get("query_bias"), config)
    k_BSGK, v_BSGK = weights[KEPT] if KEPT in weights else keys_and_values(weights, config, encoded)
    mixed_BTHK = sub_norm(weights, attend_across(config, q_BTHK, k_BSGK, v_BSGK, encoded.real_BS), config)
    return linear(mixed_BTHK, weights["out"], weights.get("out_bias"), config, contract=2)


def head_input(params: Params, config: ModelConfig, x_BTD: jax.Array) -> jax.Array:
    """BERT's transform and T5's factor, where there are any."""
    if config.head_transform:
        transform = params["head_transform"]
        x_BTD = ACTIVATIONS[config.activation](linear(x_BTD, transform["weight"], transform["bias"], config))[0]
        x_BTD = norm(transform["norm"], x_BTD, config)
    return x_BTD if config.head_scale == 1 else x_BTD * config.head_scale


def head(params: Params) -> tuple[jax.Array, jax.Array | None]:
    """The table [V, D] and bias [V] that turn the head's input into logits."""
    return dense(params["head"] if "head" in params else params["embedding"]), params.get("head_bias")


def logits(params: Params, config: ModelConfig, x_BTD: jax.Array) -> jax.Array:
    """f32[B, T, V]: the head. For training use `objectives.causal`, which never holds them whole."""
    table_VD, bias_V = head(params)
    return constrain(plus(matmul_transposed(x_BTD, table_VD, config.dtype), bias_V), "batch", "positions", "vocab")
