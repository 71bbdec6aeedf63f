"""Looking early without paying for it in errors: group-sequential bounds for one-sided tests.

Items are scored in a random order, and at given shares of them (the looks) a verdict may be reached. Each look spends
part of alpha, by the spending function of O'Brien-Fleming's type,

    alpha(t) = 2 - 2 Phi(z_{1 - alpha/2} / sqrt(t)),    t: share of the items seen,

so that the chance of a wrong verdict at any look is at most alpha in all, however the looks fall. Little is spent
early, so that the last look is nearly the test that would have been made without looking. The bounds assume that
the estimate is asymptotically normal with independent increments, as means over whole clusters are.

Source: Lan & DeMets 1983, "Discrete sequential boundaries for clinical trials"; the recursion is Armitage, McPherson &
Rowe 1969. Agrees with the R package ``ldbounds`` on the published bounds (a test compares).

Shape suffixes: L looks, X grid points.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
FIRST_LOOK, GROWTH = 50, 1.5
_REACH, _POINTS = 10.0, 1201
_NEVER = 8.5  # standard errors: where nothing is spent yet


def looks(n_items: int, first: int = FIRST_LOOK, growth: float = GROWTH) -> list[int]:
    """How many items each look has seen: growing by a factor, the last one all.

    >>> looks(400)
    [50, 75, 112, 168, 253, 400]
    """
    sizes, size = [], float(first)
    while size * growth**0.5 < n_items:
        sizes.append(int(size))
        size *= growth
    return [*sizes, n_items]


def spent(share: float, alpha: float) -> float:
    """Error spent when `share` of the items has been seen; `alpha` at 1.

    >>> round(spent(1.0, 0.05), 12), round(spent(0.5, 0.05), 4)
    (0.05, 0.0056)
    """
    from scipy.special import ndtr, ndtri

    return float(2 - 2 * ndtr(ndtri(1 - alpha / 2) / np.sqrt(min(share, 1.0))))


def bounds(shares_L: Sequence[float], alpha: float) -> Floats:
    """Standard errors by which an estimate must exceed the margin at each look, one-sided.

    The density of the sum, on the paths that have not crossed yet, is carried from look to look on a grid, and each
    bound is where what may be spent at that look has crossed.

    Args:
        shares_L: growing shares of the items, the last at most 1.
        alpha: error over all looks.

    Raises:
        ValueError: the shares do not grow within (0, 1].
    """
    from scipy.special import ndtr, ndtri

    shares = np.asarray(shares_L, dtype=np.float64)
    if not len(shares) or shares[0] <= 0 or shares[-1] > 1 or (np.diff(shares) <= 0).any():
        raise ValueError("want growing shares within (0, 1]")
    z_L = np.empty(len(shares))
    grid_X, density_X = np.empty(0), np.empty(0)  # of sqrt(t) times the standardised estimate
    before = 0.0
    for look, share in enumerate(shares.tolist()):
        may = spent(share, alpha) - (spent(float(shares[look - 1]), alpha) if look else 0.0)
        step = np.sqrt(share - before)
        if look == 0:
            crossing = float(-ndtri(max(may, ndtr(-_NEVER)))) * step
        else:
            crossing = _crossing(grid_X, density_X, step, may, np.sqrt(share))
        z_L[look] = crossing / np.sqrt(share)
        new_X = np.linspace(-_REACH * np.sqrt(share), crossing, _POINTS)
        if look == 0:
            density_X = np.exp(-0.5 * (new_X / step) ** 2) / (step * np.sqrt(2 * np.pi))
        else:
            kernel = np.exp(-0.5 * ((new_X[:, None] - grid_X) / step) ** 2) / (step * np.sqrt(2 * np.pi))
            density_X = _integral(kernel * density_X, grid_X)
        grid_X, before = new_X, share
    return z_L


def _crossing(grid_X: Floats, density_X: Floats, step: float, may: float, scale: float) -> float:
    """Where the chance of having crossed for the first time is `may`."""
    from scipy.optimize import brentq
    from scipy.special import ndtr

    def beyond(at: float) -> float:
        return float(_integral(density_X * ndtr((grid_X - at) / step), grid_X)) - may

    most = _NEVER * scale
    return most if beyond(most) >= 0 else float(brentq(beyond, -_NEVER * scale, most, xtol=1e-10))


def _integral(values: Floats, grid_X: Floats) -> Floats:
    """Simpson's rule along the last axis; the grid has an odd number of equal steps' ends."""
    weights_X = np.full(len(grid_X), 2.0)
    weights_X[1::2] = 4.0
    weights_X[[0, -1]] = 1.0
    return np.asarray(values @ weights_X * (grid_X[1] - grid_X[0]) / 3)
