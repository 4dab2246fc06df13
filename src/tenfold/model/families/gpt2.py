"""GPT-2 (Radford et al. 2019) in four sizes; GPT-3 with dense attention only has the same names."""

from tenfold.errors import UserError
from tenfold.model.config import ModelConfig
from tenfold.model.families.names import Family, Row, activation, conv1d, hf_activation, joined, norm, number, plain, shape_of, table

QKV = ("query", "key", "value")


def read_config(hf: dict) -> ModelConfig:
    for name, usual in (("scale_attn_weights", True), ("scale_attn_by_inverse_layer_idx", False), ("add_cross_attention", False)):
        if hf.get(name, usual) != usual:
            raise UserError(f"config.json says {name} {hf[name]}, and only {usual} is known here.")
    return ModelConfig(
        **shape_of(hf, "n_positions n_ctx", "n_layer", "n_embd", "n_head"),
        mlp=hf.get("n_inner") or 0,
        activation=activation(hf, "activation_function"),
        norm_eps=number(hf, "layer_norm_epsilon", default=1e-5),
        tied=hf.get("tie_word_embeddings", True),
    )


def write_config(config: ModelConfig) -> dict:
    return {
        "vocab_size": config.vocab,
        "n_positions": config.context,
        "n_layer": config.layers,
        "n_embd": config.embed,
        "n_head": config.heads,
        "n_inner": config.mlp or None,
        "activation_function": hf_activation(config),
        "layer_norm_epsilon": config.norm_eps,
        "tie_word_embeddings": config.tied,
    }


def rows(config: ModelConfig) -> list[Row]:
    h, ours = "transformer.h.{}", "blocks"
    head = [] if config.tied else [table("lm_head.weight", "head")]
    return [
        table("transformer.wte.weight", "embedding"),
        table("transformer.wpe.weight", "position"),
        *norm("transformer.ln_f", "final_norm", True),
        *head,
        *norm(f"{h}.ln_1", f"{ours}.attention_norm", True),
        joined(f"{h}.attn.c_attn.weight", [f"{ours}.attention.{n}" for n in QKV]),
        joined(f"{h}.attn.c_attn.bias", [f"{ours}.attention.{n}_bias" for n in QKV]),
        conv1d(f"{h}.attn.c_proj.weight", f"{ours}.attention.out", 2),
        plain(f"{h}.attn.c_proj.bias", f"{ours}.attention.out_bias"),
        *norm(f"{h}.ln_2", f"{ours}.mlp_norm", True),
        conv1d(f"{h}.mlp.c_fc.weight", f"{ours}.mlp.up"),
        plain(f"{h}.mlp.c_fc.bias", f"{ours}.mlp.up_bias"),
        conv1d(f"{h}.mlp.c_proj.weight", f"{ours}.mlp.down"),
        plain(f"{h}.mlp.c_proj.bias", f"{ours}.mlp.down_bias"),
    ]


def sizes() -> dict[str, ModelConfig]:
    """Of table 2 of the paper, with the released vocabulary."""
    shapes = {"gpt2": (12, 768, 12), "gpt2-medium": (24, 1024, 16), "gpt2-large": (36, 1280, 20), "gpt2-xl": (48, 1600, 25)}
    return {name: ModelConfig(50257, 1024, layers, embed, heads) for name, (layers, embed, heads) in shapes.items()}


FAMILY = Family("gpt2", "GPT2LMHeadModel", read_config, write_config, rows, "transformer.", sizes, ("attn.bias", "attn.masked_bias"))
