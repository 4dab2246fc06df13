"""Every item that was planted in a corpus is found and shown, whatever part it is in; no other is."""

import json
import random
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tenfold.corpus.engine.build import build_documents
from tenfold.corpus.engine.frames import Engine
from tenfold.corpus.letters import grams, placed_words
from tenfold.corpus.recipe import CorpusRecipe, DecontaminateConfig, FuzzyConfig, SourceConfig, TokensConfig, WorkConfig
from tenfold.errors import UserError
from tenfold.evaluate import lookup
from tenfold.evaluate.contamination import ContaminationSettings, write
from tenfold.evaluate.example import Example
from tenfold.evaluate.items import Item, grams_of, item_of, item_set, plain_items
from tenfold.evaluate.results import write_result
from tenfold.evaluate.training import training
from tenfold.recipes.corpus import recipe_text

pytest.importorskip("daft")

from made_results import choice, result  # noqa: E402
from tiny_corpus import prose  # noqa: E402

HELD_OUT = 0.2


def question(seed: int, words: int = 20) -> str:
    """Words that are in no document; a text of its own for a seed."""
    chosen = random.Random(1000 + seed)
    return " ".join(f"asked{chosen.randrange(400)}" for _ in range(words))


LONG = {f"long/{seed}": question(seed, 15 + seed % 10) for seed in range(40)}
SHORT = {f"short/{seed}": question(100 + seed, 9) for seed in range(60)} | {"short/tiny": "Is it so, then?", "short/unseen": "Was it not?"}
PLANTED = [*(f"long/{seed}" for seed in range(0, 40, 3)), *(f"short/{seed}" for seed in range(0, 60, 8)), "short/tiny"]


def changed(text: str) -> str:
    """The same words in another dress: capitals, punctuation, line ends."""
    return ", ".join(word.capitalize() for word in text.split()).replace(", Asked3", "!\n ASKED3")


def build(folder: Path, texts: list[str], held_out: float = HELD_OUT, **parts) -> Path:
    """A corpus of these documents, in small parts."""
    folder.mkdir()
    (folder / "pages.jsonl").write_text(
        "\n".join(json.dumps({"text": text, "url": f"http://page.org/{n}"}) for n, text in enumerate(texts))
    )
    recipe = CorpusRecipe(
        "planted",
        sources=(SourceConfig("web", "jsonl", str(folder / "pages.jsonl")),),
        fuzzy=FuzzyConfig(enabled=False),
        tokens=TokensConfig(held_out=held_out),
        work=WorkConfig(part_bytes=6_000, batch_bytes=60_000),
        **parts,
    )
    build_documents(recipe, folder / "corpus", Engine())
    (folder / "corpus" / "recipe.yaml").write_text(recipe_text(recipe))
    return folder / "corpus"


def texts_with(planted: list[str]) -> list[str]:
    """Documents, the first of which hold the planted items: twice each, so that one of two is not held out."""
    texts = [prose(seed, 120) for seed in range(60)]
    for number, id in enumerate(planted):
        for at in (number, 59 - number):
            middle = (LONG | SHORT)[id] if at == number else changed((LONG | SHORT)[id])
            texts[at] = f"{prose(200 + at, 30)} {middle} {prose(300 + at, 30)}"
    return texts


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    return build(tmp_path_factory.mktemp("contamination") / "one", texts_with(PLANTED))


@pytest.fixture(scope="module")
def sets():
    return [item_set("long", plain_items(LONG)), item_set("short", plain_items(SHORT))]


def read(out: Path) -> dict[str, dict]:
    return {row["id"]: row for row in map(json.loads, (out / "items.jsonl").read_text().splitlines())}


