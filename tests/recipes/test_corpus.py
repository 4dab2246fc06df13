"""Named corpora: what they say is what was published, and a corpus's recipe.yaml is a recipe."""

import pytest

from tenfold.corpus.recipe import CorpusRecipe, FuzzyConfig, SourceConfig
from tenfold.errors import UserError
from tenfold.recipes.corpus import RECIPES, find_corpus, recipe_text


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_comes_back_from_its_file(name, tmp_path):
    """YAML holds all of it, for a folder as for a file."""
    recipe = find_corpus(name)
    (tmp_path / "recipe.yaml").write_text(recipe_text(recipe))
    assert find_corpus(str(tmp_path)) == find_corpus(str(tmp_path / "recipe.yaml")) == recipe


def test_the_published_mixtures():
    """GPT-3's five weights, curated sources before the crawl; The Pile's 22 components, read from one path."""
    gpt3 = find_corpus("gpt3")
    assert {source.name: source.weight for source in gpt3.sources} == {
        "wikipedia": 0.03,
        "books1": 0.08,
        "books2": 0.08,
        "webtext2": 0.22,
        "common_crawl": 0.60,
    }
    assert gpt3.rank("webtext2") < gpt3.rank("common_crawl") and gpt3.find("common_crawl").quality
    assert gpt3.fuzzy.minhash.bands * gpt3.fuzzy.minhash.rows == 10 and gpt3.quality.alpha == 9
    pile = find_corpus("pile")
    assert len(pile.sources) == 22 and len({source.path for source in pile.sources}) == 1
    assert pile.find("wikipedia_en").epochs == 3.0 and pile.find("pile-cc").epochs == 1.0


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda: CorpusRecipe("x"), "sources is empty"),
        (lambda: CorpusRecipe("x", sources=(SourceConfig("a", "files", "a"), SourceConfig("a", "files", "b"))), "more than once"),
        (lambda: SourceConfig("a/b", "files", "a"), "letters, digits"),
        (lambda: SourceConfig("a", "files", ""), "empty path"),
        (lambda: SourceConfig("a", "files", "a", weight=0), "weight of source"),
        (lambda: CorpusRecipe("x", sources=(SourceConfig("a", "files", "a"),), fuzzy=FuzzyConfig(together=("a+b",))), "'b'"),
        (lambda: find_corpus("nothing"), "neither a corpus nor a file"),
    ],
)
def test_what_cannot_be_is_refused(wrong, says):
    with pytest.raises(UserError, match=says):
        wrong()
