"""Attention by kind, with one signature: over a row's own keys (blocked.py), or over a cache (cached.py)."""

import jax

from tenfold.model.attention.blocked import blocked_attention
from tenfold.model.attention.cached import cached_attention
from tenfold.model.config import AttentionKind, Banded, Dense, ModelConfig


def window(kind: AttentionKind) -> int | None:
    """How many positions a query sees, itself included; None for all before it."""
    match kind:
        case Banded(size):
            return size
        case Dense():
            return None


def attend(kind: AttentionKind, config: ModelConfig, q_BTHK, k_BTHK, v_BTHK, segments_BT=None) -> jax.Array:
    """f32[B, T, H, K]: over a row's own keys."""
    return blocked_attention(q_BTHK, k_BTHK, v_BTHK, segments_BT, window(kind), config.dtype)


def attend_cached(kind: AttentionKind, config: ModelConfig, q_BTHK, k_BHSK, v_BHSK, start_B) -> jax.Array:
    """f32[B, T, H, K]: over a cache. Row b's queries stand at positions start_B[b] + [0, T), its keys at [0, S)."""
    return cached_attention(q_BTHK, k_BHSK, v_BHSK, start_B, window(kind), config.dtype)
