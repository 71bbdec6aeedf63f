"""Counting: zeros, patterns, distinct values and entropy of one layer, and the distinct values of many.

Everything is exact: nothing is sampled.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from suite.static.layer import Layer, Mask, Patterns, Values

PATTERNS = ((1, 4), (2, 4), (4, 8))  # the sparsest first
MAX_POOLED = 1 << 20
"""Distinct values that are told apart over a whole model; a model with more has no pooled count."""
_TABLE_BITS = 16
_MERGE_AT = 1 << 18
_Counted = tuple[NDArray[np.uint64], NDArray[np.int64]]


@dataclass(frozen=True)
class Counts:
    """What is counted of one layer.

    Attributes:
        zeros: elements that are exactly zero.
        distinct: different values; of a quantised layer, different codes.
        entropy_bits: Shannon entropy of the values' frequencies, bits an element.
        pattern: ``"2:4"`` where each group of 4 along the input axis has at most 2 that are not zero; None where no
            such pattern holds.
    """

    zeros: int | None
    distinct: int | None
    entropy_bits: float | None
    pattern: str | None


def histogram(patterns: Patterns) -> _Counted:
    """Distinct integers of an array, ascending, and how often each occurs."""
    bits = 8 * patterns.dtype.itemsize
    if bits <= _TABLE_BITS:
        table = np.bincount(patterns.reshape(-1).view(f"u{patterns.dtype.itemsize}"), minlength=1 << bits)
        found = np.flatnonzero(table)
        return found.astype(np.uint64), table[found].astype(np.int64)
    ordered = np.sort(patterns, axis=None)  # vectorised: a hundred million in seconds
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]]) if ordered.size else np.zeros(0, np.int64)
    return ordered[starts].astype(np.uint64), np.diff(np.r_[starts, ordered.size]).astype(np.int64)


def entropy_bits(counts: NDArray[np.int64]) -> float:
    """Shannon entropy, ``-sum(p log2 p)``, of frequencies; 0 for one value.

    >>> entropy_bits(np.array([1, 1, 2]))
    1.5
    """
    share = counts / counts.sum()
    return float(-(share * np.log2(share)).sum()) + 0.0


def pattern_of(nonzero: Mask, input_axis: int | None) -> str | None:
    """The sparsest N:M pattern along the input axis that every whole group keeps, as ``"2:4"``."""
    if input_axis is None or nonzero.ndim < 2 or nonzero.all():  # noqa: PLR2004
        return None
    for kept, group in PATTERNS:
        size = nonzero.shape[input_axis]
        if size % group:
            continue
        along = np.moveaxis(nonzero, input_axis, -1).reshape(-1, group)
        if int(along.sum(axis=1, dtype=np.int8).max(initial=0)) <= kept:
            return f"{kept}:{group}"
    return None


@dataclass
class Pool:
    """Distinct values of many layers, told apart by dtype: equal codes of two layers count as one value."""

    _merged: dict[str, _Counted] = field(default_factory=dict)
    _waiting: dict[str, list[_Counted]] = field(default_factory=dict)
    _full: bool = False

    def add(self, dtype: str, counted: _Counted) -> None:
        """Take in the histogram of one layer."""
        if self._full:
            return
        if len(counted[0]) > MAX_POOLED:
            self._forget()
            return
        waiting = self._waiting.setdefault(dtype, [])
        waiting.append(counted)
        merged = self._merged.get(dtype)
        if sum(len(values) for values, _ in waiting) > max(_MERGE_AT, len(merged[0]) if merged else 0):
            self._merge()  # as much anew as there was: each value is sorted a few times in all

    @property
    def distinct(self) -> int | None:
        """How many; None when there are too many to tell, or nothing was added."""
        self._merge()
        return sum(len(values) for values, _ in self._merged.values()) or None

    @property
    def entropy_bits(self) -> float | None:
        """Entropy of their frequencies; None where `distinct` is."""
        self._merge()
        counts = [counts for _, counts in self._merged.values()]
        return entropy_bits(np.concatenate(counts)) if counts else None

    def _merge(self) -> None:
        for dtype, waiting in self._waiting.items():
            parts = [*waiting, *([self._merged[dtype]] if dtype in self._merged else [])]
            values, where = np.unique(np.concatenate([part[0] for part in parts]), return_inverse=True)
            weights = np.concatenate([part[1] for part in parts])
            self._merged[dtype] = (values, np.bincount(where, weights, len(values)).astype(np.int64))
        self._waiting.clear()
        if sum(len(values) for values, _ in self._merged.values()) > MAX_POOLED:
            self._forget()

    def _forget(self) -> None:
        self._full = True
        self._waiting.clear()
        self._merged.clear()


def count(layer: Layer, values: Values, pool: Pool) -> Counts:
    """Count one layer, and add its values to the pool.

    Raises:
        ValueError: it does not hold as many values as its shape says.
    """
    for part in (values.patterns, values.nonzero):
        if part is not None and part.size != layer.elements:
            raise ValueError(f"{layer.name} has {part.size} values, its shape {list(layer.shape)} says otherwise")
    zeros = distinct = bits = pattern = None
    if values.nonzero is not None:
        zeros = layer.elements - int(np.count_nonzero(values.nonzero))
        pattern = pattern_of(values.nonzero, layer.input_axis) if zeros else None
    if values.patterns is not None and values.patterns.size:
        counted = histogram(values.patterns)
        pool.add(layer.dtype, counted)
        distinct, bits = len(counted[0]), entropy_bits(counted[1])
    return Counts(zeros, distinct, bits, pattern)
