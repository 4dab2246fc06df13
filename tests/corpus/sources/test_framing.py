"""A bad record costs nothing but itself: every record that no damage touches is read, and the damage is named with its place."""

import gzip
import io
import os
from random import Random

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from made_warc import PACK, conversion
from tenfold.corpus.sources.framing import Framed, framed
from tenfold.corpus.sources.members import Damage, pieces

FUZZED = int(os.environ.get("TENFOLD_FUZZ", 200))


def read(data: bytes, name: str = "", largest: int = 1 << 20) -> tuple[list[bytes], list[Damage]]:
    found = list(framed(pieces(io.BytesIO(data), name), largest))
    return [each.data for each in found if isinstance(each, Framed)], [each for each in found if isinstance(each, Damage)]


def bare(record: bytes) -> bytes:
    return record[:-4]  # without the line ends that part it from the next


def texts(count: int, seed: int = 0) -> list[bytes]:
    random = Random(seed)
    return [b"record %d " % n + random.randbytes(random.randrange(900)).hex().encode() for n in range(count)]


RECORDS = [conversion(text, number) for number, text in enumerate(texts(8))]


@pytest.mark.parametrize("pack", PACK)
def test_sound_files_are_read_whole(pack):
    data = b"".join(PACK[pack](RECORDS))
    assert read(data) == ([bare(record) for record in RECORDS], [])


@pytest.mark.parametrize("pack", ["gzip", "zstd"])
@pytest.mark.parametrize("cut", [None, 1000])
def test_records_across_members(pack, cut):
    """A file compressed as one, or in blocks that know nothing of records, is read the same."""
    whole = b"".join(RECORDS)
    blocks = [whole] if cut is None else [whole[at : at + cut] for at in range(0, len(whole), cut)]
    assert read(b"".join(PACK[pack](blocks))) == ([bare(record) for record in RECORDS], [])


def test_a_dictionary_in_the_first_frame():
    """As the WARC-Zstandard specification has it, compressed itself or not."""
    dictionary = zstandard.train_dictionary(2048, [conversion(text, n) for n, text in enumerate(texts(200, seed=1))])
    for content in (dictionary.as_bytes(), zstandard.compress(dictionary.as_bytes())):
        frames = b"".join(zstandard.ZstdCompressor(dict_data=dictionary).compress(record) for record in RECORDS)
        head = b"\x5d\x2a\x4d\x18" + len(content).to_bytes(4, "little") + content
        assert read(head + frames) == ([bare(record) for record in RECORDS], [])


@pytest.mark.parametrize("pack", PACK)
@pytest.mark.parametrize("length", ["0", "5", "100000", "99999999999", "-3", "many", ""])
def test_wrong_lengths(pack, length):
    wrong = [*RECORDS[:3], conversion(texts(1)[0] * 3, 99, length), *RECORDS[3:]]
    packed = PACK[pack](wrong)
    good, damage = read(b"".join(packed))
    assert good == [bare(record) for record in RECORDS]
    assert len(damage) == 1 and damage[0].offset == sum(map(len, packed[:3]))
    assert damage[0].reason in {"wrong Content-Length", "shorter than its Content-Length", "bad WARC header", "over the size cap"}


@pytest.mark.parametrize("pack", PACK)
def test_garbage_between_records(pack):
    packed = PACK[pack](RECORDS)
    garbage = Random(2).randbytes(5000)
    good, damage = read(b"".join([*packed[:3], garbage, *packed[3:]]))
    assert good == [bare(record) for record in RECORDS]
    assert damage == [Damage(sum(map(len, packed[:3])), "garbage between records", 5000)]


@pytest.mark.parametrize("pack", ["gzip", "zstd"])
def test_a_truncated_member_in_the_middle(pack):
    packed = PACK[pack](RECORDS)
    good, damage = read(b"".join([*packed[:3], packed[3][:-9], *packed[4:]]))
    assert good == [bare(record) for record in RECORDS[:3] + RECORDS[4:]]
    assert [(each.offset, each.bytes) for each in damage] == [(sum(map(len, packed[:3])), len(packed[3]) - 9)]


