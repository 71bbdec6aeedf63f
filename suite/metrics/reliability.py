"""Reliability beyond ECE-15: other bins, other averages, the sign, and a measure without bins.

    ece_binmean      mean over occupied bins of |acc_b - conf_b|          what netcal calls ACE
    mce              max over occupied bins of |acc_b - conf_b|           (Naeini 2015)
    ece_equalmass    ECE over bins of nearly equal counts                 what Nixon 2019 calls adaptive
    ece_classwise    mean_k of the binary ECE of p_k against 1[y = k]     (Kull 2019, Nixon 2019's SCE)
    overconfidence   mean confidence - accuracy                           above 0: too sure
    smece            kernel smoothing instead of bins                     (Blasiok & Nakkiran 2023)

The first two are functions of the sums that ECE-15 takes. Columns: ``probs`` [K] and ``label``.

Shape suffixes: N items, K classes, B bins.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from suite.errors import Undefined
from suite.metrics import smooth
from suite.metrics.base import Columns, Metric, ratio
from suite.metrics.calibration import BINS, ECE_15, bin_of, top_label
from suite.metrics.counted import ByCounts, Counts, OfCounts, Thresholds, by_repeating

Floats = NDArray[np.float64]
NEEDS = ("probs", "label")
_BLOCK = 1 << 18  # probabilities at once, which then stay in the cache
_MOST_CELLS = 1 << 22  # probabilities whose residuals are kept for a bootstrap: 100 MB
_top = top_label()


def bin_gaps(sums: Floats) -> Floats:
    """|acc_b - conf_b| of each bin from bin sums [..., 3 * B]: [..., B], NaN where a bin is empty."""
    bins = sums.reshape(*sums.shape[:-1], -1, 3)
    gaps = np.abs(bins[..., 1] - bins[..., 2])
    out: Floats = np.full(gaps.shape, np.nan)
    return np.divide(gaps, bins[..., 0], out=out, where=bins[..., 0] > 0)


def _mean_gap(sums: Floats) -> Floats:
    gaps = bin_gaps(sums)
    occupied = np.isfinite(gaps)
    return ratio(np.stack([np.where(occupied, gaps, 0).sum(axis=-1), occupied.sum(axis=-1)], axis=-1))


def _largest_gap(sums: Floats) -> Floats:
    gaps = bin_gaps(sums)
    largest = np.where(np.isfinite(gaps), gaps, -1).max(axis=-1)
    return np.where(largest < 0, np.nan, largest)


ECE_BINMEAN = replace(
    ECE_15,
    name="ece_binmean",
    finish=_mean_gap,
    reference="mean over occupied bins of |acc_b - conf_b|, 15 equal-width bins; netcal's ACE, MONAI's average",
)
MCE = replace(
    ECE_15,
    name="mce",
    finish=_largest_gap,
    reference="max over occupied bins of |acc_b - conf_b|, 15 equal-width bins (Naeini 2015); netcal's MCE",
)


def equal_mass_bins(confidence_N: Floats, bins: int = BINS) -> NDArray[np.int64]:
    """The bin of each item, [N]: at most B bins of nearly N / B items, equal confidences always in one bin.

    The b-th cut lies after the distinct value at which the cumulative count is nearest to b N / B (the lower one of
    two as near); cuts that fall together leave fewer bins. So the order of the items changes nothing, as it does where
    the sorted items are cut at ranks: there ties, of which quantized models make many, go to whichever bin comes first.
    """
    if not len(confidence_N):
        return np.empty(0, dtype=np.int64)
    _, value_N, counts_V = np.unique(confidence_N, return_inverse=True, return_counts=True)
    cuts = _cuts(np.cumsum(counts_V), bins)
    return np.asarray(np.searchsorted(cuts, value_N, side="left"), dtype=np.int64)


def _cuts(ends_V: NDArray[np.int64], bins: int = BINS) -> NDArray[np.int64]:
    """The distinct values, by number, after which a bin ends; `ends_V` counts the items up to each."""
    wanted_B = np.arange(1, bins) * (ends_V[-1] / bins)
    above_B = np.searchsorted(ends_V, wanted_B)
    below_B = np.maximum(above_B - 1, 0)
    nearer = wanted_B - ends_V[below_B] <= ends_V[above_B] - wanted_B
    return np.unique(np.where((above_B > 0) & nearer, below_B, above_B))


def equal_mass_gap(confidence_N: Floats, correct_N: NDArray[np.bool_]) -> float:
    """sum_b n_b/N |acc_b - conf_b| over `equal_mass_bins`."""
    residual_B = np.bincount(equal_mass_bins(confidence_N), correct_N - confidence_N)
    return float(np.abs(residual_B).sum() / len(confidence_N))


def _equal_mass_by_counts(columns: Columns) -> OfCounts:
    confidence_N, correct_N = _top(columns)
    rising = Thresholds(-confidence_N)
    residual_N = rising.in_order(correct_N - confidence_N)

    def value(counts_N: Counts) -> float:
        ends_V, upto_V = rising.above(counts_N, residual_N)
        upto_B = np.append(upto_V[_cuts(ends_V)], upto_V[-1])
        return float(np.abs(np.diff(upto_B, prepend=0)).sum() / ends_V[-1])

    return value


def classwise_gap(probs_NK: NDArray[np.floating], label_N: NDArray[np.integer]) -> float:
    """mean_k sum_b |sum of 1[y = k] - p_k within b| / N, 15 equal-width bins, K the number of probabilities.

    K never depends on which labels occur (NACL's code takes the largest label of a batch), so a class without an item
    counts with the probability that it is given.
    """
    n_classes = probs_NK.shape[1]
    residual_C = np.zeros(n_classes * BINS)  # C cells: class and bin
    for cells in class_cells(probs_NK):
        residual_C -= np.bincount(cells.cell, cells.probs, minlength=len(residual_C))
        residual_C[::BINS] -= cells.low_K
    known = np.flatnonzero((label_N >= 0) & (label_N < n_classes))
    picked = probs_NK[known, label_N[known]].astype(np.float64)
    residual_C += np.bincount(label_N[known] * BINS + bin_of(picked), minlength=len(residual_C))
    return float(np.abs(residual_C).sum() / probs_NK.size)


class Cells(NamedTuple):
    """A block of probabilities by class and bin.

    Attributes:
        cell: 15 k + bin of those above the lowest bin, [M].
        probs: they, [M].
        low_K: of every class, the sum of those in the lowest bin.
        low_squares_K: the sum of their squares.
    """

    cell: NDArray[np.int64]
    probs: Floats
    low_K: Floats
    low_squares_K: Floats


def class_cells(probs_NK: NDArray[np.floating], *, lowest: bool = False) -> Iterator[Cells]:
    """Block by block, the cells of every probability of every item and class.

    Of a row of many classes nearly all lie in the lowest bin, where sums by column tell all: at most 14 can be above.
    With `lowest` those too are given one by one, and no sums.
    """
    n, n_classes = probs_NK.shape
    step, none_K = max(1, _BLOCK // n_classes), np.zeros(n_classes)
    for at in range(0, n, step):
        probs = np.array(probs_NK[at : at + step], dtype=np.float64)
        if lowest:
            yield Cells((bin_of(probs) + np.arange(n_classes) * BINS).ravel(), probs.ravel(), none_K, none_K)
            continue
        above = np.flatnonzero(probs * BINS > 1)  # as `bin_of` has it
        high = probs.ravel()[above]
        probs.ravel()[above] = 0
        squares_K = np.einsum("nk,nk->k", probs, probs)
        yield Cells(above % n_classes * BINS + bin_of(high), high, probs.sum(axis=0), squares_K)


def _classwise_by_counts(columns: Columns) -> OfCounts:
    """A sparse matrix holds what each item adds to the residual of each cell: as many numbers as probabilities."""
    probs_NK, label_N = columns["probs"], columns["label"]
    n, n_classes = probs_NK.shape
    if probs_NK.size > _MOST_CELLS:
        return by_repeating(_classwise)(columns)
    from scipy.sparse import csc_array

    probs = probs_NK.astype(np.float64)
    cell_NK = bin_of(probs) + np.arange(n_classes) * BINS
    residual_NK = (label_N[:, None] == np.arange(n_classes)) - probs
    starts = np.arange(n + 1) * n_classes
    residual_CN = csc_array((residual_NK.ravel(), cell_NK.ravel(), starts), shape=(n_classes * BINS, n))
    return lambda counts_N: float(np.abs(residual_CN @ counts_N).sum() / (n_classes * counts_N.sum()))


def smooth_gap(confidence_N: Floats, correct_N: NDArray[np.bool_]) -> float:
    """Smooth ECE (smECE) at the bandwidth that equals its own value.

    Raises:
        Undefined: the package that computes it is not installed.
    """
    try:
        from relplot import smECE  # type: ignore[import-not-found, unused-ignore]
    except ImportError:
        raise Undefined("relplot is not installed: pip install 'hallmark-bench[calibration]'") from None
    order = np.lexsort((correct_N, confidence_N))
    return float(smECE(confidence_N[order], correct_N[order].astype(np.float64)))


def _equal_mass(columns: Columns) -> float:
    return equal_mass_gap(*_top(columns))


def _classwise(columns: Columns) -> float:
    return classwise_gap(columns["probs"], columns["label"])


def _smooth(columns: Columns) -> float:
    return smooth_gap(*_top(columns))


def _smooth_by_counts(columns: Columns) -> OfCounts:
    return smooth.by_counts(*_top(columns))


def _surplus(columns: Columns) -> Floats:
    confidence, correct = _top(columns)
    return np.stack([confidence - correct, np.ones_like(confidence)], axis=1)


ECE_EQUALMASS = Metric(
    name="ece_equalmass",
    needs=NEEDS,
    whole=ByCounts(_equal_mass, _equal_mass_by_counts),
    unit="",
    higher_is_better=False,
    bounds=(0.0, 1.0),
    reference=f"ECE over at most {BINS} bins of nearly equal counts, cut between distinct values (Nixon 2019's ACE)",
)
ECE_CLASSWISE = replace(
    ECE_EQUALMASS,
    name="ece_classwise",
    whole=ByCounts(_classwise, _classwise_by_counts),
    reference="mean over all K classes of the ECE of p_k against 1[y = k], 15 equal-width bins (Kull 2019)",
)
SMECE = replace(
    ECE_EQUALMASS,
    name="smece",
    whole=ByCounts(_smooth, _smooth_by_counts),
    reference="kernel-smoothed calibration error of the top label (Blasiok & Nakkiran 2023); relplot.smECE",
)
OVERCONFIDENCE = Metric(
    name="overconfidence",
    needs=NEEDS,
    terms=_surplus,
    finish=ratio,
    unit="",
    higher_is_better=None,
    bounds=(-1.0, 1.0),
    reference="mean top probability - accuracy: above 0 too sure, below 0 not sure enough; at most ece_15 in size",
)

RELIABILITY = (ECE_BINMEAN, MCE, ECE_EQUALMASS, ECE_CLASSWISE, SMECE, OVERCONFIDENCE)
