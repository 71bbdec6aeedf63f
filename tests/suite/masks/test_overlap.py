from __future__ import annotations

import numpy as np
import pytest
from mask_samples import blobs, cubes
from sklearn import metrics as sk

from suite.errors import AnswerError, InputError
from suite.masks import overlap
from suite.masks.case import case_of

ONES = (1.0, 1.0, 1.0)


def counts(reference, prediction, classes, regions=None, **named):
    table = overlap.confusion(case_of(reference, prediction, classes, (1.0,) * reference.ndim, **named))
    return overlap.counts_of(table, regions)


def test_the_hand_worked_cubes() -> None:
    """512 and 576 voxels, 448 in common, 8000 in all."""
    found = counts(*cubes(), 2)
    assert (found.both[0], found.true[0], found.predicted[0], found.voxels[0]) == (448, 512, 576, 8000)
    assert overlap.dice(found)[0] == pytest.approx(896 / 1088)
    assert overlap.dice(found)[0] == pytest.approx(0.8235, abs=5e-5)
    assert overlap.iou(found)[0] == pytest.approx(0.7)
    assert overlap.precision(found)[0] == pytest.approx(448 / 576)
    assert overlap.recall(found)[0] == pytest.approx(448 / 512)
    assert overlap.specificity(found)[0] == pytest.approx(7360 / 7488)
    assert overlap.accuracy(found)[0] == pytest.approx(7808 / 8000)
    assert overlap.balanced_accuracy(found)[0] == pytest.approx((448 / 512 + 7360 / 7488) / 2)
    assert overlap.volume_error(found)[0] == pytest.approx(0.125)
    assert overlap.absolute_volume_error(found)[0] == pytest.approx(0.125)
    tp, fp, fn, tn = 448, 128, 64, 7360
    assert overlap.mcc(found)[0] == pytest.approx((tp * tn - fp * fn) / np.sqrt(576.0 * 512 * 7488 * 7424))


@pytest.mark.parametrize("shape", [(40, 33), (17, 20, 23)])
@pytest.mark.parametrize("seed", range(3))
def test_agrees_with_scikit_learn_on_every_label(shape, seed) -> None:
    reference, prediction = blobs(shape, 4, seed)
    table = overlap.confusion(case_of(reference, prediction, 5, (1.0,) * len(shape)))
    np.testing.assert_array_equal(table, sk.confusion_matrix(reference.ravel(), prediction.ravel(), labels=range(5)))
    found = overlap.counts_of(table)
    for k in range(1, 5):
        g, p = reference.ravel() == k, prediction.ravel() == k
        assert overlap.dice(found)[k - 1] == pytest.approx(sk.f1_score(g, p))
        assert overlap.iou(found)[k - 1] == pytest.approx(sk.jaccard_score(g, p))
        assert overlap.precision(found)[k - 1] == pytest.approx(sk.precision_score(g, p))
        assert overlap.recall(found)[k - 1] == pytest.approx(sk.recall_score(g, p))
        assert overlap.specificity(found)[k - 1] == pytest.approx(sk.recall_score(~g, ~p))
        assert overlap.accuracy(found)[k - 1] == pytest.approx(sk.accuracy_score(g, p))
        assert overlap.balanced_accuracy(found)[k - 1] == pytest.approx(sk.balanced_accuracy_score(g, p))
        assert overlap.mcc(found)[k - 1] == pytest.approx(sk.matthews_corrcoef(g, p))


def test_regions_are_unions_of_labels() -> None:
    reference, prediction = blobs((20, 20, 20), 3, 1)
    regions = [[1, 2, 3], [1, 3], [3]]
    found = counts(reference, prediction, 4, regions)
    for k, labels in enumerate(regions):
        g, p = np.isin(reference, labels), np.isin(prediction, labels)
        assert overlap.dice(found)[k] == pytest.approx(2 * (g & p).sum() / (g.sum() + p.sum()))
        own = case_of(reference, prediction, 4, ONES).region(labels)
        assert overlap.counts_of(overlap.confusion(own)).both[0] == (g & p).sum()
    with pytest.raises(InputError, match="labels 1 to 3"):
        counts(reference, prediction, 4, [[1, 4]])
    with pytest.raises(InputError, match="labels 1 to 3"):
        case_of(reference, prediction, 4, ONES).region([0])


