"""Calibration of a segmentation's probabilities, in integers and float64, streamed over blocks of voxels.

Shape suffixes: K classes with the background, N voxels, B bins.

ECE = sum_b n_b / N |correct_b - confidence_b| of the likeliest class, 15 bins of equal width; bin b holds confidences
in (b / B, (b + 1) / B], the first also 0, so 1.0 is in the last (netcal agrees; torchmetrics opens a further bin).
float32 sums over 4 million voxels, as torchmetrics and MONAI keep them, read 0.0088 where 0.0013 is true.

Brier = sum_k (p_k - 1[y = k])^2, 0..2; NLL = -ln p_y with p_y at least 1e-12. Both are proper scores: rank on them.

Four scopes, since the background decides everything else:

    all          every voxel
    foreground   reference not background (NACL's evaluator): a false positive cannot count there
    either       reference or prediction not background
    band         within `BAND` steps (over faces) of a voxel whose neighbour has another reference label
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suite.errors import AnswerError, InputError

BINS = 15
BAND = 2
SCOPES = ("all", "foreground", "either", "band")
SUM_TOLERANCE = 1e-3
SMALLEST = 1e-12
BLOCK = 1 << 16

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Reliability:
    """Sums of one scope; they add up over cases.

    Attributes:
        bins: [B, 3] voxels, hits, sum of confidence.
        brier: sum over voxels.
        nll: sum over voxels, nats.
    """

    bins: Floats
    brier: float
    nll: float

    @property
    def voxels(self) -> float:
        """Voxels in the scope."""
        return float(self.bins[:, 0].sum())

    def __add__(self, other: Reliability) -> Reliability:
        return Reliability(self.bins + other.bins, self.brier + other.brier, self.nll + other.nll)


EMPTY = Reliability(np.zeros((BINS, 3)), 0.0, 0.0)


def ece(sums: Reliability) -> float:
    """Expected calibration error of the likeliest class, 0..1, lower is better; NaN without voxels."""
    gaps = np.abs(sums.bins[:, 1] - sums.bins[:, 2]).sum()
    return float(gaps / sums.voxels) if sums.voxels else float("nan")


def brier(sums: Reliability) -> float:
    """Mean Brier score, 0..2, lower is better (scikit-learn's binary one is half); NaN without voxels."""
    return sums.brier / sums.voxels if sums.voxels else float("nan")


def nll(sums: Reliability) -> float:
    """Mean negative log-likelihood, nats per voxel, lower is better; NaN without voxels."""
    return sums.nll / sums.voxels if sums.voxels else float("nan")


def reliability(
    probabilities: NDArray[Any], reference: NDArray[Any], ignore_label: int | None = None
) -> dict[str, Reliability]:
    """The sums of every scope.

    Args:
        probabilities: [K, ...] of each class, any float type.
        reference: [...] labels 0 .. K - 1 or `ignore_label`.
        ignore_label: voxels of this label are in no scope.

    Raises:
        AnswerError: the probabilities are of another shape, no numbers, below 0, or do not sum to one.
        InputError: the reference has other labels.
    """
    if probabilities.shape[1:] != reference.shape:
        raise AnswerError(f"the probabilities' shape is {probabilities.shape}, the reference's {reference.shape}")
    kept = np.ones(reference.shape, dtype=np.bool_) if ignore_label is None else reference != ignore_label
    labels = reference[kept]
    if labels.size and not 0 <= labels.min() <= labels.max() < len(probabilities):
        wrong = labels[(labels < 0) | (labels >= len(probabilities))][0]
        raise InputError(f"the reference has label {wrong}, outside of 0 to {len(probabilities) - 1}")
    flat_KN, y_N, kept_N = probabilities.reshape(len(probabilities), -1), reference.ravel(), kept.ravel()
    near_N = _band(reference, kept).ravel()
    found = dict.fromkeys(SCOPES, EMPTY)
    for low in range(0, len(y_N), BLOCK):
        block = slice(low, low + BLOCK)
        inside = kept_N[block]
        p_KN = flat_KN[:, block].astype(np.float64)
        _check(p_KN)
        scored = _scored(p_KN[:, inside], y_N[block][inside].astype(np.int64), near_N[block][inside])
        found = {scope: found[scope] + scored[scope] for scope in SCOPES}
    return found


def classwise_bins(probabilities: NDArray[Any], reference: NDArray[Any], ignore_label: int | None = None) -> Floats:
    """[K, B, 3] voxels, voxels of the class, sum of its probability, in bins of that probability; all voxels.

    The mean over K of sum_b |hits - probability| / N is the class-wise ECE (Kull 2019), K the task's classes.

    Args:
        probabilities: [K, ...], as checked by `reliability`.
        reference: [...] labels.
        ignore_label: voxels of this label are left out.
    """
    classes, flat_N = len(probabilities), reference.ravel()
    found = np.zeros((classes, BINS, 3))
    for low in range(0, len(flat_N), BLOCK):
        y_N = flat_N[low : low + BLOCK]
        kept_N = slice(None) if ignore_label is None else y_N != ignore_label
        for k in range(classes):
            p_N = probabilities[k].reshape(-1)[low : low + BLOCK][kept_N].astype(np.float64)
            which_N = np.clip(np.ceil(p_N * BINS).astype(np.int64) - 1, 0, BINS - 1)
            for place, weights in enumerate((None, y_N[kept_N] == k, p_N)):
                found[k, :, place] += np.bincount(which_N, weights, BINS)
    return found


def _check(p_KN: Floats) -> None:
    if not np.isfinite(p_KN).all():
        raise AnswerError(f"{int((~np.isfinite(p_KN)).sum())} probabilities are no number (NaN or infinite)")
    if p_KN.size and p_KN.min() < -SUM_TOLERANCE:
        raise AnswerError(f"a probability is {p_KN.min():.4g}, below 0")
    off = np.abs(p_KN.sum(axis=0) - 1)
    if off.size and off.max() > SUM_TOLERANCE:
        raise AnswerError(f"a voxel's probabilities sum to {p_KN[:, off.argmax()].sum():.4g}, not to one")


def _scored(p_KN: Floats, y_N: NDArray[np.int64], near_N: NDArray[np.bool_]) -> dict[str, Reliability]:
    guess_N, each = p_KN.argmax(axis=0), np.arange(len(y_N))
    top_N, true_N = p_KN[guess_N, each], p_KN[y_N, each]
    brier_N = (p_KN**2).sum(axis=0) - 2 * true_N + 1
    nll_N = -np.log(np.maximum(true_N, SMALLEST))
    which_N = np.clip(np.ceil(top_N * BINS).astype(np.int64) - 1, 0, BINS - 1)
    hit_N = guess_N == y_N
    scopes = (np.ones(len(y_N), dtype=np.bool_), y_N > 0, (y_N > 0) | (guess_N > 0), near_N)
    found = {}
    for scope, inside in zip(SCOPES, scopes, strict=True):
        which = which_N[inside]
        sums = [np.bincount(which, weights, BINS) for weights in (None, hit_N[inside], top_N[inside])]
        bins = np.stack(sums, axis=1).astype(np.float64)
        found[scope] = Reliability(bins, float(brier_N[inside].sum()), float(nll_N[inside].sum()))
    return found


def _band(reference: NDArray[Any], kept: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Voxels near a change of label; a change towards an ignored voxel is none."""
    from scipy import ndimage

    edge = np.zeros(reference.shape, dtype=np.bool_)
    for axis in range(reference.ndim):
        one, two = (np.moveaxis(edge, axis, 0)[part] for part in (slice(1, None), slice(None, -1)))
        labels, real = np.moveaxis(reference, axis, 0), np.moveaxis(kept, axis, 0)
        changed = (labels[1:] != labels[:-1]) & real[1:] & real[:-1]
        one |= changed
        two |= changed
    return np.asarray(ndimage.binary_dilation(edge, iterations=BAND))
