"""Counts by hand, and against another way to count."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from suite.static import counting
from suite.static.counting import Pool, count, entropy_bits, histogram, pattern_of
from suite.static.layer import Layer, Values, nonzero, plain, unpack

TORCH = ["float32", "float64", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2", "int8", "int32"]


def layer(values: Values, dtype: str = "float32", axis: int | None = 1) -> Layer:
    assert values.patterns is not None
    return Layer("w", values.patterns.shape, dtype, values.patterns.nbytes, False, axis, lambda: values)


@pytest.mark.parametrize("name", TORCH)
def test_zeros_and_distinct_values_agree_with_torch(name: str) -> None:
    import torch

    values = torch.randint(-3, 4, (8, 12), generator=torch.Generator().manual_seed(1)).float()
    values[0, :3] = -0.0
    stored = values.to(getattr(torch, name))
    raw = stored.contiguous().view(torch.uint8).numpy().tobytes()
    read = plain(raw, (8, 12), name)
    assert read.nonzero is not None
    back = stored.float()
    assert (read.nonzero == (back != 0).numpy()).all()
    counts = count(layer(read, name), read, Pool())
    assert counts.zeros == int((back == 0).sum())
    minus_zero = "float" in name  # its pattern is one of its own
    assert counts.distinct == len(back.unique()) + minus_zero


def test_what_has_no_zero_or_no_negative_zero() -> None:
    patterns = np.array([0, 0x80], np.uint8)
    assert nonzero(patterns, "float8_e8m0fnu").tolist() == [True, True]  # powers of two
    assert nonzero(patterns, "float8_e4m3fnuz").tolist() == [False, True]  # not a number
    assert nonzero(patterns, "float8_e4m3fn").tolist() == [False, False]
    assert plain(b"\0\0\0", (5,), "float4").nonzero is None  # below a byte


@given(st.lists(st.integers(-5, 5), min_size=1, max_size=200), st.sampled_from(["i1", "i2", "i4", "i8"]))
def test_histogram_and_entropy_against_numpy_and_scipy(values: list[int], dtype: str) -> None:
    array = np.array(values, dtype)
    found, counts = histogram(array)
    expected = np.unique(array, return_counts=True)[1]
    assert sorted(counts) == sorted(expected)
    assert len(found) == len(expected)
    assert entropy_bits(counts) == pytest.approx(scipy_stats.entropy(expected, base=2), abs=1e-12)


def test_entropy_by_hand() -> None:
    assert entropy_bits(np.array([7])) == 0.0
    assert entropy_bits(np.array([5, 5])) == 1.0
    assert entropy_bits(np.full(8, 3)) == pytest.approx(3.0)


def kept(n: int, m: int, groups: int = 6) -> Any:
    """Rows where each group of m has exactly n that are not zero, at places that change."""
    random = np.random.default_rng(n * 10 + m)
    rows = [np.concatenate([random.permutation([True] * n + [False] * (m - n)) for _ in range(groups)]) for _ in "ab"]
    return np.array(rows)


@pytest.mark.parametrize(("n", "m"), [(1, 4), (2, 4), (4, 8)])
def test_patterns_by_construction(n: int, m: int) -> None:
    assert pattern_of(kept(n, m), 1) == f"{n}:{m}"
    assert pattern_of(kept(n, m).T, 0) == f"{n}:{m}"
    assert pattern_of(np.moveaxis(kept(n, m)[:, :, None], 1, 1), 1) == f"{n}:{m}"  # a kernel of size 1
    broken = kept(n, m)
    broken[0, :m] = True
    assert pattern_of(broken, 1) is None
    assert pattern_of(kept(n, m), None) is None


def test_half_of_the_zeros_in_one_place_is_no_pattern() -> None:
    mask = np.ones((4, 16), bool)
    mask[:, :8] = False
    assert pattern_of(mask, 1) is None
    assert pattern_of(np.ones((4, 16), bool), 1) is None
    assert pattern_of(kept(2, 4, 6)[:, :22], 1) is None  # groups that are not whole are not guessed


def test_a_pool_of_layers_counts_as_one_array(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "_MERGE_AT", 4)  # merged several times on the way
    random = np.random.default_rng(3)
    pool, arrays = Pool(), [random.integers(0, 40, 30).astype(np.int32) for _ in range(9)]
    for array in arrays:
        pool.add("int32", histogram(array))
    pool.add("int8", histogram(np.array([0, 1], np.int8)))  # another dtype: other values
    counts = np.unique(np.concatenate(arrays), return_counts=True)[1]
    assert pool.distinct == len(counts) + 2
    assert pool.entropy_bits == pytest.approx(scipy_stats.entropy([*counts, 1, 1], base=2))
    assert Pool().distinct is None
    monkeypatch.setattr(counting, "MAX_POOLED", 10)
    full = Pool()
    for array in arrays:
        full.add("int32", histogram(array))
    assert (full.distinct, full.entropy_bits) == (None, None)


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.parametrize("word", [np.uint8, np.uint32])
def test_unpacking_undoes_packing(bits: int, word: Any) -> None:
    width = 8 * np.dtype(word).itemsize
    codes = np.random.default_rng(bits).integers(0, 1 << bits, (3, 2 * width // bits))
    words = np.zeros((3, 2), word)
    for i in range(codes.shape[1]):
        words[:, i // (width // bits)] |= (codes[:, i].astype(word) << word(bits * (i % (width // bits)))).astype(word)
    assert (unpack(words, bits) == codes).all()
