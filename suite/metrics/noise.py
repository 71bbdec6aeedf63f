"""Noise floors: what a calibration error would be on this many items if the model were perfectly calibrated.

Binned errors are biased upward: 100 items of a perfect model give an ECE-15 of about 0.09. So beside each ECE stands
the mean of the same number over labels drawn from the model's own probabilities, ``ece_15_null`` beside ``ece_15``. An
ECE that is no larger says nothing against the model. The draws are seeded and assigned in the order of the
probabilities, so neither the order of the items nor the process changes a digit.

Top-label errors draw correct ~ Bernoulli(confidence); the class-wise one draws 1[y = k] ~ Bernoulli(p_k) class by
class, which has the same expectation as drawing one label, because it is a mean over classes.

Shape suffixes: N items, K classes, B bins.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from suite.metrics.base import Columns, Metric, Whole
from suite.metrics.calibration import BINS, ECE_15, bin_of, bin_totals, top_label
from suite.metrics.reliability import ECE_BINMEAN, ECE_CLASSWISE, ECE_EQUALMASS, MCE, class_cells, equal_mass_bins

SEED = 0
MOST_DRAWS, LEAST_DRAWS, NUMBERS = 200, 2, 10_000_000  # draws of all labels; fewer where each needs many numbers
NORMAL = 100.0  # variance of a sum of draws from which on its distribution is as good as normal
NO_INTERVAL = "a simulated reference: the value itself is the mean of draws"

Floats = NDArray[np.float64]
_top = top_label()


def n_draws(size: int) -> int:
    """How often the labels are drawn where one draw takes `size` random numbers."""
    return max(LEAST_DRAWS, min(MOST_DRAWS, NUMBERS // max(1, size)))


def _equal_mass_null(columns: Columns) -> float:
    """The mean of `equal_mass_gap` over draws of correct ~ Bernoulli(confidence); its bins do not depend on them."""
    confidence_N = np.sort(_top(columns)[0])
    bin_N = equal_mass_bins(confidence_N)
    rng, n = np.random.default_rng(SEED), len(confidence_N)
    residuals = (np.bincount(bin_N, (rng.random(n) < confidence_N) - confidence_N) for _ in range(n_draws(n)))
    return float(np.mean([np.abs(residual_B).sum() / n for residual_B in residuals]))


def _classwise_null(columns: Columns) -> float:
    """The mean absolute residual of every bin of every class, over all N K probabilities.

    Where the variance V of a bin's residual is 100 or more, it is as good as normal: E|residual| = sqrt(2 V / pi),
    within 0.2 %. Only what lies in smaller bins is drawn; but where there are more than 10 million probabilities, the
    lowest bin of a class is none of these: its many improbable hits are as good as Poisson's (`poisson_deviation`).
    """
    probs_NK = columns["probs"]
    sums_C2 = np.zeros((probs_NK.shape[1] * BINS, 2))  # C cells, class and bin: sums of p and of p (1 - p)
    for cells in class_cells(probs_NK):
        sums_C2[::BINS] += np.stack([cells.low_K, cells.low_K - cells.low_squares_K], axis=1)
        for term, weight in enumerate((cells.probs, cells.probs * (1 - cells.probs))):
            sums_C2[:, term] += np.bincount(cells.cell, weight, minlength=len(sums_C2))
    mean_C, variance_C = sums_C2.T
    drawn_C, total = variance_C < NORMAL, float(np.sqrt(2 / np.pi * variance_C[variance_C >= NORMAL]).sum())
    if probs_NK.size > NUMBERS:
        rare_C = drawn_C & (np.arange(len(drawn_C)) % BINS == 0)
        total += float(poisson_deviation(mean_C[rare_C], variance_C[rare_C]).sum())
        drawn_C &= ~rare_C
    return float((total + _drawn_deviation(probs_NK, drawn_C)) / probs_NK.size)


def poisson_deviation(mean_C: Floats, variance_C: Floats) -> Floats:
    """E|hits - m| of many improbable hits with sum of probabilities m and variance V: Poisson's, times sqrt(V / m).

        E|X - m| = 2 m^(k + 1) e^-m / k!,  k = floor(m)

    Probabilities are at most 1/15, so the factor lies within 0.966 and 1; the error is below 1 %.

    >>> poisson_deviation(np.array([0.5]), np.array([0.5])).round(4).tolist()
    [0.6065]
    """
    from scipy.special import gammaln, xlogy

    floor_C = np.floor(mean_C)
    shrunk_C = np.sqrt(np.divide(variance_C, mean_C, out=np.zeros_like(mean_C), where=mean_C > 0))
    return np.asarray(2 * np.exp(xlogy(floor_C + 1, mean_C) - mean_C - gammaln(floor_C + 1)) * shrunk_C)


def _drawn_deviation(probs_NK: NDArray[np.floating], drawn_C: NDArray[np.bool_]) -> float:
    """The mean over draws of the absolute residuals of these cells, added up."""
    if not drawn_C.any():
        return 0.0
    small = []
    for cells in class_cells(probs_NK, lowest=bool(drawn_C[::BINS].any())):
        mine = drawn_C[cells.cell]
        small.append((cells.cell[mine], cells.probs[mine]))
    cell_M, probs_M = (np.concatenate(parts) for parts in zip(*small, strict=True))
    if not len(cell_M):
        return 0.0
    order = np.lexsort((probs_M, cell_M))
    cell_M, probs_M = cell_M[order], probs_M[order]
    rng, draws = np.random.default_rng(SEED), n_draws(len(cell_M))
    residuals = (np.bincount(cell_M, (rng.random(len(cell_M)) < probs_M) - probs_M) for _ in range(draws))
    return float(np.mean([np.abs(residual_C).sum() for residual_C in residuals]))


def _of_bins(metric: Metric) -> Whole:
    """The mean of the metric over draws of correct ~ Bernoulli(confidence); what is drawn changes only the hits."""

    def whole(columns: Columns) -> float:
        confidence_N = np.sort(_top(columns)[0])
        n = len(confidence_N)
        bins_B3 = bin_totals(confidence_N, np.zeros(n, dtype=bool)).reshape(-1, 3)
        starts_B = np.searchsorted(bin_of(confidence_N), np.arange(BINS))
        occupied_B = bins_B3[:, 0] > 0
        rng, found = np.random.default_rng(SEED), []
        for _ in range(n_draws(n)):
            hits_N = rng.random(n) < confidence_N
            bins_B3[occupied_B, 1] = np.add.reduceat(hits_N, starts_B[occupied_B], dtype=np.int64)
            found.append(float(metric.finish(bins_B3.reshape(-1))))
        return float(np.mean(found))

    return whole


def null(metric: Metric, whole: Whole) -> Metric:
    """The noise floor of a calibration error: a description, neither better low nor high."""
    return replace(
        ECE_EQUALMASS,
        name=f"{metric.name}_null",
        whole=whole,
        no_interval=NO_INTERVAL,
        higher_is_better=None,
        reference=f"mean of {metric.name} over labels drawn from the model's own probabilities: the floor of noise",
    )


ECE_15_NULL = null(ECE_15, _of_bins(ECE_15))
NULLS = (
    ECE_15_NULL,
    null(ECE_BINMEAN, _of_bins(ECE_BINMEAN)),
    null(MCE, _of_bins(MCE)),
    null(ECE_EQUALMASS, _equal_mass_null),
    null(ECE_CLASSWISE, _classwise_null),
)
