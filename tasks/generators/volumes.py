"""Generated 3-D volumes with three structures, seen by two scanners: made up, no patient was ever scanned.

A patient has an *anatomy*: a large organ, a curved duct, and in most patients a small round nodule. A *scan* is a
repositioned and slightly grown view of it: intensities that overlap, tissue texture, unlabelled clutter that looks
like a faint nodule, partial-volume blur, a bias field and noise. Scanner B has less contrast, thicker blur and more
noise than A, and is the minority (1 in 5) of the training cases but half of the test.

The same bits on every CPU: random numbers are raw words of PCG64 (which NumPy keeps stable), and the arithmetic is
element-wise ``+ - * /`` and comparisons on float64, which IEEE 754 rounds in one way only. There is no exp, sin, sum
or dot product, whose last bit differs between processors. Images are then quantised to 10 bits. Training and test
draw from different streams: the first word of every seed says which.

Shapes: D, H, W are the volume's axes z, y, x; a grid holds millimetres from the centre.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

VERSION = "1"
SHAPE = (24, 32, 32)
SPACING_MM = (2.0, 1.0, 1.0)
LEVELS = 1023
PATIENTS = 20
SCANS = 2
DIGEST = "ca02babe54e536ba1d9548687d2513ac5c812a4df93bbb688ee7059f98b2a641"  # of the test cases

_TRAINING, _TEST = 0, 7  # in stream 7 as many patients have a nodule on scanner A as on B
_ANATOMY, _SCAN = 0, 1

Floats = NDArray[np.float64]
Grid = tuple[Floats, Floats, Floats]
Shape = Callable[[Grid, float], NDArray[np.bool_]]
"""Where a structure is, given a grid in mm and a factor on its size."""


@dataclass(frozen=True)
class Case:
    """One scan of one patient.

    Attributes:
        item: unique id.
        patient: scans of one patient are correlated: the cluster.
        scanner: ``A`` or ``B``: the group.
        image: float32 [D, H, W], values k / 1023, so within [0, 1].
        label: uint8 [D, H, W], index into `CLASSES`.
        spacing_mm: millimetres per voxel along D, H, W.
    """

    item: str
    patient: str
    scanner: str
    image: NDArray[np.float32]
    label: NDArray[np.uint8]
    spacing_mm: tuple[float, float, float]


class Stream:
    """Random numbers that are the same on every machine and with every NumPy."""

    def __init__(self, *key: int) -> None:
        self._bits = np.random.PCG64(np.random.SeedSequence([int(VERSION), *key]))

    def uniform(self, low: float, high: float) -> float:
        """One number, uniform in [low, high)."""
        return low + (high - low) * float(self.uniforms((1,))[0])

    def uniforms(self, shape: tuple[int, ...]) -> Floats:
        """Uniform in [0, 1), 53 bits each."""
        words = self._bits.random_raw(int(np.prod(shape)))
        numbers: Floats = (words >> np.uint64(11)).astype(np.float64) * 2.0**-53
        return numbers.reshape(shape)

    def bells(self, shape: tuple[int, ...]) -> Floats:
        """Mean 0, variance 1, within +-3.5: four uniforms added, which is near enough to normal."""
        a, b, c, d = self.uniforms((4, *shape))
        numbers: Floats = (a + b + c + d - 2.0) * 1.7320508075688772
        return numbers


@dataclass(frozen=True)
class Structure:
    """One labelled structure. Later ones in `STRUCTURES` lie on top of earlier ones.

    Attributes:
        label: its value in label volumes.
        name: for people.
        level: mean intensity, before the scanner.
        chance: how many patients have it.
        grow: draws its shape for one patient.
    """

    label: int
    name: str
    level: float
    chance: float
    grow: Callable[[Stream], Shape]


def _organ(stream: Stream) -> Shape:
    centre = (stream.uniform(-4, 4), stream.uniform(-4.5, -0.5), stream.uniform(-5.5, -2.5))
    radii = (stream.uniform(13, 18), stream.uniform(7, 9.5), stream.uniform(6, 8.5))
    lattice = stream.uniforms((5, 5, 5)) - 0.5

    def inside(grid: Grid, scale: float) -> NDArray[np.bool_]:
        radius = sum(((axis - c) / (r * scale)) ** 2 for axis, c, r in zip(grid, centre, radii, strict=True))
        return np.asarray(radius + 1.3 * _smooth(lattice) < 1.0)

    return inside


def _duct(stream: Stream) -> Shape:
    ends = [(z, stream.uniform(-9, 9), stream.uniform(3, 11)) for z in (-18.0, 18.0)]
    bend = (stream.uniform(-12, 12), stream.uniform(-12, 12), stream.uniform(-4, 14))
    radius = stream.uniform(2.4, 3.2)
    path = []
    for step in range(25):
        t = step / 24
        weights = ((1 - t) * (1 - t), 2 * t * (1 - t), t * t)
        path.append(
            [weights[0] * a + weights[1] * b + weights[2] * c for a, b, c in zip(ends[0], bend, ends[1], strict=True)]
        )

    def inside(grid: Grid, scale: float) -> NDArray[np.bool_]:
        return _near(grid, path, radius * scale)

    return inside


def _nodule(stream: Stream) -> Shape:
    centre = [stream.uniform(-14, 14), stream.uniform(3, 9.5), stream.uniform(-9, 6)]
    radius = stream.uniform(2.8, 4.8)
    return lambda grid, scale: _near(grid, [centre], radius * scale)


STRUCTURES = (
    Structure(1, "organ", 0.56, 1.0, _organ),
    Structure(2, "duct", 0.66, 1.0, _duct),
    Structure(3, "nodule", 0.74, 0.7, _nodule),
)
CLASSES = ("background", *(structure.name for structure in STRUCTURES))


@dataclass(frozen=True)
class Scanner:
    """How a scanner turns tissue into grey values.

    Attributes:
        contrast: factor on intensities around the tissue's mean.
        offset: added to all.
        noise: standard deviation.
        bias: largest relative change over the field of view.
        blurs: passes of the kernel (1, 2, 1) / 4 along z, y, x.
    """

    contrast: float
    offset: float
    noise: float
    bias: float
    blurs: tuple[int, int, int]


SCANNERS = {
    "A": Scanner(contrast=1.0, offset=0.0, noise=0.06, bias=0.15, blurs=(1, 1, 1)),
    "B": Scanner(contrast=0.7, offset=0.06, noise=0.065, bias=0.3, blurs=(1, 2, 2)),
}


def training_cases(n: int, seed: int) -> Iterator[Case]:
    """N patients with one scan each, every fifth on scanner B; other seeds give other patients."""
    for index in range(n):
        scanner = "B" if index % 5 == 4 else "A"  # noqa: PLR2004
        yield _case((_TRAINING, seed, index), 0, scanner, f"train-{seed}-{index:05d}")


def test_cases() -> list[Case]:
    """The test set: 20 patients with two scans each, all scans of a patient on one scanner, ten patients each."""
    return [
        _case((_TEST, patient), scan, "AB"[patient % 2], f"patient-{patient:02d}")
        for patient in range(PATIENTS)
        for scan in range(SCANS)
    ]


def digest(cases: Iterable[Case]) -> str:
    """Sha256 over ids, scanners, labels and grey levels of the cases, in their order."""
    state = hashlib.sha256()
    for case in cases:
        state.update(f"{case.item} {case.patient} {case.scanner} {case.spacing_mm}\n".encode())
        state.update(case.label.tobytes())
        state.update(np.rint(case.image * LEVELS).astype("<u2").tobytes())
    return state.hexdigest()


def _case(key: tuple[int, ...], scan: int, scanner: str, patient: str) -> Case:
    anatomy = Stream(*key, _ANATOMY)
    shapes = {structure.label: _drawn(structure, anatomy) for structure in STRUCTURES}
    stream = Stream(*key, _SCAN, scan)
    grid = _grid((stream.uniform(-2, 2), stream.uniform(-1, 1), stream.uniform(-1, 1)))
    label = np.zeros(SHAPE, dtype=np.uint8)
    for value, shape in shapes.items():
        scale = stream.uniform(0.95, 1.05)
        if shape is not None:
            label[shape(grid, scale)] = value
    levels = _acquired(_tissue(label, grid, stream), SCANNERS[scanner], stream)
    image = levels.astype(np.float32) / np.float32(LEVELS)
    return Case(f"{patient}-scan-{scan}", patient, scanner, image, label, SPACING_MM)


def _drawn(structure: Structure, stream: Stream) -> Shape | None:
    present = stream.uniform(0, 1) < structure.chance
    shape = structure.grow(stream)
    return shape if present else None


def _tissue(label: NDArray[np.uint8], grid: Grid, stream: Stream) -> Floats:
    """True intensities: air around a body, structures, clutter and texture."""
    body = (grid[1] / 15.0) ** 2 + (grid[2] / 15.5) ** 2 < 1.0
    tissue = np.where(body, 0.42, 0.08) + np.zeros(SHAPE)
    for _ in range(4):
        spot = [stream.uniform(-22, 22), stream.uniform(-13, 13), stream.uniform(-13, 13)]
        radius, height = stream.uniform(1.5, 3.5), stream.uniform(0.05, 0.2)
        tissue = np.where(_near(grid, [spot], radius) & (label == 0), tissue + height, tissue)
    for structure in STRUCTURES:
        level = structure.level + stream.uniform(-0.05, 0.05)
        tissue = np.where(label == structure.label, level, tissue)
    texture = _smooth(stream.bells((10, 12, 12)))
    return np.where(body, tissue + 0.05 * texture, tissue)


def _acquired(tissue: Floats, scanner: Scanner, stream: Stream) -> NDArray[np.uint16]:
    """Grey levels 0..1023 of true intensities seen by a scanner."""
    seen = tissue
    for axis, passes in enumerate(scanner.blurs):
        for _ in range(passes):
            seen = _blurred(seen, axis)
    seen = 0.45 + (seen - 0.45) * (scanner.contrast * stream.uniform(0.9, 1.1)) + scanner.offset
    seen = seen * (1.0 + scanner.bias * (2.0 * _smooth(stream.uniforms((4, 4, 4))) - 1.0))
    seen = seen + scanner.noise * stream.bells(SHAPE)
    return np.rint(np.clip(seen, 0.0, 1.0) * LEVELS).astype(np.uint16)


def _grid(shift_mm: tuple[float, float, float]) -> Grid:
    axes = []
    for axis, (size, spacing, shift) in enumerate(zip(SHAPE, SPACING_MM, shift_mm, strict=True)):
        mm = (np.arange(size, dtype=np.float64) - (size - 1) / 2) * spacing + shift
        axes.append(mm.reshape([size if other == axis else 1 for other in range(3)]))
    return axes[0], axes[1], axes[2]


def _near(grid: Grid, points: list[list[float]], radius: float) -> NDArray[np.bool_]:
    """Whether a voxel lies within `radius` mm of any of the points."""
    inside = np.zeros(SHAPE, dtype=np.bool_)
    for z, y, x in points:
        dz, dy, dx = grid[0] - z, grid[1] - y, grid[2] - x
        inside |= dz * dz + dy * dy + dx * dx < radius * radius
    return inside


def _smooth(lattice: Floats) -> Floats:
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


def _blurred(volume: Floats, axis: int) -> Floats:
    """One pass of (1, 2, 1) / 4 along an axis, edges repeated."""
    size = volume.shape[axis]
    before = np.take(volume, np.maximum(np.arange(size) - 1, 0), axis=axis)
    after = np.take(volume, np.minimum(np.arange(size) + 1, size - 1), axis=axis)
    blurred: Floats = (before + 2.0 * volume + after) * 0.25
    return blurred
