"""A recipe through YAML and back, and what is refused on the way."""

import dataclasses
import typing

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tenfold.errors import UserError
from tenfold.model.config import ModelConfig
from tenfold.sharding.config import MeshConfig
from tenfold.tokens.config import DataConfig
from tenfold.train.recipe import OptimizerConfig, Recipe, TrainConfig, differences, from_dict, load_recipe, save_recipe, to_dict
from tenfold.train.run import begin_run, open_run, read_run

text = st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\x00"), max_size=20)
small, positive = st.floats(0, 1), st.integers(1, 10**6)


@st.composite
def recipes(draw) -> Recipe:
    heads, ramp = draw(st.integers(1, 16)), draw(st.integers(1, 8))
    model = ModelConfig(
        vocab=draw(positive),
        context=draw(positive),
        layers=2 * draw(st.integers(1, 50)),
        embed=heads * draw(st.integers(1, 64)),
        heads=heads,
        attention=draw(st.sampled_from([("dense",), ("dense", "banded:7")])),
        norm_eps=draw(st.floats(1e-30, 0.5)),
        dtype=draw(st.sampled_from(["bfloat16", "float32"])),
        remat=draw(st.sampled_from(["none", "block", "rounded"])),
        chunk=draw(st.integers(0, 9)),
        scan=draw(st.booleans()),
    )
    paths = draw(st.lists(text.filter(bool), unique=True, max_size=3).map(tuple))
    data = DataConfig(
        paths=paths,
        weights=draw(st.sampled_from([(), tuple(1.0 + n for n in range(len(paths)))])),
        tokenizer=draw(st.none() | text.filter(bool)),
        seed=draw(st.integers(0, 2**63)),
    )
    optimizer = OptimizerConfig(
        learning_rate=draw(st.floats(1e-12, 9)), beta1=draw(small), clip=draw(small), eps=draw(st.floats(1e-30, 1)), ramp_batch=ramp
    )
    train = TrainConfig(
        steps=draw(positive), batch=ramp * draw(positive), z_loss=draw(small), prompts=draw(st.lists(text, max_size=3).map(tuple)),
        wandb=draw(st.none() | text),
    )  # fmt: skip
    return Recipe("a-name", draw(text), model, data, optimizer, train, MeshConfig(data=draw(st.integers(1, 64)), fsdp=-1))


@settings(max_examples=25)
@given(recipes())
def test_what_is_written_is_read(recipe):
    """YAML text of any recipe gives the same recipe, to the last bit of its numbers."""
    assert from_dict(Recipe, yaml.safe_load(yaml.safe_dump(to_dict(recipe), sort_keys=False))) == recipe
    assert differences(recipe, recipe) == {}


@settings(max_examples=15)
@given(recipes(), recipes())
def test_a_file_holds_the_recipe_last_saved(tmp_path_factory, one, other):
    path = tmp_path_factory.mktemp("recipe") / "recipe.yaml"
    for recipe in (one, other):
        save_recipe(recipe, path)
        assert load_recipe(path) == recipe
    assert set(differences(one, other)) == {name for name in differences(other, one)}


def test_every_field_has_a_place_in_the_yaml():
    """No field of any part is lost on the way: the written tree has them all."""

    def names(cls) -> set[str]:
        hints = typing.get_type_hints(cls)
        return {f.name for f in dataclasses.fields(cls)} | {
            f"{f.name}.{inner}"
            for f in dataclasses.fields(cls)
            if dataclasses.is_dataclass(hints[f.name])
            for inner in names(hints[f.name])
        }

    def keys(values) -> set[str]:
        return set(values) | {f"{k}.{inner}" for k, v in values.items() if isinstance(v, dict) for inner in keys(v)}

    assert keys(to_dict(Recipe())) == names(Recipe)


