from __future__ import annotations

import math

import numpy as np
import pytest
from mask_samples import blobs, monai_metrics, quiet
from scipy import ndimage
from skimage import measure

from suite.errors import AnswerError, InputError
from suite.masks import distance
from suite.masks.case import case_of
from suite.masks.froc import cpm, froc
from suite.masks.instances import (
    components,
    f1,
    false_positives_per_patient,
    match,
    overlaps,
    panoptic_quality,
    recall_by_volume,
    recall_per_patient,
    segmentation_quality,
)
from suite.masks.lesions import lesion_dice, lesions


def boxes(*spans, length=40):
    """A row of objects: label k + 1 covers spans[k]."""
    out = np.zeros((1, length), dtype=np.int32)
    for k, (low, high) in enumerate(spans):
        out[0, low:high] = k + 1
    return out


REFERENCE = boxes((0, 10), (20, 30), (35, 38))
PREDICTION = boxes((2, 10), (24, 34), (12, 14))  # IoU 0.8, 6/14, and one made up


def test_pairs_and_panoptic_quality_by_hand() -> None:
    pairs = overlaps(REFERENCE, PREDICTION)
    np.testing.assert_allclose(pairs.iou, [[0.8, 0, 0], [0, 6 / 14, 0], [0, 0, 0]])
    strict, loose = match(pairs, 0.5), match(pairs, 0.1)
    assert strict.counts == (1, 2, 2)
    assert panoptic_quality(strict) == pytest.approx(0.8 / 3)
    assert segmentation_quality(strict.iou) * f1(*strict.counts) == pytest.approx(panoptic_quality(strict))
    assert loose.counts == (2, 1, 1)
    assert loose.found.tolist() == [True, True, False]
    assert f1(*loose.counts) == pytest.approx(2 / 3)
    assert match(overlaps(boxes((0, 10)), boxes((0, 5))), 0.5).counts == (0, 1, 1)  # exactly 0.5 does not exceed it


def test_pairing_takes_the_largest_sum_not_the_first() -> None:
    """Greedy by reference order would give the long prediction to the first object."""
    reference, prediction = boxes((0, 10), (10, 20)), boxes((4, 18), (0, 4))
    outcome = match(overlaps(reference, prediction), 0.1)
    assert outcome.counts == (2, 0, 0)
    assert outcome.iou.sum() == pytest.approx(0.4 + 8 / 16)


def test_nothing_is_undefined_and_one_empty_side_is_0() -> None:
    nothing = boxes()
    none, missed, made_up = (match(overlaps(*pair), 0.5) for pair in
                             [(nothing, nothing), (REFERENCE, nothing), (nothing, PREDICTION)])  # fmt: skip
    assert math.isnan(panoptic_quality(none))
    assert math.isnan(f1(*none.counts))
    assert math.isnan(segmentation_quality(none.iou))
    assert (missed.counts, panoptic_quality(missed)) == ((0, 0, 3), 0.0)
    assert (made_up.counts, panoptic_quality(made_up)) == ((0, 3, 0), 0.0)


@pytest.mark.parametrize("seed", range(4))
def test_quality_agrees_with_torchmetrics(seed) -> None:
    """torchmetrics' panoptic quality of one kind of thing."""
    import torch
    from torchmetrics.functional.detection import panoptic_quality as theirs

    maps = [components(labels == 1) for labels in blobs((40, 40), 2, seed, smooth=2.0)]
    stacked = [torch.from_numpy(np.stack([(m > 0).astype(int), m], axis=-1)[None]) for m in maps]
    # class 0 is stuff without instances, the background; things come first in the answer
    found = theirs(stacked[1], stacked[0], things={1}, stuffs={0}, return_per_class=True)
    outcome = match(overlaps(*maps), 0.5)
    assert panoptic_quality(outcome) == pytest.approx(float(found.ravel()[0]), rel=1e-6)
    assert segmentation_quality(outcome.iou) * f1(*outcome.counts) == pytest.approx(panoptic_quality(outcome))


@pytest.mark.parametrize("shape", [(30, 30), (12, 13, 14)])
def test_components_and_iou_agree_with_scikit_image(shape) -> None:
    reference, prediction = (measure.label(m == 1) for m in blobs(shape, 2, 1))
    assert components(reference > 0).max() == measure.label(reference > 0, connectivity=len(shape)).max()
    found = overlaps(reference, prediction)
    for r, q in [(1, 1), (2, 1), (1, 2)]:
        g, p = reference == r, prediction == q
        assert found.iou[r - 1, q - 1] == pytest.approx((g & p).sum() / (g | p).sum())


def test_recall_is_of_patients_with_lesions_false_positives_of_all() -> None:
    assert recall_per_patient([1, 0, 3], [2, 0, 3]) == pytest.approx(0.75)
    assert false_positives_per_patient([1, 4, 1]) == 2.0
    assert math.isnan(recall_per_patient([0], [0]))
    assert math.isnan(false_positives_per_patient([]))


