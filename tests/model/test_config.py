"""What a ModelConfig refuses, and with which words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.errors import UserError
from tenfold.model.config import Banded, Dense, ModelConfig, attention_kind


@pytest.mark.parametrize(
    "fields, message",
    [
        (
            dict(embed=500, heads=12),
            "model.heads is 12 but model.embed is 500, which 12 does not divide.\n  Try embed 504 or 492, or heads 10.",
        ),
        (dict(layers=0), "model.layers is 0, but must be at least 1."),
        (dict(vocab=-5), "model.vocab is -5, but must be at least 1."),
        (dict(context=0), "model.context is 0"),
        (dict(mlp=-1), "model.mlp is -1"),
        (dict(attention=()), "model.attention is empty"),
        (dict(attention=("sparse",)), "model.attention has 'sparse', which names no kind of attention.\n  Use dense or banded:WINDOW"),
        (dict(attention=("banded:0",)), "'banded:0'"),
        (
            dict(layers=5, attention=("dense", "banded:4")),
            "names 2 kinds (dense banded:4), which do not divide model.layers 5.\n  Use 4 layers",
        ),
        (dict(norm_eps=0.0), "model.norm_eps is 0.0"),
        (dict(kv_heads=5), "model.kv_heads is 5, which does not divide model.heads 12.\n  Use one of 1, 2, 3, 4, 6, 12."),
        (dict(positions="rotary", rotary_dim=7), "model.rotary_dim is 7, but must be even and at most the width of a head, 64."),
        (dict(positions="rotary", rotary_dim=66), "model.rotary_dim is 66"),
        (dict(positions="relative", relative_buckets=6), "model.relative_buckets is 6"),
        (dict(causal=False, attention=("banded:4",)), "bands look backwards only and model.causal is False.\n  Use dense."),
        (dict(residual="parallel", norm_place="after"), "model.residual is 'parallel'"),
        (dict(experts=2, experts_per_token=3), "model.experts_per_token is 3, but must be from 1 to model.experts 2."),
        (dict(chunk=-1), "model.chunk is -1, but must be at least 1, or 0"),
        (dict(chunk=64, experts=4), "model.chunk is 64, but model.experts is 4: experts are given the tokens of whole rows.\n  Leave"),
        (dict(shared_experts=1), "mean nothing while model.experts is 0"),
    ],
)
def test_what_cannot_work_is_refused_with_field_value_and_mend(fields, message):
    with pytest.raises(UserError) as refused:
        ModelConfig(**fields)
    assert message in str(refused.value)


@given(embed=st.integers(1, 3000), heads=st.integers(1, 64))
def test_the_mends_of_heads_that_do_not_divide_are_mends(embed, heads):
    """Every width and number of heads that the message offers works."""
    if embed % heads == 0:
        assert ModelConfig(embed=embed, heads=heads).width * heads == embed
        return
    with pytest.raises(UserError) as refused:
        ModelConfig(embed=embed, heads=heads)
    mend = str(refused.value).splitlines()[1].replace(",", " ").replace(".", " ").split()
    widths = [int(word) for at, word in enumerate(mend) if mend[at - 1] == "embed" or (mend[at - 1] == "or" and word.isdigit())]
    assert widths
    for width in widths:
        ModelConfig(embed=width, heads=heads)
    if "heads" in mend:
        ModelConfig(embed=embed, heads=int(mend[mend.index("heads") + 1]))


def test_kinds_cycle_over_the_layers():
    config = ModelConfig(layers=6, attention=("dense", "banded:7", "banded:9"))
    assert config.kinds == (Dense(), Banded(7), Banded(9)) * 2
    assert (config.period, ModelConfig(layers=6, attention=config.attention, scan=True).period) == (6, 3)


@pytest.mark.parametrize("spec", ["banded:", "banded:-3", "banded:3.5", "dense:4", "Dense", " dense", "banded:4\n"])
def test_words_that_name_no_kind_are_refused(spec):
    with pytest.raises(UserError):
        attention_kind(spec, 64)
