"""A build: nothing is lost, the result is the same bytes however it was made, and it goes on from wherever it was stopped."""

import errno
import json
import os
import shutil
from pathlib import Path

import pytest

from tenfold.corpus.engine.build import Built, build_documents
from tenfold.corpus.engine.contaminated import evaluation_texts
from tenfold.corpus.engine.frames import Engine
from tenfold.corpus.engine.trace import trace
from tenfold.corpus.recipe import CorpusRecipe
from tenfold.errors import UserError

pytest.importorskip("daft")

from tiny_corpus import brief, files_of, prose, write_sources  # noqa: E402


@pytest.fixture(scope="module")
def recipe(tmp_path_factory) -> CorpusRecipe:
    return write_sources(tmp_path_factory.mktemp("sources"))


@pytest.fixture(scope="module")
def out(recipe, tmp_path_factory) -> Path:
    """A corpus, built in many small batches."""
    out = tmp_path_factory.mktemp("built") / "out"
    build_documents(recipe, out, Engine())
    return out


@pytest.fixture(scope="module")
def built(recipe, out) -> Built:
    return build_documents(recipe, out, Engine())


def dropped(built: Built, stage: str) -> dict[str, int]:
    """Documents by reason."""
    index = next(each for each in built.stages if each.directory.name == stage).index
    counts: dict[str, int] = {}
    for reasons in index["dropped"].values():
        for reason, count in reasons.items():
            counts[reason] = counts.get(reason, 0) + count["documents"]
    return counts


def test_every_document_is_kept_or_dropped_with_a_reason(built):
    """What a stage was given is what it kept and dropped; only decontamination makes several of one."""
    counts = [(stage.directory.name, stage.count("kept")["documents"], stage.count("dropped")["documents"]) for stage in built.stages]
    assert counts[0][1:] == (34, 3)
    for (_, before, _), (name, kept, lost) in zip(counts, counts[1:], strict=False):
        if name not in ("6-decontaminate", "7-index"):
            assert kept + lost == before, name
    assert dropped(built, "0-read") == {"bad line": 1, "undecodable": 1, "empty": 1}
    assert dropped(built, "1-normalise") == {"exact duplicate": 2}
    assert dropped(built, "5-fuzzy") == {"near duplicate": 1}
    assert dropped(built, "6-decontaminate") == {"cut": 1}


def test_of_two_sources_the_first_keeps_its_copy(built, out):
    """The book that is also a page stays a book."""
    from tenfold.corpus.documents import document_id

    fates = trace(out, document_id(prose(5)))
    assert {fate.source for fate in fates if fate.stage == "1-normalise" and fate.kept} == {"books"}
    assert {(fate.source, fate.reason) for fate in fates if not fate.kept} == {("web", "exact duplicate")}


def test_documents_are_sorted_by_id(built):
    import pyarrow.parquet as pq

    stage = built.documents
    ids = [id for part in stage.with_documents() for id in pq.read_table(stage.kept(part), columns=["id"])["id"].to_pylist()]
    assert ids == sorted(ids) and len(ids) == len(set(ids))


@pytest.mark.slow
def test_the_same_bytes_for_any_batches_and_workers(recipe, out, built, tmp_path):
    """One batch in two processes gives what many batches in one gave, to the byte."""
    build_documents(brief(recipe), tmp_path / "out", Engine(workers=2, least_bytes=0))
    assert files_of(tmp_path / "out") == files_of(out)


def test_the_same_bytes_on_ray(recipe, out, built, tmp_path, run_python):
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'tenfold[ray]'")
    program = f"""
        import pickle
        from pathlib import Path
        from tenfold.corpus.engine.build import build_documents
        from tenfold.corpus.engine.frames import Engine
        build_documents(pickle.loads({__import__("pickle").dumps(recipe)!r}), Path({str(tmp_path / "out")!r}), Engine("ray", 2))
    """
    run_python(program, devices=1)
    assert files_of(tmp_path / "out") == files_of(out)


