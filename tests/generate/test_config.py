"""Settings that cannot work are refused by name."""

import pytest

from tenfold.errors import UserError
from tenfold.generate.config import GenerateConfig


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("max_tokens", 0),
        ("temperature", -0.1),
        ("temperature", float("nan")),
        ("temperature", float("inf")),
        ("top_k", -1),
        ("top_p", 0.0),
        ("top_p", 1.01),
        ("top_p", float("nan")),
        ("stop", ("a", "")),
        ("stop", ""),
        ("seed", -1),
        ("seed", 2**32),
    ],
)
def test_the_message_names_the_setting_and_its_value(setting, value):
    with pytest.raises(UserError) as refused:
        GenerateConfig(**{setting: value})
    assert str(refused.value).startswith(f"{setting} is {value!r}")


def test_a_single_stop_is_one_text():
    assert GenerateConfig(stop="end").stops == ("end",)
    assert GenerateConfig(stop=("a", "b")).stops == ("a", "b")
