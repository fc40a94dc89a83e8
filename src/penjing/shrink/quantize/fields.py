"""Blocks of ggml's scalar types taken apart into scales, minima and codes, and put together again.

A number is `d * scale * level - dmin * minimum`; `d` and `dmin` are of the block (f16), scale and minimum whole numbers
of a part of it, level stands for the number's code.

Layouts: ggml/src/ggml-common.h (`block_q2_K` ...) and `dequantize_row_*` in ggml-quants.c.

Does not know: which codes are good ones.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from penjing.probe.ggml import NUMBERS, TYPES

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]
Whole = NDArray[np.int16]


@dataclass
class Fields:
    """Of n blocks: `d` and `dmin` f32 [n] (what an f16 can hold), `scales` and `minima` [n, parts], `codes` [n, block],
    counted from 0."""

    d: Floats
    dmin: Floats
    scales: Whole
    minima: Whole
    codes: Bytes


@dataclass(frozen=True)
class Form:
    """A type: `levels` are what the codes 0, 1, ... stand for, in rising order; a part is `width` numbers; `scales`
    and `minima` are the lowest and highest they can be (equal: they are fixed)."""

    kind: str
    levels: Floats
    width: int
    scales: tuple[int, int]
    minima: tuple[int, int]
    unpack: Callable[[Bytes], Fields]
    pack: Callable[[Fields], Bytes]

    @property
    def block(self) -> int:
        """Numbers of a block."""
        return TYPES[NUMBERS[self.kind]][1]


def _half(blocks: Bytes, at: int) -> Floats:
    return np.ascontiguousarray(blocks[:, at : at + 2]).view(np.float16)[:, 0].astype(np.float32)


def _bytes(half: Floats) -> Bytes:
    return half.astype(np.float16)[:, None].view(np.uint8)


def _none(blocks: Bytes, parts: int = 1) -> Whole:
    return np.zeros((len(blocks), parts), np.int16)


def _unpack_q2_k(blocks: Bytes) -> Fields:
    scales, quants = blocks[:, :16], blocks[:, 16:80].reshape(-1, 2, 1, 32)
    codes = (quants >> np.array([0, 2, 4, 6], np.uint8)[:, None] & 3).astype(np.uint8)
    low, high = (scales & 15).astype(np.int16), (scales >> 4).astype(np.int16)
    return Fields(_half(blocks, 80), _half(blocks, 82), low, high, codes.reshape(-1, 256))


def _pack_q2_k(fields: Fields) -> Bytes:
    codes = fields.codes.reshape(-1, 2, 4, 32) << np.array([0, 2, 4, 6], np.uint8)[:, None]
    scales = (fields.scales | fields.minima << 4).astype(np.uint8)
    quants = np.bitwise_or.reduce(codes, axis=2).reshape(-1, 64)
    return np.concatenate([scales, quants, _bytes(fields.d), _bytes(fields.dmin)], axis=1)


def _unpack_q3_k(blocks: Bytes) -> Fields:
    mask, quants, packed = blocks[:, None, None, :32], blocks[:, 32:96].reshape(-1, 2, 1, 32), blocks[:, 96:108]
    low = quants >> np.array([0, 2, 4, 6], np.uint8)[:, None] & 3
    high = mask >> np.arange(8, dtype=np.uint8).reshape(2, 4, 1) & 1
    nibbles = np.concatenate([packed[:, :8] & 15, packed[:, :8] >> 4], axis=1)
    tops = np.concatenate([packed[:, 8:] >> shift & 3 for shift in (0, 2, 4, 6)], axis=1)
    scales = (nibbles | tops << 4).astype(np.int16) - 32
    return Fields(
        _half(blocks, 108),
        _none(blocks)[:, 0].astype(np.float32),
        scales,
        _none(blocks, 16),
        (low | high << 2).astype(np.uint8).reshape(-1, 256),
    )


def _pack_q3_k(fields: Fields) -> Bytes:
    codes = fields.codes.reshape(-1, 2, 4, 32)
    quants = np.bitwise_or.reduce((codes & 3) << np.array([0, 2, 4, 6], np.uint8)[:, None], axis=2).reshape(-1, 64)
    bits = (codes >> 2) << np.arange(8, dtype=np.uint8).reshape(2, 4, 1)
    mask = np.bitwise_or.reduce(bits.reshape(-1, 8, 32), axis=1)
    scales = (fields.scales + 32).astype(np.uint8)
    low = (scales[:, :8] & 15) | (scales[:, 8:] & 15) << 4
    tops = np.bitwise_or.reduce([(scales[:, 4 * part : 4 * part + 4] >> 4) << 2 * part for part in range(4)])
    return np.concatenate([mask, quants, low, tops, _bytes(fields.d)], axis=1)


def _six_bits(packed: Bytes) -> tuple[Whole, Whole]:
    """Eight scales and minima of six bits in twelve bytes (`get_scale_min_k4`)."""
    first, second, third = packed[:, :4], packed[:, 4:8], packed[:, 8:]
    scales = np.concatenate([first & 63, (third & 15) | first >> 6 << 4], axis=1)
    minima = np.concatenate([second & 63, third >> 4 | second >> 6 << 4], axis=1)
    return scales.astype(np.int16), minima.astype(np.int16)


def _twelve_bytes(fields: Fields) -> Bytes:
    scales, minima = fields.scales.astype(np.uint8), fields.minima.astype(np.uint8)
    first = scales[:, :4] | scales[:, 4:] >> 4 << 6
    second = minima[:, :4] | minima[:, 4:] >> 4 << 6
    return np.concatenate([first, second, (scales[:, 4:] & 15) | (minima[:, 4:] & 15) << 4], axis=1)


def _unpack_q4_k(blocks: Bytes) -> Fields:
    quants = blocks[:, 16:].reshape(-1, 4, 1, 32)
    codes = np.concatenate([quants & 15, quants >> 4], axis=2).reshape(-1, 256)
    return Fields(_half(blocks, 0), _half(blocks, 2), *_six_bits(blocks[:, 4:16]), codes)


def _pack_q4_k(fields: Fields) -> Bytes:
    codes = fields.codes.reshape(-1, 4, 2, 32)
    quants = (codes[:, :, 0] | codes[:, :, 1] << 4).reshape(-1, 128)
    return np.concatenate([_bytes(fields.d), _bytes(fields.dmin), _twelve_bytes(fields), quants], axis=1)


def _unpack_q5_k(blocks: Bytes) -> Fields:
    quants = blocks[:, 48:].reshape(-1, 4, 1, 32)
    low = np.concatenate([quants & 15, quants >> 4], axis=2)
    high = blocks[:, None, None, 16:48] >> np.arange(8, dtype=np.uint8).reshape(4, 2, 1) & 1
    return Fields(
        _half(blocks, 0),
        _half(blocks, 2),
        *_six_bits(blocks[:, 4:16]),
        (low | high << 4).astype(np.uint8).reshape(-1, 256),
    )


def _pack_q5_k(fields: Fields) -> Bytes:
    codes = fields.codes.reshape(-1, 4, 2, 32)
    quants = (codes[:, :, 0] & 15 | (codes[:, :, 1] & 15) << 4).reshape(-1, 128)
    bits = (codes >> 4) << np.arange(8, dtype=np.uint8).reshape(4, 2, 1)
    high = np.bitwise_or.reduce(bits.reshape(-1, 8, 32), axis=1)
    return np.concatenate([_bytes(fields.d), _bytes(fields.dmin), _twelve_bytes(fields), high, quants], axis=1)


def _unpack_q6_k(blocks: Bytes) -> Fields:
    low, high = blocks[:, :128].reshape(-1, 2, 2, 32), blocks[:, 128:192].reshape(-1, 2, 1, 32)
    nibbles = np.concatenate([low & 15, low >> 4], axis=2)
    tops = high >> np.array([0, 2, 4, 6], np.uint8)[:, None] & 3
    scales = np.ascontiguousarray(blocks[:, 192:208]).view(np.int8).astype(np.int16)
    nothing = np.zeros(len(blocks), np.float32)
    return Fields(_half(blocks, 208), nothing, scales, _none(blocks, 16), (nibbles | tops << 4).reshape(-1, 256))


def _pack_q6_k(fields: Fields) -> Bytes:
    codes = fields.codes.reshape(-1, 2, 4, 32)
    low = (codes[:, :, :2] & 15) | (codes[:, :, 2:] & 15) << 4
    high = np.bitwise_or.reduce((codes >> 4) << np.array([0, 2, 4, 6], np.uint8)[:, None], axis=2)
    scales = fields.scales.astype(np.int8).view(np.uint8)
    return np.concatenate([low.reshape(-1, 128), high.reshape(-1, 64), scales, _bytes(fields.d)], axis=1)


def _unpack_iq4_xs(blocks: Bytes) -> Fields:
    high = np.ascontiguousarray(blocks[:, 2:4]).view(np.uint16)
    tops = high >> np.arange(0, 16, 2, dtype=np.uint16) & 3
    low = np.stack([blocks[:, 4:8] & 15, blocks[:, 4:8] >> 4], axis=2).reshape(-1, 8)
    quants = blocks[:, 8:].reshape(-1, 8, 1, 16)
    codes = np.concatenate([quants & 15, quants >> 4], axis=2).reshape(-1, 256)
    scales = (low | tops << 4).astype(np.int16) - 32
    return Fields(_half(blocks, 0), np.zeros(len(blocks), np.float32), scales, _none(blocks, 8), codes)


def _pack_iq4_xs(fields: Fields) -> Bytes:
    scales = (fields.scales + 32).astype(np.uint16)
    high = np.bitwise_or.reduce((scales >> 4) << np.arange(0, 16, 2, dtype=np.uint16), axis=1)
    low = ((scales[:, ::2] & 15) | (scales[:, 1::2] & 15) << 4).astype(np.uint8)
    codes = fields.codes.reshape(-1, 8, 2, 16)
    quants = (codes[:, :, 0] | codes[:, :, 1] << 4).reshape(-1, 128)
    return np.concatenate([_bytes(fields.d), high[:, None].view(np.uint8), low, quants], axis=1)


def _unpack_nibbles(blocks: Bytes) -> Fields:
    codes = np.concatenate([blocks[:, 2:] & 15, blocks[:, 2:] >> 4], axis=1)
    return Fields(_half(blocks, 0), np.zeros(len(blocks), np.float32), _none(blocks) + 1, _none(blocks), codes)


def _pack_nibbles(fields: Fields) -> Bytes:
    return np.concatenate([_bytes(fields.d), fields.codes[:, :16] | fields.codes[:, 16:] << 4], axis=1)


def _unpack_q5_0(blocks: Bytes) -> Fields:
    high = np.unpackbits(blocks[:, 2:6], axis=1, bitorder="little")
    codes = np.concatenate([blocks[:, 6:] & 15, blocks[:, 6:] >> 4], axis=1) | high << 4
    return Fields(_half(blocks, 0), np.zeros(len(blocks), np.float32), _none(blocks) + 1, _none(blocks), codes)


def _pack_q5_0(fields: Fields) -> Bytes:
    codes = fields.codes
    high = np.packbits(codes >> 4, axis=1, bitorder="little")
    return np.concatenate([_bytes(fields.d), high, (codes[:, :16] & 15) | (codes[:, 16:] & 15) << 4], axis=1)


def _unpack_q8_0(blocks: Bytes) -> Fields:
    codes = (blocks[:, 2:].view(np.int8).astype(np.int16) + 128).astype(np.uint8)
    return Fields(_half(blocks, 0), np.zeros(len(blocks), np.float32), _none(blocks) + 1, _none(blocks), codes)


def _pack_q8_0(fields: Fields) -> Bytes:
    codes = (fields.codes.astype(np.int16) - 128).astype(np.int8).view(np.uint8)
    return np.concatenate([_bytes(fields.d), codes], axis=1)


def _steps(low: int, high: int) -> Floats:
    return np.arange(low, high + 1, dtype=np.float32)


UNEVEN = np.array([-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113], np.float32)
"""ggml-common.h, `kvalues_iq4nl`."""
ONE, NONE = (1, 1), (0, 0)
FORMS = {
    form.kind: form
    for form in (
        Form("Q2_K", _steps(0, 3), 16, (0, 15), (0, 15), _unpack_q2_k, _pack_q2_k),
        Form("Q3_K", _steps(-4, 3), 16, (-32, 31), NONE, _unpack_q3_k, _pack_q3_k),
        Form("Q4_K", _steps(0, 15), 32, (0, 63), (0, 63), _unpack_q4_k, _pack_q4_k),
        Form("Q5_K", _steps(0, 31), 32, (0, 63), (0, 63), _unpack_q5_k, _pack_q5_k),
        Form("Q6_K", _steps(-32, 31), 16, (-128, 127), NONE, _unpack_q6_k, _pack_q6_k),
        Form("IQ4_XS", UNEVEN, 32, (-32, 31), NONE, _unpack_iq4_xs, _pack_iq4_xs),
        Form("IQ4_NL", UNEVEN, 32, ONE, NONE, _unpack_nibbles, _pack_nibbles),
        Form("Q4_0", _steps(-8, 7), 32, ONE, NONE, _unpack_nibbles, _pack_nibbles),
        Form("Q5_0", _steps(-16, 15), 32, ONE, NONE, _unpack_q5_0, _pack_q5_0),
        Form("Q8_0", _steps(-128, 127), 32, ONE, NONE, _unpack_q8_0, _pack_q8_0),
    )
}


def values(form: Form, fields: Fields) -> Floats:
    """What the blocks stand for, f32 [n, block]."""
    width = form.width
    scale = np.repeat(fields.d[:, None] * fields.scales, width, axis=1)
    offset = np.repeat(fields.dmin[:, None] * fields.minima, width, axis=1)
    return scale * form.levels[fields.codes] - offset
