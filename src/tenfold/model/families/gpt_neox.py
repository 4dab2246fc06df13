"""GPT-NeoX-20B (Black et al. 2022) and Pythia (Biderman et al. 2023): partly rotary heads, parallel residual with two norms."""

from typing import Any

from tenfold.errors import UserError
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
    if not hf.get("attention_bias", True):
        raise UserError("config.json says attention_bias False, and GPT-NeoX models are known here with it only.")
    shape = shape_of(hf)
    width = shape["embed"] // shape["heads"]
    share = (hf.get("rope_parameters") or {}).get("partial_rotary_factor") or hf.get("rotary_pct") or 0.25
    return ModelConfig(
        **shape,
        mlp=_unless(number(hf, "intermediate_size"), 4 * shape["embed"]),
        positions="rotary",
        rotary_dim=_unless(int(width * share), width),
        rotary_base=rope_base(hf),
        residual="parallel" if hf.get("use_parallel_residual", True) else "sequential",
        activation=activation(hf, "hidden_act"),
        norm_eps=number(hf, "layer_norm_eps", default=1e-5),
        tied=hf.get("tie_word_embeddings", False),
    )


def _unless(value: int, usual: int) -> int:
    return 0 if value == usual else value


def write_config(config: ModelConfig) -> dict:
    return {
        "vocab_size": config.vocab,
        "max_position_embeddings": config.context,
        "num_hidden_layers": config.layers,
        "hidden_size": config.embed,
        "num_attention_heads": config.heads,
        "intermediate_size": config.hidden,
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": config.rotary_base,
            "partial_rotary_factor": config.rotated / config.width,
        },
        "use_parallel_residual": config.residual == "parallel",
        "hidden_act": hf_activation(config),
        "layer_norm_eps": config.norm_eps,
        "attention_bias": True,
        "tie_word_embeddings": config.tied,
    }


def rows(config: ModelConfig) -> list[Row]:
    h, ours = "gpt_neox.layers.{}", "blocks"
    return [
        table("gpt_neox.embed_in.weight", "embedding"),
        *norm("gpt_neox.final_layer_norm", "final_norm", True),
        *([] if config.tied else [table("embed_out.weight", "head")]),
        *norm(f"{h}.input_layernorm", f"{ours}.attention_norm", True),
        grouped(f"{h}.attention.query_key_value.weight", [f"{ours}.attention.{n}" for n in QKV]),
        grouped(f"{h}.attention.query_key_value.bias", [f"{ours}.attention.{n}_bias" for n in QKV]),
        *linear_and_bias(f"{h}.attention.dense", f"{ours}.attention.out", True, 2),
        *norm(f"{h}.post_attention_layernorm", f"{ours}.mlp_norm", True),
        *linear_and_bias(f"{h}.mlp.dense_h_to_4h", f"{ours}.mlp.up", True),
        *linear_and_bias(f"{h}.mlp.dense_4h_to_h", f"{ours}.mlp.down", True),
    ]


def sizes() -> dict[str, ModelConfig]:
    """NeoX: table 2 of its paper; Pythia: table 1 of its own, with the vocabulary's rows as released."""
    shapes = {
        "gpt-neox-20b": (50432, 44, 6144, 64, 0.25),
        "pythia-70m": (50304, 6, 512, 8, 0.25),
        "pythia-160m": (50304, 12, 768, 12, 0.25),
        "pythia-410m": (50304, 24, 1024, 16, 0.25),
        "pythia-1b": (50304, 16, 2048, 8, 0.25),
        "pythia-1.4b": (50304, 24, 2048, 16, 0.25),
        "pythia-2.8b": (50304, 32, 2560, 32, 0.25),
        "pythia-6.9b": (50432, 32, 4096, 32, 0.25),
        "pythia-12b": (50688, 36, 5120, 40, 0.25),
    }
    shared: dict[str, Any] = dict(positions="rotary", residual="parallel", tied=False)
    return {
        name: ModelConfig(
            vocab,
            2048,
            layers,
            embed,
            heads,
            rotary_dim=int(embed // heads * share),
            activation="gelu_tanh" if "20b" in name else "gelu",
            **shared,
        )
        for name, (vocab, layers, embed, heads, share) in shapes.items()
    }


FAMILY = Family(
    "gpt_neox",
    "GPTNeoXForCausalLM",
    read_config,
    write_config,
    rows,
    "gpt_neox.",
    sizes,
    ("attention.bias", "attention.masked_bias", "rotary_emb.inv_freq"),
)
