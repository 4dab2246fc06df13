"""The split is by what a document says, and nothing disappears without a reason."""

import sysconfig
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.corpus.documents import (
    Document,
    Rejected,
    collect,
    combined,
    document_id,
    files_of,
    is_held_out,
    read_documents,
)
from tenfold.errors import UserError


def write(folder: Path, texts: dict[str, str]) -> str:
    for name, text in texts.items():
        (folder / name).write_text(text)
    return str(folder)


def test_the_split_does_not_depend_on_names_or_order(tmp_path):
    """The same documents under other names, among others, fall on the same sides."""
    texts = [f"document number {n}" for n in range(200)]
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    one = collect(write(tmp_path / "a", {f"{n:03}.txt": text for n, text in enumerate(texts)}))
    other = collect(write(tmp_path / "b", {f"{n:03}.txt": text for n, text in enumerate(["new", *reversed(texts)])}))
    assert {document.text for document in one.held_out} == {document.text for document in other.held_out} - {"new"}
    assert len(one.held_out) > 0 and len(one.train) + len(one.held_out) == 200


def test_about_a_twentieth_is_held_out():
    held_out = sum(is_held_out(document_id(f"{n}")) for n in range(20_000))
    assert 900 < held_out < 1100  # 1000, and more than three standard deviations


@given(st.text(st.characters(exclude_categories=["Cs"])), st.floats(0, 1), st.floats(0, 1))
def test_a_larger_fraction_holds_out_more(text, a, b):
    """What a smaller fraction holds out a larger one does too; 0 holds out nothing and 1 everything."""
    id = document_id(text)
    assert is_held_out(id, min(a, b)) <= is_held_out(id, max(a, b))
    assert not is_held_out(id, 0.0) and is_held_out(id, 1.0)


def test_every_file_is_a_document_or_a_reason():
    """On real input: the running interpreter's own library."""
    root, files = files_of(None)
    found = list(read_documents("stdlib"))
    assert root == Path(sysconfig.get_path("stdlib"))
    assert [each.source for each in found] == [file.relative_to(root).as_posix() for file in files]
    assert not any("site-packages" in each.source for each in found)
    taken = [each for each in found if isinstance(each, Document)]
    assert len(taken) > 500 and len({each.id for each in taken}) == len(taken)
    decoder = next(each for each in taken if each.source == "json/decoder.py")
    assert decoder.text.encode() == (root / "json" / "decoder.py").read_bytes() and decoder.id == document_id(decoder.text)


def test_the_summary_adds_up(tmp_path):
    path = write(tmp_path, {"a": "one", "b": "two!", "c": "one", "d": "", "e": " "})
    collection = collect(path, held_out_fraction=0.0)
    assert collection.summary() == {
        "path": path,
        "train": {"documents": 2, "bytes": 7},
        "held_out": {"documents": 0, "bytes": 0},
        "rejected": {
            "duplicate": {"documents": 1, "bytes": 3, "examples": ["c"]},
            "empty": {"documents": 2, "bytes": 1, "examples": ["d", "e"]},
        },
    }
    both = combined([collection.summary(), collection.summary()])
    assert both["train"] == {"documents": 4, "bytes": 14}
    assert both["rejected"]["empty"] == {"documents": 4, "bytes": 2, "examples": ["d", "e", "d"]}


def test_bytes_are_those_of_the_text(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "\\u00e4\\u00e4"}\n{"text": "\\u00e4\\u00e4"}\n', encoding="utf-8")
    collection = collect(str(tmp_path), held_out_fraction=0.0)
    assert collection.summary()["train"]["bytes"] == 4
    assert collection.rejected == [Rejected("a.jsonl:2", "duplicate", 4)]


def test_progress_ends_with_how_many_were_taken(tmp_path):
    calls = []
    collect(write(tmp_path, {f"{n}": f"text {n}" for n in range(130)}), progress=lambda *call: calls.append(call))
    assert calls == [("reading documents", 64, None), ("reading documents", 128, None), ("reading documents", 130, 130)]


def test_messages(tmp_path):
    """What a user reads names the path, what is wrong with it, and the mend."""
    with pytest.raises(UserError, match=r"There is nothing at '/no/such/place'.\n  Name a folder, a .txt, .jsonl"):
        collect("/no/such/place")
    with pytest.raises(UserError, match=r"The folder '.*' holds no files .hidden ones are not read.\.\n  Name a folder with documents"):
        collect(str(tmp_path))
    (tmp_path / "photo").write_bytes(b"\x89PNG\0")
    with pytest.raises(UserError, match=r"holds no document that can be used: 1 binary \(such as photo\).\n  Name text in UTF-8"):
        collect(str(tmp_path))
