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

import numpy as np

from suite.errors import Undefined
from suite.metrics.base import Metric
from suite.metrics.binary import DEFAULT, Binary
from suite.metrics.counted import of_steps
from suite.metrics.ranking import Floats, curve, ranked

RANGES = ((0.001, 0.1), (0.001, 1.0))
ALPHA = 20.0
SHARE = 0.01


@of_steps(curve)
def log_auc(positives_T: Floats, negatives_T: Floats, low: float, high: float) -> float:
    """The mean of TPR over log10 FPR within [low, high], the curve being straight between its points.

    The integral of a + b x over d ln x is a ln(x2 / x1) + b (x2 - x1): exact, where torchmetrics adds trapezoids over
    the logarithm between the same points: the two differ only where equal scores make the curve slope.

    Raises:
        Undefined: too few negatives for FPR as low as `low`.
    """
    if negatives_T[-1] * low < 1 - 1e-9:
        raise Undefined(
            f"{negatives_T[-1]:.0f} negatives, at least {np.ceil(1 / low):.0f} needed for FPR down to {low:g}"
        )
    fpr_T, tpr_T = negatives_T / negatives_T[-1], positives_T / positives_T[-1]
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


@of_steps(curve)
def enrichment(positives_T: Floats, negatives_T: Floats, share: float = SHARE) -> float:
    """EF: (positives among the best n) / n over P / N, n = ceil(share N); equal scores at the cut count in part."""
    all_T = positives_T + negatives_T
    n = int(np.ceil(share * all_T[-1] - 1e-9))
    return float(np.interp(n, all_T, positives_T) / n / (positives_T[-1] / all_T[-1]))


@of_steps(curve)
def bedroc(positives_T: Floats, negatives_T: Floats, alpha: float = ALPHA) -> float:
    """BEDROC: the exponentially weighted share of positives, from 0 (all last) to 1 (all first).

        RIE    = (1/P sum_i e^(-a r_i / N)) / (1/N (1 - e^-a) / (e^(a/N) - 1))
        BEDROC = (RIE - RIE_min) / (RIE_max - RIE_min),  RIE_min, RIE_max with all positives last, first

    Source: Truchon & Bayly 2007, eq. 36; RIE_max = (1 - e^(-a R)) / (R (1 - e^-a)), RIE_min = (1 - e^(a R)) /
    (R (1 - e^a)), R = P / N. A positive among equal scores weighs their mean weight.
    """
    all_T = (positives_T + negatives_T).astype(np.int64)
    n, share = int(all_T[-1]), float(positives_T[-1] / all_T[-1])
    decay = np.exp(-alpha * np.arange(1, n + 1) / n)
    weight_T = np.diff(np.concatenate([[0.0], np.cumsum(decay)])[all_T]) / np.diff(all_T)
    rie = np.diff(positives_T) @ weight_T / positives_T[-1] * n * np.expm1(alpha / n) / -np.expm1(-alpha)
    most = np.expm1(-alpha * share) / (share * np.expm1(-alpha))
    least = np.expm1(alpha * share) / (share * np.expm1(alpha))
    return float(np.clip((rie - least) / (most - least), 0.0, 1.0))


@of_steps(curve)
def adjusted_log_auc(positives_T: Floats, negatives_T: Floats, low: float, high: float) -> float:
    """`log_auc` minus `random_log_auc`: 0 is chance."""
    return log_auc.function(positives_T, negatives_T, low, high) - random_log_auc(low, high)


def early(binary: Binary = DEFAULT) -> tuple[Metric, ...]:
    """The logAUC in both ranges, adjusted and not, EF1 % and BEDROC(20) of one class against the rest."""
    made = []
    for low, high in RANGES:
        where, chance = f"[high={high:g},low={low:g}]", random_log_auc(low, high)
        convention = f"mean of TPR over log10 FPR within [{low:g}, {high:g}]"
        made += [
            ranked(f"logauc{where}", log_auc.at(low=low, high=high), convention, binary),
            ranked(
                f"adjusted_logauc{where}",
                adjusted_log_auc.at(low=low, high=high),
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
