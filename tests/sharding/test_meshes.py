"""A mesh changes where numbers lie, not what they are: 8 virtual devices against one, in processes of their own."""

import json
from pathlib import Path

import pytest

VOCAB, ROWS, CONTEXT = 776, 8, 12
MESHES = {
    "cut over the batch": {"scanned": [{"data": 8}, {"fsdp": 8}], "unrolled": [{"data": 2, "fsdp": 2, "tensor": 2}]},
    "cut over the vocabulary": {"scanned": [{"tensor": 2}, {"tensor": 4}, {"data": 1, "fsdp": 2, "tensor": 4}]},
    "of another family": {"llama": [{"data": 2, "fsdp": 2, "tensor": 2}]},
}


@pytest.mark.timeout(600)
@pytest.mark.slow
@pytest.mark.parametrize("meshes", MESHES.values(), ids=MESHES)
def test_meshes_give_the_numbers_of_one_device(run_python, meshes):
    """f32: the loss within 1e-5 relative; every weight's gradient within 1e-5 of its largest entry; the first weights to the last bit.

    And what crosses devices in the compiled loss and gradient: with the table cut over the vocabulary, no all-gather makes an array as
    wide as the vocabulary; no device gathers the activations of the whole batch.
    """
    program = Path(__file__).parent / "on_eight_devices.py"
    lines = [json.loads(line) for line in run_python(program, json.dumps(meshes), devices=8, timeout=550).splitlines()]
    assert [(line["model"], line["mesh"]) for line in lines] == [(model, mesh) for model, each in meshes.items() for mesh in each]
    for line in lines:
        named = line["model"], line["mesh"]
        assert line["devices"] == 8
        assert line["same_start"], named
        assert line["loss"] < 1e-5, named
        assert len(line["gradients"]) == (3 + 2 * 9 if line["model"] == "llama" else 4 + 2 * 16)
        # The true gradient of the keys' biases is zero: what is there is rounding.
        assert {name: far for name, far in line["gradients"].items() if far > 1e-5 and "key_bias" not in name} == {}, named
        wide = [shape for shape in line["gathered"] if VOCAB in shape]
        if line["mesh"].get("tensor", 1) > 1:
            assert wide == [] and line["reduced"], named
        elif "fsdp" in line["mesh"]:
            assert wide, "fsdp gathers the table [V, D], so a gather of the vocabulary is something this test can see"
        assert [shape for shape in line["gathered"] if shape[:2] == [ROWS, CONTEXT]] == [], named
