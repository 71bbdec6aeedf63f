"""The handwritten digits that scikit-learn carries, split once and for all into training and test items.

1797 grey images of 8 x 8 pixels with 17 levels (0..16), from UCI's "Optical Recognition of Handwritten Digits";
real data, nothing generated. The data set names no writers, so items have no cluster. The split orders the images
by raw words of PCG64, which NumPy keeps stable; the first 900 are for training, the other 897 for the test.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

VERSION = "1"
SEED = 20260
TRAINING = 900
SHAPE = (1, 8, 8)
CLASSES = tuple(str(digit) for digit in range(10))
DIGEST = "6f36fa0e9134697cd1a52e85033f88e49c2939de1624fe9653bc1ee10018dd79"  # of the test items


@dataclass(frozen=True)
class Digit:
    """One image of a digit.

    Attributes:
        item: ``digit-`` and the image's index in scikit-learn's file.
        image: float32 [1, 8, 8], values k / 16, so within [0, 1]; 0 is paper, 1 is ink.
        label: 0..9.
    """

    item: str
    image: NDArray[np.float32]
    label: int


def training_items() -> list[Digit]:
    """The 900 images that recipes may learn from, always in the same order."""
    return [_digit(index) for index in _order()[:TRAINING]]


def test_items() -> list[Digit]:
    """The 897 images that models are scored on, always in the same order."""
    return [_digit(index) for index in _order()[TRAINING:]]


def digest(items: Iterable[Digit]) -> str:
    """Sha256 over id, label and grey levels of the items, in their order."""
    state = hashlib.sha256()
    for digit in items:
        state.update(f"{digit.item} {digit.label}\n".encode())
        state.update(np.rint(digit.image * 16).astype(np.uint8).tobytes())
    return state.hexdigest()


def _order() -> list[int]:
    words = np.random.PCG64(np.random.SeedSequence(SEED)).random_raw(len(_load()[1]))
    return [int(index) for index in np.argsort(words, kind="stable")]


def _digit(index: int) -> Digit:
    images, labels = _load()
    return Digit(f"digit-{index:04d}", (images[index] / np.float32(16)).reshape(SHAPE), int(labels[index]))


@functools.cache
def _load() -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    from sklearn.datasets import load_digits

    bunch = load_digits()
    return bunch.data.astype(np.float32), bunch.target.astype(np.int64)
