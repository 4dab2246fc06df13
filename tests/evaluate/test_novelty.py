"""What was copied is found at its full length with the document it came from; what was not is new."""

import json
import random
from pathlib import Path

import pytest

from tenfold.corpus.documents import document_id
from tenfold.corpus.engine.build import build_documents
from tenfold.corpus.engine.frames import Engine
from tenfold.corpus.recipe import CorpusRecipe, FuzzyConfig, SourceConfig, TokensConfig, WorkConfig
from tenfold.evaluate.novelty import ORDERS, novelty
from tenfold.evaluate.training import training
from tenfold.recipes.corpus import recipe_text

pytest.importorskip("daft")

from tiny_corpus import prose  # noqa: E402

TEXTS = [prose(seed, 150) for seed in range(12)]


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    folder = tmp_path_factory.mktemp("novelty")
    (folder / "pages.jsonl").write_text("\n".join(json.dumps({"text": text}) for text in TEXTS))
    recipe = CorpusRecipe(
        "small",
        sources=(SourceConfig("web", "jsonl", str(folder / "pages.jsonl")),),
        fuzzy=FuzzyConfig(enabled=False),
        tokens=TokensConfig(held_out=0.0),
        work=WorkConfig(part_bytes=5_000),
    )
    build_documents(recipe, folder / "out", Engine())
    (folder / "out" / "recipe.yaml").write_text(recipe_text(recipe))
    return training(Path(folder / "out"))


def unseen(seed: int, words: int = 60) -> str:
    return " ".join(f"new{random.Random(seed).randrange(10**9) + n}" for n in range(words))


def words_of(text: str, first: int, count: int) -> str:
    return " ".join(text.split()[first : first + count])


@pytest.mark.parametrize("count", [1, 5, 15, 16, 17, 23, 24, 60, 100])
def test_the_longest_run_is_found_whatever_its_length(seen, tmp_path, count):
    copied = words_of(TEXTS[7], 20, count)
    made = novelty(seen, {"one": [f"{unseen(1)} {copied.upper()}, {unseen(2)}"], "none": [unseen(3)]}, tmp_path)
    run = made["one"]["runs"][0]
    assert run["words"] == count and made["none"]["runs"] == [{"words": 0}]
    assert run["text"][1] == copied.upper()
    if count > 4:
        assert run["training"][1] == copied and run["document"] == document_id(TEXTS[7]) and run["source"] == "web"


def test_shares_are_those_of_each_length(seen, tmp_path):
    """Of 20 words copied into 100, 20 single words are in the corpus, 19 pairs, ... 5 runs of 16."""
    text = f"{unseen(1, 40)} {words_of(TEXTS[3], 50, 20)} {unseen(2, 40)}"
    made = novelty(seen, {"a": [text, unseen(5, 50)], "b": [TEXTS[0]]}, tmp_path)
    expected = [(1 - (21 - n) / (101 - n) + 1) / 2 for n in ORDERS]
    assert [each["value"] for each in made["a"]["new"]] == pytest.approx(expected)
    assert all(each["value"] == 0 for each in made["b"]["new"]) and made["b"]["copied"]["value"] == 150
    assert made["a"]["copied"]["value"] == 10
