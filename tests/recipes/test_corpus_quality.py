"""`fit-quality`: tells the sources apart, is measured on documents that it did not learn from, and comes out the same again."""

import json
import random

import pytest
from rich.console import Console

from tenfold.corpus.quality import load, score_texts
from tenfold.corpus.recipe import CorpusRecipe, SourceConfig
from tenfold.errors import UserError
from tenfold.recipes.corpus_quality import fit_quality
from tenfold.recipes.corpus_road import Work

GOOD = "the ship sailed home when winter came and every sailor told the story of that long voyage".split()
BAD = "buy cheap pills now click here free offer casino bonus winner credit loan discount deal subscribe".split()


def written(words: list[str], number: int) -> str:
    return " ".join(random.Random(number).choices(words, k=60))


@pytest.fixture
def recipe(tmp_path) -> CorpusRecipe:
    for name, words in (("books", GOOD), ("crawl", BAD)):
        (tmp_path / name).mkdir()
        for number in range(60):
            (tmp_path / name / f"{number}.txt").write_text(written(words, number))
    books, crawl = (str(tmp_path / name) for name in ("books", "crawl"))
    return CorpusRecipe("two", sources=(SourceConfig("books", "files", books), SourceConfig("crawl", "files", crawl, quality=True)))


def test_what_is_fitted_tells_good_from_raw(recipe, tmp_path):
    first, again = (fit_quality(recipe, Work(out=tmp_path / out, workers=1), console=Console(quiet=True)) for out in ("a", "b"))
    assert first.read_bytes() == again.read_bytes()
    good, bad = score_texts(load(first), [written(GOOD, 1000), written(BAD, 1000)])
    assert good > 0.8 and bad < 0.2
    found = json.loads(first.with_suffix(".json").read_text())
    assert found["documents"] == [60, 60] and 0 < found["measured"] < 40 and found["area"] == 1.0
    page = first.with_suffix(".html").read_text()
    assert 30 < sum(written(words, number) in page for words in (GOOD, BAD) for number in range(60)) <= 50


def test_a_recipe_without_raw_sources_is_refused(recipe, tmp_path):
    with pytest.raises(UserError, match="two has 0 marked quality and 1 others"):
        fit_quality(CorpusRecipe("two", sources=recipe.sources[:1]), Work(out=tmp_path / "a"), console=Console(quiet=True))
