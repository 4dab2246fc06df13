"""Fine-tuning on conversations: it learns answers alone, and its runs are as whole as any."""

import json
import os
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import tenfold
from tenfold.align.sft import planned, prepared, rows_of, shown, train_sft
from tenfold.errors import UserError
from tenfold.model.config import ModelConfig
from tenfold.objectives.causal import causal_loss
from tenfold.report.page import report
from tenfold.train.recipe import LoraConfig
from tenfold.train.train import Quiet, show_batch, train
from tiny_chat import CONFIG, tiny_sft, write_conversations, write_model


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return write_model(tmp_path_factory.mktemp("model") / "base")


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return write_conversations(tmp_path_factory.mktemp("data") / "names.jsonl")


@pytest.fixture(scope="module")
def tuned(model, data, tmp_path_factory):
    """A run that nothing interrupted."""
    return train_sft(tiny_sft(model, data), tmp_path_factory.mktemp("tuned") / "run")


def lines(run: Path, name: str = "metrics.jsonl") -> list[dict]:
    return [json.loads(line) for line in (run / name).read_text().splitlines()]


class Stopper(Quiet):
    """Asks its own process to stop at a step."""

    def __init__(self, at: int):
        super().__init__()
        self.at = at

    def step(self, step: int, *figures) -> None:
        if step == self.at:
            os.kill(os.getpid(), signal.SIGTERM)


def test_a_run_is_whole(tuned):
    """Loss, held-out loss from before the first step on, answers over time, what was read, and a page."""
    losses = [line["loss"] for line in lines(tuned.path) if "loss" in line]
    held_out = [line["held_out_loss"] for line in lines(tuned.path) if "held_out_loss" in line]
    assert len(losses) == 6 and len(held_out) == 4
    assert held_out[-1] < held_out[0] - 0.5
    samples = lines(tuned.path, "samples.jsonl")
    assert {sample["step"] for sample in samples} == {2, 4, 6} and all(sample["prompt"][0].isdigit() for sample in samples)
    counts = json.loads((tuned.path / "conversations.json").read_text())
    assert counts == tuned.result["conversations"] and tuned.result["command"] == "align sft" and tuned.result["finished"]
    assert counts["train"]["conversations"] + counts["held_out"]["conversations"] == 60
    assert 0 < counts["train"]["trained_tokens"] < counts["train"]["tokens"] / 2
    assert "held_out" in report([tuned.path]).read_text()


def test_the_loss_is_the_mean_over_what_the_assistant_writes(model, data, tuned):
    """Of the first step, by hand: conversation by conversation, over the tokens of its answers and their ends, of the whole batch."""
    recipe, material = prepared(tiny_sft(model, data), tuned.path)
    base, batch_rows = tenfold.load(model), 4
    rows = rows_of(recipe, material.train)
    numbers = [material.train.conversations.index(c) for r in range(batch_rows) for c in _conversations(rows, material, r)]
    ids, trained = (np.zeros((len(numbers), CONFIG.context + 1), int) for _ in range(2))
    for row, number in enumerate(numbers):
        found = material.train.encoded[number]
        ids[row, : len(found.ids)], trained[row, : len(found.ids)] = found.ids, found.trained
    weights = trained[:, 1:].astype(np.float32)
    total = float(causal_loss(base.params, base.config, ids[:, :-1], ids[:, 1:], weights).loss)
    assert lines(tuned.path)[1]["loss"] == pytest.approx(total / weights.sum(), rel=1e-5)


def _conversations(rows, material, row: int) -> list:
    sources = {record["source"] for record, _, _ in rows.provenance(row)}
    return [conversation for conversation in material.train.conversations if conversation.where in sources]


def test_a_run_that_was_stopped_goes_on_to_the_same_numbers(model, data, tuned, tmp_path):
    """To the last byte of metrics.jsonl."""
    recipe = tiny_sft(model, data, prompts=())
    stopped = train_sft(recipe, tmp_path / "run", Stopper(3))
    assert not stopped.result["finished"] and stopped.result["steps"] < 6
    assert train_sft(recipe, tmp_path / "run").result["finished"]
    assert (tmp_path / "run" / "metrics.jsonl").read_bytes() == (tuned.path / "metrics.jsonl").read_bytes()


