"""What lies in a generated volume: an organ, a duct, a nodule, vessels and lesions, as shapes on a grid in millimetres.

Element-wise ``+ - * /`` and comparisons on float64 only, as `tasks.generators.volumes` promises.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks.generators.streams import Floats, Stream

SHAPE = (24, 32, 32)
SPACING_MM = (2.0, 1.0, 1.0)
Grid = tuple[Floats, Floats, Floats]
Point = tuple[float, float, float]
Shape = Callable[[Grid, float], NDArray[np.bool_]]
"""Where a structure is, given a grid in mm and a factor on its size."""


@dataclass(frozen=True)
class Structure:
    """One labelled structure. Later ones in `STRUCTURES` lie on top of earlier ones.

    Attributes:
        label: its value in label volumes.
        name: for people.
        level: mean intensity, before the scanner.
        chance: how many patients have it.
        grow: draws its parts for one patient.
    """

    label: int
    name: str
    level: float
    chance: float
    grow: Callable[[Stream], list[Shape]]


def _organ(stream: Stream) -> list[Shape]:
    centre = (stream.uniform(-4, 4), stream.uniform(-4.5, -0.5), stream.uniform(-5.5, -2.5))
    radii = (stream.uniform(13, 18), stream.uniform(7, 9.5), stream.uniform(6, 8.5))
    lattice = stream.uniforms((5, 5, 5)) - 0.5

    def inside(grid: Grid, scale: float) -> NDArray[np.bool_]:
        radius = sum(((axis - c) / (r * scale)) ** 2 for axis, c, r in zip(grid, centre, radii, strict=True))
        return np.asarray(radius + 1.3 * smooth(lattice) < 1.0)

    return [inside]


def _duct(stream: Stream) -> list[Shape]:
    ends: list[Point] = [(z, stream.uniform(-9, 9), stream.uniform(3, 11)) for z in (-18.0, 18.0)]
    bend = (stream.uniform(-12, 12), stream.uniform(-12, 12), stream.uniform(-4, 14))
    radius = stream.uniform(2.4, 3.2)
    return [_tube(_curve(ends[0], bend, ends[1], 25), radius)]


def _nodule(stream: Stream) -> list[Shape]:
    centre = (stream.uniform(-14, 14), stream.uniform(3, 9.5), stream.uniform(-9, 6))
    return [_tube([centre], stream.uniform(2.8, 4.8))]


def _vessels(stream: Stream) -> list[Shape]:
    """A trunk along the body, and two branches that leave it."""
    low = (-21.0, stream.uniform(-5, 5), stream.uniform(-7, 0))
    high = (21.0, stream.uniform(-5, 5), stream.uniform(-7, 0))
    bend = (stream.uniform(-8, 8), stream.uniform(-13, -4), stream.uniform(-4, 12))
    trunk = _curve(low, bend, high, 30)
    parts = [_tube(trunk, stream.uniform(1.6, 2.0))]
    for start, side in ((9, -1.0), (20, 1.0)):
        root = trunk[start]
        tip = (root[0] + stream.uniform(4, 12), root[1] + side * stream.uniform(6, 9), root[2] + stream.uniform(-6, 6))
        turn = (root[0], tip[1], (root[2] + tip[2]) / 2)
        parts.append(_tube(_curve(root, turn, tip, 12), stream.uniform(1.3, 1.6)))
    return parts


def _lesions(stream: Stream) -> list[Shape]:
    """One to five balls within the body."""
    number = 1 + int(stream.uniform(0, 5))
    return [
        _tube(
            [(stream.uniform(-20, 20), stream.uniform(-10, 10), stream.uniform(-10, 10))],
            stream.uniform(1.8, 1.8 + 0.5 * (k + 1)),
        )
        for k in range(number)
    ]


def _curve(start: Point, bend: Point, end: Point, steps: int) -> list[Point]:
    """Points of a quadratic Bezier curve."""
    path = []
    for step in range(steps):
        t = step / (steps - 1)
        weights = ((1 - t) * (1 - t), 2 * t * (1 - t), t * t)
        z, y, x = (weights[0] * a + weights[1] * b + weights[2] * c for a, b, c in zip(start, bend, end, strict=True))
        path.append((z, y, x))
    return path


def _tube(path: list[Point], radius: float) -> Shape:
    return lambda grid, scale: near(grid, path, radius * scale)


STRUCTURES = (
    Structure(1, "organ", 0.56, 1.0, _organ),
    Structure(2, "duct", 0.66, 1.0, _duct),
    Structure(3, "nodule", 0.74, 0.7, _nodule),
    Structure(4, "vessels", 0.86, 1.0, _vessels),
    Structure(5, "lesions", 0.24, 0.8, _lesions),
)
LESIONS = 5
Anatomy = dict[int, list[Shape]]
CLASSES = ("background", *(structure.name for structure in STRUCTURES))


def grid(shift_mm: tuple[float, float, float]) -> Grid:
    """Millimetres from the centre along each axis, moved by a shift."""
    axes = []
    for axis, (size, spacing, shift) in enumerate(zip(SHAPE, SPACING_MM, shift_mm, strict=True)):
        mm = (np.arange(size, dtype=np.float64) - (size - 1) / 2) * spacing + shift
        axes.append(mm.reshape([size if other == axis else 1 for other in range(3)]))
    return axes[0], axes[1], axes[2]


def near(grid: Grid, points: list[Point], radius: float) -> NDArray[np.bool_]:
    """Whether a voxel lies within `radius` mm of any of the points."""
    inside = np.zeros(SHAPE, dtype=np.bool_)
    for z, y, x in points:
        dz, dy, dx = grid[0] - z, grid[1] - y, grid[2] - x
        inside |= dz * dz + dy * dy + dx * dx < radius * radius
    return inside


def smooth(lattice: Floats) -> Floats:
    """A field over the volume from a coarse lattice of values, by quadratic B-splines along each axis."""
    field = lattice
    for axis, size in enumerate(SHAPE):
        cells = field.shape[axis] - 2
        at = (np.arange(size, dtype=np.float64) + 0.5) * (cells / size)
        first = np.minimum(at.astype(np.int64), cells - 1)
        t = (at - first).reshape([size if other == axis else 1 for other in range(3)])
        a, b, c = (np.take(field, first + step, axis=axis) for step in range(3))
        field = 0.5 * (1 - t) * (1 - t) * a + (0.5 + t * (1 - t)) * b + 0.5 * t * t * c
    return field