def test_ignored_voxels_are_in_no_count() -> None:
    reference, prediction = blobs((15, 16, 17), 2, 5)
    ignored = np.zeros(reference.shape, dtype=bool)
    ignored[3:9, :, 5:] = True
    marked = np.where(ignored, 255, reference)
    found = counts(marked, prediction, 3, ignore_label=255)
    kept = ~ignored
    assert found.voxels[0] == kept.sum()
    for k in (1, 2):
        g, p = reference[kept] == k, prediction[kept] == k
        assert (found.both[k - 1], found.true[k - 1], found.predicted[k - 1]) == ((g & p).sum(), g.sum(), p.sum())
    garbage = np.where(ignored, 77, prediction)  # what the prediction says there does not matter, allowed or not
    again = counts(marked, garbage, 3, ignore_label=255)
    np.testing.assert_array_equal(again.both, found.both)


def test_pooled_dice_is_not_the_mean_of_cases() -> None:
    small, large = (np.zeros((10, 10), dtype=np.uint8) for _ in range(2))
    small[0, 0] = 1
    large[:, :5] = 1
    both = [counts(small, large, 2), counts(large, large, 2)]
    stacked = overlap.Counts(
        *(np.stack([getattr(one, f) for one in both]) for f in ("both", "predicted", "true", "voxels"))
    )
    assert overlap.dice(stacked)[:, 0].mean() == pytest.approx((2 / 51 + 1) / 2)
    assert overlap.dice(stacked.pooled())[0] == pytest.approx(2 * 51 / 151)


def test_mcc_is_undefined_when_a_margin_is_empty_and_does_not_overflow() -> None:
    empty = np.zeros((4, 4), dtype=np.uint8)
    full = np.ones((4, 4), dtype=np.uint8)
    assert np.isnan(overlap.mcc(counts(empty, full, 2))[0])
    huge = overlap.Counts(*(np.array([10**8 * n]) for n in (5, 6, 7, 20)))
    small = overlap.Counts(*(np.array([n]) for n in (5, 6, 7, 20)))
    assert overlap.mcc(huge)[0] == pytest.approx(overlap.mcc(small)[0])


def zeros(*shape, dtype=np.uint8):
    return np.zeros(shape, dtype=dtype)


@pytest.mark.parametrize(
    ("reference", "prediction", "spacing", "error", "words"),
    [
        (zeros(4, 4), zeros(4, 5), (1, 1), AnswerError, "(4, 5)"),
        (zeros(4, 4), zeros(4, 4) + 3, (1, 1), AnswerError, "label 3"),
        (zeros(4, 4) + 3, zeros(4, 4), (1, 1), InputError, "label 3"),
        (zeros(4, 4), zeros(4, 4, dtype=int) - 1, (1, 1), AnswerError, "label -1"),
        (zeros(4, 4), np.full((4, 4), np.nan), (1, 1), AnswerError, "16 voxels that are no number"),
        (zeros(4, 4), np.full((4, 4), 0.5), (1, 1), AnswerError, "no whole numbers"),
        (zeros(4, 4), zeros(4, 4, dtype=complex), (1, 1), AnswerError, "complex"),
        (zeros(4, 4), zeros(4, 4), (1, 1, 1), InputError, "spacing"),
        (zeros(4, 4), zeros(4, 4), (1, 0), InputError, "spacing"),
        (zeros(4, 4), zeros(4, 4), (1, np.nan), InputError, "spacing"),
        (zeros(4), zeros(4), (1,), InputError, "2 or 3 axes"),
        (zeros(0, 4), zeros(0, 4), (1, 1), InputError, "empty"),
    ],
)
def test_bad_input_is_one_clear_line(reference, prediction, spacing, error, words) -> None:
    with pytest.raises(error) as caught:
        case_of(reference, prediction, 3, spacing)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_spacing_that_differs_is_refused() -> None:
    with pytest.raises(AnswerError, match="spacing"):
        case_of(zeros(4, 4), zeros(4, 4), 2, (1, 1), prediction_spacing_mm=(1, 1.5))
    with pytest.raises(InputError, match="2 classes"):
        case_of(zeros(4, 4), zeros(4, 4), 1, (1, 1))


@pytest.mark.parametrize("dtype", [bool, np.int8, np.int64, np.uint16, np.float32])
def test_any_type_of_whole_numbers_counts_the_same(dtype) -> None:
    reference, prediction = (labels.astype(dtype) for labels in cubes())
    assert overlap.dice(counts(reference, prediction, 2))[0] == pytest.approx(896 / 1088)


def test_many_labels_need_a_wider_type() -> None:
    reference = np.arange(600, dtype=np.int32).reshape(20, 30)
    table = overlap.confusion(case_of(reference, reference, 600, (1.0, 1.0)))
    np.testing.assert_array_equal(table, np.eye(600, dtype=np.int64))
