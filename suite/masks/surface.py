"""Surfaces of every class of a case: voxel borders, or surfels with their areas.

Shape suffixes: n elements, d axes, M places where a map changes.

A voxel border holds the voxels of a class that have a face neighbour outside of it; each weighs 1 (MONAI, medpy,
panoptica). A surfel sits on the corner between 2^d voxels that are not all of one class; it weighs what marching cubes
(Lorensen and Cline 1987) cuts through there, in mm^2, or mm in 2-D (surface-distance; Nikolov 2021, JMIR 23(7):e26151).
The edge of the image counts as surface.

Voxels that are ignored belong to nobody: a border towards them is none, an element that touches them is dropped. A
library that sets them to background on both sides makes walls that agree perfectly.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from suite.masks.case import Case
from suite.masks.grid import Points
from suite.masks.scan import cell_changes, face_changes
from suite.masks.surfels import element_sizes

Kind = Literal["voxel", "surfel"]
KINDS: tuple[Kind, ...] = ("voxel", "surfel")


@dataclass(frozen=True)
class Surface:
    """One class's surface on one side.

    Attributes:
        points: [n] places in the case's flat grid.
        sizes: [n] areas in mm^2 (lengths in mm for 2-D); ``None``: each element counts 1.
    """

    points: Points
    sizes: NDArray[np.float64] | None


def surfaces(case: Case, kind: Kind) -> tuple[list[Surface], list[Surface]]:
    """The surfaces of the reference and of the prediction, one of each for every class but the background."""
    find = _borders if kind == "voxel" else _surfels
    return find(case, case.reference), find(case, case.prediction)


def _borders(case: Case, labels: NDArray[Any]) -> list[Surface]:
    where = face_changes(labels, case.grid.strides, case.classes if case.ignored else None)
    return _by_class(case, [(where, labels[where], None)])


def _surfels(case: Case, labels: NDArray[Any]) -> list[Surface]:
    corners = [sum(c) for c in itertools.product(*[(0, stride) for stride in case.grid.strides])]
    where = cell_changes(labels, case.grid.strides)
    around = [labels[where + corner] for corner in corners]
    if case.ignored:
        kept = np.logical_and.reduce([label != case.classes for label in around])
        where, around = where[kept], [label[kept] for label in around]
    sizes = element_sizes(case.spacing_mm)
    return _by_class(case, (_with_sizes(where, around, k, sizes) for k in range(len(corners))))


Element = tuple[NDArray[np.int64], NDArray[Any], NDArray[np.float64] | None]


def _with_sizes(where: NDArray[np.int64], around: list[NDArray[Any]], k: int, sizes: NDArray[np.float64]) -> Element:
    """Elements of the class at corner voxel k, where no earlier corner voxel is of the same class."""
    new = around[k] != 0
    for earlier in around[:k]:
        new &= earlier != around[k]
    places = np.flatnonzero(new)
    label = around[k][places]
    code = np.full(len(places), 1 << k, dtype=np.uint8)
    for bit in range(k + 1, len(around)):
        code |= (around[bit][places] == label).view(np.uint8) << bit
    return where[places], label, sizes[code]


def _by_class(case: Case, parts: Iterable[Element]) -> list[Surface]:
    """Elements sorted into classes; those of the background and of ignored voxels are dropped."""
    flats, labels, sizes = zip(*parts, strict=True)
    flat, label = np.concatenate(flats), np.concatenate(labels)
    order = np.argsort(label, kind="stable")  # a radix sort: linear
    ends = np.searchsorted(label[order], np.arange(1, case.classes + 1))
    size = None if sizes[0] is None else np.concatenate(sizes)
    made = []
    for low, high in itertools.pairwise(ends):
        mine = order[low:high]
        made.append(Surface(flat[mine], None if size is None else size[mine]))
    return made
