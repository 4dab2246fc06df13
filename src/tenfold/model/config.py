"""ModelConfig, and the letters of every shape.

    B batch rows          H heads (of queries)
    T context (queries)   G heads of keys and values
    S key positions       K head_dim
    D embed               F mlp
    V vocab               E experts
    U decoder positions   X experts a token is sent to
    N layers of a kind    R segments (documents) in a row

An array's name ends in its letters: `x_BTD`, `scores_BHTS`. Weights say theirs in `Param(shape, axes, init)` (params.py).
This module does not import JAX, so that the command line can show and check a configuration in a moment.
"""

import re
from dataclasses import dataclass
from typing import Literal

from tenfold.errors import UserError

Dtype = Literal["bfloat16", "float32"]
Positions = Literal["learned", "rotary", "xpos", "alibi", "relative", "none"]
Activation = Literal["gelu_tanh", "gelu", "relu", "silu"]
XPOS_LONGEST = 65536
"""The context up to which xPos is a factor for each position (positions.py), whose powers stay below 1e35."""


@dataclass(frozen=True)
class Dense:
    """Every position sees all earlier ones and itself."""


@dataclass(frozen=True)
class Banded:
    """Every position sees itself and the `window - 1` positions before it."""

    window: int


@dataclass(frozen=True)
class Dilated:
    """LongNet's: branch i sees within segments of `segments[i]` positions, head j the place j mod r and every r = `dilations[i]` on."""

    segments: tuple[int, ...]
    dilations: tuple[int, ...]


AttentionKind = Dense | Banded | Dilated


def attention_kind(spec: str, context: int) -> AttentionKind:
    """The kind a word of `ModelConfig.attention` names, on rows of `context` positions: `dense`, `banded:WINDOW`,
    `dilated:SEGMENTxDILATION,...`, or `geometric:SEGMENT,RATIO`, whose segments and dilations grow by RATIO until one reaches the context.
    """
    if spec == "dense":
        return Dense()
    if (match := re.fullmatch(r"banded:(\d+)", spec)) and int(match[1]) > 0:
        return Banded(int(match[1]))
    if match := re.fullmatch(r"dilated:(\d+x\d+(?:,\d+x\d+)*)", spec):
        pairs = [tuple(map(int, pair.split("x"))) for pair in match[1].split(",")]
        return _checked(Dilated(tuple(w for w, _ in pairs), tuple(r for _, r in pairs)), spec, context)
    if (match := re.fullmatch(r"geometric:(\d+),(\d+)", spec)) and int(match[1]) > 0 and int(match[2]) > 1:
        return geometric(int(match[1]), int(match[2]), context)
    raise UserError(
        f"model.attention has {spec!r}, which names no kind of attention.\n  Use dense or banded:WINDOW, such as banded:256; "
        "dilated:SEGMENTxDILATION,..., such as dilated:2048x1,4096x2; or geometric:SEGMENT,RATIO, such as geometric:2048,2."
    )


def geometric(segment: int, ratio: int, context: int) -> Dilated:
    """LongNet's schedule (equations 11, 12 and 18): w_i = segment ratio^i, the last one cut to the context, and r_i = ratio^i."""
    powers = [1]
    while segment * powers[-1] < context:
        powers.append(powers[-1] * ratio)
    return Dilated(tuple(min(segment * power, context) for power in powers), tuple(powers))


