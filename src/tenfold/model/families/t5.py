"""T5 (Raffel et al. 2020), T5 1.1 (gated, untied) and CodeT5 (Wang et al. 2021): an encoder, a decoder, relative positions."""

from typing import Any

from tenfold.errors import UserError
from tenfold.model.config import Activation, ModelConfig
from tenfold.model.families.names import Family, Row, linear, norm, number, table

SHARED: dict[str, Any] = dict(
    scaled_scores=False, positions="relative", norm="rms", norm_bias=False, norm_eps=1e-6, qkv_bias=False, out_bias=False, mlp_bias=False
)
FEED_FORWARD: dict[str, tuple[Activation, bool]] = {
    "relu": ("relu", False),
    "gated-gelu": ("gelu_tanh", True),
    "gated-silu": ("silu", True),
}
CONTEXT = 512  # trained on; relative positions set no limit of their own


def read_config(hf: dict) -> ModelConfig:
    kind = hf.get("feed_forward_proj", "relu")
    if kind not in FEED_FORWARD:
        raise UserError(f"config.json says feed_forward_proj {kind!r}, which is none of {', '.join(FEED_FORWARD)}.")
    act, gated = FEED_FORWARD[kind]
    embed, heads, width = number(hf, "d_model"), number(hf, "num_heads"), number(hf, "d_kv")
    tied = hf.get("tie_word_embeddings", True)
    said: dict[str, Any] = dict(norm_eps=number(hf, "layer_norm_epsilon", default=1e-6))
    return ModelConfig(
        vocab=number(hf, "vocab_size"),
        context=hf.get("n_positions") or CONTEXT,
        layers=number(hf, "num_decoder_layers", "num_layers"),
        encoder_layers=number(hf, "num_layers"),
        embed=embed,
        heads=heads,
        head_dim=0 if heads * width == embed else width,
        mlp=number(hf, "d_ff"),
        relative_buckets=number(hf, "relative_attention_num_buckets", default=32),
        relative_distance=number(hf, "relative_attention_max_distance", default=128),
        activation=act,
        gated=gated,
        tied=tied,
        head_scale=embed**-0.5 if hf.get("scale_decoder_outputs", tied) else 1.0,
        **(SHARED | said),
    )


def write_config(config: ModelConfig) -> dict:
    kinds = {value: name for name, value in FEED_FORWARD.items()}
    return {
        "vocab_size": config.vocab,
        "n_positions": config.context,
        "num_layers": config.encoder_layers,
        "num_decoder_layers": config.layers,
        "d_model": config.embed,
        "num_heads": config.heads,
        "d_kv": config.width,
        "d_ff": config.hidden,
        "relative_attention_num_buckets": config.relative_buckets,
        "relative_attention_max_distance": config.relative_distance,
        "feed_forward_proj": kinds.get((config.activation, config.gated), config.activation),
        "layer_norm_epsilon": config.norm_eps,
        "is_encoder_decoder": True,
        "tie_word_embeddings": config.tied,
        "scale_decoder_outputs": config.head_scale != 1,
    }


def rows(config: ModelConfig) -> list[Row]:
    return [
        table("shared.weight", "embedding"),
        *([] if config.tied else [table("lm_head.weight", "head")]),
        *_tower("encoder", "encoder.", config),
        *_tower("decoder", "", config),
    ]


def _tower(theirs: str, ours: str, config: ModelConfig) -> list[Row]:
    h, decoder = f"{theirs}.block.{{}}", theirs == "decoder"
    relative = f"{theirs}.block.0.layer.0.SelfAttention.relative_attention_bias.weight"
    last = f"{h}.layer.{2 if decoder else 1}"
    feed_forward = {"wi_0": "gate", "wi_1": "up", "wo": "down"} if config.gated else {"wi": "up", "wo": "down"}
    return [
        *norm(f"{theirs}.final_layer_norm", f"{ours}final_norm", False),
        table(relative, f"{ours}relative"),
        *norm(f"{h}.layer.0.layer_norm", f"{ours}blocks.attention_norm", False),
        *_attention(f"{h}.layer.0.SelfAttention", f"{ours}blocks.attention"),
        *(norm(f"{h}.layer.1.layer_norm", f"{ours}blocks.cross_norm", False) if decoder else []),
        *(_attention(f"{h}.layer.1.EncDecAttention", f"{ours}blocks.cross") if decoder else []),
        *norm(f"{last}.layer_norm", f"{ours}blocks.mlp_norm", False),
        *[linear(f"{last}.DenseReluDense.{t}.weight", f"{ours}blocks.mlp.{o}") for t, o in feed_forward.items()],
    ]


def _attention(theirs: str, ours: str) -> list[Row]:
    ins = [linear(f"{theirs}.{n[0]}.weight", f"{ours}.{n}") for n in ("query", "key", "value")]
    return [*ins, linear(f"{theirs}.o.weight", f"{ours}.out", 2)]


def sizes() -> dict[str, ModelConfig]:
    """T5's own sizes, and CodeT5's, which has another vocabulary."""
    shapes = {"small": (6, 512, 8, 64, 2048), "base": (12, 768, 12, 64, 3072), "large": (24, 1024, 16, 64, 4096)}
    big = {"3b": (24, 1024, 32, 128, 16384), "11b": (24, 1024, 128, 128, 65536)}
    t5 = {f"t5-{name}": _sized(32128, *shape) for name, shape in (shapes | big).items()}
    return t5 | {f"codet5-{name}": _sized(32100, *shape) for name, shape in shapes.items()}


def _sized(vocab: int, layers: int, embed: int, heads: int, width: int, mlp: int) -> ModelConfig:
    return ModelConfig(
        vocab,
        CONTEXT,
        layers,
        embed,
        heads,
        head_dim=0 if heads * width == embed else width,
        mlp=mlp,
        encoder_layers=layers,
        activation="relu",
        head_scale=embed**-0.5,
        **SHARED,
    )


FAMILY = Family(
    "t5",
    "T5ForConditionalGeneration",
    read_config,
    write_config,
    rows,
    "",
    sizes,
    ("encoder.embed_tokens.weight", "decoder.embed_tokens.weight", "EncDecAttention.relative_attention_bias.weight"),
)
