"""An update is a function of its completions, not of how they are cut over devices and microbatches, or padded."""

import json
from pathlib import Path

import pytest


@pytest.mark.slow
@pytest.mark.parametrize("method", ["grpo", "sequence", "longest", "ppo", "reward", "dpo", "forks", "ensemble", "kto"])
def test_an_update_is_the_same(run_python, method):
    """Weights, critic and figures after it, over completions of uneven lengths and prompts of uneven numbers of pairs, within 1e-5; the
    update itself moves weights a thousand times as far."""
    found = json.loads(run_python(Path(__file__).with_name("on_eight_devices.py"), method))
    assert found["devices"] == 8 and found["moved"] > 1e-2
    assert all(found[way] < 1e-5 for way in ("mesh", "microbatches", "padding"))
