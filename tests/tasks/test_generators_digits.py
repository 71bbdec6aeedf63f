"""The digits: pinned, split without overlap."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from sklearn.datasets import load_digits

from tasks.generators import digits


@pytest.fixture(scope="module")
def training() -> list[digits.Digit]:
    return digits.training_items()


@pytest.fixture(scope="module")
def test() -> list[digits.Digit]:
    return digits.test_items()


def test_the_digest_is_pinned(training, test):
    assert digits.digest(test) == digits.DIGEST
    assert digits.digest(digits.test_items()) == digits.DIGEST
    assert digits.digest(training) != digits.DIGEST


def test_every_image_of_the_data_set_is_on_exactly_one_side(training, test):
    assert (len(training), len(test)) == (900, 897)
    assert len({digit.item for digit in training + test}) == 1797


def test_no_test_image_is_a_training_image(training, test):
    learnt = {digit.image.tobytes() for digit in training}
    assert not any(digit.image.tobytes() in learnt for digit in test)


def test_images_and_labels_are_scikit_learns(test):
    images, labels = load_digits(return_X_y=True)
    for digit in test:
        index = int(digit.item.removeprefix("digit-"))
        assert np.array_equal(digit.image.ravel() * 16, images[index])
        assert digit.label == labels[index]


def test_shape_dtype_and_range(training, test):
    for digit in training + test:
        assert digit.image.shape == digits.SHAPE
        assert digit.image.dtype == np.float32
        assert digit.image.min() >= 0
        assert digit.image.max() <= 1


def test_every_class_is_on_both_sides_in_number(training, test):
    for side in (training, test):
        counts = Counter(digit.label for digit in side)
        assert sorted(counts) == list(range(len(digits.CLASSES)))
        assert min(counts.values()) >= 70
