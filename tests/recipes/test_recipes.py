"""Named recipes: GPT-3's table, and how a recipe is found."""

import pytest

from tenfold.errors import UserError
from tenfold.model.config import Dilated
from tenfold.recipes import longnet, masked
from tenfold.recipes.demo import demo, sized
from tenfold.recipes.gpt3 import RECIPES, TABLE, gpt3
from tenfold.recipes.registry import find_recipe
from tenfold.train.recipe import Recipe, TrainConfig, save_recipe

# Brown et al. 2020, table 2.1, copied apart from the code: layers, width, heads, width of a head, batch in tokens, learning rate.
PRINTED = {
    "125m": (12, 768, 12, 64, 0.5e6, 6.0e-4),
    "350m": (24, 1024, 16, 64, 0.5e6, 3.0e-4),
    "760m": (24, 1536, 16, 96, 0.5e6, 2.5e-4),
    "1.3b": (24, 2048, 24, 128, 1e6, 2.0e-4),
    "2.7b": (32, 2560, 32, 80, 1e6, 1.6e-4),
    "6.7b": (32, 4096, 32, 128, 2e6, 1.2e-4),
    "13b": (40, 5140, 40, 128, 2e6, 1.0e-4),
    "175b": (96, 12288, 96, 128, 3.2e6, 0.6e-4),
}


@pytest.mark.parametrize("size", PRINTED)
def test_the_table_is_the_papers(size):
    row = TABLE[size]
    assert (row.layers, row.embed, row.heads, row.head_dim, row.batch_tokens, row.learning_rate) == PRINTED[size]


@pytest.mark.parametrize("size", PRINTED)
def test_a_size_is_built_as_printed_or_says_where_not(size):
    """Every field equals the table's, but for those that the notes name; heads x head_dim is the width in what is built."""
    recipe, (layers, embed, heads, head_dim, batch, rate) = gpt3(size), PRINTED[size]
    model = recipe.model
    printed, built = (embed, heads), (model.embed, model.heads)
    assert (model.layers, model.width, recipe.optimizer.learning_rate) == (layers, head_dim, rate)
    assert recipe.train.batch * model.context == pytest.approx(batch, rel=0.07)
    assert model.heads * model.width == model.embed and model.hidden == 4 * model.embed
    assert (printed == built) == (size not in ("1.3b", "13b"))
    assert ("As printed and as built differ" in recipe.notes) == (printed != built)
    for name, (was, now) in {"embed": (embed, model.embed), "heads": (heads, model.heads)}.items():
        assert (f"{name} printed {was}, built {now}" in recipe.notes) == (was != now)


def test_gpt3_is_trained_as_appendix_b_says():
    """Adam .9, .95, 1e-8; clip 1; decay 0.1; warm-up over 375M tokens, cosine to 10% at 260B; context 2048; dense and banded alternate."""
    for size in PRINTED:
        recipe = RECIPES[f"gpt3-{size}"]()
        o, m = recipe.optimizer, recipe.model
        assert (o.beta1, o.beta2, o.eps, o.clip, o.weight_decay) == (0.9, 0.95, 1e-8, 1.0, 0.1)
        assert (o.warmup_tokens, o.decay_tokens, o.final_fraction) == (375_000_000, 260_000_000_000, 0.1)
        assert m.context == 2048 and m.attention[0] == "dense" and m.attention[1].startswith("banded:") and m.vocab >= 50257
        assert not recipe.data.mask_documents


def test_a_recipe_is_found_by_name_file_or_run(tmp_path):
    recipe = Recipe("mine", train=TrainConfig(steps=7))
    save_recipe(recipe, tmp_path / "recipe.yaml")
    assert find_recipe(str(tmp_path / "recipe.yaml")) == find_recipe(str(tmp_path)) == recipe
    assert find_recipe("gpt3-125m") == gpt3("125m")
    with pytest.raises(UserError, match="'gpt3-126m' is neither a recipe nor a file.\n  Recipes: gpt3-125m, "):
        find_recipe("gpt3-126m")


@pytest.mark.parametrize("steps", [1, 50, 5000])
def test_the_demo_fits_its_steps(steps):
    """However short, the warm-up is at most a tenth of it."""
    recipe = sized(demo(), steps)
    assert recipe.train.steps == steps
    assert 10 * recipe.optimizer.warmup_tokens <= max(10, steps * recipe.train.batch * recipe.model.context)


def test_bert_and_t5_are_trained_as_printed():
    """Devlin et al. 2019, appendix A.2; Raffel et al. 2020, section 3.1.2: 2^19 steps of 2^16 tokens."""
    bert, t5 = masked.RECIPES["bert-base"](), masked.RECIPES["t5-small"]()
    assert (bert.model.layers, bert.model.embed, bert.model.heads, bert.model.context) == (12, 768, 12, 512)
    assert (bert.train.batch, bert.train.steps, bert.train.objective) == (256, 1_000_000, "masked")
    o = bert.optimizer
    assert (o.learning_rate, o.beta1, o.beta2, o.weight_decay, o.warmup_tokens) == (1e-4, 0.9, 0.999, 0.01, 10_000 * 256 * 512)
    assert (t5.model.layers, t5.model.encoder_layers, t5.model.embed, t5.model.hidden) == (6, 6, 512, 2048)
    assert (t5.train.batch * t5.model.context, t5.train.steps, t5.train.objective) == (2**16, 2**19, "span")


@pytest.mark.parametrize("name", masked.RECIPES)
def test_every_difference_from_the_paper_is_in_the_notes(name):
    recipe = masked.RECIPES[name]()
    assert recipe.name == name and find_recipe(name) == recipe and not recipe.train.prompts
    assert ("As printed and as built differ" in recipe.notes) == (not name.endswith("tiny"))


# Ding et al. 2023, table 4, copied apart from the code: layers, width, heads, learning rate, batch in tokens.
LONGNET = {
    "125m": (12, 768, 12, 6e-4, 0.5e6),
    "350m": (24, 1024, 16, 6e-4, 0.5e6),
    "760m": (24, 1536, 16, 6e-4, 0.5e6),
    "2.7b": (32, 2560, 32, 2e-4, 4e6),
}


@pytest.mark.parametrize("size", LONGNET)
def test_longnet_is_built_and_trained_as_tables_3_and_4_say(size):
    """Adam .9, .98; clip 2; decay 0.01; 750 steps of warm-up; the five branches; 300,000 steps of the base model."""
    recipe, (layers, embed, heads, rate, batch) = longnet.longnet(size), LONGNET[size]
    model, o, rows = recipe.model, recipe.optimizer, recipe.train.batch
    assert (model.layers, model.embed, model.heads, o.learning_rate) == (layers, embed, heads, rate)
    assert model.kinds == (Dilated((2048, 4096, 8192, 16384, 32768), (1, 2, 4, 6, 12)),) * layers
    assert (o.beta1, o.beta2, o.clip, o.weight_decay, o.warmup_tokens) == (0.9, 0.98, 2.0, 0.01, 750 * rows * 32768)
    assert rows * model.context == pytest.approx(batch, rel=0.05)
    assert model.positions == "xpos" and model.sub_norm and model.init == "magneto" and o.decay == "polynomial" and o.final_fraction == 0
    assert size != "125m" or recipe.train.steps == 300_000