def _checked(kind: Dilated, spec: str, context: int) -> Dilated:
    """Refuses schedules that cannot be, or that cut the context in pieces, with the arithmetic."""
    for w, r in zip(kind.segments, kind.dilations, strict=True):
        if not 1 <= r <= w:
            raise UserError(
                f"model.attention has {spec!r}, whose dilation {r} is not from 1 to its segment {w}: a head would take {w} / {r} positions."
                f"\n  Use {w}x{min(max(r, 1), w)}, or a longer segment."
            )
    for shorter, longer in zip(kind.segments, kind.segments[1:], strict=False):
        if shorter >= longer:
            raise UserError(f"model.attention has {spec!r}, whose segments do not increase: {shorter} comes before {longer}.\n  Sort them.")
    if 1 not in kind.dilations:
        raise UserError(
            f"model.attention has {spec!r}, none of whose dilations is 1: a head would see nothing, not even itself, at the positions that "
            f"no branch takes.\n  Add a dilation of 1, such as {kind.segments[0]}x1."
        )
    if (longest := kind.segments[-1]) < context:
        raise UserError(
            f"model.attention has {spec!r}, whose longest segment is {longest}, but model.context is {context}: positions {longest} to "
            f"{context - 1} would see nothing before position {longest} in such a layer.\n  Add a segment of {context} with a dilation, "
            f"such as {context}x{kind.dilations[-1] * -(-context // longest)}, or use model.context {longest}."
        )
    return kind


