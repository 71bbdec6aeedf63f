from __future__ import annotations

import math

import numpy as np
import pytest
from mask_samples import blobs, quiet
from scipy import ndimage
from sklearn.metrics import log_loss

from suite.errors import AnswerError, InputError
from suite.masks.calibration import BINS, EMPTY, SCOPES, brier, ece, nll, reliability


def binary(foreground):
    p = np.asarray(foreground, dtype=np.float64)
    return np.stack([1 - p, p])


def test_four_pixels_by_hand() -> None:
    """Confidences .9 (right), .8 (right), .6 (wrong), 1.0 (right); the second and third are foreground."""
    found = reliability(binary([[0.1, 0.8, 0.4, 0.0]]), np.array([[0, 1, 1, 0]]))
    whole = found["all"]
    assert whole.voxels == 4
    assert ece(whole) == pytest.approx((0.1 + 0.2 + 0.6 + 0.0) / 4)
    assert brier(whole) == pytest.approx(2 * (0.01 + 0.04 + 0.36 + 0) / 4)
    assert nll(whole) == pytest.approx(-np.log([0.9, 0.8, 0.4, 1.0]).mean())
    assert ece(found["foreground"]) == pytest.approx((0.2 + 0.6) / 2)
    assert found["either"].voxels == 2
    assert whole.bins[BINS - 1, 0] == 1  # a confidence of 1.0 is in the last bin


def sample(seed=0, shape=(20, 21, 22), classes=4):
    reference = blobs(shape, classes - 1, seed)[0]
    rng = np.random.default_rng(seed)
    logits = rng.standard_normal((classes, *shape)) + 2 * (np.arange(classes)[:, None, None, None] == reference)
    p = np.exp(logits)
    return p / p.sum(axis=0), reference


@quiet
@pytest.mark.parametrize("scope", SCOPES)
def test_every_scope_agrees_with_torchmetrics_and_scikit_learn(scope) -> None:
    import torch
    from torchmetrics.functional.classification import multiclass_calibration_error

    p, y = sample()
    guess = p.argmax(axis=0)
    edges = np.zeros(y.shape, dtype=bool)
    for axis in range(3):  # by another route: a voxel whose neighbour differs
        for step in (1, -1):
            there = np.roll(y, step, axis)
            index = [slice(None)] * 3
            index[axis] = 0 if step == 1 else -1
            there[tuple(index)] = y[tuple(index)]
            edges |= there != y
    near = ndimage.distance_transform_cdt(~edges, metric="taxicab") <= 2
    inside = {"all": np.ones_like(near), "foreground": y > 0, "either": (y > 0) | (guess > 0), "band": near}[scope]
    found = reliability(p, y)[scope]
    assert found.voxels == inside.sum()
    probs, labels = p[:, inside].T, y[inside]
    theirs = multiclass_calibration_error(torch.from_numpy(probs), torch.from_numpy(labels.astype(int)), 4, n_bins=BINS)
    assert ece(found) == pytest.approx(float(theirs), rel=1e-5)  # whose sums are float32
    bins = np.digitize(probs.max(axis=1), np.linspace(0, 1, BINS + 1)[1:-1], right=True)
    right = probs.argmax(axis=1) == labels
    gaps = [abs(right[bins == b].sum() - probs.max(axis=1)[bins == b].sum()) for b in range(BINS)]
    assert ece(found) == pytest.approx(sum(gaps) / len(labels), rel=1e-9)
    assert nll(found) == pytest.approx(log_loss(labels, probs, labels=range(4)), rel=1e-9)
    assert brier(found) == pytest.approx(((probs - np.eye(4)[labels]) ** 2).sum(axis=1).mean(), rel=1e-9)


@quiet
def test_float32_of_millions_of_pixels_does_not_drift() -> None:
    """Four million pixels, accuracy equal to confidence: where float32 sums drift, the sum stays at the noise."""
    import torch
    from torchmetrics.functional.classification import binary_calibration_error

    rng = np.random.default_rng(1)
    confidence = rng.uniform(0.98, 0.999, (2000, 2000)).astype(np.float32)
    reference = (rng.random(confidence.shape) < confidence).astype(np.int64)
    p = np.stack([1 - confidence, confidence])
    exact = abs(reference.mean() - confidence.astype(np.float64).mean())  # all in one bin
    assert ece(reliability(p, reference)["all"]) == pytest.approx(exact, abs=1e-9)
    drifted = float(binary_calibration_error(torch.from_numpy(confidence), torch.from_numpy(reference), n_bins=BINS))
    assert abs(drifted - exact) > 10 * abs(ece(reliability(p, reference)["all"]) - exact)


def test_sums_add_up_over_cases_and_blocks() -> None:
    p, y = sample()
    whole = reliability(p, y)
    halves = [reliability(p[:, :10], y[:10]), reliability(p[:, 10:], y[10:])]
    for scope in ("all", "foreground", "either"):
        both = halves[0][scope] + halves[1][scope]
        np.testing.assert_allclose(both.bins, whole[scope].bins)
        assert (both.brier, both.nll) == pytest.approx((whole[scope].brier, whole[scope].nll))


def test_ignored_pixels_count_nowhere_and_make_no_boundary() -> None:
    y = np.zeros((9, 9), dtype=np.int64)
    y[:, 5:] = 255
    found = reliability(binary(np.full((9, 9), 0.3)), y, ignore_label=255)
    assert found["all"].voxels == 45
    assert found["band"].voxels == 0
    assert math.isnan(ece(found["band"]))
    assert math.isnan(nll(EMPTY))
    assert math.isnan(brier(EMPTY))


def test_bad_probabilities_are_refused() -> None:
    y = np.zeros((2, 2), dtype=np.int64)
    for p, words in [
        (np.full((2, 2, 3), 0.5), "shape"),
        (np.full((2, 2, 2), 0.6), "sum to 1.2, not to one"),
        (np.full((2, 2, 2), np.nan), "8 probabilities are no number"),
        (np.stack([np.full((2, 2), -0.1), np.full((2, 2), 1.1)]), "below 0"),
    ]:
        with pytest.raises(AnswerError, match=words):
            reliability(p, y)
    with pytest.raises(InputError, match="label 3"):
        reliability(np.full((2, 2, 2), 0.5), y + 3)
