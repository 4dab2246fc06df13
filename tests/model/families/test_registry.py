"""Published sizes have the published numbers of parameters, and configurations survive the trip through config.json."""

from dataclasses import replace

import pytest

from tenfold.model.families.registry import FAMILIES, family_of, published
from tenfold.model.params import parameter_count

# As `transformers` counts the parameters of the released checkpoints (tied tables once; Pythia's also in table 1 of its paper).
PARAMETERS = {
    "gpt2": 124_439_808,
    "gpt2-medium": 354_823_168,
    "gpt2-large": 774_030_080,
    "gpt2-xl": 1_557_611_200,
    "gpt-neo-125m": 125_198_592,
    "gpt-neo-1.3b": 1_315_575_808,
    "gpt-neo-2.7b": 2_651_307_520,
    "gpt-j-6b": 6_050_882_784,
    "gpt-neox-20b": 20_554_567_680,
    "pythia-70m": 70_426_624,
    "pythia-160m": 162_322_944,
    "pythia-410m": 405_334_016,
    "pythia-1b": 1_011_781_632,
    "pythia-1.4b": 1_414_647_808,
    "pythia-2.8b": 2_775_208_960,
    "pythia-6.9b": 6_857_302_016,
    "pythia-12b": 11_846_072_320,
    "llama-7b": 6_738_415_616,
    "llama-13b": 13_015_864_320,
    "llama-2-70b": 68_976_648_192,
    "smollm2-135m": 134_515_008,
    "mistral-7b": 7_241_732_096,
    "mixtral-8x7b": 46_702_792_704,
    "falcon-7b": 6_921_720_704,
    "bert-base": 109_514_298,
    "bert-large": 335_174_458,
    "t5-small": 60_506_624,
    "t5-base": 222_903_552,
    "t5-large": 737_668_096,
    "t5-3b": 2_851_598_336,
    "t5-11b": 11_307_321_344,
}


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_published_size_has_its_parameters(name):
    assert parameter_count(published()[name]) == PARAMETERS[name]


@pytest.mark.parametrize("name", published())
def test_a_configuration_survives_config_json(name):
    """Written and read again it is the same model, of the same family."""
    config = published()[name]
    family, hf = family_of(config)
    assert name in family.sizes() or family.model_type in ("llama", "mistral")  # Mistral without a window is LLaMA
    again = family.read_config(hf)
    assert parameter_count(again) == parameter_count(config)
    assert family_of(again)[1] == hf


def test_every_kind_of_config_json_is_its_familys_own():
    """No two families write the same model_type, and each reads what it writes."""
    assert [family.model_type for family in FAMILIES.values()] == list(FAMILIES)
    config = replace(published()["gpt2"], attention=("dense", "banded:256"), scaled_scores=False, qkv_bias=False)
    assert family_of(config)[0].model_type == "gpt_neo"
