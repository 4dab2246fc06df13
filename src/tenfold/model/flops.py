"""Floating-point operations, counted from the configuration. Imports no JAX.

A product of [m, k] and [k, n] is 2 m k n operations; the backward pass takes twice the forward's. Only matrix products are counted:

    forward, a token = 2 (weights in products)  +  4 L H K (mean number of positions seen)
    training         = 3 x forward

The weights in products are those of the blocks and the head (the tied table once; looking a token up costs nothing). Causal
attention sees (T + 1) / 2 positions on average and is counted so, not as T: figures that count it whole read higher for the same speed.
"""

from tenfold.model.config import AttentionKind, Banded, ModelConfig


def forward_flops_per_token(config: ModelConfig) -> float:
    """Of one token in a row of `config.context`."""
    D, H, K, F = config.embed, config.heads, config.width, config.hidden
    weights = config.layers * (4 * D * H * K + 2 * D * F) + config.vocab * D
    attention = sum(4 * H * K * mean_positions_seen(kind, config.context) for kind in config.kinds)
    return 2 * weights + attention


def train_flops_per_token(config: ModelConfig) -> float:
    """Of one token's forward and backward pass."""
    return 3 * forward_flops_per_token(config)


def mean_positions_seen(kind: AttentionKind, T: int) -> float:
    """Keys that a query sees, on average over T positions."""
    match kind:
        case Banded(window) if window < T:
            return (window * (window + 1) / 2 + (T - window) * window) / T
        case _:
            return (T + 1) / 2
