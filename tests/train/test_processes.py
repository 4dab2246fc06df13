"""Two real processes that talk over TCP (gloo) train one run, by the command line."""

import json
import socket
import subprocess
import sys

import pytest

from conftest import process_environment
from tenfold.train.recipe import save_recipe
from tenfold.train.train import train
from tiny_run import tiny_recipe


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_two_processes_give_the_losses_of_one(data, tmp_path):
    """Weights and batch are cut over both: every line of metrics.jsonl within 1e-4, written once; only the first says it is done."""
    recipe = tiny_recipe(data, steps=8, microbatch=4)
    assert train(recipe, tmp_path / "alone").result["finished"]
    save_recipe(recipe, tmp_path / "recipe.yaml")
    command = [sys.executable, "-m", "tenfold.cli", "train", str(tmp_path / "recipe.yaml"), "--out", str(tmp_path / "together")]
    command += ["--mesh.fsdp", "2", "--coordinator", f"127.0.0.1:{free_port()}", "--processes", "2", "--process"]
    started = [
        subprocess.Popen([*command, str(number)], env=process_environment(1), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for number in range(2)
    ]
    try:
        said = [process.communicate(timeout=500) for process in started]
    finally:
        for process in started:
            process.kill()
    assert [process.returncode for process in started] == [0, 0], said
    alone, together = (
        [json.loads(line) for line in (tmp_path / name / "metrics.jsonl").read_text().splitlines()] for name in ("alone", "together")
    )
    assert len(alone) == len(together) == 8 + 2
    for single, shared in zip(alone, together, strict=True):
        assert shared == {name: pytest.approx(value, rel=1e-4) for name, value in single.items()}
    assert json.loads((tmp_path / "together" / "result.json").read_text())["finished"]
    assert "Done:" in said[0][0] and "Done:" not in said[1][0]
