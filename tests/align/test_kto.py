"""KTO: its rows, its reference point over a whole batch, and a run that goes on exactly."""

import json
from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from tenfold.align.comparison import train_on_comparisons
from tenfold.align.comparison_config import ComparisonRecipe, Dpo, Kto
from tenfold.align.comparison_step import Judge
from tenfold.align.kto_step import kto_learn, kto_looked
from tenfold.align.labelled import Labelled, labelled, labelled_rows
from tenfold.align.prompts import chosen
from tenfold.errors import UserError
from tenfold.model.config import ModelConfig
from tenfold.model.params import init_params
from tenfold.recipes.policy import found_lines
from tenfold.train.frozen import own_weights
from tenfold.train.recipe import LoraConfig
from tenfold.train.state import State
from tiny_policy import SUMS, tiny_policy, tokenizer, write_start

CONFIG = ModelConfig(vocab=16, context=16, layers=1, embed=16, heads=2, dtype="float32")
EXAMPLES = [Labelled("1+2=", "3", True), Labelled("1+2=", "45", False), Labelled("7=", "123", True), Labelled("9+9=", "18", False)]


def test_the_other_answer_is_of_another_prompt():
    """That of the next example which has one, counted round; cut where the row ends; and none where all prompts are the same."""
    token = tokenizer()
    end = token.end_of_text
    rows = labelled_rows(EXAMPLES, token, 16, 10)
    assert rows.tokens_NKS[1, 0].tolist() == [*token.encode("1+2=45"), end, 0, 0, 0]
    assert rows.tokens_NKS[0, 1].tolist() == [*token.encode("1+2=123"), end, 0, 0] == rows.tokens_NKS[1, 1].tolist()
    assert rows.tokens_NKS[3, 1].tolist() == [*token.encode("9+9=3"), end, 0, 0, 0, 0]
    assert rows.mask_NKS[0].tolist() == [[0, 0, 0, 0, 1, 1, 0, 0, 0, 0], [0, 0, 0, 0, 1, 1, 1, 1, 0, 0]]
    assert rows.good_N.tolist() == [True, False, True, False] and rows.real_NK.all()
    assert labelled_rows(EXAMPLES, token, 7, 8).mask_NKS[0, 1].tolist() == [0, 0, 0, 0, 1, 1, 1, 0]
    assert not labelled_rows(EXAMPLES[:2], token, 16, 8).real_NK[:, 1].any()


def test_comparisons_come_apart():
    """Each pair of a ranking, the better answer good and the worse one bad."""
    assert labelled({"prompt": "p", "completion": "a", "label": False}) == [Labelled("p", "a", False)]
    found = labelled({"prompt": "p", "answers": ["a", "b"], "ranks": [2, 1]})
    assert found == [Labelled("p", "b", True), Labelled("p", "a", False)]


@pytest.mark.parametrize(
    "line, said",
    [
        (dict(completion="a"), "has the label None.\n  Say true where"),
        (dict(completion="a", label=1), "has the label 1"),
        (dict(completion="", label=True), "has the completion ''"),
        (dict(label=True), "has the completion None"),
        (dict(), "has neither `answers`"),
    ],
)
def test_lines_that_say_nothing_are_named(line, said):
    with pytest.raises(UserError, match=f"the line of the prompt 'why' {said}"):
        labelled({"prompt": "why"} | line)


def test_settings_that_cannot_be_are_named():
    with pytest.raises(UserError, match="kto.beta is 0.0, but must be above 0"):
        Kto(beta=0.0)
    with pytest.raises(UserError, match="kto.bad_weight is -1.0"):
        Kto(bad_weight=-1.0)
    with pytest.raises(UserError, match="has one of reward_model, dpo and kto"):
        ComparisonRecipe(dpo=Dpo(), kto=Kto())


