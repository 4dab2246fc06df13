"""All families, by the model_type of a config.json, and all published sizes by name."""

from typing import Any

from tenfold.errors import UserError
from tenfold.model.config import ModelConfig
from tenfold.model.families import bert, falcon, gpt2, gpt_j, gpt_neo, gpt_neox, llama, t5
from tenfold.model.families.names import Family

FAMILIES: dict[str, Family] = {
    family.model_type: family
    for family in (
        gpt2.FAMILY,
        gpt_neo.FAMILY,
        gpt_j.FAMILY,
        gpt_neox.FAMILY,
        llama.LLAMA,
        llama.MISTRAL,
        llama.QWEN2,
        llama.MIXTRAL,
        falcon.FAMILY,
        bert.FAMILY,
        t5.FAMILY,
    )
}


def published() -> dict[str, ModelConfig]:
    """Every published size of every family."""
    return {name: config for family in FAMILIES.values() for name, config in family.sizes().items()}


def family_of(config: ModelConfig) -> tuple[Family, dict]:
    """A family that a model of this shape is of, and its config.json; UserError where there is none."""
    for family in FAMILIES.values():
        try:
            hf = family.write_config(config)
            if essence(family.read_config({"model_type": family.model_type} | hf)) == essence(config):
                return family, hf
        except UserError:
            continue
    raise UserError(
        f"no family of the Hugging Face library is a model of this shape: {config}.\n"
        f"  Known are {', '.join(FAMILIES)}; GPT-2's attention, for one, is dense in every layer."
    )


def essence(config: ModelConfig) -> dict[str, Any]:
    """What decides a model's numbers, with what is left to the usual filled in."""
    values = dict(vars(config)) | {"dtype": "", "remat": "", "chunk": 0, "scan": "", "attention": config.kinds}
    values |= {"head_dim": config.width, "mlp": config.hidden, "kv_heads": config.groups}
    values |= (
        {"rotary_dim": config.rotated, "rotary_base": config.rotary_base} if config.positions in ("rotary", "xpos") else {"rotary_dim": 0}
    )
    if config.positions not in ("rotary", "xpos"):
        values |= {"rotary_pairs": "", "rotary_base": 0}
    if config.positions != "relative":
        values |= {"relative_buckets": 0, "relative_distance": 0}
    if not config.experts:
        values |= {"experts_per_token": 0, "router_renormalised": True}
    return values
