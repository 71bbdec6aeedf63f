"""Generated 3-D volumes with five structures, seen by two scanners: made up, no patient was ever scanned.

A patient has an *anatomy*: a large organ, a curved duct, in most patients a small round nodule, a tree of thin vessels,
and up to five small dark lesions. A *scan* is a repositioned and slightly grown view of it: intensities that overlap,
tissue texture, unlabelled clutter that looks like a faint nodule, partial-volume blur, a bias field and noise. Scanner
B has less contrast, thicker blur and more noise than A, and is the minority (1 in 5) of the training cases but half of
the test. Three raters have drawn each test case: the first drew what is there and is the one that counts; the two
others place, size and shape everything a little differently and overlook a lesion now and then.

The same bits on every CPU: random numbers are raw words of PCG64 (which NumPy keeps stable), and the arithmetic is
element-wise ``+ - * /`` and comparisons on float64, which IEEE 754 rounds in one way only. There is no exp, sin, sum
or dot product, whose last bit differs between processors. Images are then quantised to 10 bits. Training and test
draw from different streams: the first word of every seed says which.

Shapes: D, H, W are the volume's axes z, y, x; a grid holds millimetres from the centre.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks.generators.streams import Floats, Stream
from tasks.generators.structures import (
    CLASSES,
    LESIONS,
    SHAPE,
    SPACING_MM,
    STRUCTURES,
    Anatomy,
    Point,
    Shape,
    Structure,
    grid,
    near,
    smooth,
)

__all__ = ("CLASSES", "SHAPE", "SPACING_MM", "Case", "digest", "test_cases", "training_cases")

VERSION = "2"
LEVELS = 1023
PATIENTS = 20
SCANS = 2
DIGEST = "ad4781087e500d49bc98a1ba661fd9de57e7aca203913b1588bbb2b4d94a7b69"  # of the test cases

_TRAINING, _TEST = 0, 157  # in stream 157 scanner A has as many patients with a nodule as B, and with lesions
_ANATOMY, _SCAN, _RATER = 0, 1, 2
RATERS = 3
_OVERLOOKED = 0.15  # chance that a further rater misses a lesion


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
        lesions: uint8 [D, H, W], 0 or the number of the lesion.
        raters: label maps of the further raters; none in training.
    """

    item: str
    patient: str
    scanner: str
    image: NDArray[np.float32]
    label: NDArray[np.uint8]
    spacing_mm: tuple[float, float, float]
    lesions: NDArray[np.uint8]
    raters: tuple[NDArray[np.uint8], ...] = ()


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
        yield _case((int(VERSION), _TRAINING, seed, index), 0, scanner, f"train-{seed}-{index:05d}")


def test_cases() -> list[Case]:
    """The test set: 20 patients with two scans each, all scans of a patient on one scanner, ten patients each."""
    return [
        _case((int(VERSION), _TEST, patient), scan, "AB"[patient % 2], f"patient-{patient:02d}", RATERS - 1)
        for patient in range(PATIENTS)
        for scan in range(SCANS)
    ]


def digest(cases: Iterable[Case]) -> str:
    """Sha256 over ids, scanners, labels, lesions, raters and grey levels of the cases, in their order."""
    state = hashlib.sha256()
    for case in cases:
        state.update(f"{case.item} {case.patient} {case.scanner} {case.spacing_mm} {len(case.raters)}\n".encode())
        for labels in (case.label, case.lesions, *case.raters):
            state.update(labels.tobytes())
        state.update(np.rint(case.image * LEVELS).astype("<u2").tobytes())
    return state.hexdigest()


