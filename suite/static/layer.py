"""Layer: one weight of a model as the network sees it, with all that a file stores for it.

A quantised weight is stored as codes with scales, zero points and shapes beside them: one layer, of the original shape.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

Patterns = NDArray[Any]
Mask = NDArray[np.bool_]
_SIGNLESS = re.compile(r"(fnuz|e8m0fnu)$")  # float8 kinds without a negative zero


@dataclass(frozen=True)
class Values:
    """The elements of a layer.

    Attributes:
        patterns: one integer an element, equal where the stored values are equal: bit patterns, or codes; None where
            this packing is not read.
        nonzero: which elements are not exactly zero (minus zero is zero, a code equal to its zero point is zero);
            None where the file does not show it.
    """

    patterns: Patterns | None
    nonzero: Mask | None


@dataclass(frozen=True)
class Layer:
    """One weight.

    Attributes:
        name: as the file names it.
        shape: original shape, before packing.
        dtype: dtype of what is stored: codes for a quantised weight.
        stored_bytes: bytes of its codes, scales, zero points and shapes.
        compressed: it is stored as codes with scales, or with fewer than 16 bits an element.
        input_axis: axis of `shape` that is summed over; None where it is not known, or nothing is (embeddings).
        read: its elements, from the file.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    stored_bytes: int
    compressed: bool
    input_axis: int | None
    read: Callable[[], Values]

    @property
    def elements(self) -> int:
        """Weights of the original shape."""
        return prod(self.shape)

    @property
    def is_parameter(self) -> bool:
        """Weights, biases and norms; not shapes, indices and counters."""
        return self.compressed or "float" in self.dtype or len(self.shape) > 1

    @property
    def is_weight(self) -> bool:
        """Matrices and kernels; not biases, norms and single numbers."""
        return len(self.shape) > 1 and self.elements > 0


def plain(raw: bytes | bytearray | memoryview, shape: tuple[int, ...], dtype: str) -> Values:
    """Elements of a tensor that is stored as it is, little endian.

    >>> plain(bytes([0, 0, 0, 128, 0, 60]), (3,), "float16").nonzero.tolist()  # 0, -0, 1
    [False, False, True]
    """
    width = len(raw) // max(1, prod(shape))
    if width not in (1, 2, 4, 8) or width * prod(shape) != len(raw):
        return Values(None, None)  # packed below a byte, or complex
    patterns = np.frombuffer(raw, f"<u{width}").reshape(shape)
    return Values(patterns, nonzero(patterns, dtype))


def nonzero(patterns: Patterns, dtype: str) -> Any:
    """Which bit patterns of that dtype are not zero."""
    if dtype in ("float32", "float64"):
        return np.not_equal(patterns.view(np.dtype(dtype)), 0)
    if dtype.endswith("e8m0fnu"):  # powers of two: it has no zero
        return np.ones(patterns.shape, bool)
    if "float" in dtype and not _SIGNLESS.search(dtype):
        bits = 8 * patterns.dtype.itemsize
        return np.not_equal(patterns & patterns.dtype.type((1 << (bits - 1)) - 1), 0)
    return np.not_equal(patterns, 0)


def is_narrow(dtype: str) -> bool:
    """Whether an element of that dtype takes fewer than 16 bits.

    >>> is_narrow("float8_e4m3fn"), is_narrow("bfloat16"), is_narrow("uint4"), is_narrow("bool")
    (True, False, True, False)
    """
    digits = re.search(r"\d+", dtype)
    return digits is not None and int(digits.group()) < 16  # noqa: PLR2004


def unpack(words: Patterns, bits: int) -> Any:
    """Codes of `bits` bits from the last axis of unsigned words, the lowest bits first; ``[..., n] -> [..., n * k]``.

    >>> unpack(np.array([0x21, 0x43], np.uint8), 4).tolist()
    [1, 2, 3, 4]
    """
    per_word = 8 * words.dtype.itemsize // bits
    shifts = np.arange(per_word, dtype=words.dtype) * words.dtype.type(bits)
    codes = (words[..., None] >> shifts) & words.dtype.type((1 << bits) - 1)
    return codes.astype(np.uint8 if bits <= 8 else np.uint16).reshape(*words.shape[:-1], -1)  # noqa: PLR2004
