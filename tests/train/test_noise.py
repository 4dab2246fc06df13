"""The masked and span objectives in training: batches of (seed, step), exact resume, any mesh, and what is refused."""

import json
import os
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tenfold.errors import UserError
from tenfold.model.config import ModelConfig
from tenfold.tokens.config import DataConfig
from tenfold.tokens.loader import Batch
from tenfold.train.noise import HELD_OUT, Masked, Plain, Spans
from tenfold.train.recipe import Recipe, TrainConfig, load_recipe, save_recipe
from tenfold.train.train import Quiet, show_batch, train
from tiny_run import tiny_recipe

BERT = dict(vocab=400, causal=False, norm_place="after", embedding_norm=True, head_transform=True, head_bias=True)
T5 = dict(vocab=400, encoder_layers=2, positions="relative", norm="rms", norm_bias=False, context=32)
MODELS = {"masked": BERT, "span": T5}
PROGRAM = Path(__file__).parent / "run_tiny.py"


def recipe_of(objective: str, data: Path, **changes) -> Recipe:
    return tiny_recipe(data, model=MODELS[objective], **(dict(objective=objective, steps=8) | changes))


def metrics(run: Path) -> list[dict]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


class StopAt(Quiet):
    """Ctrl-C at a step."""

    def __init__(self, at: int):
        super().__init__()
        self.at = at

    def step(self, step: int, *figures) -> None:
        if step == self.at:
            os.kill(os.getpid(), signal.SIGINT)


@pytest.fixture(scope="module", params=[pytest.param("masked", marks=pytest.mark.slow), "span"])
def whole(request, data, tmp_path_factory) -> Path:
    """A run of 8 steps that nothing interrupted."""
    out = tmp_path_factory.mktemp(request.param) / "run"
    assert train(recipe_of(request.param, data, optimizer=dict(learning_rate=1e-2)), out).result["finished"]
    return out


def test_a_run_learns_and_is_measured_by_its_own_objective(whole):
    """The loss falls from that of a guess, held-out too; no bits per byte, which would mean nothing; no samples."""
    lines = metrics(whole)
    losses, held_out = ([line[name] for line in lines if name in line] for name in ("loss", "held_out_loss"))
    assert losses[0] == pytest.approx(np.log(400), rel=0.05) and losses[-1] < losses[0] - 0.2
    assert len(held_out) == 2 and held_out[1] < held_out[0] < np.log(400)
    assert not any("held_out_bits_per_byte" in line for line in lines)
    assert (whole / "samples.jsonl").read_text() == ""


def test_stopped_and_continued_is_the_same_run(whole, tmp_path):
    recipe = load_recipe(whole / "recipe.yaml")
    assert not train(recipe, tmp_path / "run", StopAt(3)).result["finished"]
    assert train(recipe, tmp_path / "run").result["finished"]
    assert metrics(tmp_path / "run") == metrics(whole)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_eight_devices_train_as_one(whole, tmp_path, run_python):
    """Rows, tensors and weights cut: the same batches, and losses within 1e-4."""
    recipe = load_recipe(whole / "recipe.yaml")
    save_recipe(replace(recipe, mesh=replace(recipe.mesh, data=2, fsdp=2, tensor=2)), tmp_path / "recipe.yaml")
    run_python(PROGRAM, str(tmp_path / "recipe.yaml"), str(tmp_path / "run"), devices=8, timeout=580)
    for ours, alone in zip(metrics(tmp_path / "run"), metrics(whole), strict=True):
        assert ours == {name: pytest.approx(value, rel=1e-4) for name, value in alone.items()}


def rows(length: int = 40, padded: int = 7) -> Batch:
    """6 rows, of whose last one the end is padding, and another that is nothing else."""
    tokens = np.random.default_rng(0).integers(1, 300, (6, length)).astype(np.int32)
    tokens[:, ::5] = 0  # ends of documents
    segments = np.cumsum(np.roll(tokens == 0, 1, 1), 1).astype(np.int32) + 1
    tokens[4, -padded:], segments[4, -padded:], tokens[5], segments[5] = 0, 0, 0, 0
    return Batch(tokens, tokens, segments, (segments > 0).astype(np.float32))


NOISES = [Masked(3, 300, 0, False), Masked(3, 300, None, True), Spans(3, 400, 0)]