@pytest.mark.parametrize(
    "values, message",
    [
        ({"modle": {}}, "modle is not a field of a recipe.\n  The fields here are name, notes, model,"),
        ({"model": {"layer": 3}}, "model.layer is not a field of a recipe.\n  The fields here are vocab, context, layers,"),
        ({"model": {"layers": "3"}}, "model.layers is '3', but must be of type int."),
        ({"model": {"layers": 3.5}}, "model.layers is 3.5"),
        ({"model": {"layers": True}}, "model.layers is True"),
        ({"model": {"dtype": "float16"}}, "model.dtype is 'float16', but must be one of bfloat16, float32."),
        ({"model": [1]}, "model is [1], but must be a table of fields."),
        ({"train": {"prompts": "def "}}, "train.prompts is 'def ', but must be a list, even of one: ['def ']."),
        ({"train": {"prompts": [1]}}, "train.prompts is 1, but must be of type str."),
        ({"optimizer": {"learning_rate": "fast"}}, "optimizer.learning_rate is 'fast', but must be of type float."),
        ({"optimizer": {"learning_rate": True}}, "optimizer.learning_rate is True"),
        ({"train": {"wandb": 3}}, "train.wandb is 3"),
        ({"model": None}, "model is None"),
        ("text", "the recipe is 'text', but must be a table of fields."),
    ],
)
def test_what_is_no_recipe_is_refused_by_name(values, message):
    with pytest.raises(UserError) as refused:
        from_dict(Recipe, values)
    assert message in str(refused.value)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: TrainConfig(steps=-1), "train.steps is -1, but must be at least 1."),
        (lambda: TrainConfig(batch=0), "train.batch is 0"),
        (lambda: TrainConfig(batch=12, microbatch=5), "train.microbatch is 5, which does not divide train.batch 12.\n  Try microbatch 4."),
        (lambda: TrainConfig(balance_loss=-1), "train.balance_loss is -1, but must be 0 or more."),
        (
            lambda: Recipe(train=TrainConfig(router_z_loss=1e-3)),
            "train.router_z_loss is 0.001, but model.experts is 0: there is no router.",
        ),
        (lambda: OptimizerConfig(learning_rate=-1), "optimizer.learning_rate is -1"),
        (lambda: OptimizerConfig(learning_rate=float("nan")), "optimizer.learning_rate is nan"),
        (lambda: OptimizerConfig(beta2=1.5), "optimizer.beta2 is 1.5, but must lie between 0 and 1."),
        (lambda: OptimizerConfig(eps=0), "optimizer.eps is 0"),
        (
            lambda: Recipe(train=TrainConfig(batch=12), optimizer=OptimizerConfig(ramp_batch=5)),
            "optimizer.ramp_batch is 5, which does not divide train.batch 12: the batch grows by multiples of it.\n  Try ramp_batch 4.",
        ),
        (
            lambda: Recipe(train=TrainConfig(batch=12, microbatch=4), optimizer=OptimizerConfig(ramp_batch=6)),
            "train.microbatch is 4, which does not divide optimizer.ramp_batch 6",
        ),
        (lambda: Recipe(name="a/b"), "name is 'a/b', but must be a plain folder name"),
    ],
)
def test_values_that_cannot_work_are_refused(make, message):
    with pytest.raises(UserError) as refused:
        make()
    assert message in str(refused.value)


def test_numbers_as_yaml_reads_them():
    """YAML reads 6e-4 as text and 1 as an integer: both are learning rates."""
    for written, meant in (("6e-4", 6e-4), ("1", 1.0), ("0.5", 0.5)):
        recipe = from_dict(Recipe, yaml.safe_load(f"optimizer: {{learning_rate: {written}}}"))
        assert recipe.optimizer.learning_rate == meant and type(recipe.optimizer.learning_rate) is float


def test_a_file_that_is_not_yaml_is_refused(tmp_path):
    for content in (b"model: [", b"\xff\xfe\x00"):
        (tmp_path / "recipe.yaml").write_bytes(content)
        with pytest.raises(UserError, match="recipe.yaml is not YAML"):
            load_recipe(tmp_path / "recipe.yaml")


class TestRunDirectories:
    def test_a_run_of_another_recipe_is_refused_with_what_differs(self, tmp_path):
        begin_run(open_run(tmp_path / "run", Recipe()), "tokens")
        with pytest.raises(UserError) as refused:
            open_run(tmp_path / "run", Recipe(train=TrainConfig(batch=64)))
        assert "train.batch: 32 there, 64 asked for" in str(refused.value)
        assert read_run(tmp_path / "run").recipe == Recipe()

    def test_what_does_not_change_the_numbers_may_change(self, tmp_path):
        begin_run(open_run(tmp_path / "run", Recipe()), "tokens")
        changed = Recipe(train=TrainConfig(keep=9, microbatch=8), mesh=MeshConfig(fsdp=4), notes="on another machine")
        begin_run(open_run(tmp_path / "run", changed), "tokens")
        assert read_run(tmp_path / "run").recipe == changed

    def test_a_run_goes_on_with_its_own_tokens_only(self, tmp_path):
        begin_run(open_run(tmp_path / "run", Recipe()), "tokens")
        with pytest.raises(UserError, match="was begun with other data: its tokens had the fingerprint tokens, and now others"):
            begin_run(open_run(tmp_path / "run", Recipe()), "others")

    def test_a_folder_of_something_else_is_not_written_into(self, tmp_path):
        (tmp_path / "thesis.tex").write_text("years of work")
        with pytest.raises(UserError, match="exists, is not empty and holds no recipe.yaml"):
            open_run(tmp_path, Recipe())
        assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]

    def test_a_folder_that_is_no_run_is_refused(self, tmp_path):
        with pytest.raises(UserError, match="is not a run: it holds no recipe.yaml"):
            read_run(tmp_path)
