"""Documents become shards once; what changed is made again, what cannot be used is refused by name."""

import dataclasses
import json
import os
import shutil
import threading
from pathlib import Path

import pytest

from tenfold.corpus.documents import Document, is_held_out
from tenfold.errors import UserError
from tenfold.tokens.config import DataConfig
from tenfold.tokens.prepare import prepare, sample
from tenfold.tokens.shards import Shards, write_shards
from tenfold.tokens.tokenizer import Tokenizer

VOCAB = 400


@pytest.fixture(scope="module")
def texts(documents, tmp_path_factory) -> dict[str, Path]:
    """Two folders of documents."""
    place = tmp_path_factory.mktemp("texts")
    for name, part in {"one": documents[:40], "two": documents[40:]}.items():
        (place / name).mkdir()
        for number, each in enumerate(part):
            (place / name / f"{number:02}.py").write_bytes(each.text.encode())
    return {name: place / name for name in ("one", "two")}


@pytest.fixture
def folder(texts, tmp_path) -> Path:
    """A folder of documents that a test may change."""
    return shutil.copytree(texts["one"], tmp_path / "documents")


def texts_in(shards: Shards, tokenizer) -> list[str]:
    records = [shards.document(index) for index in range(shards.documents)]
    return [tokenizer.decode(shards.window(record["start"], record["tokens"] - 1)[0]) for record in records]


def ids_in(shards: list[Shards]) -> set[str]:
    return {id for each in shards for id in each.document_ids()}


class Steps:
    """Progress that remembers what was done."""

    def __init__(self):
        self.done: list[str] = []

    def __call__(self, what, done, total):
        if not self.done or self.done[-1] != what:
            self.done.append(what)


def test_documents_become_shards(texts, documents, tmp_path):
    steps = Steps()
    found = prepare(DataConfig(paths=(str(texts["one"]),)), tmp_path, VOCAB, steps)
    assert steps.done == ["reading documents", "training a tokenizer", "tokenising"]
    (train,), (held_out,) = found.train, found.held_out
    assert (train.directory, held_out.directory) == (tmp_path / "data/train", tmp_path / "data/held_out")
    assert {text for shards in (train, held_out) for text in texts_in(shards, found.tokenizer)} == {each.text for each in documents[:40]}
    assert all(is_held_out(id) for id in held_out.document_ids()) and not any(map(is_held_out, train.document_ids()))
    assert found.tokenizer.vocab == found.vocab == VOCAB and found.weights == []
    assert (tmp_path / "tokenizer/tokenizer.json").read_text() == (train.directory / "tokenizer.json").read_text()
    summary = json.loads((tmp_path / "documents.json").read_text())
    assert summary["train"] == {"documents": train.documents, "bytes": train.bytes}
    assert summary["held_out"] == {"documents": held_out.documents, "bytes": held_out.bytes}


def test_a_second_call_makes_nothing(folder, tmp_path):
    data = DataConfig(paths=(str(folder),))
    first = prepare(data, tmp_path / "run", VOCAB)
    written = {path: path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("*.bin")}
    steps = Steps()
    again = prepare(data, tmp_path / "run", VOCAB, steps)
    assert steps.done == [] and again.fingerprint == first.fingerprint
    assert {path: path.stat().st_mtime_ns for path in written} == written
    assert json.loads((tmp_path / "run/documents.json").read_text())["train"]["documents"] == first.train[0].documents


def add_a_document(folder, run):
    (folder / "new.py").write_text("a new document, quite new\n" * 5)


def touch_a_document(folder, run):
    path = next(folder.iterdir())
    os.utime(path, ns=(1, 1))


def remove_a_document(folder, run):
    next(folder.iterdir()).unlink()


def cut_a_shard(folder, run):
    path = run / "data/train/00000.bin"
    path.write_bytes(path.read_bytes()[:-2])


def put_others_shards_there(folder, run):
    shutil.rmtree(run / "data/train")
    shutil.copytree(run / "data/held_out", run / "data/train")


def damage_the_record(folder, run):
    (run / "data/prepared.json").write_text("{")


def lose_the_held_out_shards(folder, run):
    shutil.rmtree(run / "data/held_out")


@pytest.mark.parametrize(
    "change",
    [
        add_a_document,
        touch_a_document,
        remove_a_document,
        cut_a_shard,
        put_others_shards_there,
        damage_the_record,
        lose_the_held_out_shards,
    ],
)
def test_a_change_makes_it_again(folder, tmp_path, change):
    data, run = DataConfig(paths=(str(folder),)), tmp_path / "run"
    prepare(data, run, VOCAB)
    change(folder, run)
    steps = Steps()
    found = prepare(data, run, VOCAB, steps)
    assert "tokenising" in steps.done
    for shards in [*found.train, *found.held_out]:
        shards.verify()
    fresh = prepare(data, tmp_path / "fresh", VOCAB)
    assert found.fingerprint == fresh.fingerprint and found.tokenizer.fingerprint == fresh.tokenizer.fingerprint


