"""Over-optimisation from end to end, on a model of digits: gold knows what is right, proxies learn it from a few pairs."""

import inspect
import json
import math
from dataclasses import replace

import jax
import numpy as np
import pytest

from tenfold.align.overoptimize import overoptimize
from tenfold.align.overoptimize_config import BestOf, Comparisons, FitConfig, OveroptimizeRecipe, Proxies, Rl
from tenfold.align.overoptimize_work import Quiet, open_work
from tenfold.align.policy_config import RewardConfig, RolloutConfig
from tenfold.align.rewards import Weighted
from tenfold.cli.align import ACTIONS
from tenfold.errors import UserError
from tenfold.objectives.chosen import chosen_logprobs
from tenfold.train.recipe import save_recipe
from tiny_policy import write_prompts, write_start

SUMS = [(a, b) for a in range(4) for b in range(4)]


def gold(prompts, completions):
    """Long texts are good, but for the longest."""
    return [len(text) - 0.5 * len(text) ** 2 / 3 + 0.1 * text.count("1") for text in completions]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("overoptimize")
    write_start(folder / "start")
    write_prompts(folder / "prompts.jsonl", SUMS)
    (folder / "mine.py").write_text(inspect.getsource(gold))
    return folder


def recipe(folder, **changes) -> OveroptimizeRecipe:
    small = OveroptimizeRecipe(
        str(folder / "start"),
        (str(folder / "prompts.jsonl"),),
        gold=RewardConfig((f"{folder}/mine.py:gold",)),
        rollout=RolloutConfig(completions=4, max_tokens=4),
        comparisons=Comparisons((64,), noise=0.1, held_out=32),
        proxies=Proxies(("1x32",), epochs=8.0, batch=16, learning_rate=3e-3),
        best_of=BestOf(16),
        rl=Rl(steps=6, batch=16, learning_rate=3e-3, every=2, samples=8),
        fit=FitConfig(0.0, 50),
    )
    return replace(small, **changes)


class Told(Quiet):
    """Keeps what it was told."""

    def __init__(self):
        self.stages = []

    def stage(self, text):
        self.stages.append(text)


@pytest.fixture(scope="module")
def found(folder):
    """By the command, from a file."""
    save_recipe(recipe(folder), folder / "asked.yaml")
    assert ACTIONS["overoptimize"]([str(folder / "asked.yaml"), "--out", str(folder / "out")]) == 0
    return json.loads((folder / "out" / "overoptimize.json").read_text())


@pytest.mark.slow
def test_the_command_leaves_a_page_and_a_result(found, folder):
    result = json.loads((folder / "out" / "result.json").read_text())
    assert result["finished"] and [law["way"] for law in result["laws"]] == ["best_of_n", "rl"]
    assert result["laws"][0]["alpha"] == found["proxies"][0]["best_of_n"]["fit"]["alpha"]
    assert "1x32-64" in (folder / "out" / "report.html").read_text()


@pytest.mark.slow
def test_curves_begin_at_the_start_and_the_proxy_gains(found):
    (proxy,) = found["proxies"]
    chosen, learned = proxy["best_of_n"], proxy["rl"]
    assert chosen["n"] == [1, 2, 4, 8, 16] and learned["step"] == [0, 2, 4, 6]
    for curve in (chosen, learned):
        assert curve["d"][0] == curve["kl"][0] == 0 and curve["gold"][0] == pytest.approx(0) and curve["proxy"][0] == pytest.approx(0)
        assert (np.diff(curve["d"]) > 0).all() and curve["proxy"][-1] > 0.3
        assert all(low <= value <= high for low, value, high in zip(curve["low"], curve["gold"], curve["high"], strict=True))
    assert (np.diff(chosen["proxy"]) > 0).all()
    assert proxy["accuracy"] > 0.6 and proxy["comparisons"] == 64 and proxy["name"] == "1x32-64"


@pytest.mark.slow
def test_files_say_what_was_asked(found, folder):
    pairs = [json.loads(line) for line in (folder / "out" / "comparisons" / "64.jsonl").read_text().splitlines()]
    right = [gold([], [pair["chosen"]])[0] > gold([], [pair["rejected"]])[0] for pair in pairs]
    assert len(pairs) == 64 and 0.7 < np.mean(right) < 1  # a tenth the wrong way round
    held_out = [json.loads(line) for line in (folder / "out" / "comparisons" / "held_out.jsonl").read_text().splitlines()]
    assert all(gold([], [pair["chosen"]])[0] > gold([], [pair["rejected"]])[0] for pair in held_out)
    assert not {pair["prompt"] for pair in pairs} & {pair["prompt"] for pair in held_out}


@pytest.mark.slow
def test_nothing_is_done_twice_and_new_fits_need_nothing_else(found, folder):
    watch = Told()
    before = (folder / "out" / "overoptimize.json").read_bytes()
    again = overoptimize(recipe(folder), folder / "out", watch=watch)
    assert again == found and not watch.stages and (folder / "out" / "overoptimize.json").read_bytes() == before
    other = overoptimize(recipe(folder, fit=FitConfig(0.0, 60)), folder / "out", watch=watch)
    assert other["repeats"] == 60 and not watch.stages


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bytes_and_a_killed_one_goes_on_to_them(found, folder):
    """Killed while it measured the policies: one measurement is lost."""
    once = overoptimize(recipe(folder), folder / "once")
    file = folder / "once" / "measured" / "1x32-64.json"
    file.write_text(json.dumps(json.loads(file.read_text())[:-1]))
    assert overoptimize(recipe(folder), folder / "once") == once
    assert [once[name] for name in ("proxies", "gold")] == [found[name] for name in ("proxies", "gold")]


