"""Whatever ends a run, the same command goes on as if nothing had happened: metrics.jsonl is compared byte for byte."""

import json
import random
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from conftest import process_environment
from tenfold.errors import UserError
from tenfold.sharding.config import MeshConfig
from tenfold.train.batches import Batches
from tenfold.train.checkpoint import Checkpoints
from tenfold.train.recipe import save_recipe
from tenfold.train.train import show_batch, train
from tiny_run import tiny_recipe

PROGRAM = Path(__file__).parent / "run_tiny.py"


def start(recipe, out: Path, *when, devices=1) -> subprocess.CompletedProcess:
    """The recipe in a process of its own, which signals itself: `start(recipe, out, SIGKILL, 5)`."""
    file = out.with_name(f"{out.name}.yaml")
    save_recipe(recipe, file)
    command = [sys.executable, str(PROGRAM), str(file), str(out), *(str(int(w)) for w in when)]
    return subprocess.run(command, env=process_environment(devices), capture_output=True, text=True, timeout=280)


def metrics(run: Path) -> bytes:
    return (run / "metrics.jsonl").read_bytes()


def losses(run: Path) -> list[float]:
    return [line["loss"] for line in map(json.loads, metrics(run).splitlines()) if "loss" in line]


@pytest.fixture(scope="module")
def whole(data, tmp_path_factory) -> Path:
    """A run of 12 steps that nothing interrupted, in f32."""
    out = tmp_path_factory.mktemp("whole") / "run"
    assert train(tiny_recipe(data), out).result["finished"]
    return out


def test_a_run_without_held_out_documents_says_so(data, tmp_path, caplog):
    """Shards named alone, without those to measure on: trained, with a warning instead of a silence."""
    train(tiny_recipe(data / "train", steps=1), tmp_path / "run")
    assert "no document is held out" in caplog.text
    assert not any("held_out_loss" in line for line in map(json.loads, metrics(tmp_path / "run").splitlines()))


def test_a_run_leaves_what_it_promises(whole, data):
    """Every step and measurement in order, the newest checkpoints alone, and losses that fall."""
    lines = [json.loads(line) for line in metrics(whole).splitlines()]
    assert [line["step"] for line in lines] == sorted([*range(1, 13), 4, 8, 12])
    steps = [line for line in lines if "loss" in line]
    assert all(set(line) == {"step", "tokens", "loss", "grad_norm", "lr", "batch"} for line in steps)
    assert [line["tokens"] for line in steps] == [step * 8 * 32 for step in range(1, 13)]
    measured = [line for line in lines if "held_out_loss" in line]
    assert [line["step"] for line in measured] == [4, 8, 12]
    assert measured[-1]["held_out_loss"] < measured[0]["held_out_loss"] < np.log(384)
    assert sorted(int(path.name) for path in (whole / "checkpoints").iterdir()) == [8, 12]
    assert losses(whole)[0] == pytest.approx(np.log(384), rel=0.02) and losses(whole)[-1] < losses(whole)[0] - 0.3


@pytest.mark.slow
def test_killed_twice_in_f32(whole, data, tmp_path):
    """kill -9 at a random step before the first checkpoint, then again after it, while a checkpoint may still be on its way to disk."""
    out = tmp_path / "run"
    for at in (random.Random(1).randint(2, 4), random.Random(2).randint(6, 11)):
        assert start(tiny_recipe(data), out, signal.SIGKILL, at).returncode == -signal.SIGKILL
        assert json.loads(metrics(out).splitlines()[-1])["step"] == at
    assert train(tiny_recipe(data), out).result["finished"]
    assert metrics(out) == metrics(whole)


@pytest.mark.slow
def test_killed_in_bf16_with_growing_batches(data, tmp_path):
    """A batch ramp, microbatches, masking of documents: killed right after a checkpoint was begun."""
    recipe = tiny_recipe(data, model=dict(dtype="bfloat16"), optimizer=dict(ramp_batch=4, ramp_tokens=1024), microbatch=4, z_loss=1e-4)
    recipe = replace(recipe, data=replace(recipe.data, mask_documents=True))
    assert train(recipe, tmp_path / "whole").result["finished"]
    assert start(recipe, tmp_path / "killed", signal.SIGKILL, 9).returncode == -signal.SIGKILL
    assert train(recipe, tmp_path / "killed").result["finished"]
    assert metrics(tmp_path / "killed") == metrics(tmp_path / "whole")
    batches = [json.loads(line)["batch"] for line in metrics(tmp_path / "whole").splitlines() if b"batch" in line]
    assert batches == sorted(batches) and set(batches) == {4, 8}


@pytest.mark.slow
def test_a_killed_mixture_of_experts(data, tmp_path):
    """Capacity, microbatches and both router losses; its lines say what the routers did, those of held-out loss do not."""
    mixture = dict(experts=4, expert_capacity=1.1, gated=True, mlp=24)
    recipe = tiny_recipe(data, model=mixture, microbatch=4, balance_loss=1e-2, router_z_loss=1e-3)
    assert train(recipe, tmp_path / "whole").result["finished"]
    assert start(recipe, tmp_path / "killed", signal.SIGKILL, 7).returncode == -signal.SIGKILL
    assert train(recipe, tmp_path / "killed").result["finished"]
    assert metrics(tmp_path / "killed") == metrics(tmp_path / "whole")
    for line in map(json.loads, metrics(tmp_path / "whole").splitlines()):
        assert ("loss" in line) == ("load" in line) == ("balance" in line) == ("router_z" in line)
        if "load" in line:
            assert len(line["load"]) == 4 and sum(line["load"]) == pytest.approx(1, abs=1e-5)
            assert line["balance"] > 0.9 and 0 <= line["dropped"] < 1
    assert any(line.get("dropped") for line in map(json.loads, metrics(tmp_path / "whole").splitlines()))


