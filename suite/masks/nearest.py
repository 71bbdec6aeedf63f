"""Exact distances between two sets of points on a grid, each point to the nearest of the other set.

Most points of two similar surfaces are a step or two apart. They are looked up: the grid's offsets in order of length,
each tried on all points that are still open, so the first that lands on the other surface is the nearest. What is
still open after some hundred offsets is farther away and asks a KD-tree.

Shape suffixes: n points of the one set, m of the other, d axes, K offsets.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from suite.masks.grid import Floats, Grid, Points

SINGLY = 12  # offsets tried one by one; after them, twice as many at once as before
MANY = 500  # open points for which one offset at a time is cheaper than a block of them
LARGEST_BLOCK = 1 << 22  # more open points times offsets than that: most of the surface is far away


def nearest(one_n: Points, other_m: Points, grid: Grid) -> tuple[Floats, Floats]:
    """Distances in mm of each point of either set to the other set: [n] and [m]; infinite when the other is empty.

    d(x) = min over points t of the other set of |(x - t) * spacing|, exact.
    """
    return _to(one_n, other_m, grid), _to(other_m, one_n, grid)


def _to(points_n: Points, targets_m: Points, grid: Grid) -> Floats:
    if not len(targets_m) or not len(points_n):
        return np.full(len(points_n), np.inf)
    grid.taken[targets_m] = True
    distances, still = _looked_up(points_n, grid)
    grid.taken[targets_m] = False
    if len(still):
        from scipy.spatial import cKDTree

        tree = cKDTree(grid.positions(targets_m), leafsize=32, balanced_tree=False, compact_nodes=False)
        distances[still] = tree.query(grid.positions(points_n[still]))[0]
    return distances


def _looked_up(points_n: Points, grid: Grid) -> tuple[Floats, NDArray[np.int64]]:
    """The distances of the points that an offset takes to the other set, and the places of those that none does."""
    jumps, lengths = grid.jumps
    distances, still, open_n = np.zeros(len(points_n)), np.arange(len(points_n)), points_n
    tried = 0
    while len(still) and tried < len(jumps):
        if tried < SINGLY and len(still) > MANY:
            if tried:
                distances[still] = lengths[tried]  # of those that miss it is overwritten
            hit = grid.taken.take(open_n + jumps[tried])
            tried += 1
        else:
            block = jumps[tried : tried + max(SINGLY, 2 * tried)]
            if len(still) * len(block) > LARGEST_BLOCK:
                break
            hits = grid.taken.take(open_n[:, None] + block)
            first = hits.argmax(axis=1)
            hit = hits[np.arange(len(hits)), first]
            distances[still] = lengths[tried + first]
            tried += len(block)
        missed = np.flatnonzero(~hit)
        still, open_n = still.take(missed), open_n.take(missed)
    return distances, still
