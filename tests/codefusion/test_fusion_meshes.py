"""A mesh changes where the numbers of a training lie, not what they are."""

import json
from pathlib import Path

import pytest


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_every_kind_trains_the_same_over_data_fsdp_and_tensor(run_python, tmp_path):
    """f32: four steps on 2 x 2 x 2 devices give the losses of one device, and its weights."""
    program = Path(__file__).parent / "on_eight_devices.py"
    said = run_python(program, tmp_path, devices=8, timeout=550, env={"PYTHONPATH": str(Path(__file__).parents[1])})
    lines = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    assert [line["kind"] for line in lines] == ["codefusion", "masked", "autoregressive"]
    for line in lines:
        one, cut = line["losses"]
        assert line["devices"] == 8 and len(one) == 4
        assert cut == pytest.approx(one, rel=1e-5)
        assert one[0] != one[-1] and line["far"] < 1e-4, line