def test_recall_by_volume_by_hand() -> None:
    volumes = np.array([1.0, 2, 3, 4, 10, 20, 30, 40])
    found = np.array([0, 0, 1, 0, 1, 1, 1, 1], dtype=bool)
    edges, recall = recall_by_volume(volumes, found)
    np.testing.assert_allclose(edges, np.quantile(volumes, [0, 0.25, 0.5, 0.75, 1]))
    np.testing.assert_allclose(recall, [0, 0.5, 1, 1])
    _, tied = recall_by_volume(np.ones(4), np.array([1, 1, 0, 0], dtype=bool))
    assert tied[0] == 0.5
    assert np.isnan(tied[1:]).all()
    assert np.isnan(recall_by_volume(np.zeros(0), np.zeros(0, dtype=bool))[1]).all()


def test_bad_instance_maps_are_refused() -> None:
    with pytest.raises(AnswerError, match="shape"):
        overlaps(REFERENCE, PREDICTION[:, :-1])
    with pytest.raises(AnswerError, match="float64"):
        overlaps(REFERENCE, PREDICTION.astype(float))
    with pytest.raises(InputError, match="no instance map"):
        overlaps(REFERENCE - 1, PREDICTION)
    with pytest.raises(InputError, match="threshold"):
        match(overlaps(REFERENCE, PREDICTION), 1.0)


def lesion_masks():
    """One lesion of 4 x 4 x 4 hit in half, one of 64 voxels missed, a speck, and a made-up one."""
    reference, prediction = np.zeros((2, 30, 12, 12), dtype=bool)
    reference[1:5, 1:5, 1:5] = prediction[1:5, 1:5, 1:3] = True
    reference[10:14, 1:5, 1:5] = True
    reference[20, 1, 1] = prediction[20, 1, 1] = True
    prediction[26:28, 8:10, 8:10] = True
    return reference, prediction


def test_lesion_wise_dice_by_hand() -> None:
    case = lesions(*lesion_masks(), (1.0, 1.0, 1.0))
    np.testing.assert_allclose(case.dice, [2 * 32 / 96, 0])
    assert case.false_positives == 1  # the speck is dropped with what was predicted for it
    assert lesion_dice(case) == pytest.approx((2 / 3) / 3)
    with_specks = lesions(*lesion_masks(), (1.0, 1.0, 1.0), least_mm3=0.5)
    assert lesion_dice(with_specks) == pytest.approx((2 / 3 + 0 + 1) / 4)
    thick = lesions(*lesion_masks(), (60.0, 1.0, 1.0))  # the speck is 60 mm^3 now
    assert len(thick.dice) == 3
    empty = np.zeros((5, 5, 5), dtype=bool)
    assert math.isnan(lesion_dice(lesions(empty, empty, (1.0, 1.0, 1.0))))


def test_dilation_merges_neighbours_and_one_prediction_can_serve_two() -> None:
    reference, prediction = np.zeros((2, 24, 8, 8), dtype=bool)
    reference[2:6, 2:6, 2:6] = reference[7:11, 2:6, 2:6] = True  # one voxel apart
    prediction[2:11, 2:6, 2:6] = True
    assert len(lesions(reference, prediction, (1.0,) * 3, dilation=0).dice) == 2
    assert len(lesions(reference, prediction, (1.0,) * 3, dilation=1).dice) == 1
    apart = lesions(reference, prediction, (1.0,) * 3, dilation=0)
    np.testing.assert_allclose(apart.dice, [2 * 64 / (64 + 144)] * 2)
    assert apart.false_positives == 0


@pytest.mark.parametrize("seed", range(3))
def test_lesion_wise_dice_agrees_with_the_challenges_steps(seed) -> None:
    """The steps of the BraTS code with scikit-image's components instead of cc3d."""
    rng = np.random.default_rng(seed)
    reference, prediction = (ndimage.gaussian_filter(rng.standard_normal((24, 24, 24)), 1.2) > 0.12 for _ in range(2))
    prediction |= reference & (rng.random(reference.shape) < 0.5)
    struct = ndimage.generate_binary_structure(3, 2)
    merged = measure.label(ndimage.binary_dilation(reference, struct), connectivity=3) * reference
    predicted = measure.label(prediction, connectivity=3)
    dices, touched = [], set()
    for lesion in range(1, merged.max() + 1):
        mine = merged == lesion
        hits = set(np.unique(predicted * ndimage.binary_dilation(mine, struct))) - {0}
        touched |= hits
        theirs = np.isin(predicted, list(hits))
        if mine.sum() > 10:
            dices.append(2 * (mine & theirs).sum() / (mine.sum() + theirs.sum()))
    false = predicted.max() - len(touched)
    case = lesions(reference, prediction, (1.0, 1.0, 1.0), dilation=1, least_mm3=10)
    np.testing.assert_allclose(case.dice, dices)
    assert case.false_positives == false
    assert lesion_dice(case) == pytest.approx(sum(dices) / (len(dices) + false))


