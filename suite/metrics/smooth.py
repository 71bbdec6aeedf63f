"""Smooth ECE of every resample of the same items, by how often each counts.

`relplot.smECE` gives the value; asked a thousand times it takes minutes, for it puts all items on its grid again for
each of eleven bandwidths. Here the grid is a sum of counts, and the smoothing a product of Fourier transforms. Grid,
kernel, mesh and search are relplot's (Blasiok & Nakkiran 2023): residuals and ones are shared out to a grid of P points
in [0, 1], smoothed by a Gaussian of width sigma that is reflected at 0 and 1, read at M mesh points, and

    smECE(sigma) = sum |smoothed residual| / sum smoothed ones,    sigma = smECE(sigma) by bisection

Shape suffixes: N items, P points of the grid, M points of the mesh, F frequencies.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suite.metrics.counted import Counts, Floats, OfCounts

LEAST_WIDTH, HALVINGS = 0.001, 10
_GRID, _PER_WIDTH = 2000, 20  # half as many points, and half as many more a width where that is narrow
_MESH, _MESH_PER_WIDTH = 200, 10
_NO_DENSITY = 1e-4  # added to the density, against a division by 0


def by_counts(confidence_N: Floats, correct_N: NDArray[np.bool_]) -> OfCounts:
    """What gives smECE when item i counts ``counts_N[i]`` times; its kernels and grids are made once.

    Args:
        confidence_N: in [0, 1].
        correct_N: whether each is right.
    """
    order_N = np.argsort(confidence_N, kind="stable")  # neighbours on the grid are neighbours in memory
    sorted_N = confidence_N[order_N]
    terms_2N = np.stack([sorted_N - correct_N[order_N], np.ones_like(sorted_N)])
    grid = cache(lambda n_points: _grid(sorted_N, n_points))

    def value(counts_N: Counts) -> float:
        counted_2N = terms_2N * counts_N[order_N]
        waves = cache(lambda n_points: _waves((grid(n_points) @ counted_2N.T).T))

        def at(width: float) -> float:
            n_points = _points(width)
            smoothed_2P = np.fft.irfft(waves(n_points) * _kernel(width), 2 * (n_points - 1))
            left_M, share_M = _mesh(width)
            residual_M, density_M = smoothed_2P[:, left_M] * (1 - share_M) + smoothed_2P[:, left_M + 1] * share_M
            return float(np.abs(residual_M).sum() / (density_M + _NO_DENSITY).sum())

        return at(_width(at))

    return value


def _width(at: Callable[[float], float]) -> float:
    """The width that is its own smECE: the largest of the halvings above it."""
    if at(1.0) > 1:
        return 1.0
    above, below = 1.0, 0.0
    for _ in range(HALVINGS):
        middle = (above + below) / 2
        if middle < LEAST_WIDTH or middle < at(middle):
            below = middle
        else:
            above = middle
    return above


def _points(width: float) -> int:
    return max(_GRID, round(_PER_WIDTH / width)) // 2 + 1


def _grid(confidence_N: Floats, n_points: int) -> Any:
    """Sparse [P, N]: each item's shares of the two points beside it."""
    from scipy.sparse import csr_array

    place_N = confidence_N * (n_points - 1)
    left_N = place_N.astype(np.int64).clip(0, n_points - 2)
    share_N, items = place_N - left_N, np.arange(len(confidence_N))
    found = np.concatenate([1 - share_N, share_N]), (np.concatenate([left_N, left_N + 1]), np.tile(items, 2))
    return csr_array(found, shape=(n_points, len(items)))


def _waves(values_2P: Floats) -> NDArray[np.complex128]:
    """The Fourier transform of the values and their mirror image, [2, F]: on this circle both ends reflect."""
    return np.asarray(np.fft.rfft(np.concatenate([values_2P, values_2P[:, -2:0:-1]], axis=1)))


@cache
def _kernel(width: float) -> NDArray[np.complex128]:
    """The kernel's Fourier transform on the same circle, [F]; it reaches half of the range to each side."""
    n_points = _points(width)
    t_P = np.linspace(0, 1, n_points) - 0.5
    circle = np.zeros(2 * (n_points - 1))
    circle[np.arange(n_points) - n_points // 2] = np.exp(-(t_P**2) / (2 * width**2)) / (np.sqrt(2 * np.pi) * width)
    return np.asarray(np.fft.rfft(circle))


@cache
def _mesh(width: float) -> tuple[NDArray[np.int64], Floats]:
    """For each mesh point the point of the grid to its left, and how far it lies towards the next."""
    last = _points(width) - 1
    place_M = np.linspace(0, 1, max(round(_MESH_PER_WIDTH / width), _MESH)) * last
    left_M = place_M.astype(np.int64).clip(0, last - 1)
    return left_M, place_M - left_M
