"""Lines of JSON: each good line is a record wherever damage lies, and each bad one is named by its number."""

import gzip
import json
import os
from random import Random

import fsspec
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from tenfold.corpus.documents import document_id
from tenfold.corpus.record import Limits, Record, Refused
from tenfold.corpus.sources.registry import read
from tenfold.corpus.sources.texts import lines

DEFAULTS = Limits()
FUZZED = int(os.environ.get("TENFOLD_FUZZ", 200))
PACK = {"jsonl": bytes, "jsonl.gz": gzip.compress, "jsonl.zst": zstandard.ZstdCompressor(write_checksum=True).compress}


def line(text: str, **more) -> bytes:
    return json.dumps({"text": text, **more}).encode() + b"\n"


def read_all(tmp_path, data: bytes, kind="jsonl", name="a.jsonl", limits=DEFAULTS) -> list[Record | Refused]:
    (tmp_path / name).write_bytes(data)
    return list(read(kind, str(tmp_path / name), "mine", limits, name))


def said(found) -> list[str]:
    return [each.text if isinstance(each, Record) else f"{each.offset} {each.reason}" for each in found]


@pytest.mark.parametrize("suffix", PACK)
def test_good_and_bad_lines(tmp_path, suffix):
    bad = [
        b"{\n",
        b'{"text": 3}\n',
        b"[]\n",
        b'{"text": "\xff"}\n',
        b'{"text": "\\ud800"}\n',
        b"[" * 100_000 + b"\n",
        line(""),
        line("a\0b"),
    ]
    data = line("one") + b"".join(bad) + b"\n \n" + line("x" * 2000) + line("last")[:-1]
    found = read_all(tmp_path, PACK[suffix](data), name=f"a.{suffix}", limits=Limits(max_bytes=1000))
    reasons = ["bad line", "bad line", "bad line", "undecodable", "undecodable", "over the size cap", "empty", "binary"]
    assert said(found) == ["one", *(f"{n} {reason}" for n, reason in enumerate(reasons, 2)), "12 over the size cap", "last"]


def test_what_a_line_says_beside_its_text(tmp_path):
    items = line("a", url="http://a.org", date="2020", meta={"lang": "en", "file": "x", "text": "y"}) + line(
        "b", meta=["not", "a", "dict"], url=3
    )
    first, second = read_all(tmp_path, items)
    assert first == Record(document_id("a"), "mine", "http://a.org", "a", "2020", '{"file": "a.jsonl", "lang": "en", "offset": 1}')
    assert (second.url, second.timestamp, second.meta) == ("", "", '{"file": "a.jsonl", "offset": 2}')


def test_a_line_of_100_megabytes_is_not_held(tmp_path):
    """Refused in a few megabytes of memory, and the line after it read."""
    import tracemalloc

    data = zstandard.compress(b"\n".join([b"first", b"x" * 100_000_000, b"last"]))
    (tmp_path / "a.jsonl.zst").write_bytes(data)
    tracemalloc.start()
    found = list(lines(str(tmp_path / "a.jsonl.zst"), "mine", "a", 1_000_000))
    assert tracemalloc.get_traced_memory()[1] < 20e6
    tracemalloc.stop()
    assert found == [(1, b"first"), Refused("mine", "a", 2, "over the size cap", 100_000_000), (3, b"last")]


def test_a_window_as_large_as_reddits(tmp_path):
    """Dumps are packed with --long=31, which a decompressor refuses unless asked."""
    parameters = zstandard.ZstdCompressionParameters.from_level(1, window_log=28, enable_ldm=True)
    packer = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    data = packer.compress(line("far") + line("and near")) + packer.flush()
    assert zstandard.get_frame_parameters(data).window_size > 1 << 27
    assert said(read_all(tmp_path, data, name="a.jsonl.zst")) == ["far", "and near"]


def test_from_a_url():
    with fsspec.open("memory://lines/a.jsonl.gz", "wb") as file:
        file.write(gzip.compress(line("afar")))
    assert said(read("jsonl", "memory://lines/a.jsonl.gz", "mine", Limits())) == ["afar"]


@settings(max_examples=FUZZED)
@given(
    st.sampled_from(sorted(PACK)),
    st.sampled_from(["flip", "delete", "insert", "cut", "zero"]),
    st.floats(0, 1),
    st.integers(1, 800),
    st.integers(0, 2**32),
)
def test_no_good_line_is_lost(tmp_path_factory, suffix, kind, where, size, seed):
    """Whatever happens to one stretch of a file whose lines are members of their own or plain: all other lines are read."""
    random = Random(seed)
    texts = [f"{n} {random.randbytes(random.randrange(300)).hex()}" for n in range(8)]
    packed = [PACK[suffix](line(text)) for text in texts]
    data = b"".join(packed)
    start = int(where * len(data))
    stop = {"cut": len(data), "insert": start, "flip": min(start + 1, len(data))}.get(kind, min(start + size, len(data)))
    new = {"flip": bytes(byte ^ 1 << seed % 8 for byte in data[start:stop]), "zero": bytes(stop - start), "insert": random.randbytes(size)}
    path = tmp_path_factory.getbasetemp() / f"fuzzed.{suffix}"
    path.write_bytes(data[:start] + new.get(kind, b"") + data[stop:])
    found = list(read("jsonl", str(path), "mine", Limits()))
    begin = 0
    taken = {each.text for each in found if isinstance(each, Record)}
    for text, record in zip(texts, packed, strict=True):
        end = begin + len(record)
        apart = end <= start or begin >= stop
        if kind == "insert" or suffix == "jsonl":  # next to it, what is put in or taken out can join a neighbour's line
            apart = end < start or begin > stop
        assert not apart or text in taken
        begin = end