@pytest.fixture(scope="module")
def out(corpus, sets, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("out")
    write(corpus, sets, [], out, ContaminationSettings(workers=1))
    return out


def in_training(corpus: Path) -> list[str]:
    seen = training(corpus)
    return [text for part in seen.stage.with_documents() for _, texts in seen.slices(part) for text in texts]


def test_all_that_was_planted_is_found_and_no_other(corpus, sets, out):
    """An item is dirty exactly where a training document (not one held out) holds it."""
    plain = [" ".join("".join(c for c in text.lower() if c not in ",!?\n" or c == "\n").split()) for text in in_training(corpus)]
    rows = read(out)
    assert {each.name: each.n for each in sets} == {"long": 13, "short": 9}
    expected = {id for id, text in (LONG | SHORT).items() if any(text.lower().replace(",", "").replace("?", "") in doc for doc in plain)}
    assert {id for id, row in rows.items() if row["dirty"]} == expected
    assert expected <= set(PLANTED) and len(expected) >= len(PLANTED) - 2, "nearly all are in a training document twice over"
    assert len(training(corpus).stage.with_documents()) > 3, "the corpus has several parts"
    result = json.loads((out / "result.json").read_text())
    assert sum(task["dirty"] for task in result["tasks"]) == len(expected)
    assert result["corpus"]["documents"] == len(plain) < 60


def test_an_overlap_is_shown_whole_and_in_its_place(corpus, out):
    texts = in_training(corpus)
    for id, row in read(out).items():
        assert bool(row["overlaps"]) == row["dirty"]
        for overlap in row["overlaps"]:
            before, inside, after = overlap["training"]
            assert any(before + inside + after in text for text in texts) and overlap["url"].startswith("http://page.org/")
            assert overlap["item"][1].rstrip("?") == (LONG | SHORT)[id].rstrip("?"), "all its words were planted"
            assert overlap["words"] == len((LONG | SHORT)[id].split())


def test_an_interruption_changes_nothing(corpus, sets, out, tmp_path, monkeypatch):
    """A search that stops after some parts goes on from there: those are not looked through again."""
    looked, real = [], lookup._look_in

    def counted(seen, part, tables, path):
        if len(looked) == 2:
            raise RuntimeError("stopped")
        looked.append(part.number)
        return real(seen, part, tables, path)

    with monkeypatch.context() as patched:
        patched.setattr(lookup, "AT_ONCE", 1)
        patched.setattr(lookup, "_look_in", counted)
        with pytest.raises(Exception, match="stopped"):
            write(corpus, sets, [], tmp_path, ContaminationSettings(workers=1))
    assert not (tmp_path / "items.jsonl").exists()
    again = []
    with monkeypatch.context() as patched:
        patched.setattr(lookup, "_look_in", lambda seen, part, tables, path: (again.append(part.number), real(seen, part, tables, path))[1])
        write(corpus, sets, [], tmp_path, ContaminationSettings(workers=1))
    assert looked and again and not set(looked) & set(again)
    assert read(tmp_path) == read(out) and not (tmp_path / ".looking-up").exists()


@pytest.mark.slow
def test_two_processes_find_the_same(corpus, sets, out, tmp_path, monkeypatch):
    monkeypatch.setattr(Engine, "least_bytes", 0)
    write(corpus, sets, [], tmp_path, ContaminationSettings(workers=2))
    assert read(tmp_path) == read(out)


def test_before_the_cut_there_is_more(tmp_path):
    """What decontamination cut out was not seen, and is found where the documents are looked at as they were."""
    (tmp_path / "long.jsonl").write_text("\n".join(json.dumps({"text": text}) for text in LONG.values()))
    corpus = build(tmp_path / "one", texts_with(PLANTED), decontaminate=DecontaminateConfig((str(tmp_path / "long.jsonl"),)))
    asked = [item_set("long", plain_items(LONG))]
    counts = {}
    for which in ("seen", "before"):
        write(corpus, asked, [], tmp_path / which, ContaminationSettings(which, workers=1))
        counts[which] = sum(row["dirty"] for row in read(tmp_path / which).values())
    assert counts["seen"] == 0 and counts["before"] >= 12


def test_items_are_brought_into_a_corpuss_form(tmp_path):
    """What the build does to a document's characters does not hide an item from its copy."""
    said = "cafe\u0301 nai\u0308ve\r\nand\x07 so forth until all of the words\ufeff are said and done"
    corpus = build(tmp_path / "one", [f"{prose(1)}\n{said}\n{prose(2)}"], held_out=0.0)
    write(corpus, [item_set("one", plain_items({"a": said, "b": question(3)}))], [], tmp_path / "out", ContaminationSettings(workers=1))
    assert [row["dirty"] for row in read(tmp_path / "out").values()] == [True, False]


def test_an_examples_own_words_are_looked_for_without_the_prompts():
    """The question with each answer, right one first; the same without "Question:" and "Answer:"; the line of the data set."""
    asked = "why is the sky blue today"
    example = Example("1", f"Question: {asked}\nAnswer:", (" it scatters", " it is sad"), 1, item={"q": asked, "tag": "x y z"})
    item = item_of(example)
    assert item.asked == (f"Question: {asked}\nAnswer: it is sad", f"Question: {asked} Answer: it scatters")
    assert item.bare == (f"{asked} it is sad", f"{asked} it scatters") and item.line == json.dumps(example.item)
    assert item_of(Example("4", "why is the sky blue", (" a",), item={"q": "why is the sky blue"})).bare == ()
    free = item_of(Example("2", "Q: who\nA:", answers=("Ann", "Ben"), item={"context": "an earlier question and its answer"}))
    assert free.asked == ("Q: who\nA: Ann", "Q: who A: Ben") and free.bare == ()
    partial = item_of(Example("3", "", (" fell.",), contexts=("The cat", "The dog")))
    assert partial.asked == ("The cat fell.", "The dog fell.")


def test_of_a_line_counts_what_no_other_has():
    """Leaked as its data set's line of JSON, an item is found where no N of its words stand in a row; names of fields mark no other."""
    names = [
        "goal of the one who asks",
        "first of the two ways there are",
        "second of the two ways there are",
        "split of the set that it is in",
    ]
    rows = [dict(zip(names, (f"make {seed}", f"use {seed}", f"sell {seed}", "validation"), strict=True)) for seed in range(5)]
    items = [item_of(Example(str(seed), f"Make {seed}", (f" use {seed}",), item=row)) for seed, row in enumerate(rows)]
    found = grams_of(item_set("t", items))
    lookable = {item: set(found[8].hashes[found[8].item == item].tolist()) for item in range(5)}
    for seed, row in enumerate(rows):
        leaked = set(grams(placed_words([json.dumps(row, indent=1)]), 8)[0].tolist())
        assert [bool(leaked & lookable[item]) for item in range(5)] == [item == seed for item in range(5)]


def test_a_short_answer_is_looked_for_with_its_question_whole():
    """Of a text of fewer than N words all words must be there; one of fewer than five counts only with the right answer."""
    item = Item(
        "a", ("Is it so that they are", "Is it so that they were not so at all, ever?"), ("they are", "were they then not so", "are they")
    )
    found = grams_of(item_set("t", [item]))
    assert {n: len(each.hashes) for n, each in found.items()} == {8: 4, 6: 1, 5: 1, 2: 1}


def test_n_is_the_papers_or_the_tasks():
    assert item_set("t", plain_items({"a": "one two three"})).n == 8
    assert item_set("t", plain_items({"a": "one two three"}), n=2).n == 2
    assert item_set("t", plain_items({"a": "one two three"}), synthetic=True).n == 3
    assert item_set("t", plain_items({"a": question(1, 50)})).n == 13
    for items, n, message in (
        ([], 0, "no items"),
        ([Item("a", ("x",))] * 2, 0, "two items with the id 'a'"),
        ([Item("a", ("x",))], 101, "n is 101 words"),
    ):
        with pytest.raises(UserError, match=message):
            item_set("t", items, n)


def test_what_is_no_finished_corpus_is_refused(corpus, sets, tmp_path):
    with pytest.raises(UserError, match="is no corpus: it has no manifest.json"):
        write(tmp_path, sets, [], tmp_path / "out", ContaminationSettings())
    copy = shutil.copytree(corpus, tmp_path / "copy")
    for path in copy.glob("documents/*/kept/*.parquet"):
        path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(UserError, match="is damaged"):
        write(copy, sets, [], tmp_path / "out", ContaminationSettings(workers=1))
    manifest = json.loads((copy / "manifest.json").read_text())
    (copy / "manifest.json").write_text(json.dumps({**manifest, "stages": manifest["stages"][:-1]}))
    with pytest.raises(UserError, match="is not finished"):
        training(copy)


def test_results_that_do_not_fit_are_refused_before_the_corpus_is_read(corpus, sets, tmp_path, monkeypatch):
    monkeypatch.setattr("tenfold.evaluate.contamination.find", lambda *_: pytest.fail("the corpus was read"))
    items = [choice(number, 0, (-1.0, -2.0)) for number in range(2)]
    write_result(tmp_path / "results", result(items, task="nowhere"), items)
    with pytest.raises(UserError, match="holds no result of"):
        write(corpus, sets, [tmp_path / "results"], tmp_path / "out", ContaminationSettings(workers=1))


def test_memory_holds_a_slice_at_a_time(corpus, monkeypatch):
    """However they are sliced, the same training documents come, each once."""
    from tenfold.evaluate import training as module

    whole = in_training(corpus)
    monkeypatch.setattr(module, "SLICE", 700)
    seen = training(corpus)
    slices = [texts for part in seen.stage.with_documents() for _, texts in seen.slices(part)]
    assert [text for texts in slices for text in texts] == whole and max(map(len, slices)) < 4
    assert not [1 for part in seen.stage.with_documents() for _ in replace(seen, held_out=1.0).slices(part)]
    assert np.isclose(len(whole) / 60, 1 - HELD_OUT, atol=0.15)
