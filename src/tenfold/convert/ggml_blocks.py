"""ggml's tensor types: how many bytes hold how many numbers, and which numbers they are.

A row of a tensor is cut into blocks of `elements` numbers held in `bytes` bytes. Letters: N blocks, E elements of a block. Source: the
structs of ggml/src/ggml-common.h and dequantize_row_* and quantize_row_q8_0_ref of ggml/src/ggml-quants.c. All arithmetic is float32
in the order of that file, so results are the same to the last bit.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class BlockType:
    """A tensor type: its number in a GGUF file, and a block's size and meaning."""

    id: int
    elements: int
    bytes: int
    decode: Callable[[np.ndarray], np.ndarray]
    """u8[N, bytes] -> f32[N, E]"""


def _f32(blocks: np.ndarray) -> np.ndarray:
    return blocks.copy().view("<f4").astype(np.float32, copy=False)


def _f16(blocks: np.ndarray) -> np.ndarray:
    return _half(blocks)


def _bf16(blocks: np.ndarray) -> np.ndarray:
    return (blocks.copy().view("<u2").astype(np.uint32) << 16).view(np.float32)


def _half(blocks: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(blocks).view("<f2").astype(np.float32)


def _nibbles(qs: np.ndarray) -> np.ndarray:
    """u8[N, n] -> u8[N, 2n]: the low four bits of all bytes, then the high ones."""
    return np.concatenate([qs & 15, qs >> 4], axis=1)


def _fifth_bits(qh: np.ndarray) -> np.ndarray:
    """u8[N, 4] -> u8[N, 32]: bit j of the little-endian word as the value 16 or 0 of element j."""
    return np.unpackbits(qh, axis=1, bitorder="little") << 4


def _q4_0(blocks: np.ndarray) -> np.ndarray:
    return (_nibbles(blocks[:, 2:]).astype(np.float32) - 8) * _half(blocks[:, :2])


def _q4_1(blocks: np.ndarray) -> np.ndarray:
    return _nibbles(blocks[:, 4:]).astype(np.float32) * _half(blocks[:, :2]) + _half(blocks[:, 2:4])


def _q5_0(blocks: np.ndarray) -> np.ndarray:
    q = _nibbles(blocks[:, 6:]) | _fifth_bits(blocks[:, 2:6])
    return (q.astype(np.float32) - 16) * _half(blocks[:, :2])


def _q5_1(blocks: np.ndarray) -> np.ndarray:
    q = _nibbles(blocks[:, 8:]) | _fifth_bits(blocks[:, 4:8])
    return q.astype(np.float32) * _half(blocks[:, :2]) + _half(blocks[:, 2:4])


def _q8_0(blocks: np.ndarray) -> np.ndarray:
    return blocks[:, 2:].view(np.int8).astype(np.float32) * _half(blocks[:, :2])


def _k_scales(blocks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The step and the offset of the 8 groups of 32 in a Q4_K or Q5_K block, f32[N, 8, 1] each: 16 numbers of 6 bits in 12 bytes."""
    low, middle, high = blocks[:, 4:8], blocks[:, 8:12], blocks[:, 12:16]
    steps = np.concatenate([low & 63, (high & 15) | (low >> 6 << 4)], axis=1)
    offsets = np.concatenate([middle & 63, (high >> 4) | (middle >> 6 << 4)], axis=1)
    scaled = _half(blocks[:, :2]) * steps.astype(np.float32), _half(blocks[:, 2:4]) * offsets.astype(np.float32)
    return scaled[0][..., None], scaled[1][..., None]


def _k_nibbles(qs: np.ndarray) -> np.ndarray:
    """u8[N, 128] -> u8[N, 8, 32]: 32 bytes hold a group in their low halves and the next group in their high ones."""
    pairs = qs.reshape(-1, 4, 1, 32)
    return np.concatenate([pairs & 15, pairs >> 4], axis=2).reshape(-1, 8, 32)


def _q4_k(blocks: np.ndarray) -> np.ndarray:
    steps, offsets = _k_scales(blocks)
    return (steps * _k_nibbles(blocks[:, 16:]).astype(np.float32) - offsets).reshape(-1, 256)


def _q5_k(blocks: np.ndarray) -> np.ndarray:
    steps, offsets = _k_scales(blocks)
    fifth = (blocks[:, None, 16:48] >> np.arange(8, dtype=np.uint8)[:, None] & 1) << 4
    return (steps * (_k_nibbles(blocks[:, 48:]) | fifth).astype(np.float32) - offsets).reshape(-1, 256)


def _q6_k(blocks: np.ndarray) -> np.ndarray:
    low = blocks[:, :128].reshape(-1, 2, 1, 64)
    low = np.concatenate([low & 15, low >> 4], axis=2).reshape(-1, 2, 4, 32)
    high = blocks[:, 128:192].reshape(-1, 2, 1, 32) >> np.array([0, 2, 4, 6], np.uint8)[:, None] & 3
    q = (low | (high << 4)).astype(np.float32) - 32
    steps = _half(blocks[:, 208:]) * blocks[:, 192:208].view(np.int8).astype(np.float32)
    return (steps[..., None] * q.reshape(-1, 16, 16)).reshape(-1, 256)


TYPES = {
    "F32": BlockType(0, 1, 4, _f32),
    "F16": BlockType(1, 1, 2, _f16),
    "Q4_0": BlockType(2, 32, 18, _q4_0),
    "Q4_1": BlockType(3, 32, 20, _q4_1),
    "Q5_0": BlockType(6, 32, 22, _q5_0),
    "Q5_1": BlockType(7, 32, 24, _q5_1),
    "Q8_0": BlockType(8, 32, 34, _q8_0),
    "Q4_K": BlockType(12, 256, 144, _q4_k),
    "Q5_K": BlockType(13, 256, 176, _q5_k),
    "Q6_K": BlockType(14, 256, 210, _q6_k),
    "BF16": BlockType(30, 1, 2, _bf16),
}
"""The types that we read, by ggml's names."""

OTHERS = {9: "Q8_1", 10: "Q2_K", 11: "Q3_K", 15: "Q8_K", 16: "IQ2_XXS", 17: "IQ2_XS", 18: "IQ3_XXS", 19: "IQ1_S", 20: "IQ4_NL"}
OTHERS |= {21: "IQ3_S", 22: "IQ2_S", 23: "IQ4_XS", 24: "I8", 25: "I16", 26: "I32", 27: "I64", 28: "F64", 29: "IQ1_M"}
OTHERS |= {34: "TQ1_0", 35: "TQ2_0", 39: "MXFP4", 40: "NVFP4"}
"""Names of the types that we do not read, to refuse them by."""


def quantise_q8_0(x: np.ndarray) -> np.ndarray:
    """Finite f32[N, 32] -> u8[N, 34]: the float16 step max|x| / 127, then each number in steps, as an int8.

    A step beyond float16 becomes infinite: it is for the caller to refuse numbers above 127 * 65504.
    """
    step = np.abs(x).max(axis=1, keepdims=True) / np.float32(127)
    with np.errstate(divide="ignore", over="ignore"):
        inverse = np.float32(1) / step
        half = step.astype("<f2")
    inverse[~np.isfinite(inverse)] = 0  # no step, or one so small that float16 has it as 0
    q = _round_half_away(x * inverse).astype(np.int8)
    return np.concatenate([half.view(np.uint8), q.view(np.uint8)], axis=1)


def _round_half_away(x: np.ndarray) -> np.ndarray:
    """C's roundf. Not floor(|x| + 0.5), whose sum rounds up for the number just below 0.5."""
    size = np.abs(x)
    whole = np.floor(size)
    return np.copysign(whole + (size - whole >= 0.5), x)