def test_the_reference_point_is_that_of_the_whole_batch():
    """Figures and weights from two microbatches are those from one; loss and reference point are the paper's, worked out in NumPy."""
    method = Kto(beta=0.5, bad_weight=2.0)
    optimizer = optax.sgd(0.1)
    judge = Judge(method, CONFIG, own_weights, optimizer, 16, 0)
    start, noise = init_params(jax.random.key(0), CONFIG), np.random.default_rng(1)
    trained = jax.tree.map(lambda w: np.float32(w + noise.normal(0, 0.1, w.shape)), start)
    rows = labelled_rows(EXAMPLES, tokenizer(), 16, 9)
    logp_NK, ref_NK = (np.asarray(x, np.float64) for x in jax.jit(partial(kto_looked, judge))(trained, None, start, rows))
    kl = max(0.0, (logp_NK - ref_NK)[:, 1].mean())
    above = 0.5 * ((logp_NK - ref_NK)[:, 0] - kl)
    loss = np.where(rows.good_N, 1 / (1 + np.exp(above)), 2 / (1 + np.exp(-above))).mean()
    learn = jax.jit(partial(kto_learn, judge))
    ways = [jax.tree.map(lambda x, a=a: x.reshape(a, -1, *x.shape[1:]), rows) for a in (1, 2)]
    state = State(jnp.int32(0), trained, optimizer.init(trained))
    (one, figures), (other, again) = (learn(state, None, start, way) for way in ways)
    assert float(figures["kl"]) == pytest.approx(kl, abs=1e-5) and float(figures["loss"]) == pytest.approx(loss, abs=1e-5)
    assert {name: float(x) for name, x in figures.items()} == pytest.approx({name: float(x) for name, x in again.items()}, abs=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), one.params, other.params)


@pytest.mark.slow
@pytest.mark.parametrize(
    "lora, steps, least",
    [
        pytest.param(LoraConfig(), 60, 0.45, id="full"),
        # Embedding and head stay: in 200 steps the loss goes to 0.463 and no lower.
        pytest.param(LoraConfig(16, targets=("query", "key", "value", "out", "up", "down")), 100, 0.475, id="lora"),
    ],
)
def test_kto_learns_what_is_good_and_goes_on_exactly(tmp_path, lora, steps, least, monkeypatch):
    """From a half, as the policy is its reference. Long answers are good. Stopped and continued: the same metrics."""
    write_start(tmp_path / "start")
    lines = [{"prompt": f"{a}+{b}=", "completion": "8" * (1 + 2 * (b % 2)), "label": bool(b % 2)} for a, b in SUMS]
    (tmp_path / "labelled.jsonl").write_text("\n".join(map(json.dumps, lines)))
    base = tiny_policy(
        tmp_path / "start", tmp_path / "labelled.jsonl", steps=steps, log_every=10, checkpoint_every=10, evaluate_every=steps
    ).recipe
    asked = ComparisonRecipe(replace(base, lora=lora, optimizer=replace(base.optimizer, learning_rate=3e-3)), kto=Kto())
    run = train_on_comparisons(asked, tmp_path / "run")
    metrics = [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]
    assert metrics[0]["held_out_loss"] == pytest.approx(0.5, abs=1e-5) and metrics[1]["loss"] == pytest.approx(0.5, abs=1e-5)
    trained = [line for line in metrics if "loss" in line][-1]
    assert trained["loss"] < least and trained["accuracy"] > 0.9 and trained["kl"] > 0
    assert run.result["held_out_loss"] < least and run.result["held_out_accuracy"] > 0.6
    assert (run.result["command"], run.result["good"] + run.result["bad"]) == ("align kto", run.result["comparisons"])
    assert "held-out accuracy" in found_lines(run.result)[0]

    def stopping(count, wanted, step, seed):
        if step == 15:
            raise RuntimeError("stop")
        return chosen(count, wanted, step, seed)

    monkeypatch.setattr("tenfold.align.comparison.chosen", stopping)
    with pytest.raises(RuntimeError):
        train_on_comparisons(asked, tmp_path / "again")
    monkeypatch.undo()
    train_on_comparisons(asked, tmp_path / "again")
    assert (tmp_path / "again" / "metrics.jsonl").read_text() == (tmp_path / "run" / "metrics.jsonl").read_text()