@pytest.mark.slow
def test_microbatches_change_nothing(model, data, tuned, tmp_path):
    """Rows hold unequal numbers of trained tokens; the mean is over those of the whole batch."""
    cut = train_sft(tiny_sft(model, data, microbatch=1, prompts=()), tmp_path / "run")
    ours, theirs = ([line["loss"] for line in lines(run.path) if "loss" in line] for run in (cut, tuned))
    np.testing.assert_allclose(ours, theirs, rtol=2e-5)


@pytest.mark.slow
def test_adapters_learn_and_answer(model, data, tmp_path):
    """The base's weights stay where they are; the run loads as one model, with its chat template."""
    recipe = replace(tiny_sft(model, data, prompts=()), lora=LoraConfig(4, 8.0, ("query", "value", "up", "down")))
    run = train_sft(recipe, tmp_path / "run")
    held_out = [line["held_out_loss"] for line in lines(run.path) if "held_out_loss" in line]
    assert held_out[-1] < held_out[0]
    loaded = tenfold.load(run.path)
    assert isinstance(loaded.chat("1 alpha", max_tokens=3, temperature=0.0), str)


def test_what_changed_is_not_gone_on_with(model, data, tuned):
    """Another answer in the data, or rows made otherwise, would be another run."""
    original = data.read_text()
    rows = [json.loads(line) for line in original.splitlines()]
    rows[-1]["messages"][-1]["content"] = "other"
    try:
        data.write_text("".join(json.dumps(row) + "\n" for row in rows))
        with pytest.raises(UserError, match="begun with other data"):
            train_sft(tiny_sft(model, data), tuned.path)
    finally:
        data.write_text(original)
    recipe = tiny_sft(model, data)
    with pytest.raises(UserError, match="chat.pack: True there, False asked for"):
        train_sft(replace(recipe, chat=replace(recipe.chat, pack=False)), tuned.path)


def test_long_conversations_are_dropped_or_cut_and_counted(model, tmp_path):
    """A conversation that is too long even for its question has nothing to learn from, and is dropped either way."""
    file = tmp_path / "long.jsonl"
    rows = [("q", "alpha"), ("q", "alpha " * 60), ("q " * 80, "alpha")]
    file.write_text("".join(json.dumps({"prompt": q, "completion": a}) + "\n" for q, a in rows))
    held_out = write_conversations(tmp_path / "held_out.jsonl", 3)
    recipe = tiny_sft(model, file)
    recipe = replace(recipe, data=replace(recipe.data, held_out=str(held_out)))
    _, material = prepared(recipe, tmp_path / "run")
    assert (len(material.train.encoded), material.train.dropped, material.train.cut) == (1, 2, 0)
    recipe = replace(recipe, chat=replace(recipe.chat, too_long="cut"))
    _, material = prepared(recipe, tmp_path / "run")
    assert (len(material.train.encoded), material.train.dropped, material.train.cut) == (2, 1, 1)
    assert len(material.train.encoded[1].ids) == CONFIG.context + 1
    assert len(material.held_out.encoded) == 3


def test_no_question_is_on_both_sides(model, tmp_path):
    """Not even with another answer, nor where held-out conversations are named."""
    file = tmp_path / "a.jsonl"
    rows = [(f"{number % 40}", f"alpha {number}") for number in range(80)]
    file.write_text("".join(json.dumps({"prompt": q, "completion": a}) + "\n" for q, a in rows))
    held = tmp_path / "held.jsonl"
    held.write_text(json.dumps({"prompt": "7", "completion": "beta"}) + "\n")
    recipe = tiny_sft(model, file)
    for named in (None, str(held)):
        _, material = prepared(replace(recipe, data=replace(recipe.data, held_out=named)), tmp_path / "run")
        train_ids, held_ids = ({c.id for c in side.conversations} for side in (material.train, material.held_out))
        assert held_ids and not train_ids & held_ids
        assert len(material.train.conversations) == 2 * len(train_ids)


