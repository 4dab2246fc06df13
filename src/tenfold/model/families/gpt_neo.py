"""GPT-Neo (Black et al. 2021): global and local attention in turn, scores that are not scaled, projections without biases."""

from typing import Any

from tenfold.model.config import Banded, ModelConfig
from tenfold.model.families.names import Family, Row, activation, hf_activation, linear, linear_and_bias, norm, number, shape_of, table


def read_config(hf: dict) -> ModelConfig:
    kinds = hf.get("attention_layers") or [kind for pattern, times in hf["attention_types"] for _ in range(times) for kind in pattern]
    window = number(hf, "window_size", default=256)
    return ModelConfig(
        **shape_of(hf, layers="num_layers", heads="num_heads"),
        mlp=hf.get("intermediate_size") or 0,
        attention=shortest([{"global": "dense", "local": f"banded:{window}"}[kind] for kind in kinds]),
        scaled_scores=False,
        activation=activation(hf, "activation_function"),
        norm_eps=number(hf, "layer_norm_epsilon", default=1e-5),
        qkv_bias=False,
        tied=hf.get("tie_word_embeddings", True),
    )


def shortest(kinds: list[str]) -> tuple[str, ...]:
    """The shortest pattern that, repeated, gives the kinds of all layers."""
    lengths = (n for n in range(1, len(kinds) + 1) if len(kinds) % n == 0)
    return tuple(next(kinds[:n] for n in lengths if kinds[:n] * (len(kinds) // n) == kinds))


def write_config(config: ModelConfig) -> dict:
    windows = [kind.window for kind in config.kinds if isinstance(kind, Banded)]
    names = ["local" if isinstance(kind, Banded) else "global" for kind in config.kinds]
    pattern = list(shortest(names))
    return {
        "vocab_size": config.vocab,
        "max_position_embeddings": config.context,
        "num_layers": config.layers,
        "hidden_size": config.embed,
        "num_heads": config.heads,
        "intermediate_size": config.mlp or None,
        "attention_types": [[pattern, config.layers // len(pattern)]],
        "window_size": windows[0] if windows else 256,
        "activation_function": hf_activation(config),
        "layer_norm_epsilon": config.norm_eps,
        "tie_word_embeddings": config.tied,
    }


def rows(config: ModelConfig) -> list[Row]:
    h, ours = "transformer.h.{}", "blocks"
    return [
        table("transformer.wte.weight", "embedding"),
        table("transformer.wpe.weight", "position"),
        *norm("transformer.ln_f", "final_norm", True),
        *([] if config.tied else [table("lm_head.weight", "head")]),
        *norm(f"{h}.ln_1", f"{ours}.attention_norm", True),
        *[linear(f"{h}.attn.attention.{n[0]}_proj.weight", f"{ours}.attention.{n}") for n in ("query", "key", "value")],
        *linear_and_bias(f"{h}.attn.attention.out_proj", f"{ours}.attention.out", True, 2),
        *norm(f"{h}.ln_2", f"{ours}.mlp_norm", True),
        *linear_and_bias(f"{h}.mlp.c_fc", f"{ours}.mlp.up", True),
        *linear_and_bias(f"{h}.mlp.c_proj", f"{ours}.mlp.down", True),
    ]


def sizes() -> dict[str, ModelConfig]:
    """As released by EleutherAI."""
    shapes = {"gpt-neo-125m": (12, 768, 12), "gpt-neo-1.3b": (24, 2048, 16), "gpt-neo-2.7b": (32, 2560, 20)}
    shared: dict[str, Any] = dict(attention=("dense", "banded:256"), scaled_scores=False, qkv_bias=False)
    return {name: ModelConfig(50257, 2048, layers, embed, heads, **shared) for name, (layers, embed, heads) in shapes.items()}


FAMILY = Family(
    "gpt_neo",
    "GPTNeoForCausalLM",
    read_config,
    write_config,
    rows,
    "transformer.",
    sizes,
    ("attn.attention.bias", "attn.attention.masked_bias"),
)
