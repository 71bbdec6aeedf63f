"""Group-sequential bounds: published values, error over all looks, and what looking early saves."""

from __future__ import annotations

import numpy as np
import pytest

from suite import sequential

PUBLISHED = {  # Lan & DeMets' O'Brien-Fleming-type bounds, one-sided 0.025, equal looks (R: ldbounds, gsDesign)
    1: [1.960],
    2: [2.963, 1.969],
    3: [3.710, 2.511, 1.993],
    4: [4.333, 2.963, 2.359, 2.014],
    5: [4.877, 3.357, 2.680, 2.290, 2.031],
}


@pytest.mark.parametrize("number", PUBLISHED)
def test_published_bounds(number: int) -> None:
    found = sequential.bounds(np.arange(1, number + 1) / number, 0.025)
    assert found == pytest.approx(PUBLISHED[number], abs=1.5e-3)


def test_the_error_over_all_looks_is_alpha_and_not_more() -> None:
    """Sums of normal steps under the null: 5 % cross somewhere; 1.645 at every look would let 3 times as many."""
    sizes = np.array(sequential.looks(4000))
    z = sequential.bounds(sizes / sizes[-1], 0.05)
    rng = np.random.default_rng(0)
    steps = rng.normal(size=(40_000, len(sizes))) * np.sqrt(np.diff(sizes, prepend=0))
    standardised = np.cumsum(steps, axis=1) / np.sqrt(sizes)
    crossed = (standardised > z).any(axis=1).mean()
    assert crossed == pytest.approx(0.05, abs=0.0035)  # three standard errors
    assert (standardised > 1.645).any(axis=1).mean() > 0.12


def test_looks_grow_to_all_items() -> None:
    for n in (1, 20, 50, 60, 61, 75, 1000, 100_000):
        sizes = sequential.looks(n)
        assert sizes[-1] == n
        assert (np.diff(sizes) > 0).all()
        assert sizes[0] >= min(n, sequential.FIRST_LOOK)


def test_one_look_is_the_plain_test() -> None:
    assert sequential.bounds([1.0], 0.05) == pytest.approx([1.6449], abs=1e-4)


def test_the_earliest_looks_hardly_ever_decide() -> None:
    assert sequential.bounds([0.001, 1.0], 0.05)[0] > 8


@pytest.mark.parametrize("shares", [[], [0.0, 1.0], [0.5, 0.5], [0.5, 1.1], [0.8, 0.4]])
def test_shares_that_do_not_grow(shares: list[float]) -> None:
    with pytest.raises(ValueError, match="growing shares"):
        sequential.bounds(shares, 0.05)