@pytest.mark.parametrize("noise", NOISES)
def test_a_rows_noise_depends_on_its_number_alone(noise):
    """Cut into any parts a batch is the same; another number, seed or stream gives other noise."""
    batch = rows()

    def part(start, stop, stream=HELD_OUT, noise=noise):
        return noise(Batch(*(a[start:stop] for a in batch)), range(10 + start, 10 + stop), stream)

    for all_rows, *parts in zip(part(0, 6), part(0, 1), part(1, 4), part(4, 6), strict=True):
        if all_rows is not None:
            np.testing.assert_array_equal(all_rows, np.concatenate(parts))
    others = [noise(batch, range(11, 17), HELD_OUT), part(0, 6, 0), part(0, 6, noise=replace(noise, seed=4))]
    assert all((other.tokens_BT != part(0, 6).tokens_BT).any() for other in others)


def test_masks_spare_ends_of_documents_and_padding():
    batch = rows()
    masked = Masked(3, 300, 0, False)(batch, range(6), HELD_OUT)
    chosen = masked.weights_BT > 0
    assert not chosen[batch.tokens_BT == 0].any() and not chosen[batch.segments_BT == 0].any()
    assert chosen[:5].any(1).all() and not chosen[5].any()
    np.testing.assert_array_equal(masked.targets_BT, batch.tokens_BT)
    np.testing.assert_array_equal(masked.segments_BT, batch.segments_BT > 0)
    np.testing.assert_array_equal(Masked(3, 300, 0, True)(batch, range(6)).segments_BT, batch.segments_BT)
    assert Masked(3, 300, 0, False)(batch, range(6)).segments_BT is None  # training rows have no padding


def test_spans_of_padded_rows_are_padded():
    """The encoder's padding is marked, the decoder's has no weight; a row of nothing has no weight at all."""
    spans = Spans(3, 400, 0)(rows(), range(6), HELD_OUT)
    whole, cut = spans.weights_BT.sum(1)[:4], spans.weights_BT.sum(1)[4:]
    assert (whole == spans.targets_BT.shape[1]).all() and 0 < cut[0] < whole[0] and cut[1] == 0
    assert spans.segments_BT[:4].all() and not spans.segments_BT[4].all() and spans.segments_BT[5].any()
    np.testing.assert_array_equal(spans.decoder_BU[:4, 1:], spans.targets_BT[:4, :-1])
    assert (spans.decoder_BU[:, 0] == 0).all()


def test_causal_rows_are_as_they_were():
    batch = rows()
    plain = Plain(True)(batch)
    same = (batch.tokens_BT, batch.targets_BT, batch.weights_BT, batch.segments_BT, None, None)
    assert all(a is b for a, b in zip(plain, same, strict=True))


def test_showing_a_batch_shows_whole_rows(data, tmp_path):
    """Of a span recipe, the text before it is shortened: 34 tokens make an encoder's 32."""
    shown = show_batch(recipe_of("span", data), 1, tmp_path / "run")
    assert {row["documents"][-1]["tokens"][1] for row in shown} == {33}


@pytest.mark.parametrize(
    "objective, model, data, message",
    [
        ("masked", {}, {}, "train.objective is 'masked', but model.causal is True"),
        ("causal", dict(causal=False), {}, "train.objective is 'causal', but model.causal is False"),
        ("span", dict(causal=False, encoder_layers=2), {}, "train.objective is 'span', but model.causal is False"),
        ("span", {}, {}, "train.objective is 'span', but model.encoder_layers is 0"),
        ("causal", dict(encoder_layers=2), {}, "train.objective is 'causal', but model.encoder_layers is 2"),
        ("masked", dict(encoder_layers=2, causal=False), {}, "train.objective is 'masked', but model.encoder_layers is 2"),
        ("span", dict(encoder_layers=2, experts=4), {}, "model.experts is 4, but train.objective 'span' balances none"),
        ("span", dict(encoder_layers=2), dict(mask_documents=True), "data.mask_documents is True"),
    ],
)
def test_what_does_not_go_together_is_refused(objective, model, data, message):
    with pytest.raises(UserError) as refused:
        Recipe(model=ModelConfig(layers=2, embed=16, heads=2, **model), data=DataConfig(**data), train=TrainConfig(objective=objective))
    assert message in str(refused.value)


@pytest.mark.parametrize("objective, more", [("masked", "1 more for its mask"), ("span", "2 more for its sentinels")])
def test_a_vocabulary_without_room_is_refused(data, tmp_path, objective, more):
    """Before anything is computed, with the number that would do."""
    recipe = recipe_of(objective, data)
    with pytest.raises(UserError, match=f"model.vocab is 384 but the tokenizer has 384 tokens, and train.objective needs {more}"):
        train(replace(recipe, model=replace(recipe.model, vocab=384)), tmp_path / "run")
