"""Falcon (Almazrouei et al. 2023): multi-query or grouped heads; the older RW models have ALiBi and a sequential residual."""

from typing import Any

from tenfold.model.config import ModelConfig
from tenfold.model.families.names import (
    Family,
    Row,
    activation,
    grouped,
    hf_activation,
    linear_and_bias,
    norm,
    number,
    rope_base,
    shape_of,
    table,
)

QKV = ("query", "key", "value")


def read_config(hf: dict) -> ModelConfig:
    hf = hf | {"max_position_embeddings": hf.get("max_position_embeddings") or 2048}
    shape = shape_of(hf, layers="num_hidden_layers n_layer", embed="hidden_size n_embed", heads="num_attention_heads n_head")
    usual, heads = 4 * shape["embed"], shape["heads"]
    new, alibi, bias = hf.get("new_decoder_architecture", False), hf.get("alibi", False), hf.get("bias", False)
    groups = (hf.get("num_kv_heads") or heads) if new else 1 if hf.get("multi_query", True) else heads
    two_norms = new and (hf.get("num_ln_in_parallel_attn") or 2) == 2
    mlp = hf.get("ffn_hidden_size") or usual
    return ModelConfig(
        **shape,
        kv_heads=0 if groups == heads else groups,
        mlp=0 if mlp == usual else mlp,
        positions="alibi" if alibi else "rotary",
        alibi_scaled=alibi,
        rotary_base=10000.0 if alibi else rope_base(hf),
        residual="parallel" if two_norms else "shared" if new or hf.get("parallel_attn", True) else "sequential",
        activation=activation({"activation": "gelu"} | hf, "activation"),
        norm_eps=number(hf, "layer_norm_epsilon", default=1e-5),
        qkv_bias=bias,
        out_bias=bias,
        mlp_bias=bias,
        tied=hf.get("tie_word_embeddings", True),
    )


def write_config(config: ModelConfig) -> dict:
    new = config.residual == "parallel" or 1 < config.groups < config.heads
    return {
        "vocab_size": config.vocab,
        "max_position_embeddings": config.context,
        "num_hidden_layers": config.layers,
        "hidden_size": config.embed,
        "num_attention_heads": config.heads,
        "num_kv_heads": config.groups,
        "new_decoder_architecture": new,
        "num_ln_in_parallel_attn": {"parallel": 2, "shared": 1}.get(config.residual) if new else None,
        "multi_query": config.groups == 1,
        "parallel_attn": config.residual != "sequential",
        "ffn_hidden_size": config.hidden,
        "alibi": config.positions == "alibi",
        "rope_parameters": {"rope_type": "default", "rope_theta": config.rotary_base},
        "bias": config.qkv_bias,
        "activation": hf_activation(config),
        "layer_norm_epsilon": config.norm_eps,
        "tie_word_embeddings": config.tied,
    }


def rows(config: ModelConfig) -> list[Row]:
    h, ours, biased = "transformer.h.{}", "blocks", config.qkv_bias
    names = {
        "parallel": ("ln_attn", "ln_mlp"),
        "shared": ("input_layernorm",),
        "sequential": ("input_layernorm", "post_attention_layernorm"),
    }
    norms = zip(names[config.residual], ("attention_norm", "mlp_norm"), strict=False)
    return [
        table("transformer.word_embeddings.weight", "embedding"),
        *norm("transformer.ln_f", "final_norm", True),
        *([] if config.tied else [table("lm_head.weight", "head")]),
        *[row for theirs, name in norms for row in norm(f"{h}.{theirs}", f"{ours}.{name}", True)],
        grouped(f"{h}.self_attention.query_key_value.weight", [f"{ours}.attention.{n}" for n in QKV]),
        *([grouped(f"{h}.self_attention.query_key_value.bias", [f"{ours}.attention.{n}_bias" for n in QKV])] if biased else []),
        *linear_and_bias(f"{h}.self_attention.dense", f"{ours}.attention.out", biased, 2),
        *linear_and_bias(f"{h}.mlp.dense_h_to_4h", f"{ours}.mlp.up", biased),
        *linear_and_bias(f"{h}.mlp.dense_4h_to_h", f"{ours}.mlp.down", biased),
    ]


def sizes() -> dict[str, ModelConfig]:
    shared: dict[str, Any] = dict(positions="rotary", activation="gelu", qkv_bias=False, out_bias=False, mlp_bias=False)
    return {
        "falcon-7b": ModelConfig(65024, 2048, 32, 4544, 71, 1, residual="shared", **shared),
        "falcon-40b": ModelConfig(65024, 2048, 60, 8192, 128, 8, residual="parallel", **shared),
    }


FAMILY = Family(
    "falcon", "FalconForCausalLM", read_config, write_config, rows, "transformer.", sizes, ("rotary_emb.inv_freq", "rotary.inv_freq")
)
