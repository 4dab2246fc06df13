"""BERT (Devlin et al. 2019): attention both ways, norms after the residual, a transform before the head; for the masked objective."""

from typing import Any

from tenfold.model.config import ModelConfig
from tenfold.model.families.names import Family, Row, activation, hf_activation, linear_and_bias, norm, number, plain, shape_of, table

SHARED: dict[str, Any] = dict(
    causal=False,
    norm_place="after",
    embedding_norm=True,
    activation="gelu",
    norm_eps=1e-12,
    head_transform=True,
    head_bias=True,
    token_types=2,
)


def read_config(hf: dict) -> ModelConfig:
    shape, mlp = shape_of(hf), number(hf, "intermediate_size")
    said: dict[str, Any] = dict(
        activation=activation(hf, "hidden_act"),
        norm_eps=number(hf, "layer_norm_eps", default=1e-12),
        token_types=number(hf, "type_vocab_size"),
    )
    return ModelConfig(
        **shape,
        mlp=0 if mlp == 4 * shape["embed"] else mlp,
        tied=hf.get("tie_word_embeddings", True),
        **(SHARED | said),
    )


def write_config(config: ModelConfig) -> dict:
    return {
        "vocab_size": config.vocab,
        "max_position_embeddings": config.context,
        "num_hidden_layers": config.layers,
        "hidden_size": config.embed,
        "num_attention_heads": config.heads,
        "intermediate_size": config.hidden,
        "hidden_act": hf_activation(config),
        "layer_norm_eps": config.norm_eps,
        "type_vocab_size": config.token_types,
        "tie_word_embeddings": config.tied,
    }


def rows(config: ModelConfig) -> list[Row]:
    e, h, p = "bert.embeddings", "bert.encoder.layer.{}", "cls.predictions"
    return [
        table(f"{e}.word_embeddings.weight", "embedding"),
        table(f"{e}.position_embeddings.weight", "position"),
        table(f"{e}.token_type_embeddings.weight", "token_type"),
        *norm(f"{e}.LayerNorm", "embedding_norm", True),
        *[row for n in ("query", "key", "value") for row in linear_and_bias(f"{h}.attention.self.{n}", f"blocks.attention.{n}", True)],
        *linear_and_bias(f"{h}.attention.output.dense", "blocks.attention.out", True, 2),
        *norm(f"{h}.attention.output.LayerNorm", "blocks.attention_norm", True),
        *linear_and_bias(f"{h}.intermediate.dense", "blocks.mlp.up", True),
        *linear_and_bias(f"{h}.output.dense", "blocks.mlp.down", True),
        *norm(f"{h}.output.LayerNorm", "blocks.mlp_norm", True),
        *_transform(p),
        *([] if config.tied else [table(f"{p}.decoder.weight", "head")]),
        plain(f"{p}.bias", "head_bias"),
    ]


def _transform(p: str) -> list[Row]:
    weight, bias = linear_and_bias(f"{p}.transform.dense", "head_transform.weight", True)
    return [weight, bias._replace(ours=("head_transform.bias",)), *norm(f"{p}.transform.LayerNorm", "head_transform.norm", True)]


def sizes() -> dict[str, ModelConfig]:
    shapes = {"bert-base": (12, 768, 12), "bert-large": (24, 1024, 16)}
    return {name: ModelConfig(30522, 512, layers, embed, heads, **SHARED) for name, (layers, embed, heads) in shapes.items()}


FAMILY = Family(
    "bert",
    "BertForMaskedLM",
    read_config,
    write_config,
    rows,
    "bert.",
    sizes,
    (
        "position_ids",
        "cls.predictions.decoder.bias",
        "pooler.dense.weight",
        "pooler.dense.bias",
        "seq_relationship.weight",
        "seq_relationship.bias",
    ),
)
