"""The dial: the recipe lies on its own line, and the line is that of GPT-3's table."""

from dataclasses import replace

import numpy as np
import pytest

from tenfold.errors import UserError
from tenfold.model.config import ModelConfig
from tenfold.recipes.gpt3 import BUILT, TABLE, gpt3
from tenfold.recipes.masked import RECIPES
from tenfold.scaling.dial import BATCH, DEPTH, RATE, at_size, for_tokens, turned
from tenfold.train.batch_schedule import batch_schedule


def slope(x, y) -> float:
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])


def test_the_exponents_are_those_of_gpt3s_table():
    embed = np.array([BUILT.get(name, {}).get("embed", row.embed) for name, row in TABLE.items()])
    layers, rate, batch = (np.array([getattr(row, f) for row in TABLE.values()]) for f in ("layers", "learning_rate", "batch_tokens"))
    N = 12 * layers * embed**2
    assert slope(embed, layers) == pytest.approx(DEPTH["gpt3"], abs=5e-4)
    assert slope(N, rate) == pytest.approx(RATE, abs=5e-4)
    assert slope(N, batch) == pytest.approx(BATCH, abs=5e-4)


@pytest.mark.parametrize("name", ["125m", "2.7b"])
@pytest.mark.parametrize("dial", ["gpt3", "nanochat", "width"])
def test_a_recipe_lies_on_its_own_line(name, dial):
    recipe = gpt3(name)
    again = at_size(recipe, round(recipe.model.embed / recipe.model.width), dial)
    assert replace(again, model=replace(again.model, head_dim=recipe.model.head_dim)) == recipe
    whole = for_tokens(again, batch_schedule(recipe).tokens_before(recipe.train.steps), recipe)
    assert whole.train == recipe.train and whole.optimizer == recipe.optimizer


def test_at_half_the_power_the_learning_rate_falls_with_the_width():
    recipe = gpt3("125m")
    wide, usual = at_size(recipe, 48, "width", rate=-0.5), at_size(recipe, 48, "width")
    assert wide.optimizer.learning_rate == pytest.approx(recipe.optimizer.learning_rate / 4)
    assert replace(wide, optimizer=usual.optimizer) == usual


def test_larger_sizes_are_wider_deeper_and_calmer():
    recipe = gpt3("125m")
    small, large = at_size(recipe, 4, "gpt3"), at_size(recipe, 48, "gpt3")
    assert (small.model.embed, small.model.heads, small.model.width) == (256, 4, 64)
    assert (large.model.embed, large.model.heads, large.model.width) == (3072, 48, 64)
    assert small.model.layers < 12 < large.model.layers
    assert small.optimizer.learning_rate > 6e-4 > large.optimizer.learning_rate
    assert small.train.batch < 256 < large.train.batch
    assert turned(recipe.model, 48, "nanochat").layers == 48
    assert turned(recipe.model, 48, "width").layers == recipe.model.layers


def test_layers_keep_the_pattern_of_attention_and_heads_their_groups():
    model = ModelConfig(layers=6, embed=96, heads=12, kv_heads=4, mlp=256, attention=("dense", "banded:16", "dense"))
    for size in range(1, 30):
        made = turned(model, size, "gpt3")
        assert made.layers % 3 == 0 and made.heads % made.groups == 0 and made.embed == 8 * size
        assert made.mlp == pytest.approx(made.embed * 256 / 96, abs=0.5)


def test_batches_divide_over_the_devices():
    recipe = replace(gpt3("125m"), train=replace(gpt3("125m").train, microbatch=16))
    for size in range(1, 20):
        made = at_size(recipe, size, "gpt3", parts=4)
        assert made.train.batch % 4 == 0 and made.train.microbatch % 4 == 0 and made.optimizer.ramp_batch % 4 == 0


def test_shares_of_the_run_stay():
    recipe = gpt3("125m")
    short = for_tokens(at_size(recipe, 12, "gpt3"), 3e9, recipe)
    assert batch_schedule(short).tokens_before(short.train.steps) == pytest.approx(3e9, rel=1e-3)
    assert short.optimizer.warmup_tokens == pytest.approx(recipe.optimizer.warmup_tokens / 100, rel=1e-3)
    assert short.optimizer.decay_tokens == pytest.approx(recipe.optimizer.decay_tokens / 100, rel=1e-3)
    assert recipe.train.steps / recipe.train.evaluate_every == pytest.approx(short.train.steps / short.train.evaluate_every, rel=0.1)


@pytest.mark.parametrize(
    "model, size, said",
    [
        (ModelConfig(), 0, "sizes has 0, but a size counts heads"),
        (ModelConfig(experts=4), 4, "experts 4"),
        (RECIPES["t5-tiny"]().model, 4, "encoder_layers"),
    ],
)
def test_what_has_no_line_is_refused(model, size, said):
    with pytest.raises(UserError, match=said):
        turned(model, size, "gpt3")