def test_a_finished_stage_is_not_run_again(recipe, out, built, monkeypatch):
    """Nothing is written a second time; what one setting changes is made anew from there on."""
    times = {path: path.stat().st_mtime_ns for path in out.rglob("*.parquet")}
    build_documents(recipe, out, Engine())
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*.parquet")} == times


def test_a_damaged_part_is_named(recipe, out, built, tmp_path):
    """A part whose bytes are not those of its checksum stops the build before anything is made of it."""
    shutil.copytree(out, tmp_path / "out")
    part = next((tmp_path / "out/documents/1-normalise/kept").glob("*.parquet"))
    data = bytearray(part.read_bytes())
    data[100] ^= 1
    part.write_bytes(data)
    shutil.rmtree(tmp_path / "out/documents/5-fuzzy")
    with pytest.raises(UserError, match="damaged"):
        build_documents(recipe, tmp_path / "out", Engine())


class Stopped(Exception):
    """What a test stops a build with."""


@pytest.mark.parametrize("at", [9, pytest.param(37, marks=pytest.mark.slow)])
def test_a_build_stopped_at_any_file_goes_on(recipe, out, built, tmp_path, monkeypatch, at):
    """However many files had been renamed into place, the next build ends with the same bytes."""
    calls = 0
    rename = os.replace

    def replace(*arguments, **more):
        nonlocal calls
        calls += 1
        if calls == at:
            raise Stopped("stop")
        return rename(*arguments, **more)

    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(Exception, match="Stopped|stop"):
        build_documents(recipe, tmp_path / "out", Engine())
    monkeypatch.setattr(os, "replace", rename)
    build_documents(recipe, tmp_path / "out", Engine())
    assert files_of(tmp_path / "out") == files_of(out)


def test_a_killed_build_goes_on(recipe, out, built, tmp_path, run_python):
    """kill -9 in the middle of a stage."""
    program = f"""
        import os, pickle, signal
        from pathlib import Path
        from tenfold.corpus.engine.build import build_documents
        from tenfold.corpus.engine.frames import Engine

        rename, left = os.replace, 30
        def replace(*arguments, **more):
            global left
            left -= 1
            if not left:
                os.kill(os.getpid(), signal.SIGKILL)
            return rename(*arguments, **more)
        os.replace = replace
        build_documents(pickle.loads({__import__("pickle").dumps(recipe)!r}), Path({str(tmp_path / "out")!r}), Engine())
    """
    with pytest.raises(pytest.fail.Exception, match="ended with -9"):
        run_python(program, devices=1)
    build_documents(recipe, tmp_path / "out", Engine())
    assert files_of(tmp_path / "out") == files_of(out)


def test_a_full_disk_stops_cleanly(recipe, tmp_path, monkeypatch):
    """No traceback: a sentence that says what to do, and nothing half-written."""
    monkeypatch.setattr(os, "fsync", lambda file: (_ for _ in ()).throw(OSError(errno.ENOSPC, "No space left on device")))
    with pytest.raises(UserError, match="full"):
        build_documents(recipe, tmp_path / "out", Engine())
    assert not list((tmp_path / "out").rglob("*.parquet"))


def test_an_id_that_is_none_is_refused(out, built):
    with pytest.raises(UserError, match="16 hexadecimal"):
        trace(out, "nothing")
    with pytest.raises(UserError, match="has met the document"):
        trace(out, "0" * 16)


def test_an_evaluation_set_needs_no_field_of_a_name(tmp_path):
    """A line's text, else all strings in it; what holds none, or two sets of one name, is refused."""
    items = [{"text": "only this", "id": "x"}, {"question": "What is it?", "choices": ["a", "b"], "label": 1}, "alone"]
    path = tmp_path / "quiz.jsonl"
    path.write_text("\n".join(json.dumps(item) for item in items) + "\n{broken\n")
    assert evaluation_texts((str(path),)) == {"quiz": ["only this", "What is it?\na\nb", "alone"]}
    with pytest.raises(UserError, match="two sets 'quiz'"):
        evaluation_texts((str(path), str(path)))
    path.write_text("{}\n")
    with pytest.raises(UserError, match="holds no text"):
        evaluation_texts((str(path),))