def _case(key: tuple[int, ...], scan: int, scanner: str, patient: str, more_raters: int = 0) -> Case:
    drawn = Stream(*key, _ANATOMY)
    anatomy = {structure.label: _drawn(structure, drawn) for structure in STRUCTURES}
    stream = Stream(*key, _SCAN, scan)
    place = (stream.uniform(-2, 2), stream.uniform(-1, 1), stream.uniform(-1, 1))
    scales = {value: stream.uniform(0.95, 1.05) for value in anatomy}
    label, lesions = _seen(anatomy, place, scales)
    levels = _acquired(_tissue(label, place, stream), SCANNERS[scanner], stream)
    image = levels.astype(np.float32) / np.float32(LEVELS)
    raters = tuple(_rated(anatomy, place, scales, Stream(*key, _RATER, scan, rater)) for rater in range(more_raters))
    return Case(f"{patient}-scan-{scan}", patient, scanner, image, label, SPACING_MM, lesions, raters)


def _drawn(structure: Structure, stream: Stream) -> list[Shape]:
    present = stream.uniform(0, 1) < structure.chance
    parts = structure.grow(stream)
    return parts if present else []


def _seen(anatomy: Anatomy, place: Point, scales: dict[int, float]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Labels of a view of an anatomy, and the number of the lesion in each of their voxels."""
    where = grid(place)
    label, lesions = np.zeros(SHAPE, dtype=np.uint8), np.zeros(SHAPE, dtype=np.uint8)
    for value, parts in anatomy.items():
        for number, inside in enumerate(parts, start=1):
            mask = inside(where, scales[value])
            label[mask] = value
            if value == LESIONS:
                lesions[mask] = number
    return label, lesions


def _rated(anatomy: Anatomy, place: Point, scales: dict[int, float], stream: Stream) -> NDArray[np.uint8]:
    """What a further rater draws of the same view."""
    z, y, x = (at + stream.uniform(-0.5, 0.5) for at in place)
    sizes = {value: scale * stream.uniform(0.9, 1.1) for value, scale in scales.items()}
    found = [part for part in anatomy[LESIONS] if stream.uniform(0, 1) >= _OVERLOOKED]
    return _seen({**anatomy, LESIONS: found}, (z, y, x), sizes)[0]


def _tissue(label: NDArray[np.uint8], place: Point, stream: Stream) -> Floats:
    """True intensities: air around a body, structures, clutter and texture."""
    where = grid(place)
    body = (where[1] / 15.0) ** 2 + (where[2] / 15.5) ** 2 < 1.0
    tissue = np.where(body, 0.42, 0.08) + np.zeros(SHAPE)
    for _ in range(4):
        spot = (stream.uniform(-22, 22), stream.uniform(-13, 13), stream.uniform(-13, 13))
        radius, height = stream.uniform(1.5, 3.5), stream.uniform(0.05, 0.2)
        tissue = np.where(near(where, [spot], radius) & (label == 0), tissue + height, tissue)
    for structure in STRUCTURES:
        level = structure.level + stream.uniform(-0.05, 0.05)
        tissue = np.where(label == structure.label, level, tissue)
    texture = smooth(stream.bells((10, 12, 12)))
    return np.where(body, tissue + 0.05 * texture, tissue)


def _acquired(tissue: Floats, scanner: Scanner, stream: Stream) -> NDArray[np.uint16]:
    """Grey levels 0..1023 of true intensities seen by a scanner."""
    seen = tissue
    for axis, passes in enumerate(scanner.blurs):
        for _ in range(passes):
            seen = _blurred(seen, axis)
    seen = 0.45 + (seen - 0.45) * (scanner.contrast * stream.uniform(0.9, 1.1)) + scanner.offset
    seen = seen * (1.0 + scanner.bias * (2.0 * smooth(stream.uniforms((4, 4, 4))) - 1.0))
    seen = seen + scanner.noise * stream.bells(SHAPE)
    return np.rint(np.clip(seen, 0.0, 1.0) * LEVELS).astype(np.uint16)


def _blurred(volume: Floats, axis: int) -> Floats:
    """One pass of (1, 2, 1) / 4 along an axis, edges repeated."""
    size = volume.shape[axis]
    before = np.take(volume, np.maximum(np.arange(size) - 1, 0), axis=axis)
    after = np.take(volume, np.minimum(np.arange(size) + 1, size - 1), axis=axis)
    blurred: Floats = (before + 2.0 * volume + after) * 0.25
    return blurred
