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

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from suite.metrics.base import Columns, Metric, Whole
from suite.metrics.calibration import BINS, ECE_15, bin_totals, top_label
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


def top_label_null(gap: Callable[[Floats, NDArray[np.bool_]], float]) -> Whole:
    """The mean of an error of (confidence, correct) over draws of correct ~ Bernoulli(confidence)."""

    def whole(columns: Columns) -> float:
        confidence_N = np.sort(_top(columns)[0])
        rng = np.random.default_rng(SEED)
        draws = n_draws(len(confidence_N))
        return float(np.mean([gap(confidence_N, rng.random(len(confidence_N)) < confidence_N) for _ in range(draws)]))

    return whole


def _equal_mass_null(columns: Columns) -> float:
    """As `top_label_null` of `equal_mass_gap`, whose bins do not depend on what is drawn."""
    confidence_N = np.sort(_top(columns)[0])
    bin_N = equal_mass_bins(confidence_N)
    rng, n = np.random.default_rng(SEED), len(confidence_N)
    residuals = (np.bincount(bin_N, (rng.random(n) < confidence_N) - confidence_N) for _ in range(n_draws(n)))
    return float(np.mean([np.abs(residual_B).sum() / n for residual_B in residuals]))


def _classwise_null(columns: Columns) -> float:
    """The mean absolute residual of every bin of every class, over all N K probabilities.

    Where the variance V of a bin's residual is 100 or more, it is as good as normal: E|residual| = sqrt(2 V / pi),
    within 0.2 %. Only what lies in smaller bins is drawn.
    """
    probs_NK = columns["probs"]
    variance_C = np.zeros(probs_NK.shape[1] * BINS)  # C cells: class and bin
    for cell, probs in class_cells(probs_NK):
        variance_C += np.bincount(cell, probs * (1 - probs), minlength=len(variance_C))
    wide_C = variance_C >= NORMAL
    small = [(cell[~wide_C[cell]], probs[~wide_C[cell]]) for cell, probs in class_cells(probs_NK)]
    cell_M, probs_M = (np.concatenate(parts) for parts in zip(*small, strict=True))
    order = np.lexsort((probs_M, cell_M))
    cell_M, probs_M = cell_M[order], probs_M[order]
    rng, draws = np.random.default_rng(SEED), n_draws(len(cell_M))
    residuals = (np.bincount(cell_M, (rng.random(len(cell_M)) < probs_M) - probs_M) for _ in range(draws))
    drawn = float(np.mean([np.abs(residual_C).sum() for residual_C in residuals])) if len(cell_M) else 0.0
    return float((np.sqrt(2 / np.pi * variance_C[wide_C]).sum() + drawn) / probs_NK.size)


def _of_bins(metric: Metric) -> Whole:
    return top_label_null(lambda confidence, correct: float(metric.finish(bin_totals(confidence, correct))))


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
