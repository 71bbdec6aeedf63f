"""Early recognition: does a screen find the positives among the first few, where there are many more negatives?

Notation: P positives, Q negatives, N = P + Q; r_i = 1..N the ranks of the positives, best score first.

    logauc      integral of TPR over log10 FPR within [lo, hi], / log10(hi / lo)                      torchmetrics
    ef_1pc      positives among the best n = ceil(N / 100), / n, over P / N                           RDKit
    bedroc_20   Boltzmann-enhanced discrimination of ROC, alpha 20 (Truchon & Bayly 2007)             RDKit

logauc comes in two ranges, [0.001, 0.1] (torchmetrics' default) and [0.001, 1] (drug discovery, Mysinger & Shoichet
2010); the adjusted one subtracts what random scores get, 0.0215 and 0.1446, so that 0 is chance. Below 1 / Q the curve
is nothing but interpolation, so it needs Q >= 1 / lo. Enrichments take the expected value over the orders of equal
scores, where RDKit takes the order of the rows. Without a positive or a negative none of them has a value.

Shape suffixes: N items, S segments of the ROC curve.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

from suite.errors import Undefined
from suite.metrics.base import Metric
from suite.metrics.binary import DEFAULT, Binary
from suite.metrics.ranking import Bools, Floats, curve, ranked

RANGES = ((0.001, 0.1), (0.001, 1.0))
ALPHA = 20.0
SHARE = 0.01


def log_auc(truth_N: Bools, score_N: Floats, low: float, high: float) -> float:
    """The mean of TPR over log10 FPR within [low, high], the curve being straight between its points.

    The integral of a + b x over d ln x is a ln(x2 / x1) + b (x2 - x1): exact, where torchmetrics adds trapezoids over
    the logarithm between the same points: the two differ only where equal scores make the curve slope.

    Raises:
        Undefined: too few negatives for FPR as low as `low`.
    """
    n_negatives = int((~truth_N).sum())
    if n_negatives * low < 1 - 1e-9:
        raise Undefined(f"{n_negatives} negatives, at least {np.ceil(1 / low):.0f} needed for FPR down to {low:g}")
    fpr_T, tpr_T = (counts_T / counts_T[-1] for counts_T in reversed(curve(truth_N, score_N)))
    slopes = np.flatnonzero((np.diff(fpr_T) > 0) & (fpr_T[1:] > low) & (fpr_T[:-1] < high))
    slope_S = (tpr_T[slopes + 1] - tpr_T[slopes]) / (fpr_T[slopes + 1] - fpr_T[slopes])
    start_S, end_S = np.maximum(fpr_T[slopes], low), np.minimum(fpr_T[slopes + 1], high)
    level_S = tpr_T[slopes] - slope_S * fpr_T[slopes]
    area = (level_S * np.log(end_S / start_S) + slope_S * (end_S - start_S)).sum()
    return float(area / np.log(high / low))


def random_log_auc(low: float, high: float) -> float:
    """What random scores get: the mean of x over d ln x, (hi - lo) / ln(hi / lo).

    >>> [round(random_log_auc(low, high), 4) for low, high in RANGES]
    [0.0215, 0.1446]
    """
    return (high - low) / float(np.log(high / low))


def enrichment(truth_N: Bools, score_N: Floats, share: float = SHARE) -> float:
    """EF: (positives among the best n) / n over P / N, n = ceil(share N); equal scores at the cut count in part."""
    n = int(np.ceil(share * len(score_N) - 1e-9))
    taken_N = np.clip(n - _above(score_N), 0, None)
    return float((np.minimum(taken_N / _as_high(score_N), 1.0) * truth_N).sum() / n / truth_N.mean())


def bedroc(truth_N: Bools, score_N: Floats, alpha: float = ALPHA) -> float:
    """BEDROC: the exponentially weighted share of positives, from 0 (all last) to 1 (all first).

        RIE    = (1/P sum_i e^(-a r_i / N)) / (1/N (1 - e^-a) / (e^(a/N) - 1))
        BEDROC = (RIE - RIE_min) / (RIE_max - RIE_min),  RIE_min, RIE_max with all positives last, first

    Source: Truchon & Bayly 2007, eq. 36; RIE_max = (1 - e^(-a R)) / (R (1 - e^-a)), RIE_min = (1 - e^(a R)) /
    (R (1 - e^a)), R = P / N. A positive among equal scores weighs their mean weight.
    """
    n, share = len(score_N), float(truth_N.mean())
    decay = np.exp(-alpha * np.arange(1, n + 1) / n)
    sums = np.concatenate([[0.0], np.cumsum(decay)])
    above, as_high = _above(score_N), _as_high(score_N)
    weight_N = (sums[above + as_high] - sums[above]) / as_high
    rie = weight_N[truth_N].mean() * n * np.expm1(alpha / n) / -np.expm1(-alpha)
    most = np.expm1(-alpha * share) / (share * np.expm1(-alpha))
    least = np.expm1(alpha * share) / (share * np.expm1(alpha))
    return float(np.clip((rie - least) / (most - least), 0.0, 1.0))


def adjusted_log_auc(truth_N: Bools, score_N: Floats, low: float, high: float) -> float:
    """`log_auc` minus `random_log_auc`: 0 is chance."""
    return log_auc(truth_N, score_N, low, high) - random_log_auc(low, high)


def _above(score_N: Floats) -> NDArray[np.int64]:
    """How many items score above each one."""
    return np.asarray(len(score_N) - np.searchsorted(np.sort(score_N), score_N, side="right"), dtype=np.int64)


def _as_high(score_N: Floats) -> NDArray[np.int64]:
    """How many items have each one's score, itself included."""
    _, value_N, counts = np.unique(score_N, return_inverse=True, return_counts=True)
    return np.asarray(counts[value_N], dtype=np.int64)


def early(binary: Binary = DEFAULT) -> tuple[Metric, ...]:
    """The logAUC in both ranges, adjusted and not, EF1 % and BEDROC(20) of one class against the rest."""
    made = []
    for low, high in RANGES:
        where, chance = f"[high={high:g},low={low:g}]", random_log_auc(low, high)
        convention = f"mean of TPR over log10 FPR within [{low:g}, {high:g}]"
        made += [
            ranked(f"logauc{where}", partial(log_auc, low=low, high=high), convention, binary),
            ranked(
                f"adjusted_logauc{where}",
                partial(adjusted_log_auc, low=low, high=high),
                f"{convention} - {chance:.4f}, that of random scores (Mysinger & Shoichet 2010)",
                binary,
                (-chance, 1 - chance),
            ),
        ]
    return (
        *made,
        ranked("ef_1pc", enrichment, "share of positives in the best 1 % over that of all; RDKit", binary, (0.0, None)),
        ranked("bedroc_20", bedroc, "Truchon & Bayly 2007, alpha = 20; RDKit CalcBEDROC", binary),
    )