@pytest.mark.slow
def test_ppo_and_members_of_another_width_and_with_bodies_of_their_own(folder):
    small = recipe(
        folder,
        rl=Rl("ppo", steps=2, batch=16, learning_rate=1e-3, every=2, samples=8, kl=0.1),
        proxies=Proxies(("1x16",), batch=16, learning_rate=3e-3, ensemble=2, share=0.5, own_bodies=True),
    )
    (proxy,) = overoptimize(small, folder / "ppo")["proxies"]
    assert (folder / "ppo" / "sizes" / "1x16-1").exists()
    assert proxy["rl"]["fit"]["verdict"] == "few"  # two points, one of which is the start
    assert proxy["parameters"] < 10_000 and proxy["rl"]["kl"][-1] > 0


@pytest.mark.slow
def test_the_distance_is_the_kl_of_what_was_drawn(folder):
    """Its mean over many completions is that of the log-ratio of the drawn tokens; of the start itself it is 0."""
    work = open_work(recipe(folder), folder / "distance", Weighted({"gold": gold}), Quiet())
    moved = jax.tree.map(lambda w: w * 1.5, work.params)
    parts = work.draw(moved, [work.measured[0]] * 1024, 0)
    kl = np.concatenate([work.distance(moved, part) for part in parts])
    ratios = []
    for part in parts:
        rows = work.config, part.tokens_BT, part.targets_BT, part.mask_BT, 1.0, work.tokenizer.vocab
        now, before = (np.asarray(chosen_logprobs(params, *rows).logp_BT) for params in (moved, work.params))
        ratios.append(((now - before) * part.mask_BT).sum(-1))
    ratio = np.concatenate(ratios)
    assert kl.mean() == pytest.approx(ratio.mean(), abs=float(4 * ratio.std() / math.sqrt(len(ratio)))) and kl.mean() > 0.01
    assert kl.std() < ratio.std()
    assert work.distance(work.params, parts[0]) == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (dict(proxies=Proxies(("3x32",))), "proxies.sizes has 3x32, but the start has 2 layers"),
        (
            dict(proxies=Proxies(("1x24",))),
            "proxies.sizes has 1x24, but the start's heads are 16 wide.\n  Use a multiple of it, such as 1x16",
        ),
        (dict(proxies=Proxies(("big",))), "proxies.sizes has 'big', which is no LAYERSxEMBED"),
        (dict(gold=RewardConfig(("nothing",))), "the reward 'nothing' is none of"),
        (dict(held_out="PROMPTS"), "the prompt '0+0=' is in data and in held_out"),
        (dict(rollout=RolloutConfig(completions=4, max_tokens=40)), "40: 44 positions, but model.context is 16"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_drawn(folder, tmp_path, changes, said):
    changes = {name: str(folder / "prompts.jsonl") if value == "PROMPTS" else value for name, value in changes.items()}
    with pytest.raises(UserError) as refused:
        overoptimize(recipe(folder, **changes), tmp_path / "out")
    assert said in str(refused.value)
    assert not (tmp_path / "out").exists()


def test_a_gold_reward_that_tells_nothing_apart_is_refused_and_not_in_its_mends_way(folder, tmp_path):
    with pytest.raises(UserError, match="only 0 of 64 can be compared"):
        overoptimize(recipe(folder, gold=RewardConfig()), tmp_path / "out", {"gold": lambda prompts, completions: [1.0] * len(prompts)})
    assert not (tmp_path / "out" / "comparisons").exists()
    open_work(recipe(folder), tmp_path / "out", Weighted({"gold": gold}), Quiet())


@pytest.mark.slow
def test_a_folder_of_another_recipe_is_refused(found, folder):
    with pytest.raises(UserError, match=r"begun with another recipe:\n    best_of.pool: 16 there, 32 asked for"):
        overoptimize(recipe(folder, best_of=BestOf(32)), folder / "out")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda: Comparisons((0,)), "comparisons.counts is 0"),
        (lambda: Comparisons(noise=0.5), "comparisons.noise is 0.5"),
        (lambda: BestOf(4), "best_of.pool is 4"),
        (lambda: Proxies(("a/b", "c/b")), "two have one name"),
        (lambda: Proxies(ensemble=2, share=1.5), "proxies.share is 1.5"),
        (lambda: Proxies(share=0.5), "proxies.share is 0.5, but there is one model"),
        (lambda: Proxies(("1x16",), own_bodies=True), "own_bodies is of an ensemble's members"),
        (lambda: Proxies(ensemble=2, own_bodies=True), "own_bodies asks for new weights"),
        (lambda: Rl(every=0), "rl.every is 0"),
        (lambda: OveroptimizeRecipe(), "start names no model"),
        (lambda: OveroptimizeRecipe("a", rl=Rl(batch=12)), "Try rl.batch 16"),
        (lambda: OveroptimizeRecipe("a", rollout=RolloutConfig(completions=1)), "GRPO compares a completion"),
    ],
)
def test_wrong_values_die_at_once(change, said):
    with pytest.raises(UserError, match=said):
        change()
