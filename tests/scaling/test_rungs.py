"""What a ladder asks for: its tokens and its FLOPs, and what it refuses."""

from dataclasses import replace

import pytest

from tenfold.errors import UserError
from tenfold.recipes.gpt3 import gpt3
from tenfold.scaling.budget import Budget, Cost, check_flops, check_minutes
from tenfold.scaling.rungs import Ladder, rungs
from tenfold.tokens.config import DataConfig
from tenfold.train.recipe import from_dict, to_dict

DATA = DataConfig(paths=("somewhere",))
LADDER = Ladder(gpt3("125m"), sizes=(2, 3, 4), tokens_per_parameter=(10.0, 20.0), isoflop=(1e16,))


def test_every_size_has_every_ratio_and_every_budget():
    made = rungs(LADDER, DATA)
    assert len(made) == len({rung.name for rung in made}) == 9
    assert [rung.flops for rung in made] == sorted(rung.flops for rung in made)
    for rung in made:
        assert rung.recipe.data == DATA and rung.recipe.name == rung.name
        a_step = rung.tokens / rung.recipe.train.steps
        if rung.budget == "1e+16 FLOPs":
            assert 1e16 <= rung.flops <= 1e16 * (1 + a_step / rung.tokens * 1.01)
        else:
            ratio = float(rung.budget.split()[0])
            assert 0 <= rung.tokens - ratio * rung.parameters <= rung.recipe.train.batch * 2048


def test_sizes_on_the_same_tokens():
    made = rungs(replace(LADDER, tokens_per_parameter=(), isoflop=(), tokens=(2_000_000, 500_000_000)), DATA)
    assert len(made) == 6 and [rung.name for rung in made[:3]] == ["size2-2M", "size3-2M", "size4-2M"]
    for rung in made:
        assert rung.budget == f"{rung.name.partition('-')[2][:-1]} million tokens"
        assert 0 <= rung.tokens - 1e6 * float(rung.budget.split()[0]) <= rung.recipe.train.batch * 2048


def test_the_learning_rates_power_is_every_rungs():
    asked = dict(tokens=(2_000_000,), dial="width")
    flat, steep = (rungs(replace(LADDER, **asked, rate_power=power), DATA) for power in (0.0, -0.5))
    for rung, other in zip(flat, steep, strict=True):
        assert rung.recipe.optimizer.learning_rate == LADDER.recipe.optimizer.learning_rate
        assert other.recipe.optimizer.learning_rate == pytest.approx(LADDER.recipe.optimizer.learning_rate * 12 / other.size)


def test_seeds_are_the_same_model_from_other_weights_and_in_another_order():
    once, thrice = (rungs(replace(LADDER, seeds=seeds), DATA) for seeds in (1, 3))
    assert [rung for rung in thrice if "seed" not in rung.name] == once and len(thrice) == len({rung.name for rung in thrice}) == 27
    for rung in thrice:
        base, _, seed = rung.name.partition("-seed")
        first = next(each for each in once if each.name == base)
        assert (rung.recipe.train.seed, rung.recipe.data.seed) == (int(seed or 0), int(seed or 0))
        assert (rung.size, rung.budget, rung.flops) == (first.size, first.budget, first.flops)
        assert rung.recipe.optimizer == first.recipe.optimizer


def test_a_ladder_is_its_yaml():
    assert from_dict(Ladder, to_dict(LADDER)) == LADDER


@pytest.mark.parametrize(
    "changed, said",
    [
        (dict(sizes=(2, 3, 3)), "sizes names 3 twice"),
        (dict(sizes=(4, 3, 2)), "from small to large"),
        (dict(sizes=(2, 3), tokens_per_parameter=(20.0,), isoflop=()), "2 rungs, but a law needs at least 3"),
        (dict(tokens_per_parameter=(20.0, 20.0)), "names a value twice"),
        (dict(isoflop=(0.0,)), "isoflop has 0"),
        (dict(tokens=(0,)), "tokens has 0"),
        (dict(seeds=0), "seeds is 0, but must be at least 1"),
        (dict(rate_power=0.5), "rate_power is 0.5, but must be from -2 to 0"),
        (dict(target=4), "target is 4, but must be above the largest size, 4"),
        (dict(recipe=replace(gpt3("125m"), start="elsewhere")), "start is elsewhere"),
    ],
)
def test_what_cannot_be_a_ladder_is_refused(changed, said):
    with pytest.raises(UserError, match=said):
        replace(LADDER, **changed)


def test_a_budget_refuses_before_anything_is_trained_and_says_what_fits():
    ladder = replace(LADDER, sizes=(2, 3, 4, 12), tokens_per_parameter=(20.0,), isoflop=())
    made = rungs(ladder, DATA)
    total = sum(rung.flops for rung in made)
    check_flops(made, Budget(flops=total * 1.001))
    with pytest.raises(UserError, match=r"this ladder takes .* FLOPs, and --budget-flops is .*\n  Try --sizes 2 3 4, or"):
        check_flops(made, Budget(flops=total * 0.999))
    costs = [Cost(rung, seconds=60.0) for rung in made]
    check_minutes(costs, Budget(minutes=4.01))
    with pytest.raises(UserError, match=r"about 4\.0 minutes on this machine, and --budget-minutes is 3\.5.*\n.*--sizes 2 3 4"):
        check_minutes(costs, Budget(minutes=3.5))
    check_minutes([replace(cost, done=True) for cost in costs], Budget(minutes=0.001))


def test_no_budget_is_no_bound():
    check_flops(rungs(LADDER, DATA), Budget())
    with pytest.raises(UserError, match="--budget-minutes is -1"):
        Budget(minutes=-1)
