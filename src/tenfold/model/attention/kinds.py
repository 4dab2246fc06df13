"""Attention by kind, with one signature: over a row's own keys (blocked.py, whole.py, dilated.py; ring.py and dilated_sharded.py where rows
are cut over their positions), a forest's ancestors (tree.py), a cache (cached.py), an encoder's output."""

import jax
import jax.numpy as jnp

from tenfold.model.attention.blocked import Pattern, blocked_attention
from tenfold.model.attention.cached import cached_attention
from tenfold.model.attention.dilated import dilated_attention
from tenfold.model.attention.dilated_cached import dilated_cached_attention
from tenfold.model.attention.dilated_sharded import dilated_attention_sharded
from tenfold.model.attention.ring import ring_attention
from tenfold.model.attention.tree import Tree, tree_attention
from tenfold.model.attention.whole import whole_attention
from tenfold.model.cache import DilatedCache, LayerCache
from tenfold.model.config import AttentionKind, Banded, Dense, Dilated, ModelConfig
from tenfold.model.positions import alibi_slopes, xpos_decay
from tenfold.sharding.axes import sequence_parts


def window(kind: AttentionKind) -> int | None:
    """How many positions a query sees, itself included; None for all before it."""
    match kind:
        case Banded(size):
            return size
        case Dense() | Dilated():
            return None


def pattern(kind: AttentionKind, config: ModelConfig) -> Pattern:
    scale = config.width**-0.5 if config.scaled_scores else 1.0
    return Pattern(window(kind), scale, config.dtype, alibi_slopes(config), decay=xpos_decay(config))


def takes_trees(config: ModelConfig) -> bool:
    """Whether positions of this model can see their ancestors in a Tree, in place of all that stands before them."""
    dilated = any(isinstance(kind, Dilated) for kind in config.kinds)
    return config.causal and not config.encoder_layers and not dilated and xpos_decay(config) is None and sequence_parts() == 1


def takes_forks(config: ModelConfig) -> bool:
    """Whether rows may hold documents with a SHARED beginning: dense causal attention on whole rows that counts no distances itself."""
    dense = all(isinstance(kind, Dense) for kind in config.kinds)
    return dense and takes_trees(config) and config.positions not in ("alibi", "relative")


def attend(
    kind: AttentionKind,
    config: ModelConfig,
    q_BTHK,
    k_BTGK,
    v_BTGK,
    segments_BT=None,
    bias_BHTS=None,
    causal=True,
    tree: Tree | None = None,
) -> jax.Array:
    """f32[B, T, H, K]: over a row's own keys."""
    how = pattern(kind, config)
    if tree is not None:
        return tree_attention(q_BTHK, k_BTGK, v_BTGK, tree, bias_BHTS, how)
    if sequence_parts() > 1 or how.decay is not None:  # long xPos too: decay is a tile's affair
        if isinstance(kind, Dilated):
            return dilated_attention_sharded(q_BTHK, k_BTGK, v_BTGK, segments_BT, kind, how._replace(causal=causal))
        return ring_attention(q_BTHK, k_BTGK, v_BTGK, segments_BT, how._replace(causal=causal))
    if isinstance(kind, Dilated):
        return dilated_attention(q_BTHK, k_BTGK, v_BTGK, segments_BT, kind, how._replace(causal=causal))
    if causal and bias_BHTS is None:
        if config.groups < config.heads:
            k_BTGK, v_BTGK = (jnp.repeat(x, config.heads // config.groups, 2) for x in (k_BTGK, v_BTGK))
        return blocked_attention(q_BTHK, k_BTGK, v_BTGK, segments_BT, how)
    T = q_BTHK.shape[1]
    distance_TS = jnp.arange(T)[:, None] - jnp.arange(T)
    seen = None if segments_BT is None else segments_BT[:, :, None] == segments_BT[:, None]
    if causal:
        before = distance_TS >= 0 if how.window is None else (distance_TS >= 0) & (distance_TS < how.window)
        seen = before[None] if seen is None else seen & before
    if how.alibi is not None:
        loss_HTS = jnp.asarray(how.alibi, jnp.float32)[:, None, None] * jnp.abs(distance_TS)
        bias_BHTS = -loss_HTS[None] if bias_BHTS is None else bias_BHTS - loss_HTS
    return whole_attention(q_BTHK, k_BTGK, v_BTGK, seen, bias_BHTS, how.scale, how.dtype)


def attend_cached(
    kind: AttentionKind,
    config: ModelConfig,
    q_BTHK,
    k_BTGK,
    v_BTGK,
    before: LayerCache | DilatedCache | None,
    after,
    start_B,
    bias_BHTS=None,
) -> jax.Array:
    """f32[B, T, H, K]: over a cache, as it was `before` these T positions and is `after` them. Row b's queries stand at positions
    start_B[b] + [0, T)."""
    if isinstance(kind, Dilated):
        assert isinstance(before, DilatedCache)
        return dilated_cached_attention(kind, q_BTHK, k_BTGK, v_BTGK, before, start_B, pattern(kind, config))
    return cached_attention(q_BTHK, after.k_BGSK, after.v_BGSK, start_B, bias_BHTS, pattern(kind, config))


def attend_across(config: ModelConfig, q_BTHK, k_BSGK, v_BSGK, real_BS=None) -> jax.Array:
    """f32[B, T, H, K]: over an encoder's output, all of it or the positions that are `real`."""
    seen = None if real_BS is None else real_BS[:, None]
    how = pattern(Dense(), config)
    return whole_attention(q_BTHK, k_BSGK, v_BSGK, seen, None, how.scale, how.dtype)
