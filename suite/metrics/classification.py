"""Metrics of decisions and of class probabilities.

Outcome columns of one item: ``probs`` [K] class probabilities, ``label`` the true class, and what follows from them:
``correct`` (0 or 1: the first largest probability is the label's), ``nll`` (-ln p of the label, nats) and ``brier``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from suite.metrics.base import Metric, per_item, ratio

NLL_EPS = 1e-12


def outcomes(probs_K: NDArray[Any], label: int) -> dict[str, Any]:
    """The outcome columns of one item.

    Args:
        probs_K: class probabilities, summing to 1.
        label: index of the true class.

    >>> outcomes(np.array([0.25, 0.75]), 1)["correct"], round(outcomes(np.array([0.25, 0.75]), 1)["brier"], 4)
    (1, 0.125)
    """
    probs = np.asarray(probs_K, dtype=np.float64)
    hot = np.zeros_like(probs)
    hot[label] = 1.0
    return {
        "label": int(label),
        "probs": probs,
        "correct": int(probs.argmax() == label),
        "nll": float(-np.log(max(float(probs[label]), NLL_EPS))),
        "brier": float(((probs - hot) ** 2).sum()),
    }


ACCURACY = Metric(
    name="accuracy",
    needs=("correct",),
    terms=per_item("correct"),
    finish=ratio,
    unit="",
    higher_is_better=True,
    bounds=(0.0, 1.0),
    proportion=True,
    reference="share of items whose most probable class is the label; scikit-learn accuracy_score",
)

NLL = Metric(
    name="nll",
    needs=("nll",),
    terms=per_item("nll"),
    finish=ratio,
    unit="nats",
    higher_is_better=False,
    bounds=(0.0, None),
    reference=f"mean of -ln p(label), p at least {NLL_EPS:g}; scikit-learn log_loss (its eps is that of the dtype)",
)

BRIER = Metric(
    name="brier",
    needs=("brier",),
    terms=per_item("brier"),
    finish=ratio,
    unit="",
    higher_is_better=False,
    bounds=(0.0, 2.0),
    reference="mean of sum_k (p_k - 1[k = label])^2, 0 to 2 (Brier 1950); scikit-learn's binary loss is half of it",
)
