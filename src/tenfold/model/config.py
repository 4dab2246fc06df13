"""ModelConfig, and the letters of every shape.

    B batch rows          H heads
    T context (queries)   K head_dim
    S key positions       F mlp
    D embed               V vocab
    N layers of a kind    R segments (documents) in a row

An array's name ends in its letters: `x_BTD`, `scores_BHTS`. Weights say theirs in `Param(shape, axes, init)` (params.py).
This module does not import JAX, so that the command line can show and check a configuration in a moment.
"""

import re
from dataclasses import dataclass
from typing import Literal

from tenfold.errors import UserError

Dtype = Literal["bfloat16", "float32"]


@dataclass(frozen=True)
class Dense:
    """Every position sees all earlier ones and itself."""


@dataclass(frozen=True)
class Banded:
    """Every position sees itself and the `window - 1` positions before it."""

    window: int


AttentionKind = Dense | Banded


def attention_kind(spec: str) -> AttentionKind:
    """The kind a word of `ModelConfig.attention` names: `dense`, or `banded:WINDOW`."""
    if spec == "dense":
        return Dense()
    if (match := re.fullmatch(r"banded:(\d+)", spec)) and int(match[1]) > 0:
        return Banded(int(match[1]))
    raise UserError(f"model.attention has {spec!r}, which names no kind of attention.\n  Use dense or banded:WINDOW, such as banded:256.")


@dataclass(frozen=True)
class ModelConfig:
    """The shape of a GPT-3-like Transformer: pre-norm, learned positions, tied embeddings, gelu."""

    vocab: int = 50304
    """Rows of the embedding table. At least the tokenizer's size; multiples of 128 are fast and divide over devices."""
    context: int = 2048
    """Positions the model knows, and the length it trains on."""
    layers: int = 12
    embed: int = 768
    heads: int = 12
    head_dim: int = 0
    """Width of a head; 0 means embed / heads."""
    mlp: int = 0
    """Width of the feed-forward layer; 0 means 4 x embed."""
    attention: tuple[str, ...] = ("dense",)
    """Kinds of attention, cycled over the layers: `dense banded:256` is GPT-3's alternating pattern."""
    norm_eps: float = 1e-5
    dtype: Dtype = "bfloat16"
    """What matrix products take in. Weights, sums, norms, softmax and the residual stream are float32."""
    remat: Literal["none", "block"] = "none"
    """What the backward pass computes again instead of keeping: nothing, or whole blocks. Attention's weights are never kept."""
    scan: bool = False
    """Compile one block and loop, rather than every block: quick to compile when there are many layers, a little slower."""

    def __post_init__(self):
        for field in ("vocab", "context", "layers", "embed", "heads"):
            if getattr(self, field) < 1:
                raise UserError(f"model.{field} is {getattr(self, field)}, but must be at least 1.")
        for field in ("head_dim", "mlp"):
            if getattr(self, field) < 0:
                raise UserError(f"model.{field} is {getattr(self, field)}, but must be at least 1, or 0 for the usual width.")
        if self.head_dim == 0 and self.embed % self.heads:
            raise UserError(_indivisible_heads(self.embed, self.heads))
        if not self.attention:
            raise UserError("model.attention is empty: name at least one kind, such as dense.")
        for spec in self.attention:
            attention_kind(spec)
        if self.layers % len(self.attention):
            raise UserError(
                f"model.attention names {len(self.attention)} kinds ({' '.join(self.attention)}), "
                f"which do not divide model.layers {self.layers}."
                f"\n  Use {self.layers - self.layers % len(self.attention) or len(self.attention)} layers, or another pattern."
            )
        if not 0 < self.norm_eps < 1:
            raise UserError(f"model.norm_eps is {self.norm_eps}, but must lie between 0 and 1; GPT-3 used 1e-5.")

    @property
    def width(self) -> int:
        """K, the width of one head."""
        return self.head_dim or self.embed // self.heads

    @property
    def hidden(self) -> int:
        """F, the width of the feed-forward layer."""
        return self.mlp or 4 * self.embed

    @property
    def kinds(self) -> tuple[AttentionKind, ...]:
        """The attention kind of each layer."""
        pattern = tuple(attention_kind(spec) for spec in self.attention)
        return pattern * (self.layers // len(pattern))

    @property
    def period(self) -> int:
        """Blocks compiled apart: with `scan`, one for each kind in the pattern, each looped over; else one a layer."""
        return len(self.attention) if self.scan else self.layers


def _indivisible_heads(embed: int, heads: int) -> str:
    below, above = embed - embed % heads, embed + heads - embed % heads
    near = [h for h in range(max(1, heads - heads // 2), 2 * heads) if embed % h == 0]
    widths = f"embed {above}" + (f" or {below}" if below else "")
    closest = min(near, key=lambda h: abs(h - heads), default=None)
    return (
        f"model.heads is {heads} but model.embed is {embed}, which {heads} does not divide.\n"
        f"  Try {widths}" + (f", or heads {closest}" if closest else "") + "."
    )
