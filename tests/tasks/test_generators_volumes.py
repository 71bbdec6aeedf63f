"""The generated volumes: pinned, disjoint from training, and holding what the task is about."""

from __future__ import annotations

import ast
import itertools
from collections import Counter

import numpy as np
import pytest
from support import REPOSITORY

from tasks.generators import volumes
from tasks.generators.streams import Stream

RECIPES = REPOSITORY / "submissions" / "vision_recipes.py"


def trained_on() -> tuple[int, int]:
    """Number and seed of the training volumes, as the recipes state them."""
    statements = ast.parse(RECIPES.read_text()).body
    found = [s.value for s in statements if isinstance(s, ast.Assign) and "VOLUMES_SEED" in ast.unparse(s)]
    (value,) = found
    n, seed = ast.literal_eval(value)
    return n, seed


@pytest.fixture(scope="module")
def cases() -> list[volumes.Case]:
    return volumes.test_cases()


@pytest.fixture(scope="module")
def training() -> list[volumes.Case]:
    return list(volumes.training_cases(*trained_on()))


def test_the_digest_is_pinned_and_a_second_call_gives_the_same(cases):
    assert volumes.digest(cases) == volumes.DIGEST
    assert volumes.digest(volumes.test_cases()) == volumes.DIGEST


def test_the_digest_depends_on_every_part(cases):
    assert volumes.digest(cases[:-1]) != volumes.DIGEST
    assert volumes.digest(cases[::-1]) != volumes.DIGEST


def test_shapes_dtypes_and_ranges(cases):
    for case in cases:
        assert case.image.shape == case.label.shape == volumes.SHAPE
        assert (case.image.dtype, case.label.dtype) == (np.float32, np.uint8)
        assert case.image.min() >= 0
        assert case.image.max() <= 1
        levels = case.image * np.float32(volumes.LEVELS)
        assert np.abs(levels - np.rint(levels)).max() < 1e-3
        assert case.spacing_mm == volumes.SPACING_MM
        assert len(volumes.SPACING_MM) == 3


def test_twenty_patients_with_two_scans_each_half_of_them_on_each_scanner(cases):
    assert len({case.item for case in cases}) == len(cases) == 40
    assert set(Counter(case.patient for case in cases).values()) == {2}
    assert Counter(case.scanner for case in cases) == {"A": 20, "B": 20}
    by_patient = itertools.groupby(cases, key=lambda case: case.patient)
    assert all(len({case.scanner for case in scans}) == 1 for _, scans in by_patient)


def test_scanner_b_is_the_minority_of_training(training):
    assert Counter(case.scanner for case in training) == {"A": 400, "B": 100}


def test_scans_of_a_patient_resemble_each_other_more_than_other_patients(cases):
    def dice(a, b):
        return 2 * np.sum((a.label == 1) & (b.label == 1)) / (np.sum(a.label == 1) + np.sum(b.label == 1))

    same = [dice(a, b) for a, b in zip(cases[::2], cases[1::2], strict=True)]
    other = [dice(a, b) for a, b in zip(cases[::2], cases[2::2], strict=False)]
    assert np.mean(same) > np.mean(other) + 0.1
    assert all(not np.array_equal(a.image, b.image) for a, b in itertools.combinations(cases, 2))


@pytest.mark.parametrize(("label", "present"), [(0, 40), (1, 40), (2, 40), (3, 28), (4, 40), (5, 32)])
def test_every_scan_has_organ_duct_and_vessels_and_some_have_no_nodule_or_lesion(cases, label, present):
    assert sum(bool((case.label == label).any()) for case in cases) == present


@pytest.mark.parametrize("scanner", ["A", "B"])
def test_both_scanners_have_scans_with_and_without_nodule(cases, scanner):
    holding = Counter(bool((case.label == 3).any()) for case in cases if case.scanner == scanner)
    assert holding == {True: 14, False: 6}


def test_vessels_are_one_thin_tree_and_lesions_are_numbered_balls(cases):
    from scipy import ndimage

    corners = np.ones((3, 3, 3))
    assert {ndimage.label(case.label == 4, corners)[1] for case in cases} == {1}
    deepest = max(ndimage.distance_transform_edt(case.label == 4, case.spacing_mm).max() for case in cases)
    assert deepest < 4  # mm: the trunk is below 2 mm wide, and wider where a branch leaves
    assert all(np.array_equal(case.lesions > 0, case.label == 5) for case in cases)
    counts = {len(np.unique(case.lesions)) - 1 for case in cases}
    assert counts == {0, 1, 2, 3, 4, 5}


def test_three_raters_differ_and_agree_more_than_patients_do(cases, training):
    assert all(len(case.raters) == volumes.RATERS - 1 for case in cases)
    assert not any(case.raters for case in training)

    def dice(a, b):
        return 2 * np.sum((a > 0) & (a == b)) / (np.sum(a > 0) + np.sum(b > 0))

    for case, other in zip(cases, cases[2:], strict=False):
        for drawn in case.raters:
            assert dice(other.label, case.label) < dice(drawn, case.label) < 1
    assert any((drawn == 5).sum() < 0.7 * (case.label == 5).sum() for case in cases for drawn in case.raters)


def test_structures_are_of_the_sizes_they_are_named_for(cases):
    organ, duct, nodule = (np.array([np.sum(case.label == label) for case in cases]) for label in (1, 2, 3))
    assert organ.min() > duct.max() > duct.min() > nodule.max()
    assert organ.max() < 0.25 * np.prod(volumes.SHAPE)
    assert nodule[nodule > 0].min() > 30


def test_intensities_of_structures_overlap_and_scanner_b_has_less_contrast(cases):
    def levels(scanner, label):
        return np.concatenate([case.image[case.label == label] for case in cases if case.scanner == scanner])

    for scanner, (low, high) in itertools.product("AB", itertools.combinations((1, 2, 3), 2)):
        assert np.quantile(levels(scanner, low), 0.8) > np.quantile(levels(scanner, high), 0.2)
    spread = {scanner: levels(scanner, 3).mean() - levels(scanner, 1).mean() for scanner in "AB"}
    assert spread["B"] < 0.9 * spread["A"]


def test_no_test_volume_is_a_training_volume(cases, training):
    learnt = {case.image.tobytes() for case in training}
    shapes = {case.label.tobytes() for case in training}
    assert len(learnt) == len(shapes) == trained_on()[0]
    assert not any(case.image.tobytes() in learnt or case.label.tobytes() in shapes for case in cases)
    assert not {case.patient for case in cases} & {case.patient for case in training}
    assert not {case.item for case in cases} & {case.item for case in training}


def test_training_is_seeded_and_lazy():
    first, second, other = (next(volumes.training_cases(10**9, seed)) for seed in (7, 7, 8))
    assert np.array_equal(first.image, second.image)
    assert not np.array_equal(first.label, other.label)


def test_a_longer_training_set_begins_with_the_shorter_one(training):
    assert volumes.digest(volumes.training_cases(5, trained_on()[1])) == volumes.digest(training[:5])


def test_random_words_are_those_of_pcg64():
    stream = Stream(1, 2, 3)
    words = np.random.Generator(np.random.PCG64(np.random.SeedSequence([1, 2, 3]))).random(4)
    assert np.array_equal(stream.uniforms((4,)), words)


def test_bells_have_mean_zero_and_variance_one():
    bells = Stream(0).bells((200, 1000))
    assert abs(bells.mean()) < 0.01
    assert abs(bells.var() - 1) < 0.01
    assert np.abs(bells).max() <= 2 * np.sqrt(3)
