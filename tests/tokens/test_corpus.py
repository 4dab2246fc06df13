"""A corpus's shards: what `train --data OUT` reads, with the weights of the recipe."""

import json
from pathlib import Path

import pytest

from tenfold.errors import UserError
from tenfold.tokens.config import DataConfig
from tenfold.tokens.mixed import with_corpora
from tenfold.tokens.prepare import prepare

pytest.importorskip("daft")

from tiny_corpus import brief, write_sources  # noqa: E402


@pytest.fixture(scope="module")
def out(tmp_path_factory) -> Path:
    from rich.console import Console

    from tenfold.recipes.corpus_road import Work, build_corpus

    recipe = brief(write_sources(tmp_path_factory.mktemp("sources")))
    out = tmp_path_factory.mktemp("built") / "out"
    return build_corpus(recipe, Work(out, workers=1), Console(quiet=True))


def test_training_reads_a_corpus_with_its_weights(out, tmp_path):
    """Each source is one of the paths, in the recipe's order; every document is in exactly one of their shards."""
    prepared = prepare(DataConfig((str(out),)), tmp_path / "run", 512)
    assert [shards.directory.parent.name for shards in prepared.train] == ["books", "web"]
    assert prepared.weights == pytest.approx([0.75, 0.25])
    ids = [id for shards in [*prepared.train, *prepared.held_out] for id in shards.document_ids()]
    assert len(ids) == len(set(ids)) == json.loads((out / "result.json").read_text())["documents"]["documents"]
    for shards in prepared.train:
        shards.verify()


def test_a_document_comes_back_from_its_tokens(out, tmp_path):
    prepared = prepare(DataConfig((str(out),)), tmp_path / "run", 512)
    record = prepared.train[0].document(0)
    ids, _ = prepared.train[0].window(record["start"], record["tokens"] - 1)
    assert len(prepared.tokenizer.decode_bytes(ids)) == record["bytes"]


def test_a_corpus_beside_other_paths_needs_weights(out, tmp_path):
    with pytest.raises(UserError, match="data.weights is empty"):
        with_corpora(DataConfig((str(out), "stdlib")))
    mixed = with_corpora(DataConfig((str(out), "stdlib"), (3.0, 1.0)))
    assert mixed.weights == pytest.approx((2.25, 0.75, 1.0))


def test_the_report_escapes_what_pages_say(out):
    """A document may hold a script; the page must show it, not run it."""
    from tenfold.report.corpus import read_manifest, render

    manifest = read_manifest(out)
    manifest["stages"][1]["samples"][""][0]["text"] = "<script>alert(1)</script>"
    manifest["stages"][-2]["samples"][""] = manifest["stages"][1]["samples"][""]
    page = render(manifest, json.loads((out / "mixture.json").read_text()))
    assert "<script>" not in page and "&lt;script&gt;" in page
    assert "near duplicate" in page and "books" in page


def test_inspect_says_where_a_document_went(out):
    from rich.console import Console

    from tenfold.recipes.corpus_road import inspect

    console = Console(record=True, width=200, quiet=False, file=open("/dev/null", "w"))  # noqa: SIM115
    manifest = json.loads((out / "manifest.json").read_text())
    lost = next(stage for stage in manifest["stages"] if stage["stage"] == "5-fuzzy")["samples"]["near duplicate"][0]
    fates = inspect(out, lost["id"], console)
    assert [fate.stage for fate in fates] == ["0-read", "1-normalise", "5-fuzzy"] and fates[-1].other == lost["other"]
    assert "dropped: near duplicate" in console.export_text()
