"""Every kind can be found, read from a file or a folder, and refused with a message that names the mend."""

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tenfold.corpus.documents import Document, read_documents
from tenfold.corpus.record import Limits, Record, Refused
from tenfold.corpus.sources.registry import KINDS, names_under, read, read_files, reader_of
from tenfold.errors import UserError


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_reads_any_file(tmp_path, kind):
    """Empty ones and noise: refusals under the source's name, a text where the noise can be one, never an error."""
    ends = KINDS[kind].suffixes or (".py",)
    for number, data in enumerate([b"", bytes(range(256)) * 40, b"\xff\xfe" * 300, b"<a" * 99, b"PK\3\4" + bytes(99)]):
        path = tmp_path / f"{number}{ends[0]}"
        path.write_bytes(data)
        found = list(read(kind, str(path), "mine", Limits(), path.name))
        assert all(each.source == "mine" for each in found)
        assert number in (2, 3) or all(isinstance(each, Refused) and each.file == path.name for each in found)


def test_files_of_a_source_are_sorted_and_its_own(tmp_path):
    for name in ("b.warc.gz", "a/c.warc", "a/.hidden.warc", "notes.txt", "z.warc.zst"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    files = read_files("warc", str(tmp_path))
    assert names_under(str(tmp_path), files) == ["a/c.warc", "b.warc.gz", "z.warc.zst"]
    pattern = f"{tmp_path}/*/*.warc"
    assert names_under(pattern, read_files("warc", pattern)) == ["a/c.warc"]
    assert read_files("warc", str(tmp_path / "notes.txt")) == [str(tmp_path / "notes.txt")]  # named by the user: taken at their word
    assert len(read_files("github", str(tmp_path))) == 4


def test_files_behind_a_url():
    for name in ("a.wet", "b.wet", "c.txt"):
        with fsspec.open(f"memory://registry/{name}", "wb") as file:
            file.write(b"")
    both = read_files("wet", "memory://registry")
    assert both == ["memory:///registry/a.wet", "memory:///registry/b.wet"] and names_under("memory://registry", both) == ["a.wet", "b.wet"]
    assert read_files("wet", "memory://registry/b.wet") == ["memory://registry/b.wet"]
    assert read_files("wet", "memory://registry/*.wet") == ["memory:///registry/a.wet", "memory:///registry/b.wet"]


def test_the_standard_library_is_what_the_demo_reads():
    """The same documents, in the same order."""
    files = read_files("stdlib", "")[:40]
    found = [each for file in files for each in read("stdlib", file, "stdlib", Limits())]
    demo = {document.id for document in read_documents("stdlib") if isinstance(document, Document)}
    assert {each.id for each in found if isinstance(each, Record)} <= demo and len(found) == 40


def test_tables_and_texts(tmp_path):
    pq.write_table(pa.table({"text": ["one", None, "two"]}), tmp_path / "a.parquet")
    (tmp_path / "b.md").write_text("three")
    (tmp_path / "c.txt").write_text("four<|endoftext|>five")
    (tmp_path / "d.jsonl").write_text('{"text": "six"}')
    found = [each for file in read_files("files", str(tmp_path)) for each in read("files", file, "mine", Limits(), file.rsplit("/")[-1])]
    assert [each.text if isinstance(each, Record) else each.reason for each in found] == [
        "one",
        "empty",
        "two",
        "three",
        "four<|endoftext|>five",
        "six",
    ]
    assert found[2].meta == '{"file": "a.parquet", "offset": 3}'
    assert [each.text for each in read("txt", str(tmp_path / "c.txt"), "mine", Limits())] == ["four", "five"]
    with fsspec.open("memory://registry/a.parquet", "wb") as file:
        file.write((tmp_path / "a.parquet").read_bytes())
    assert [each.text for each in read("parquet", "memory://registry/a.parquet", "mine", Limits()) if isinstance(each, Record)] == [
        "one",
        "two",
    ]


def test_messages(tmp_path):
    with pytest.raises(UserError, match=r"There is no kind of source 'wrc'.\n  Use one of warc, wet, "):
        reader_of("wrc")
    with pytest.raises(UserError, match=r"There are no files whose names end in .warc, .*\n  Name a file, a folder or a pattern"):
        read_files("warc", str(tmp_path))
    with pytest.raises(UserError, match=r"cannot be opened: .*\n  Name a file that is there"):
        list(read("warc", str(tmp_path / "no.warc"), "mine", Limits()))
    for field, value in (("max_bytes", 0), ("seconds", 0), ("extractor", "readability")):
        with pytest.raises(UserError, match=f"limits.{field} is {value!r}.*\n  "):
            Limits(**{field: value})
