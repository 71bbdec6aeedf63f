"""Sizes of surface elements: what marching cubes cuts through the cell between 2^d neighbouring voxels.

Codes: bit k is set when voxel k of the cell is inside, voxels in C order (the last axis runs fastest).

In 3-D the triangles of a cell join midpoints of its edges by the table of Lorensen and Cline (1987), with their rule
that a cell with more than four voxels inside is its complement turned inside out. A triangle with the corners a, b, c
in units of the spacing s has the area |((b - a) * s) x ((c - a) * s)| / 2. surface-distance holds the same 256 areas.
In 2-D the lines join midpoints of the cell's sides; a saddle (two opposite voxels) has two of them.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@cache
def element_sizes(spacing_mm: tuple[float, ...]) -> Floats:
    """Area in mm^2 (3-D, [256]) or length in mm (2-D, [16]) of each code's surface.

    >>> element_sizes((1.0, 1.0))[[0b0001, 0b0011, 0b1001, 0b1111]].round(4)
    array([0.7071, 1.    , 1.4142, 0.    ])
    """
    return _lengths(*spacing_mm) if len(spacing_mm) == 2 else _areas(spacing_mm)  # noqa: PLR2004 - the plane


def _lengths(down: float, across: float) -> Floats:
    corner = 0.5 * np.hypot(down, across)
    sizes = np.full(16, corner)  # one voxel inside, or all but one
    sizes[[0b0000, 0b1111]] = 0.0
    sizes[[0b0011, 0b1100]] = across  # a row inside: the line runs along it
    sizes[[0b0101, 0b1010]] = down
    sizes[[0b0110, 0b1001]] = 2 * corner
    return sizes


def _areas(spacing: tuple[float, ...]) -> Floats:
    scale, sizes = np.asarray(spacing), np.zeros(256)
    for code, triangles in _triangles().items():
        a, b, c = (triangles * scale).transpose(1, 0, 2)
        sizes[code] = sizes[255 - code] = 0.5 * np.linalg.norm(np.cross(b - a, c - a), axis=1).sum()
    return sizes


@cache
def _triangles() -> dict[int, NDArray[Any]]:
    """Code -> corners of its triangles [t, 3, 3] in voxel steps, for codes with at most four voxels inside."""
    from skimage.measure import marching_cubes

    found = {}
    for code in range(1, 255):
        inside = (code >> np.arange(8)) & 1
        if inside.sum() <= 4:  # noqa: PLR2004 - half of the cell
            vertices, faces, *_ = marching_cubes(inside.reshape(2, 2, 2).astype(float), 0.5, method="lorensen")
            found[code] = vertices[faces].astype(np.float64)
    return found
