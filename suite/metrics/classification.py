"""Metrics of decisions and of class probabilities.

Outcome columns of one item, float64 unless stated:

    label        true class; -1 for an item of none of the model's classes, whose nll and brier are NaN
    decided      class of the largest probability, the first of equal ones
    confidence   that probability: with ``correct`` all that a reliability diagram needs
    rank         classes before the label's, 0 if it is the decided one
    correct      0 or 1
    nll, brier   -ln p of the label in nats; sum_k (p_k - 1[k = label])^2
    probs        [K] float32, kept up to `MOST_CLASSES` classes: 4 bytes a class and item, which is enough for bins,
                 ranks within a class and temperatures; the numbers above are taken before they are rounded
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from suite.metrics.base import Columns, Metric, per_item, ratio

NLL_EPS = 1e-12
MOST_CLASSES = 100  # of which every probability is kept in the outcomes
TOP = 5


def outcomes(probs_K: NDArray[Any], label: int) -> dict[str, Any]:
    """The outcome columns of one item.

    Args:
        probs_K: class probabilities, summing to 1.
        label: index of the true class, or -1.

    >>> outcomes(np.array([0.25, 0.75]), 1)["correct"], round(outcomes(np.array([0.25, 0.75]), 1)["brier"], 4)
    (1, 0.125)
    """
    probs = np.asarray(probs_K, dtype=np.float64)
    predicted = int(probs.argmax())
    row = {"label": int(label), "decided": predicted, "confidence": float(probs[predicted])}
    if label < 0:
        row |= {"rank": len(probs), "correct": 0, "nll": float("nan"), "brier": float("nan")}
    else:
        mine = float(probs[label])
        hot = np.zeros_like(probs)
        hot[label] = 1.0
        row |= {
            "rank": int((probs > mine).sum() + (probs[:label] == mine).sum()),
            "correct": int(predicted == label),
            "nll": float(-np.log(max(mine, NLL_EPS))),
            "brier": float(((probs - hot) ** 2).sum()),
        }
    return row | ({"probs": probs.astype(np.float32)} if len(probs) <= MOST_CLASSES else {})


def _within(columns: Columns) -> NDArray[np.float64]:
    hits = (np.asarray(columns["rank"]) < TOP).astype(np.float64)
    return np.stack([hits, np.ones_like(hits)], axis=1)


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

TOP_5_ACCURACY = Metric(
    name="accuracy_top5",
    needs=("rank",),
    terms=_within,
    finish=ratio,
    unit="",
    higher_is_better=True,
    bounds=(0.0, 1.0),
    proportion=True,
    reference="share of items whose label is among the 5 most probable classes, the first of equal ones before",
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
