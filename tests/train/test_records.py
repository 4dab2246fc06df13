"""A run is one process's as long as it trains."""

import subprocess
import sys

import pytest

from tenfold.codefusion.run import begin_fusion_run, open_fusion_run, prepare_fusion
from tenfold.codefusion.train import train_fusion
from tenfold.errors import UserError
from tenfold.train.recipe import save_recipe
from tenfold.train.records import held
from tenfold.train.train import train
from tiny_fusion import AUTOREGRESSIVE, tiny_fusion, write_pairs
from tiny_run import tiny_recipe

HOLDS = """
import sys
from pathlib import Path
from tenfold.train.records import held
with held(Path(sys.argv[1])):
    print("held", flush=True)
    input()
"""


def test_a_run_is_held_by_one_and_let_go_by_a_kill(tmp_path):
    with subprocess.Popen([sys.executable, "-c", HOLDS, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout and other.stdout.readline() == "held\n"
        with pytest.raises(UserError, match="is being trained by another process"), held(tmp_path):
            raise AssertionError("nothing is done")
        with held(tmp_path, here=False):
            pass  # of processes that train together, the first alone holds it
        other.kill()
        other.wait()
    for _ in range(2):
        with held(tmp_path):
            pass


def test_a_second_training_is_refused_before_it_changes_anything(data, tmp_path):
    out = tmp_path / "run"
    out.mkdir()
    save_recipe(tiny_recipe(data, steps=1), out / "recipe.yaml")
    with held(out), pytest.raises(UserError, match="is being trained by another process"):
        train(tiny_recipe(data, steps=1), out)
    assert not {"metrics.jsonl", "checkpoints"} & {path.name for path in out.iterdir()}


def test_a_second_training_of_code_is_refused(tmp_path):
    recipe, out = tiny_fusion(write_pairs(tmp_path), AUTOREGRESSIVE, steps=1), tmp_path / "run"
    begin_fusion_run(open_fusion_run(out, recipe), prepare_fusion(recipe, out))
    with held(out), pytest.raises(UserError, match="is being trained by another process"):
        train_fusion(recipe, out)
