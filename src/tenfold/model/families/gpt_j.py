"""GPT-J (Wang and Komatsuzaki 2021): rotary embeddings in interleaved pairs, attention and feed-forward behind one norm."""

from tenfold.model.config import ModelConfig
from tenfold.model.families.names import (
    Family,
    Row,
    activation,
    hf_activation,
    linear,
    linear_and_bias,
    norm,
    number,
    plain,
    shape_of,
    table,
)


def read_config(hf: dict) -> ModelConfig:
    return ModelConfig(
        **shape_of(hf, "n_positions", "n_layer", "n_embd", "n_head"),
        mlp=hf.get("n_inner") or 0,
        positions="rotary",
        rotary_dim=hf.get("rotary_dim") or 0,
        rotary_pairs="interleaved",
        residual="shared",
        activation=activation(hf, "activation_function"),
        norm_eps=number(hf, "layer_norm_epsilon", default=1e-5),
        qkv_bias=False,
        out_bias=False,
        tied=hf.get("tie_word_embeddings", False),
        head_bias=True,
    )


def write_config(config: ModelConfig) -> dict:
    return {
        "vocab_size": config.vocab,
        "n_positions": config.context,
        "n_layer": config.layers,
        "n_embd": config.embed,
        "n_head": config.heads,
        "n_inner": config.mlp or None,
        "rotary_dim": config.rotary_dim or None,
        "activation_function": hf_activation(config),
        "layer_norm_epsilon": config.norm_eps,
        "tie_word_embeddings": config.tied,
    }


def rows(config: ModelConfig) -> list[Row]:
    h, ours = "transformer.h.{}", "blocks"
    return [
        table("transformer.wte.weight", "embedding"),
        *norm("transformer.ln_f", "final_norm", True),
        *([] if config.tied else [table("lm_head.weight", "head")]),
        plain("lm_head.bias", "head_bias"),
        *norm(f"{h}.ln_1", f"{ours}.attention_norm", True),
        *[linear(f"{h}.attn.{n[0]}_proj.weight", f"{ours}.attention.{n}") for n in ("query", "key", "value")],
        linear(f"{h}.attn.out_proj.weight", f"{ours}.attention.out", 2),
        *linear_and_bias(f"{h}.mlp.fc_in", f"{ours}.mlp.up", True),
        *linear_and_bias(f"{h}.mlp.fc_out", f"{ours}.mlp.down", True),
    ]


def sizes() -> dict[str, ModelConfig]:
    six = ModelConfig(
        50400,
        2048,
        28,
        4096,
        16,
        positions="rotary",
        rotary_dim=64,
        rotary_pairs="interleaved",
        residual="shared",
        qkv_bias=False,
        out_bias=False,
        tied=False,
        head_bias=True,
    )
    return {"gpt-j-6b": six}


FAMILY = Family("gptj", "GPTJForCausalLM", read_config, write_config, rows, "transformer.", sizes, ("attn.bias", "attn.masked_bias"))
