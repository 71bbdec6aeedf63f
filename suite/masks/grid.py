"""Grid: a padded array of places, flattened, on which a step to a neighbour is an addition.

Shape suffixes: n points, d axes, K offsets.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
from numpy.typing import NDArray

REACH = 7  # steps along an axis that an offset may take
OFFSETS = 800

Points = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Grid:
    """The flat grid that the points lie on.

    Attributes:
        shape: d numbers, each with `REACH` places at its end that no point takes: a step over the edge lands there.
        spacing_mm: distance of neighbours along each axis.
    """

    shape: tuple[int, ...]
    spacing_mm: tuple[float, ...]

    @cached_property
    def strides(self) -> tuple[int, ...]:
        """Steps in the flat grid to the next place along each axis."""
        return tuple(math.prod(self.shape[axis + 1 :]) for axis in range(len(self.shape)))

    @cached_property
    def jumps(self) -> tuple[NDArray[np.int64], Floats]:
        """Flat steps [K] of the shortest offsets, and their lengths in mm, ascending."""
        steps, lengths = _offsets(self.spacing_mm)
        return steps @ np.array(self.strides), lengths

    @cached_property
    def taken(self) -> NDArray[np.bool_]:
        """Scratch: which places hold a point of the other set; False between calls."""
        return np.zeros(math.prod(self.shape), dtype=np.bool_)

    def positions(self, points_n: Points) -> Floats:
        """Of points, in mm: [n, d]."""
        places = np.stack(np.unravel_index(points_n, self.shape), axis=1)
        return np.asarray(places * np.asarray(self.spacing_mm), dtype=np.float64)


@cache
def _offsets(spacing_mm: tuple[float, ...]) -> tuple[NDArray[np.int64], Floats]:
    """The shortest offsets [K, d] and their lengths in mm, ascending; none shorter than the longest is left out."""
    line = np.arange(-REACH, REACH + 1)
    steps = np.stack(np.meshgrid(*[line] * len(spacing_mm), indexing="ij"), axis=-1).reshape(-1, len(spacing_mm))
    lengths = np.sqrt(((steps * np.asarray(spacing_mm)) ** 2).sum(axis=1))
    first = np.argsort(lengths, kind="stable")[:OFFSETS]
    known = first[lengths[first] < (REACH + 1) * min(spacing_mm)]  # an offset beyond the reach may be as long as that
    return steps[known], lengths[known]
