"""What is written to GGUF is read back; numbers are decoded as ggml's structs say; a damaged file is refused, never misread."""

import struct
import tracemalloc
import weakref

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tenfold.convert.ggml_blocks import TYPES, quantise_q8_0
from tenfold.convert.gguf import GGUF
from tenfold.convert.gguf_write import write_gguf
from tenfold.errors import UserError

METADATA = {
    "general.architecture": "llama",
    "general.name": "ein Bär 🐻",
    "llama.block_count": 2,
    "llama.rope.freq_base": 1e5,
    "flag": True,
    "negative": -3,
    "large": 2**40,
    "words": ["a", "", "ŋ"],
    "none": [],
    "numbers": [3, -1],
    "scores": [0.5, -2.0],
    "flags": [True, False],
    "bytes": np.array([1, 255], np.uint8),
    "double": np.float64(0.1),
}


def half(data: bytes, at: int) -> float:
    return struct.unpack_from("<e", data, at)[0]


def slow(kind: str, data: bytes) -> list[float]:
    """One block's numbers in Python's own floats, from the structs of ggml-common.h, one number at a time."""
    d = half(data, 208 if kind == "Q6_K" else 0)
    match kind:
        case "F32":
            return list(struct.unpack("<f", data))
        case "F16":
            return [half(data, 0)]
        case "BF16":
            return list(struct.unpack("<f", b"\0\0" + data))
        case "Q8_0":
            return [d * q for q in struct.unpack_from("<32b", data, 2)]
        case "Q4_0" | "Q4_1" | "Q5_0" | "Q5_1":
            offset, fifth = kind.endswith("1"), kind.startswith("Q5")
            at = 4 if offset else 2
            high = struct.unpack_from("<I", data, at)[0] if fifth else 0
            qs = data[at + 4 * fifth :]
            q = [(qs[j % 16] >> 4 * (j // 16) & 15) + 16 * (high >> j & 1) for j in range(32)]
            return [d * each + half(data, 2) if offset else d * (each - (16 if fifth else 8)) for each in q]
        case "Q6_K":
            return [d * slow_q6(data, j) for j in range(256)]
    least, scales = half(data, 2), data[4:16]
    return [d * slow_scale(scales, j // 32)[0] * slow_k(kind, data, j) - least * slow_scale(scales, j // 32)[1] for j in range(256)]


def slow_scale(scales: bytes, j: int) -> tuple[int, int]:
    """get_scale_min_k4 of ggml-quants.c."""
    if j < 4:
        return scales[j] & 63, scales[j + 4] & 63
    return (scales[j + 4] & 15) | (scales[j - 4] >> 6) << 4, (scales[j + 4] >> 4) | (scales[j] >> 6) << 4


def slow_k(kind: str, data: bytes, j: int) -> int:
    group, lane = divmod(j, 32)
    nibble = data[(16 if kind == "Q4_K" else 48) + 32 * (group // 2) + lane] >> 4 * (group % 2) & 15
    return nibble + (16 * (data[16 + lane] >> group & 1) if kind == "Q5_K" else 0)


def slow_q6(data: bytes, j: int) -> int:
    half_block, rest = divmod(j, 128)
    quarter, lane = divmod(rest, 32)
    low = data[64 * half_block + 32 * (quarter % 2) + lane] >> 4 * (quarter // 2) & 15
    high = data[128 + 32 * half_block + lane] >> 2 * quarter & 3
    return struct.unpack_from("b", data, 192 + j // 16)[0] * ((low | high << 4) - 32)


def random_blocks(kind: str, count: int) -> np.ndarray:
    """Blocks of random bits, whose float16 steps are ordinary numbers."""
    rng = np.random.default_rng(TYPES[kind].id)
    blocks = rng.integers(0, 256, (count, TYPES[kind].bytes), dtype=np.uint8)
    steps = {"Q4_1": (0, 2), "Q5_1": (0, 2), "Q4_K": (0, 2), "Q5_K": (0, 2), "Q6_K": (208,)}.get(kind, (0,))
    for at in steps if kind not in ("F32", "BF16") else ():
        blocks[:, at : at + 2] = rng.standard_normal((count, 1)).astype("<f2").view(np.uint8)
    return blocks


def file_bytes(tensors: list[tuple[str, tuple[int, ...], int, bytes]], version: int = 3, alignment: int = 32) -> bytes:
    """A GGUF file by hand, with any type of tensor."""
    key = b"general.alignment"
    header = b"GGUF" + struct.pack("<IQQ", version, len(tensors), 1) + struct.pack("<Q", len(key)) + key + struct.pack("<II", 4, alignment)
    body = b""
    for name, shape, id, data in tensors:
        header += struct.pack("<Q", len(name)) + name.encode() + struct.pack(f"<I{len(shape)}Q", len(shape), *shape[::-1])
        header += struct.pack("<IQ", id, len(body))
        body += data + bytes(-len(data) % alignment)
    return header + bytes(-len(header) % alignment) + body


@pytest.fixture(scope="module")
def arrays():
    rng = np.random.default_rng(0)
    return {name: rng.standard_normal(shape).astype(np.float32) for name, shape in {"a": (5,), "b": (3, 64), "c": (2, 3, 32)}.items()}


@pytest.fixture(scope="module")
def small(tmp_path_factory, arrays):
    kinds = {"a": "F32", "b": "F16", "c": "Q8_0"}
    tensors = [(name, x.shape, kinds[name], lambda x=x: x) for name, x in arrays.items()]
    return write_gguf(tmp_path_factory.mktemp("gguf") / "small.gguf", METADATA, tensors)


def test_what_is_written_is_read(small, arrays):
    file = GGUF.open(small)
    assert file.metadata == METADATA | {"bytes": [1, 255]}
    assert {name: (tensor.shape, tensor.type) for name, tensor in file.tensors.items()} == {
        "a": ((5,), "F32"),
        "b": ((3, 64), "F16"),
        "c": ((2, 3, 32), "Q8_0"),
    }
    assert all(tensor.offset % 32 == 0 for tensor in file.tensors.values())
    assert (file.read("a") == arrays["a"]).all()
    assert (file.read("b") == arrays["b"].astype(np.float16)).all()
    assert (np.abs(file.read("c") - arrays["c"]) <= np.abs(arrays["c"]).max(-1, keepdims=True) / 127 * 0.51).all()


def test_raw_bytes_are_a_view(small):
    file = GGUF.open(small)
    raw = file.raw("c")
    assert raw.shape == (2, 3, 1, 34) and raw.dtype == np.uint8 and not raw.flags.writeable and not raw.flags.owndata
    assert (TYPES["Q8_0"].decode(raw.reshape(-1, 34)).reshape(2, 3, 32) == file.read("c")).all()
    assert (file.raw("a").tobytes()) == file.read("a").tobytes()


@pytest.mark.parametrize("kind", TYPES)
def test_decoding_follows_the_layout(kind, tmp_path):
    """Against a loop over single numbers in double precision: float32 rounds at most three times."""
    blocks = random_blocks(kind, 6)
    path = tmp_path / "x.gguf"
    path.write_bytes(file_bytes([("x", (2, 3 * TYPES[kind].elements), TYPES[kind].id, blocks.tobytes())]))
    read = GGUF.open(path).read("x")
    expected = np.array([slow(kind, block.tobytes()) for block in blocks]).reshape(2, -1)
    assert read.dtype == np.float32 and read.shape == expected.shape
    np.testing.assert_allclose(read, expected, rtol=1e-6, atol=1e-4 if kind.endswith("_K") else 1e-6)


@given(st.sampled_from(["F32", "Q4_0", "Q4_1", "Q8_0", "Q6_K"]), st.data())
def test_a_part_is_that_of_the_whole(tmp_path_factory, kind, data):
    """Any rows and columns of a tensor, at the edges of blocks or not."""
    rows, blocks, elements = 6, 3, TYPES[kind].elements
    path = tmp_path_factory.mktemp("part") / "x.gguf"
    path.write_bytes(file_bytes([("x", (2, 3, blocks * elements), TYPES[kind].id, random_blocks(kind, rows * blocks).tobytes())]))
    file = GGUF.open(path)

    def cut(size: int) -> slice:
        first = data.draw(st.integers(0, size - 1))
        return slice(first, data.draw(st.integers(first + 1, size)))

    index = cut(rows), cut(blocks * elements)
    found, whole = (a.reshape(rows, -1)[index] for a in (file.packed("x").decoded(*index), file.read("x")))
    np.testing.assert_array_equal(found, whole)


def test_q8_0_rounds_as_c_does():
    """Halves away from zero, and the number just below a half down; the step is rounded to float16 only after its use."""
    x = np.zeros((3, 32), np.float32)
    x[0, :7] = 127, 0.5, -0.5, 1.5, 2.5, -126.5, np.nextafter(np.float32(0.5), np.float32(0))
    x[2, :2] = 1e-43, -1e-43
    encoded = quantise_q8_0(x)
    assert encoded[0, 2:9].view(np.int8).tolist() == [127, 1, -1, 2, 3, -127, 0]
    assert not encoded[1].any() and not encoded[2].any()


def test_both_versions_and_other_alignments(tmp_path):
    for version, alignment in ((2, 32), (3, 64), (3, 1)):
        path = tmp_path / f"{version}-{alignment}.gguf"
        path.write_bytes(file_bytes([("x", (2,), 0, struct.pack("<2f", 1, 2)), ("y", (1,), 0, struct.pack("<f", 3))], version, alignment))
        assert GGUF.open(path).read("x").tolist() == [1, 2] and GGUF.open(path).read("y").tolist() == [3]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "not a GGUF"),
        (b"PK\3\4 and so on", "not a GGUF"),
        (b"GGUF" + struct.pack("<IQQ", 1, 0, 0), "version 1"),
        (b"GGUF" + struct.pack(">IQQ", 3, 0, 0), "big-endian"),
        (b"GGUF" + struct.pack("<IQQ", 3, 2**60, 0), "cut short"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 2**60), "cut short"),
        (file_bytes([("x", (4,), 0, bytes(16)), ("x", (4,), 0, bytes(16))]), "twice"),
        (file_bytes([("x", (33,), 8, bytes(34))]), "multiple of 32"),
        (file_bytes([("x", (256,), 10, bytes(84))]), "Q2_K"),
        (file_bytes([("x", (2**40, 2**40), 0, bytes(16))]), r"tensor 'x' .* takes 4835703278458516698824704 bytes .* the file has 160"),
        (file_bytes([("x", (4,), 0, bytes(16))], alignment=24), "alignment"),
    ],
)
def test_a_refusal_says_what_is_wrong(content, says, tmp_path):
    path = tmp_path / "x.gguf"
    path.write_bytes(content)
    with pytest.raises(UserError, match=says) as error:
        GGUF.open(path)
    assert str(path) in str(error.value)


def test_a_missing_file_and_tensor_are_named(small, tmp_path):
    with pytest.raises(UserError, match="none.gguf"):
        GGUF.open(tmp_path / "none.gguf")
    with pytest.raises(UserError, match="no tensor 'z'"):
        GGUF.open(small).read("z")


def test_overlapping_tensors_are_refused(tmp_path):
    content = bytearray(file_bytes([("x", (8,), 0, bytes(32)), ("y", (8,), 0, bytes(32))]))
    at = content.index(struct.pack("<Q", 1) + b"y") + 9 + 4 + 8 + 4
    content[at : at + 8] = bytes(8)
    (tmp_path / "x.gguf").write_bytes(content)
    with pytest.raises(UserError, match="inside tensor 'x'"):
        GGUF.open(tmp_path / "x.gguf")


def test_any_cut_is_noticed(small, tmp_path):
    """At every length: no part of a file passes for the file, but for the padding at its end."""
    whole, path = small.read_bytes(), tmp_path / "cut.gguf"
    last = max(tensor.offset + tensor.bytes for tensor in GGUF.open(small).tensors.values())
    for length in range(last):
        path.write_bytes(whole[:length])
        with pytest.raises(UserError):
            GGUF.open(path)
    path.write_bytes(whole[:last])
    GGUF.open(path).read("c")


@settings(max_examples=300)
@given(st.data())
def test_damage_is_refused_or_harmless(small, tmp_path_factory, data):
    """Any bytes of the header may change: no exception but UserError, no memory beyond a few times the file."""
    content = bytearray(small.read_bytes())
    header = min(tensor.offset for tensor in GGUF.open(small).tensors.values())
    for _ in range(data.draw(st.integers(1, 4))):
        at, bytes_ = data.draw(st.integers(0, header - 1)), data.draw(st.binary(min_size=1, max_size=8) | st.just(b"\xff" * 8))
        content[at : at + len(bytes_)] = bytes_
    path = tmp_path_factory.getbasetemp() / "damaged.gguf"
    path.write_bytes(content)
    tracemalloc.start()
    try:
        file = GGUF.open(path)
        with np.errstate(all="ignore"):
            assert [file.read(name).shape for name in file.tensors] == [tensor.shape for tensor in file.tensors.values()]
    except UserError:
        pass
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 2**21


def test_tensors_are_made_one_at_a_time(tmp_path):
    """A tensor is asked for after the one before is written, and let go."""
    alive = []

    def make(value):
        assert sum(array() is not None for array in alive) == 0
        x = np.full((64, 32), value, np.float32)
        alive.append(weakref.ref(x))
        return x

    tensors = ((f"t{i}", (64, 32), kind, lambda i=i: make(i)) for i, kind in enumerate(["F32", "F16", "Q8_0", "F32"]))
    file = GGUF.open(write_gguf(tmp_path / "x.gguf", {}, tensors))
    assert [file.read(name).mean() for name in file.tensors] == pytest.approx([0, 1, 2, 3], rel=1e-3)


@pytest.mark.parametrize(
    ("tensor", "says"),
    [
        (("x", (2, 16), "Q8_0", lambda: np.zeros((2, 16))), "Take F16"),
        (("x", (2,), "Q4_0", lambda: np.zeros(2)), "Q4_0"),
        (("x", (3,), "F32", lambda: np.zeros(2)), "announced"),
        (("x", (2,), "F32", lambda: np.array([0, np.nan])), "not finite"),
        (("x", (2,), "F16", lambda: np.array([0, -70000.0])), "Take F32"),
        (("x" * 64, (2,), "F32", lambda: np.zeros(2)), "63"),
        (("x", (), "F32", lambda: np.zeros(())), "axes"),
    ],
)
def test_what_cannot_be_held_is_refused_and_leaves_nothing(tensor, says, tmp_path):
    with pytest.raises(UserError, match=says):
        write_gguf(tmp_path / "x.gguf", {}, [tensor])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("value", [None, [1, "a"], {"a": 1}, 2**70, [2**40], np.zeros((2, 2), np.int32), np.complex64(1)])
def test_metadata_of_no_type_are_refused(value, tmp_path):
    with pytest.raises(UserError, match="'some.key'"):
        write_gguf(tmp_path / "x.gguf", {"some.key": value}, [])


def test_an_old_file_stays_when_the_new_one_fails(small, tmp_path):
    path = write_gguf(tmp_path / "x.gguf", {"old": 1}, [])
    with pytest.raises(UserError):
        write_gguf(path, {"new": 1}, [("x", (2,), "F32", lambda: np.array([np.inf, 0]))])
    assert GGUF.open(path).metadata == {"old": 1}