@dataclass(frozen=True)
class ModelConfig:
    """The shape of a Transformer. As it stands, GPT-3's: pre-norm, learned positions, tied embeddings, gelu. Families are other values."""

    vocab: int = 50304
    """Rows of the embedding table. At least the tokenizer's size; multiples of 128 are fast and divide over devices."""
    context: int = 2048
    """Positions the model knows, and the length it trains on."""
    layers: int = 12
    embed: int = 768
    heads: int = 12
    kv_heads: int = 0
    """Heads of keys and values, each shared by heads / kv_heads heads of queries; 0 means one for each."""
    head_dim: int = 0
    """Width of a head; 0 means embed / heads."""
    mlp: int = 0
    """Width of the feed-forward layer; 0 means 4 x embed."""
    attention: tuple[str, ...] = ("dense",)
    """Kinds of attention, cycled over the layers: `dense banded:256` is GPT-3's alternating pattern, `dilated:2048x1,4096x2` or
    `geometric:2048,2` LongNet's."""
    causal: bool = True
    """Positions see only earlier ones; False (BERT) lets them see all."""
    scaled_scores: bool = True
    """Divide the scores by sqrt(head_dim); GPT-Neo and T5 do not."""
    positions: Positions = "learned"
    """How attention knows places: a learned table, rotary embeddings (`xpos`: with decay), ALiBi, T5's relative buckets, or not at all."""
    rotary_dim: int = 0
    """Numbers of a head that are rotated; 0 means all."""
    rotary_pairs: Literal["halves", "interleaved"] = "halves"
    """Which numbers turn together: i and i + rotary_dim / 2 (NeoX, LLaMA), or 2i and 2i + 1 (GPT-J)."""
    rotary_base: float = 10000.0
    alibi_scaled: bool = False
    """ALiBi's biases are divided by sqrt(head_dim) with the scores, as Falcon does."""
    relative_buckets: int = 32
    relative_distance: int = 128
    """Distance from which on all keys share T5's last bucket."""
    residual: Literal["sequential", "parallel", "shared"] = "sequential"
    """The feed-forward layer reads what attention wrote, or both read the same input: each through a norm of its own (`parallel`,
    NeoX), or through one (`shared`, GPT-J)."""
    norm: Literal["layer", "rms"] = "layer"
    norm_bias: bool = True
    norm_place: Literal["before", "after"] = "before"
    """Before each half of a block, or after its sum with the residual stream (BERT)."""
    norm_eps: float = 1e-5
    sub_norm: bool = False
    """A norm more in each half of a block, before its last projection (MAGNETO's Sub-LN)."""
    init: Literal["gpt2", "magneto"] = "gpt2"
    """How weights start: N(0, 0.02), smaller where they write to the residual stream, or MAGNETO's, which goes with sub_norm."""
    embedding_norm: bool = False
    """A norm right after the embeddings (BERT)."""
    activation: Activation = "gelu_tanh"
    gated: bool = False
    """The feed-forward layer multiplies the activation by a second projection (SwiGLU and its kin)."""
    qkv_bias: bool = True
    out_bias: bool = True
    mlp_bias: bool = True
    tied: bool = True
    """The head is the embedding table."""
    head_bias: bool = False
    head_transform: bool = False
    """A linear layer, the activation and a norm before the head (BERT)."""
    head_scale: float = 1.0
    """What the head's input is multiplied by; T5 with tied tables: embed^-0.5."""
    token_types: int = 0
    """Rows of a table added to the embeddings (BERT's segments); every token is of type 0."""
    encoder_layers: int = 0
    """Layers of an encoder whose output every decoder layer attends to; 0: there is none."""
    experts: int = 0
    """Feed-forward layers a token chooses from (a mixture of experts); 0: one, for all."""
    experts_per_token: int = 2
    expert_capacity: float = 0.0
    """Tokens an expert takes, as a multiple of an even share; what comes beyond is dropped. 0: none is, nor is any with a cache."""
    shared_experts: int = 0
    """Experts that every token passes through, besides those it chooses."""
    router_renormalised: bool = True
    """The weights of a token's experts add up to 1 (Mixtral); else they are their share of all experts' (Switch)."""
    dtype: Dtype = "bfloat16"
    """What matrix products take in. Weights, sums, norms, softmax and the residual stream are float32."""
    remat: Literal["none", "block", "rounded"] = "none"
    """What the backward pass computes again instead of keeping: nothing, or whole blocks, from what entered them (`rounded`: to the compute
    type). Attention's weights are never kept."""
    chunk: int = 0
    """Positions (of each device's part of a row) that go through feed-forward layers and attention's projections at once, for long rows;
    0: all."""
    scan: bool = False
    """Compile one block and loop, rather than every block: quick to compile when there are many layers, a little slower."""

    def __post_init__(self):
        check(self)

    @property
    def width(self) -> int:
        """K, the width of one head."""
        return self.head_dim or self.embed // self.heads

    @property
    def groups(self) -> int:
        """G, heads of keys and values."""
        return self.kv_heads or self.heads

    @property
    def rotated(self) -> int:
        """Numbers of a head that rotary embeddings turn."""
        return self.rotary_dim or self.width

    @property
    def hidden(self) -> int:
        """F, the width of the feed-forward layer."""
        return self.mlp or 4 * self.embed

    @property
    def kinds(self) -> tuple[AttentionKind, ...]:
        """The attention kind of each layer."""
        pattern = tuple(attention_kind(spec, self.context) for spec in self.attention)
        return pattern * (self.layers // len(pattern))

    @property
    def period(self) -> int:
        """Blocks compiled apart: with `scan`, one for each kind in the pattern, each looped over; else one a layer."""
        return len(self.attention) if self.scan else self.layers

    @property
    def encoder_period(self) -> int:
        """`period` of the encoder, all of whose layers are of one kind."""
        return min(1, self.encoder_layers) if self.scan else self.encoder_layers


def check(config: ModelConfig) -> None:
    """Refuses what cannot be a model, naming the field, the value and the mend."""
    for field in ("vocab", "context", "layers", "embed", "heads"):
        if getattr(config, field) < 1:
            raise UserError(f"model.{field} is {getattr(config, field)}, but must be at least 1.")
    for field in (
        "head_dim",
        "mlp",
        "kv_heads",
        "rotary_dim",
        "token_types",
        "encoder_layers",
        "experts",
        "shared_experts",
        "expert_capacity",
        "chunk",
    ):
        if getattr(config, field) < 0:
            raise UserError(f"model.{field} is {getattr(config, field)}, but must be at least 1, or 0 for the usual.")
    if config.head_dim == 0 and config.embed % config.heads:
        raise UserError(_indivisible_heads(config.embed, config.heads))
    if config.heads % config.groups:
        divisors = [g for g in range(1, config.heads + 1) if config.heads % g == 0]
        raise UserError(
            f"model.kv_heads is {config.kv_heads}, which does not divide model.heads {config.heads}.\n"
            f"  Use one of {', '.join(map(str, divisors))}."
        )
    if not 0 < config.norm_eps < 1:
        raise UserError(f"model.norm_eps is {config.norm_eps}, but must lie between 0 and 1; GPT-3 used 1e-5.")
    _check_attention(config)
    _check_experts(config)


def _check_attention(config: ModelConfig) -> None:
    if not config.attention:
        raise UserError("model.attention is empty: name at least one kind, such as dense.")
    for spec in config.attention:
        attention_kind(spec, config.context)
    if config.layers % len(config.attention):
        raise UserError(
            f"model.attention names {len(config.attention)} kinds ({' '.join(config.attention)}), "
            f"which do not divide model.layers {config.layers}."
            f"\n  Use {config.layers - config.layers % len(config.attention) or len(config.attention)} layers, or another pattern."
        )
    if config.positions in ("rotary", "xpos") and (config.rotated % 2 or config.rotated > config.width):
        raise UserError(
            f"model.rotary_dim is {config.rotated}, but must be even and at most the width of a head, {config.width}.\n"
            f"  Use {config.width - config.width % 2} or less."
        )
    if config.positions == "xpos" and config.context > XPOS_LONGEST and not config.causal:
        raise UserError(
            f"model.positions is 'xpos', model.causal False and model.context {config.context}: scores of later keys grow by up to "
            f"(1.4 / 0.4)^(context / 512), which is more than float32 holds.\n  Use a context of at most {XPOS_LONGEST}, or rotary."
        )
    if config.positions == "relative" and not 3 < config.relative_buckets // 2 < config.relative_distance:
        raise UserError(
            f"model.relative_buckets is {config.relative_buckets} and model.relative_distance {config.relative_distance}: half the buckets "
            "must be at least 4 and below the distance.\n  T5 uses 32 and 128."
        )
    if not config.causal and any(isinstance(kind, Banded) for kind in config.kinds):
        raise UserError(
            f"model.attention is {' '.join(config.attention)}, but bands look backwards only and model.causal is False.\n  Use dense."
        )
    if config.positions == "relative" and any(isinstance(kind, Dilated) for kind in config.kinds):
        raise UserError(
            f"model.attention is {' '.join(config.attention)}, but model.positions 'relative' adds a bias to every pair of positions, "
            "which dilated attention does not have.\n  Use rotary or alibi."
        )
    if config.init == "magneto" and config.encoder_layers:
        raise UserError(
            f"model.init is 'magneto' and model.encoder_layers {config.encoder_layers}: its gains are those of one tower.\n  Use gpt2."
        )
    if config.sub_norm and config.experts:
        raise UserError(f"model.sub_norm is True, but model.experts is {config.experts}: experts have no norm inside.\n  Use one of them.")
    if config.residual != "sequential" and (config.norm_place == "after" or config.encoder_layers):
        raise UserError(f"model.residual is {config.residual!r}, which goes with norms before and without an encoder.\n  Use sequential.")


def _check_experts(config: ModelConfig) -> None:
    if config.experts and not 1 <= config.experts_per_token <= config.experts:
        raise UserError(f"model.experts_per_token is {config.experts_per_token}, but must be from 1 to model.experts {config.experts}.")
    if config.experts and config.chunk:
        raise UserError(
            f"model.chunk is {config.chunk}, but model.experts is {config.experts}: experts are given the tokens of whole rows."
            "\n  Leave model.chunk at 0."
        )
    if not config.experts and (config.shared_experts or config.expert_capacity):
        raise UserError("model.shared_experts and model.expert_capacity mean nothing while model.experts is 0: say how many there are.")


def _indivisible_heads(embed: int, heads: int) -> str:
    below, above = embed - embed % heads, embed + heads - embed % heads
    near = [h for h in range(max(1, heads - heads // 2), 2 * heads) if embed % h == 0]
    widths = f"embed {above}" + (f" or {below}" if below else "")
    closest = min(near, key=lambda h: abs(h - heads), default=None)
    return (
        f"model.heads is {heads} but model.embed is {embed}, which {heads} does not divide.\n"
        f"  Try {widths}" + (f", or heads {closest}" if closest else "") + "."
    )
