"""An update is a function of its completions, not of how they are cut over devices and microbatches, or padded."""

import json
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def found(run_python) -> dict[str, dict]:
    out = run_python(Path(__file__).with_name("on_eight_devices.py"), timeout=290)
    return {line["method"]: line for line in map(json.loads, out.splitlines())}


@pytest.mark.slow
@pytest.mark.parametrize("method", ["grpo", "sequence", "longest", "ppo", "reward", "dpo", "ensemble", "kto"])
@pytest.mark.parametrize("way", ["mesh", "microbatches", "padding"])
def test_an_update_is_the_same(found, method, way):
    """Weights, critic and figures after it, over completions of uneven lengths and prompts of uneven numbers of pairs, within 1e-5; the
    update itself moves weights a thousand times as far."""
    assert found[method]["devices"] == 8
    assert found[method][way] < 1e-5 and found[method]["moved"] > 1e-2
