"""LLaMA (Touvron et al. 2023) and its kin: Mistral (sliding attention), Qwen2 (biases on queries, keys and values), Mixtral (experts)."""

from collections.abc import Callable
from functools import partial
from typing import Any

from tenfold.errors import UserError
from tenfold.model.config import Banded, ModelConfig
from tenfold.model.families.names import (
    Family,
    Row,
    activation,
    experts,
    hf_activation,
    linear,
    linear_and_bias,
    norm,
    number,
    rope_base,
    shape_of,
    table,
)

ROPE_BASES = {"llama": 1e4, "mistral": 1e4, "qwen2": 1e4, "mixtral": 1e6}  # where an older config.json says none


def read_config(model_type: str, hf: dict) -> ModelConfig:
    shape = shape_of(hf)
    embed, heads = shape["embed"], shape["heads"]
    window = hf.get("sliding_window") if hf.get("use_sliding_window", model_type in ("mistral", "mixtral")) else None
    mixture: dict[str, Any] = (
        dict(experts=number(hf, "num_local_experts"), experts_per_token=number(hf, "num_experts_per_tok"))
        if model_type == "mixtral"
        else {}
    )
    kv_heads, head_dim = hf.get("num_key_value_heads") or heads, hf.get("head_dim") or 0
    return ModelConfig(
        **shape,
        kv_heads=0 if kv_heads == heads else kv_heads,
        head_dim=0 if head_dim * heads == embed else head_dim,
        mlp=number(hf, "intermediate_size"),
        attention=(f"banded:{window}",) if window else ("dense",),
        positions="rotary",
        rotary_base=rope_base(hf, ROPE_BASES[model_type]),
        norm="rms",
        norm_bias=False,
        norm_eps=number(hf, "rms_norm_eps", default=1e-6),
        activation=activation(hf, "hidden_act"),
        gated=True,
        qkv_bias=model_type == "qwen2" or hf.get("attention_bias", False),
        out_bias=model_type != "qwen2" and hf.get("attention_bias", False),
        mlp_bias=hf.get("mlp_bias", False),
        tied=hf.get("tie_word_embeddings", False),
        **mixture,
    )


def write_config(model_type: str, config: ModelConfig) -> dict:
    hf = {
        "vocab_size": config.vocab,
        "max_position_embeddings": config.context,
        "num_hidden_layers": config.layers,
        "hidden_size": config.embed,
        "num_attention_heads": config.heads,
        "num_key_value_heads": config.groups,
        "head_dim": config.width,
        "intermediate_size": config.hidden,
        "rope_parameters": {"rope_type": "default", "rope_theta": config.rotary_base},
        "rms_norm_eps": config.norm_eps,
        "hidden_act": hf_activation(config),
        "tie_word_embeddings": config.tied,
    }
    windows = {kind.window for kind in config.kinds if isinstance(kind, Banded)}
    if len(windows) > 1:
        raise UserError(f"{model_type} has one window for all layers, and this model has {sorted(windows)}.")
    if model_type in ("mistral", "mixtral"):
        hf["sliding_window"] = windows.pop() if windows else None
    if model_type == "llama":
        hf |= {"attention_bias": config.qkv_bias, "mlp_bias": config.mlp_bias}
    if model_type == "mixtral":
        hf |= {"num_local_experts": config.experts, "num_experts_per_tok": config.experts_per_token}
    return hf


def rows(config: ModelConfig) -> list[Row]:
    h, ours = "model.layers.{}", "blocks"
    projections = (("q_proj", "query"), ("k_proj", "key"), ("v_proj", "value"))
    return [
        table("model.embed_tokens.weight", "embedding"),
        *norm("model.norm", "final_norm", False),
        *([] if config.tied else [table("lm_head.weight", "head")]),
        *norm(f"{h}.input_layernorm", f"{ours}.attention_norm", False),
        *[row for t, o in projections for row in linear_and_bias(f"{h}.self_attn.{t}", f"{ours}.attention.{o}", config.qkv_bias)],
        *linear_and_bias(f"{h}.self_attn.o_proj", f"{ours}.attention.out", config.out_bias, 2),
        *norm(f"{h}.post_attention_layernorm", f"{ours}.mlp_norm", False),
        *(_experts(config) if config.experts else _mlp(config)),
    ]


def _mlp(config: ModelConfig) -> list[Row]:
    return [
        row
        for name in ("gate", "up", "down")
        for row in linear_and_bias(f"model.layers.{{}}.mlp.{name}_proj", f"blocks.mlp.{name}", config.mlp_bias)
    ]


def _experts(config: ModelConfig) -> list[Row]:
    h = "model.layers.{}.block_sparse_moe"
    names = (("w1", "gate"), ("w3", "up"), ("w2", "down"))
    each = [experts(f"{h}.experts.[].{t}.weight", f"blocks.moe.{o}", config.experts) for t, o in names]
    return [linear(f"{h}.gate.weight", "blocks.moe.router"), *each]


SHARED: dict[str, Any] = dict(
    positions="rotary", norm="rms", norm_bias=False, activation="silu", gated=True, qkv_bias=False, out_bias=False, mlp_bias=False
)


def _sized(vocab, context, layers, embed, heads, kv_heads, mlp, **changes) -> ModelConfig:
    return ModelConfig(vocab, context, layers, embed, heads, kv_heads, 0, mlp, **(SHARED | dict(tied=False) | changes))


def llama_sizes() -> dict[str, ModelConfig]:
    """Table 2 of the paper, and Llama 2 (context 4096; 70B with 8 heads of keys)."""
    shapes = {
        "7b": (32, 4096, 32, 0, 11008),
        "13b": (40, 5120, 40, 0, 13824),
        "30b": (60, 6656, 52, 0, 17920),
        "65b": (80, 8192, 64, 0, 22016),
    }
    second = {"7b": shapes["7b"], "13b": shapes["13b"], "70b": (80, 8192, 64, 8, 28672)}
    first = {f"llama-{name}": _sized(32000, 2048, *shape, norm_eps=1e-6) for name, shape in shapes.items()}
    smol = ModelConfig(49152, 8192, 30, 576, 9, 3, 0, 1536, rotary_base=1e5, **SHARED)
    return first | {f"llama-2-{name}": _sized(32000, 4096, *shape) for name, shape in second.items()} | {"smollm2-135m": smol}


def mistral_sizes() -> dict[str, ModelConfig]:
    return {"mistral-7b": _sized(32000, 32768, 32, 4096, 32, 8, 14336, attention=("banded:4096",))}


def mixtral_sizes() -> dict[str, ModelConfig]:
    return {"mixtral-8x7b": _sized(32000, 32768, 32, 4096, 32, 8, 14336, rotary_base=1e6, experts=8, experts_per_token=2)}


def _family(model_type: str, architecture: str, sizes: Callable[[], dict[str, ModelConfig]] = dict) -> Family:
    read, write = partial(read_config, model_type), partial(write_config, model_type)
    return Family(model_type, architecture, read, write, rows, "model.", sizes, ("rotary_emb.inv_freq",))


LLAMA = _family("llama", "LlamaForCausalLM", llama_sizes)
MISTRAL = _family("mistral", "MistralForCausalLM", mistral_sizes)
QWEN2 = _family("qwen2", "Qwen2ForCausalLM")
MIXTRAL = _family("mixtral", "MixtralForCausalLM", mixtral_sizes)
