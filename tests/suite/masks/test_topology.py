from __future__ import annotations

import math

import networkx as nx
import numpy as np
import pytest
from skimage import measure
from skimage.morphology import skeletonize
from sklearn.metrics import recall_score

from suite.masks.betti_matching import betti_matching_error
from suite.masks.topology import betti_error, betti_numbers, center_lines, cldice


def empty(*shape):
    return np.zeros(shape, dtype=bool)


def ring(size=5):
    mask = np.ones((size, size), dtype=bool)
    mask[1:-1, 1:-1] = False
    return np.pad(mask, 2)


def random_mask(shape, seed):
    return np.random.default_rng(seed).random(shape) < 0.45


def test_cldice_of_thin_lines_by_hand() -> None:
    """Lines one voxel wide are their own skeletons: 8 of 10 voxels of the prediction, 8 of 12 of the reference."""
    reference, prediction = empty(9, 30), empty(9, 30)
    reference[4, 2:14] = True
    prediction[4, 6:16] = True
    lines = center_lines(reference, prediction)
    assert (lines.predicted, lines.predicted_inside, lines.true, lines.true_inside) == (10, 8, 12, 8)
    assert cldice(lines) == pytest.approx(2 * 0.8 * (8 / 12) / (0.8 + 8 / 12))


def test_a_thin_gap_costs_cldice_more_than_a_thin_vessel() -> None:
    """Reference 5 wide; a prediction 3 wide keeps the centre line, so clDice is 1 although Dice is 0.75."""
    reference, narrow = empty(15, 40), empty(15, 40)
    reference[5:10], narrow[6:9] = True, True
    assert cldice(center_lines(reference, narrow)) == 1.0
    broken = reference.copy()
    broken[:, 18:22] = False
    assert cldice(center_lines(reference, broken)) < 1.0


@pytest.mark.parametrize("shape", [(40, 40), (14, 15, 16)])
def test_cldice_is_the_harmonic_mean_of_two_ratios(shape) -> None:
    rng = np.random.default_rng(3)
    reference = rng.random(shape) < 0.7
    prediction = reference ^ (rng.random(shape) < 0.1)
    precision = recall_score(skeletonize(prediction).ravel(), reference.ravel())  # of the skeleton's voxels
    sensitivity = recall_score(skeletonize(reference).ravel(), prediction.ravel())
    expected = 2 / (1 / precision + 1 / sensitivity)
    assert cldice(center_lines(reference, prediction)) == pytest.approx(expected)


def test_cldice_of_nothing_has_no_value_and_of_strangers_is_0() -> None:
    mask = ring()
    assert math.isnan(cldice(center_lines(mask, np.zeros_like(mask))))
    assert math.isnan(cldice(center_lines(np.zeros_like(mask), np.zeros_like(mask))))
    assert cldice(center_lines(mask, ~np.pad(mask[2:-2, 2:-2], 2, constant_values=True))) == 0.0


def test_betti_numbers_of_known_bodies() -> None:
    assert betti_numbers(empty(4, 4)) == (0, 0)
    assert betti_numbers(ring()) == (1, 1)
    two = np.concatenate([ring(), ring()], axis=1)
    assert betti_numbers(two) == (2, 2)
    ball = np.ones((5, 5, 5), dtype=bool)
    assert betti_numbers(ball) == (1, 0, 0)
    hollow = ball.copy()
    hollow[2, 2, 2] = False
    assert betti_numbers(hollow) == (1, 0, 1)
    tunnel = ball.copy()
    tunnel[:, 2, 2] = False
    assert betti_numbers(tunnel) == (1, 1, 0)
    cross = tunnel.copy()
    cross[2, :, 2] = False  # four openings into one space: three tunnels
    assert betti_numbers(cross) == (1, 3, 0)
    corners = empty(4, 4)
    corners[1, 1] = corners[2, 2] = True
    assert betti_numbers(corners) == (1, 0)  # they touch at a corner
    assert betti_error(ball, tunnel) == (0, 1, 0)
    one = two.copy()
    one[:, 9:] = False
    assert betti_error(two, one) == (1, 1)


@pytest.mark.parametrize("seed", range(6))
def test_betti_numbers_agree_with_scikit_image(seed) -> None:
    """By labels and by Euler's formula: b0 - b1 in 2-D, b0 - b1 + b2 in 3-D."""
    plane, volume = random_mask((20, 21), seed), random_mask((9, 10, 11), seed)
    b0, b1 = betti_numbers(plane)
    assert b0 == measure.label(plane, connectivity=2).max()
    assert b0 - b1 == measure.euler_number(plane, connectivity=2)
    c0, c1, c2 = betti_numbers(volume)
    assert c0 == measure.label(volume, connectivity=3).max()
    assert c2 == measure.label(~np.pad(volume, 1), connectivity=1).max() - 1
    assert c0 - c1 + c2 == measure.euler_number(volume, connectivity=3)
    assert c1 >= 0


def test_betti_matching_by_hand() -> None:
    mask = ring()
    assert betti_matching_error(mask, mask) == (0, 0)
    assert betti_matching_error(mask, np.zeros_like(mask)) == (1, 1)
    filled = mask.copy()
    filled[3:6, 3:6] = True
    assert betti_matching_error(mask, filled) == (0, 1)
    far = np.roll(np.pad(mask, 20), 15, axis=1)
    assert betti_matching_error(np.pad(mask, 20), far) == (2, 2)  # the same numbers, nowhere near
    assert betti_error(np.pad(mask, 20), far) == (0, 0)
    split = mask.copy()
    split[:, 4] = False  # two halves, no hole: one half has the ring as a partner
    assert betti_matching_error(mask, split) == (1, 1)
    cube = np.zeros((7, 7, 7), dtype=bool)
    cube[1:6, 1:6, 1:6] = True
    hollow = cube.copy()
    hollow[3, 3, 3] = False
    assert betti_matching_error(hollow, cube) == (0, 1)


@pytest.mark.parametrize("shape", [(16, 16), (7, 8, 7)])
@pytest.mark.parametrize("seed", range(8))
def test_betti_matching_agrees_with_graphs(shape, seed) -> None:
    """The same counts from scikit-image's components and NetworkX's matching."""
    reference = random_mask(shape, seed)
    prediction = reference ^ (np.random.default_rng(100 + seed).random(shape) < 0.1)
    faces, corners = 1, len(shape)
    union = measure.label(reference | prediction, connectivity=faces)
    n = [measure.label(mask, connectivity=faces).max() for mask in (reference, prediction)]
    shared = sum(
        bool((reference & (union == k)).any() and (prediction & (union == k)).any()) for k in range(1, union.max() + 1)
    )
    assert betti_matching_error(reference, prediction)[0] == sum(n) - 2 * shared
    padded = [np.pad(mask, 1) for mask in (reference, prediction)]
    holes = [measure.label(~mask, connectivity=corners) for mask in padded]
    outer = [hole[(0,) * len(shape)] for hole in holes]
    free = measure.label(~(padded[0] | padded[1]), connectivity=corners)
    graph = nx.Graph()
    for k in range(1, free.max() + 1):
        place = tuple(np.argwhere(free == k)[0])
        one, two = holes[0][place], holes[1][place]
        if one != outer[0] and two != outer[1]:
            graph.add_edge(("g", int(one)), ("p", int(two)))
    left = {node for node in graph if node[0] == "g"}
    pairs = len(nx.bipartite.maximum_matching(graph, left)) // 2 if left else 0
    total = sum(hole.max() - 1 for hole in holes)
    assert betti_matching_error(reference, prediction)[1] == total - 2 * pairs