def test_froc_by_hand() -> None:
    """Two scans, four lesions: found at .9 and .6, false positives at .8 and .5."""
    rates, sensitivity = froc(np.array([0.9, 0.6]), np.array([0.8, 0.5]), 4, 2)
    np.testing.assert_allclose(rates, [0, 0, 0.5, 0.5, 1.0])
    np.testing.assert_allclose(sensitivity, [0, 0.25, 0.25, 0.5, 0.5])
    assert cpm(rates, sensitivity, (0.0, 0.25, 1.0, 8.0)) == pytest.approx((0.25 + 0.25 + 0.5 + 0.5) / 4)
    assert math.isnan(cpm(*froc(np.zeros(0), np.array([0.3]), 0, 2)))
    with pytest.raises(AnswerError, match="NaN"):
        froc(np.array([np.nan]), np.zeros(0), 1, 1)
    with pytest.raises(AnswerError, match="2 lesions found of 1"):
        froc(np.array([0.1, 0.2]), np.zeros(0), 1, 1)


@quiet
def test_froc_agrees_with_monai() -> None:
    """MONAI's curve runs the other way and leaves out the lowest threshold."""
    metrics = monai_metrics()
    rng = np.random.default_rng(2)
    hits, false = rng.random(12), rng.random(30)
    rates, sensitivity = froc(hits, false, 15, 6)
    theirs = metrics.compute_froc_curve_data(false, hits, 15, 6)
    np.testing.assert_allclose((rates[:-1], sensitivity[:-1]), [side[::-1] for side in theirs])
    at = (0.25, 0.5, 1, 2, 4)
    assert cpm(rates, sensitivity, at) == pytest.approx(metrics.compute_froc_score(*theirs, eval_thresholds=at))


def test_lesions_in_their_boxes_are_lesions_in_the_whole_volume() -> None:
    """By sets of voxels of whole volumes, without boxes and tables."""
    rng = np.random.default_rng(3)
    spacing, found = (2.0, 1.0, 1.0), []
    for _ in range(6):
        reference, prediction = (ndimage.gaussian_filter(rng.standard_normal((12, 20, 18)), 1.2) > 0.2 for _ in "rp")
        case = lesions(reference, prediction, spacing, 1, 8.0, with_hd95=True)
        near, corners = ndimage.generate_binary_structure(3, 2), np.ones((3, 3, 3))
        merged, n = ndimage.label(ndimage.binary_dilation(reference, near), corners)
        parts, m = ndimage.label(prediction, corners)
        dice, hd95, lone = [], [], set(range(1, m + 1))
        for lesion in range(1, n + 1):
            mine = (merged == lesion) & reference
            hits = set(parts[ndimage.binary_dilation(mine, near)]) - {0}
            lone -= hits
            theirs = np.isin(parts, list(hits))
            if mine.sum() * 2 > 8:
                dice.append(2 * (mine & theirs).sum() / (mine.sum() + theirs.sum()))
                (both,) = distance.distances(case_of(mine, theirs, 2, spacing), "surfel")
                hd95.append(distance.hd95_max(both) if hits else 374.0)
        np.testing.assert_allclose(case.dice, dice)
        np.testing.assert_allclose(case.hd95_mm, hd95)
        assert case.false_positives == len(lone)
        found.append((len(dice), 374.0 in hd95))
    assert any(n > 1 for n, _ in found)


@pytest.mark.parametrize("factor", [1, 1000])
def test_objects_of_any_number_are_the_same_objects(factor) -> None:
    rng = np.random.default_rng(0)
    reference, prediction = (rng.integers(0, 6, (9, 8)) for _ in "rp")
    small, large = (
        overlaps(reference, prediction),
        overlaps(reference * factor, (prediction * factor).astype(np.uint16)),
    )
    np.testing.assert_array_equal(small.iou, large.iou)
    np.testing.assert_array_equal(small.true, np.bincount(reference.ravel())[1:])
    np.testing.assert_array_equal(large.predicted, np.bincount(prediction.ravel())[1:])


PANOPTICA = {  # seed -> TP, FP, FN, RQ, SQ, PQ by panoptica 2.1.7 (naive matching above 0.5), which needs NumPy < 2.3
    0: (5, 14, 15, 0.2564102564102564, 0.8015856844305121, 0.20553479087961848),
    1: (4, 11, 5, 0.3333333333333333, 0.7105636299184686, 0.23685454330615618),
    2: (7, 7, 11, 0.4375, 0.7188337187717183, 0.31448975196262674),
    3: (12, 8, 9, 0.5853658536585366, 0.6207942214623317, 0.36339173939258435),
}


@pytest.mark.parametrize("seed", PANOPTICA)
def test_matching_and_panoptic_quality_are_those_of_panoptica(seed) -> None:
    rng = np.random.default_rng(seed)
    one = ndimage.gaussian_filter(rng.standard_normal((24, 30, 28)), 2.0)
    two = one + 0.35 * ndimage.gaussian_filter(rng.standard_normal((24, 30, 28)), 2.0)
    outcome = match(overlaps(*(ndimage.label(field > 0.12)[0] for field in (one, two))), 0.5)
    tp, fp, fn, rq, sq, pq = PANOPTICA[seed]
    assert outcome.counts == (tp, fp, fn)
    ours = (f1(tp, fp, fn), segmentation_quality(outcome.iou), panoptic_quality(outcome))
    assert ours == pytest.approx((rq, sq, pq), rel=1e-12)
