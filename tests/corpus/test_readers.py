"""Whatever is in a file, a reader gives texts or reasons, and does not lose a byte of what it gives."""

import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from tenfold.corpus import readers
from tenfold.corpus.documents import Document, Rejected, read_documents
from tenfold.errors import UserError

TEXTS = ["first\n", "zwei: äöü", "三\r\n", "\ttab and \u2028 separator"]
PACK = {".jsonl": bytes, ".jsonl.gz": gzip.compress, ".jsonl.zst": zstandard.compress}


def jsonl(texts) -> bytes:
    return b"".join(json.dumps({"text": text}).encode() + b"\n" for text in texts)


def texts_of(path) -> list[str]:
    return [found.text for found in read_documents(str(path)) if isinstance(found, Document)]


def reasons_of(path, **options) -> dict[str, str]:
    return {found.source: found.reason for found in read_documents(str(path), **options) if isinstance(found, Rejected)}


@pytest.mark.parametrize("suffix", PACK)
def test_lines_of_json(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    path.write_bytes(PACK[suffix](jsonl(TEXTS)))
    assert texts_of(path) == TEXTS
    assert [found.source for found in read_documents(str(path))] == [f"a{suffix}:{n}" for n in range(1, 5)]


def test_zstandard_in_several_frames(tmp_path):
    """As `zstd` writes with --rsyncable or `cat a.zst b.zst` does: the second frame must not be lost in silence."""
    path = tmp_path / "a.jsonl.zst"
    path.write_bytes(b"".join(zstandard.compress(jsonl([text])) for text in TEXTS))
    assert texts_of(path) == TEXTS


@pytest.mark.parametrize("suffix", [".jsonl.gz", ".jsonl.zst"])
def test_a_compressed_file_cut_short_says_so(tmp_path, suffix):
    """Documents before the damage are kept; that there were more is reported."""
    many = [f"document {n} " + "".join(chr(97 + (n * k) % 26) for k in range(200)) for n in range(20_000)]
    data = PACK[suffix](jsonl(many))
    path = tmp_path / f"a{suffix}"
    path.write_bytes(data[: len(data) * 3 // 4])
    assert texts_of(path) == many[: len(texts_of(path))] and len(texts_of(path)) > 0
    assert reasons_of(path) == {path.name: "damaged file"}


def test_bad_lines_are_named_by_their_number(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"text": "good"}\nnot json\n{"words": 1}\n[1]\n"x"\n{"text": 5}\n\n{"text": "\\ud800"}\n\xff\n{"text": "end"}')
    assert texts_of(path) == ["good", "end"]
    assert reasons_of(path) == {f"a.jsonl:{n}": "bad line" for n in range(2, 7)} | {"a.jsonl:8": "undecodable", "a.jsonl:9": "undecodable"}


@given(st.lists(st.binary(max_size=30)))
def test_any_bytes_are_texts_or_reasons(tmp_path_factory, lines):
    """No content of a .jsonl, .txt or plain file makes a reader fail."""
    folder = tmp_path_factory.mktemp("any")
    for name in ("a.jsonl", "b.txt", "c.md"):
        (folder / name).write_bytes(b"\n".join(lines))
    for path in (folder, folder / "a.jsonl", folder / "b.txt"):
        for found in read_documents(str(path)):
            assert isinstance(found, Rejected) or found.text.encode("utf-8")


@given(st.binary(max_size=200))
@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.jsonl.zst", "a.parquet"])
def test_any_bytes_under_a_packed_name(tmp_path_factory, name, data):
    path = tmp_path_factory.mktemp("any") / name
    path.write_bytes(data)
    assert all(isinstance(found, Rejected) and found.reason in ("damaged file", "bad line") for found in read_documents(str(path)))


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=8))
def test_json_lines_give_back_what_was_written(tmp_path_factory, texts):
    path = tmp_path_factory.mktemp("lines") / "a.jsonl"
    path.write_bytes(jsonl(texts))
    assert [raw.text for raw in readers.read_jsonl(path, "a")] == texts


@given(st.lists(st.sampled_from(["\n", "\r\n", "word ", "ä" * 9_000, "x" * 70_000, "line\n"]), max_size=20))
def test_pieces_of_a_text_join_to_the_whole(tmp_path_factory, parts):
    path = tmp_path_factory.mktemp("txt") / "a.txt"
    path.write_bytes("".join(parts).encode())
    pieces = [raw.text for raw in readers.read_txt(path, "a.txt")]
    assert "".join(pieces) == "".join(parts)
    assert all(len(piece) < 2 * readers.LONGEST_PIECE for piece in pieces)


def test_a_marked_text_is_cut_at_its_marks_alone(tmp_path):
    path = tmp_path / "stories.txt"
    path.write_text("One.\n\n" + "long " * 20_000 + "\n<|endoftext|>\nTwo.<|endoftext|>\nThree.\n")
    assert texts_of(path) == ["One.\n\n" + "long " * 20_000, "Two.", "Three."]


def test_parquet(tmp_path):
    pq.write_table(pa.table({"id": range(5), "text": [*TEXTS, None]}), tmp_path / "a.parquet", row_group_size=2)
    assert texts_of(tmp_path / "a.parquet") == TEXTS
    assert reasons_of(tmp_path / "a.parquet") == {"a.parquet:5": "empty"}


@pytest.mark.parametrize("table", [{"content": ["x"]}, {"text": [1]}])
def test_parquet_without_a_column_of_texts(tmp_path, table):
    pq.write_table(pa.table(table), tmp_path / "a.parquet")
    with pytest.raises(UserError, match="a.parquet has no column of strings named 'text'; its columns are"):
        list(read_documents(str(tmp_path / "a.parquet")))


def test_parquet_cut_short(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": TEXTS}), path)
    path.write_bytes(path.read_bytes()[:-20])
    assert reasons_of(path) == {"a.parquet": "damaged file"}


def test_a_folder_is_read_by_what_each_file_is(tmp_path):
    (tmp_path / "b").mkdir()
    (tmp_path / "a.jsonl").write_bytes(jsonl(["from a line"]))
    (tmp_path / "b" / "c.py").write_bytes(b"x = 1\r\n")
    (tmp_path / "README").write_text("no suffix")
    (tmp_path / "latin.txt").write_bytes("ä".encode("latin-1"))
    (tmp_path / "utf16.txt").write_bytes("wide".encode("utf-16-le"))
    (tmp_path / "blank.txt").write_text(" \n\n")
    (tmp_path / "copy.txt").write_text("no suffix")
    (tmp_path / "large.txt").write_text("x" * 1001)
    for hidden in (".git", "__pycache__"):
        (tmp_path / hidden).mkdir()
        (tmp_path / hidden / "x").write_text("hidden")
    assert [tuple(found[1:]) for found in read_documents(str(tmp_path), 1000) if isinstance(found, Document)] == [
        ("no suffix", "README"),
        ("from a line", "a.jsonl:1"),
        ("x = 1\r\n", "b/c.py"),
    ]
    assert reasons_of(tmp_path, max_bytes=1000) == {
        "latin.txt": "undecodable",
        "utf16.txt": "binary",
        "blank.txt": "empty",
        "copy.txt": "duplicate",
        "large.txt": "over the size cap",
    }