def test_another_vocabulary_makes_it_again(folder, tmp_path):
    data = DataConfig(paths=(str(folder),))
    assert prepare(data, tmp_path / "run", VOCAB).tokenizer.vocab == VOCAB
    assert prepare(data, tmp_path / "run", 300).tokenizer.vocab == 300


def test_an_interruption_is_made_good(folder, tmp_path):
    """Stopped at each step in turn, the next call goes on to the same end; what was finished is not done again."""

    def stop_at(step):
        def progress(what, done, total):
            if what == step:
                raise KeyboardInterrupt

        return progress

    data, run = DataConfig(paths=(str(folder),)), tmp_path / "run"
    for step in ("reading documents", "training a tokenizer", "tokenising"):
        with pytest.raises(KeyboardInterrupt):
            prepare(data, run, VOCAB, stop_at(step))
    assert not list((run / "data").glob("*/tokens.json"))
    steps = Steps()
    found = prepare(data, run, VOCAB, steps)
    assert steps.done == ["reading documents", "tokenising"]
    assert found.fingerprint == prepare(data, tmp_path / "fresh", VOCAB).fingerprint


def test_two_at_once_do_not_disturb_each_other(folder, tmp_path):
    found: list[str] = []
    data = DataConfig(paths=(str(folder),))
    threads = [threading.Thread(target=lambda: found.append(prepare(data, tmp_path / "run", VOCAB).fingerprint)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4 and len(set(found)) == 1


def test_several_sources_share_a_tokenizer(texts, tmp_path):
    found = prepare(DataConfig(paths=(str(texts["one"]), str(texts["two"])), weights=(1, 3)), tmp_path, VOCAB)
    assert [shards.directory for shards in found.train] == [tmp_path / "data/1/train", tmp_path / "data/2/train"]
    assert found.weights == [1, 3] and len({shards.tokenizer_fingerprint for shards in found.train}) == 1
    summary = json.loads((tmp_path / "documents.json").read_text())
    assert summary["train"]["documents"] == sum(shards.documents for shards in found.train)
    assert [source["path"] for source in summary["sources"]] == [str(texts["one"]), str(texts["two"])]


def test_shards_are_opened_where_they_are(texts, tmp_path):
    made = prepare(DataConfig(paths=(str(texts["one"]),)), tmp_path / "first", VOCAB)
    steps = Steps()
    for path in ("first/data", "first/data/train"):
        found = prepare(DataConfig(paths=(str(tmp_path / path),)), tmp_path / "second", VOCAB, steps)
        assert found.train[0].directory == made.train[0].directory
        assert found.tokenizer.fingerprint == made.tokenizer.fingerprint
        assert [shards.directory for shards in found.held_out] == ([made.held_out[0].directory] if path == "first/data" else [])
    assert steps.done == [] and not (tmp_path / "second/documents.json").exists()


def test_documents_beside_shards_take_the_shards_tokenizer(texts, shards, tokenizer, tmp_path):
    found = prepare(DataConfig(paths=(str(shards.directory), str(texts["two"]))), tmp_path, 512)
    assert found.tokenizer.fingerprint == tokenizer.fingerprint
    assert found.train[0].directory == shards.directory and found.train[1].directory == tmp_path / "data/train"


def test_a_named_tokenizer_is_used(texts, gpt2_files, tmp_path):
    found = prepare(DataConfig(paths=(str(texts["two"]),), tokenizer=str(gpt2_files)), tmp_path, 512)
    assert found.tokenizer.end_of_text == 511 and found.train[0].window(found.train[0].tokens - 1, 1)[0][0] == 511


@pytest.mark.parametrize("kind", ["documents", "shards"])
def test_held_out_documents_are_kept_from_training(documents, texts, tokenizer, tmp_path, kind):
    """All of them are measured on, none is trained on even where data.paths has it too, and nothing else is split off."""
    held = documents[35:40]
    if kind == "shards":
        place = write_shards(held, tokenizer, tmp_path / "held")
    else:
        place = tmp_path / "held"
        place.mkdir()
        for number, each in enumerate(held):
            (place / f"{number}").write_bytes(each.text.encode())
    found = prepare(DataConfig(paths=(str(texts["one"]),), held_out=str(place)), tmp_path / "run", 512)
    assert ids_in(found.held_out) == {each.id for each in held}
    assert ids_in(found.train) == {each.id for each in documents[:35]}
    rejected = json.loads((tmp_path / "run/documents.json").read_text())["rejected"]
    assert rejected["in data.held_out"]["documents"] == 5
    steps = Steps()
    again = prepare(DataConfig(paths=(str(texts["one"]),), held_out=str(place)), tmp_path / "run", 512, steps)
    assert again.fingerprint == found.fingerprint and steps.done == []


def test_going_back_and_forth_between_splits(texts, gpt2_files, tmp_path):
    """Both ways use data/train and data/held_out: neither may take the other's for its own."""
    split = DataConfig(paths=(str(texts["one"]),), tokenizer=str(gpt2_files))
    named = dataclasses.replace(split, held_out=str(texts["two"]))
    apart = [prepare(data, tmp_path / str(number), 512).fingerprint for number, data in enumerate((split, named))]
    assert [prepare(data, tmp_path / "one", 512).fingerprint for data in (split, named, split, named)] == apart * 2
    assert apart[0] != apart[1]


def test_no_held_out_document_leaves_none(folder, tmp_path):
    """A small collection may have nothing on the held-out side; old shards there must not stay."""
    data, run = DataConfig(paths=(str(folder),)), tmp_path / "run"
    assert prepare(data, run, VOCAB).held_out
    for path in folder.iterdir():
        path.unlink()
    (folder / "a").write_text("x = 1\n" * 50)
    assert prepare(data, run, VOCAB).held_out == []
    assert not (run / "data/held_out").exists()


def test_the_sample_is_the_same_in_any_order_and_not_the_split(documents):
    whole = sample(documents, 10**9)
    assert set(whole) == {each.text for each in documents}
    part = sample(documents, 50_000)
    assert part == sample(documents[::-1], 50_000) == whole[: len(part)]
    assert sum(len(text.encode()) for text in part[:-1]) < 50_000 <= sum(len(text.encode()) for text in part)


def test_messages(texts, shards, gpt2_files, tokenizer, tmp_path):
    """What can go wrong with data, each with the path or field and the mend."""
    one = str(texts["one"])
    bare = shutil.copytree(shards.directory, tmp_path / "bare")
    (bare / "tokenizer.json").unlink()
    other = Shards.open(write_shards([Document("0" * 16, "x", "a")], Tokenizer.load(gpt2_files), tmp_path / "other"))
    cases = [
        (DataConfig(), 512, "data.paths is empty: there is nothing to train on.\n  Name documents .*, shards, or 'stdlib'"),
        (DataConfig(paths=("/no/such",)), 512, "There is nothing at '/no/such'.\n  Name a folder"),
        (DataConfig(paths=(one,), held_out="/no/such"), 512, "There is nothing at '/no/such'"),
        (DataConfig(paths=(one,), tokenizer="/no/such"), 512, "There is no tokenizer at '/no/such'"),
        (DataConfig(paths=(one,)), 100, "A vocabulary of 100 is too small to train a tokenizer for.\n  Byte-level BPE needs at least 257"),
        (
            DataConfig(paths=(str(shards.directory),)),
            500,
            "model.vocab is 500 but the tokenizer has 512 tokens.\n  Make model.vocab at least 512",
        ),
        (DataConfig(paths=(one,), tokenizer=str(gpt2_files)), 300, "model.vocab is 300 but the tokenizer has 512 tokens"),
        (DataConfig(paths=(str(bare), one)), 512, "bare has no tokenizer.json, so there is none to encode documents with.\n  Name it in"),
        (DataConfig(paths=(str(bare),), held_out=one), 512, "bare has no tokenizer.json"),
        (
            DataConfig(paths=(str(shards.directory), str(other.directory))),
            512,
            f"other was made with the tokenizer {other.tokenizer_fingerprint}, but that of .* is {tokenizer.fingerprint}.\n  The same",
        ),
        (
            DataConfig(paths=(str(shards.directory),), tokenizer=str(gpt2_files)),
            512,
            f"was made with the tokenizer {tokenizer.fingerprint}, but data.tokenizer '.*' is {other.tokenizer_fingerprint}",
        ),
    ]
    for number, (data, vocab, message) in enumerate(cases):
        with pytest.raises(UserError, match=message):
            prepare(data, tmp_path / f"run{number}", vocab)


def test_shards_without_a_tokenizer_can_be_trained_on(shards, tmp_path):
    bare = shutil.copytree(shards.directory, tmp_path / "bare")
    (bare / "tokenizer.json").unlink()
    found = prepare(DataConfig(paths=(str(bare),)), tmp_path / "run", 512)
    assert found.tokenizer is None and found.vocab == 512 and found.train[0].tokens == shards.tokens