@pytest.mark.parametrize("pack", ["gzip", "zstd"])
def test_a_file_cut_short(pack):
    kind = {"gzip": "gzip member", "zstd": "zstd frame"}[pack]
    packed = b"".join(PACK[pack](RECORDS))
    good, damage = read(packed[:-9])
    assert good == [bare(record) for record in RECORDS[:-1]]
    assert [each.reason for each in damage] == [f"truncated {kind}"]


def test_one_member_cut_short_keeps_what_came_before():
    records = [conversion(text, number) for number, text in enumerate(texts(160))]
    data = gzip.compress(b"".join(records))
    good, damage = read(data[: len(data) // 2])
    assert 60 < len(good) < 100 and good == [bare(record) for record in records[: len(good)]]
    assert [each.reason for each in damage] == ["truncated gzip member"]


def test_a_flipped_bit_in_a_member_of_its_own_is_seen():
    """Its checksum tells, where the text alone would not."""
    packed = PACK["gzip"](RECORDS)
    bad = bytearray(packed[3])
    bad[-40] ^= 1
    good, damage = read(b"".join([*packed[:3], bytes(bad), *packed[4:]]))
    assert good == [bare(record) for record in RECORDS[:3] + RECORDS[4:]] and [each.reason for each in damage] == ["damaged gzip member"]


@pytest.mark.parametrize("pack", PACK)
def test_an_oversized_record_is_not_held(pack):
    """100 MB in one record among small ones: refused, the others read, in a few megabytes of memory."""
    import tracemalloc

    packed = PACK[pack]([RECORDS[0], conversion(b"long " * 20_000_000, 1), RECORDS[1]])
    file = io.BytesIO(b"".join(packed))
    tracemalloc.start()
    found = list(framed(pieces(file), 1 << 20))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [each.reason if isinstance(each, Damage) else each.data for each in found] == [
        bare(RECORDS[0]),
        "over the size cap",
        bare(RECORDS[1]),
    ]
    assert found[1].offset == len(packed[0]) and peak < 20e6


@pytest.mark.parametrize("name", ["a.warc", "a.warc.gz", "a.warc.zst"])
def test_a_file_of_no_bytes_is_named(name):
    assert read(b"", name) == ([], [Damage(0, "empty", 0)])


@st.composite
def mutations(draw):
    """(what is done, where as a fraction of the file, how many bytes, which bytes)."""
    kind = draw(st.sampled_from(["flip", "delete", "insert", "cut", "zero"]))
    return kind, draw(st.floats(0, 1)), draw(st.integers(1, 2000)), draw(st.integers(0, 2**32))


def mutated(packed: list[bytes], mutation) -> tuple[bytes, set[int]]:
    """The file after it, and the records it touched."""
    kind, where, size, seed = mutation
    data = b"".join(packed)
    start = int(where * len(data))
    stop = {"cut": len(data), "insert": start}.get(kind, min(start + (1 if kind == "flip" else size), len(data)))
    new = {"flip": bytes(byte ^ (1 << seed % 8) for byte in data[start:stop]), "zero": bytes(stop - start)}.get(kind, b"")
    new = Random(seed).randbytes(size) if kind == "insert" else new
    touched, begin = set(), 0
    for number, record in enumerate(packed):
        end = begin + len(record)
        if begin < stop and start < end and (start < stop or begin < start):
            touched.add(number)
        begin = end
    return data[:start] + new + data[stop:], touched


@settings(max_examples=FUZZED)
@given(st.sampled_from(sorted(PACK)), mutations(), st.integers(0, 50))
def test_no_good_record_is_lost(pack, mutation, seed):
    """Whatever happens to one stretch of a file: no crash, every record outside of it is read, and a loss is reported."""
    records = [conversion(text, number) for number, text in enumerate(texts(8, seed))]
    packed = PACK[pack](records)
    data, touched = mutated(packed, mutation)
    good, damage = read(data, "a.warc" + {"plain": "", "gzip": ".gz", "zstd": ".zst"}[pack])
    missing = {number for number, record in enumerate(records) if bare(record) not in good}
    assert missing <= touched
    unseen = pack == "plain" or (mutation[0] == "cut" and data in [b"".join(packed[:n]) for n in range(len(packed))])
    assert damage or not missing or unseen  # nothing is summed where nothing is compressed; a cut between records is no damage
    assert all(0 <= each.offset <= len(data) and each.reason for each in damage)
