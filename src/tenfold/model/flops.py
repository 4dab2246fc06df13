"""Floating-point operations, counted from the configuration. Imports no JAX.

A product of [m, k] and [k, n] is 2 m k n operations; the backward pass takes twice the forward's. Only matrix products are counted:

    forward, a token = 2 (weights in products)  +  4 L H K (mean number of positions seen)
    training         = 3 x forward; of weights that stay as they are, 2 x their products

The weights in products are those of the blocks and the head (the tied table once; looking a token up costs nothing). Of a mixture's
experts those that a token chooses and the shared ones count, and the router. Causal attention sees (T + 1) / 2 positions on average and
is counted so, not as T: figures that count it whole read higher for the same speed. Where every position sees all, it is T; in dilated
attention what the branches' segments hold, whatever T is. A token of an encoder-decoder is one that is encoded, with its share of what is
decoded.
"""

from tenfold.model.config import AttentionKind, Banded, Dilated, ModelConfig


def forward_flops_per_token(config: ModelConfig, decoded: int = 0, read: int = 0) -> float:
    """Of one token in a row of `config.context`; of an encoder-decoder, one that is encoded, where `decoded` are decoded for a row of them
    (0: as many). `read`: positions of a row whose logits are made (0: all)."""
    return sum(_products(config, decoded, read))


def _products(config: ModelConfig, decoded: int, read: int) -> tuple[float, float]:
    """A token's forward pass: (products with weights, products of positions with each other)."""
    D, H, K, T = config.embed, config.heads, config.width, config.context
    U, cross = decoded or T, config.encoder_layers > 0
    attention_weights, feed_forward = 2 * D * K * (H + config.groups), feed_forward_weights(config)
    own = config.layers * (attention_weights + feed_forward + (2 * D * K * H if cross else 0))
    own += D * D if config.head_transform else 0
    head = config.vocab * D * (read or U) / T
    encoder = config.encoder_layers * (attention_weights + feed_forward) + (config.layers * 2 * D * K * config.groups if cross else 0)
    seen = sum(mean_positions_seen(kind, U, config.causal, H) for kind in config.kinds) + T * config.layers * cross
    return U / T * 2 * own + 2 * head + 2 * encoder, U / T * 4 * H * K * seen + 4 * H * K * T * config.encoder_layers


def feed_forward_weights(config: ModelConfig) -> int:
    """Weights that a token meets in the feed-forward half of a block."""
    layer = (3 if config.gated else 2) * config.embed * config.hidden
    if not config.experts:
        return layer
    return (config.experts_per_token + config.shared_experts) * layer + config.embed * config.experts


def train_flops_per_token(config: ModelConfig, decoded: int = 0, read: int = 0, still: bool = False) -> float:
    """Of one token's forward and backward pass. `still`: the weights get no gradient, as under adapters (whose own products are few)."""
    weights, positions = _products(config, decoded, read)
    return (2 if still else 3) * weights + 3 * positions


def mean_positions_seen(kind: AttentionKind, T: int, causal: bool = True, heads: int = 1) -> float:
    """Keys that a query sees, on average over T positions and the heads, which differ in dilated attention only."""
    match kind:
        case Dilated(segments, dilations):
            pairs = zip(segments, dilations, strict=True)
            return sum(_pairs_of_a_head(T, w, r, head % r, causal) for w, r in pairs for head in range(heads)) / (T * heads)
        case Banded(window) if window < T:
            return (window * (window + 1) / 2 + (T - window) * window) / T
        case _:
            return (T + 1) / 2 if causal else T


def _pairs_of_a_head(T: int, w: int, r: int, offset: int, causal: bool) -> float:
    """Queries with keys, in the segments of one branch: the whole ones and what is left."""

    def pairs(size: int) -> float:
        taken = len(range(offset, size, r))
        return taken * (taken + 1) / 2 if causal else taken**2

    return T // w * pairs(w) + pairs(T % w)