@pytest.mark.parametrize("damage", ["truncated", "garbled", "missing"])
def test_a_damaged_newest_checkpoint_falls_back_to_the_one_before(whole, data, tmp_path, damage):
    """The run goes on from step 8, and ends where it did."""
    out = tmp_path / "run"
    shutil.copytree(whole, out)
    files = sorted((path for path in (out / "checkpoints" / "12").rglob("*") if path.is_file()), key=lambda path: -path.stat().st_size)
    for path in files[:4] if damage != "missing" else files:
        match damage:
            case "truncated":
                path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
            case "garbled":
                path.write_bytes(bytes(255 - byte for byte in path.read_bytes()))
            case "missing":
                path.unlink()
    assert train(tiny_recipe(data), out).result["finished"]
    assert metrics(out) == metrics(whole)
    assert sorted(int(path.name) for path in (out / "checkpoints").iterdir() if path.name.isdigit())[-1] == 12
    with Checkpoints(out / "checkpoints") as checkpoints:
        assert checkpoints.steps()[-1] == 12


def test_where_no_checkpoint_can_be_read_nothing_is_started_over(whole, data, tmp_path):
    """All damaged: an error that names them, not a run from scratch over an old one."""
    out = tmp_path / "run"
    shutil.copytree(whole, out)
    for path in (out / "checkpoints").rglob("*"):
        if path.is_file():
            path.write_bytes(b"damaged")
    with pytest.raises(UserError, match=r"none of the checkpoints \[8, 12\] can be read"):
        train(tiny_recipe(data), out)
    assert metrics(out) == metrics(whole)


def test_a_finished_run_does_nothing_more(whole, data, tmp_path):
    out = tmp_path / "run"
    shutil.copytree(whole, out)
    assert train(tiny_recipe(data), out).result["finished"]
    assert metrics(out) == metrics(whole)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_eight_devices_then_four_two_and_one(whole, data, tmp_path):
    """SIGINT ends each sitting with a checkpoint; the next has half the devices and another mesh: same batches, losses within 1e-4."""
    out = tmp_path / "run"
    meshes = [
        (8, MeshConfig(data=2, fsdp=2, tensor=2), 3),
        (4, MeshConfig(data=-1, fsdp=2, sequence=2), 6),
        (2, MeshConfig(data=-1, tensor=2), 9),
    ]
    for devices, mesh, at in meshes:
        done = start(replace(tiny_recipe(data), mesh=mesh), out, signal.SIGINT, at, devices=devices)
        steps, finished = done.stdout.split() or [done.stderr, ""]
        assert finished == "False" and at <= int(steps) <= at + 1, done.stderr
    assert train(tiny_recipe(data), out).result["finished"]
    ours, alone = ([json.loads(line) for line in metrics(run).splitlines()] for run in (out, whole))
    assert [line["step"] for line in ours] == [line["step"] for line in alone]
    for mixed, single in zip(ours, alone, strict=True):
        assert mixed == {name: pytest.approx(value, rel=1e-4) for name, value in single.items()}


def test_losses_that_are_no_numbers_stop_the_run_and_name_what_is_known(data, tmp_path, monkeypatch):
    """A poisoned batch at step 7: the message has the step, its documents and the last good checkpoint, and no later line is written."""
    ordinary = Batches.__call__

    def poisoned(self, step):
        batch = ordinary(self, step)
        return batch._replace(weights_ABT=batch.weights_ABT * float("nan")) if step == 6 else batch

    monkeypatch.setattr(Batches, "__call__", poisoned)
    recipe = tiny_recipe(data)
    with pytest.raises(UserError) as stopped:
        train(recipe, tmp_path / "run")
    message = str(stopped.value)
    assert message.startswith("step 7: the loss is nan") and "The last good checkpoint is step 4." in message
    documents = {document["source"] for row in show_batch(recipe, 7, tmp_path / "run") for document in row["documents"]}
    assert f"Its batch holds {len(documents)} documents: {', '.join(sorted(documents)[:8])}" in message
    assert "--show-batch 7" in message
    assert json.loads(metrics(tmp_path / "run").splitlines()[-1])["step"] == 6
    monkeypatch.undo()
    assert train(recipe, tmp_path / "run").result["finished"]


def test_showing_a_batch_shows_what_is_trained_on(data, tmp_path):
    """The rows that step 3 reads, their text, and documents whose places cover each row."""
    recipe = tiny_recipe(data)
    rows = show_batch(recipe, 3, tmp_path / "run")
    assert [row["row"] for row in rows] == list(range(16, 24))
    for row in rows:
        places = [place for document in row["documents"] for place in range(document["tokens"][0], document["tokens"][1] + 1)]
        assert places == list(range(32))
        assert row["text"]
    for step in (0, 13):
        with pytest.raises(UserError, match=f"--show-batch is {step}, but the run's steps are 1 to 12"):
            show_batch(recipe, step, tmp_path / "run")