def test_epochs_decide_the_steps(model, data, tmp_path):
    """Half an epoch of the rows, 4 a step, rounded up; and samples answer questions that are held out."""
    recipe, material = prepared(tiny_sft(model, data), tmp_path / "run")
    rows = rows_of(recipe, material.train)
    found = planned(replace(recipe, chat=replace(recipe.chat, epochs=0.5)), material, rows).train
    assert found.steps == -(-round(len(rows.packed) / 2) // 4) > 1
    assert found.prompts and set(found.prompts) <= {c.messages[0]["content"] for c in material.held_out.conversations}


def test_what_is_trained_on_can_be_seen(model, data, tmp_path):
    first, *_ = shown(tiny_sft(model, data), tmp_path / "run", 2)
    assert first["where"].endswith("names.jsonl:1") and first["tokens"] > first["trained_tokens"] > 0
    assert first["text"].startswith("0 ") and first["text"].endswith("<|endoftext|>]]") and first["text"].count("[[") == 2


def test_conversations_are_not_documents(model, data, tmp_path):
    """`tenfold train` and `--show-batch` would read the JSON as text."""
    for refused in (lambda: train(tiny_sft(model, data), tmp_path / "run"), lambda: show_batch(tiny_sft(model, data), 1, tmp_path / "run")):
        with pytest.raises(UserError, match=r"chat.template is 'plain'.*\n.*tenfold align sft"):
            refused()
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda r: replace(r, chat=replace(r.chat, template="model")), "has no chat template"),
        (lambda r: replace(r, chat=replace(r.chat, template="chatml")), r"<\|im_end\|>', which is no control token"),
        (lambda r: replace(r, data=replace(r.data, weights=(1.0,))), "conversations are drawn evenly"),
        (lambda r: replace(r, data=replace(r.data, paths=())), "there are no conversations to train on"),
        (lambda r: replace(r, chat=replace(r.chat, template="")), "which means documents"),
        (lambda r: replace(r, model=replace(r.model, context=3)), "fits in model.context 3"),
        (lambda r: replace(r, data=replace(r.data, held_out=r.data.paths[0])), "every one of the 60 conversations"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_written(model, data, tmp_path, change, said):
    with pytest.raises(UserError, match=said):
        train_sft(change(tiny_sft(model, data)), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_dilated_attention_takes_a_row_for_each(tmp_path, data):
    """Where a token stands in a row decides what it sees there."""
    config = ModelConfig(vocab=288, context=48, layers=1, embed=16, heads=2, attention=("dilated:16x1,48x2",))
    dilated = write_model(tmp_path / "base", config)
    with pytest.raises(UserError, match=r"chat.pack is True.*dilated.*\n.*no-pack"):
        prepared(tiny_sft(dilated, data), tmp_path / "run")


@pytest.mark.slow
def test_any_mesh_gives_the_same_losses(model, data, tuned, tmp_path, run_python):
    """Rows cut over data and fsdp, heads over tensor, and positions over sequence: the first steps of one device, to rounding."""
    program = """
        import json, sys
        from dataclasses import replace
        from pathlib import Path
        sys.path.insert(0, sys.argv[4])
        from tenfold.align.sft import train_sft
        from tenfold.sharding.config import MeshConfig
        from tiny_chat import tiny_sft
        model, data, out = map(Path, sys.argv[1:4])
        for number, mesh in enumerate((MeshConfig(data=2, fsdp=2, tensor=2), MeshConfig(data=2, fsdp=1, sequence=4))):
            recipe = replace(tiny_sft(model, data, prompts=()), mesh=mesh)
            run = train_sft(recipe, out / str(number))
            print(json.dumps([line["loss"] for line in run.metrics() if "loss" in line]))
    """
    ours = [line["loss"] for line in lines(tuned.path) if "loss" in line]
    for line in run_python(program, model, data, tmp_path, Path(__file__).parent.parent).splitlines():
        np.testing.assert_allclose(json.loads(line), ours, rtol=1e-4)
