"""Agreement: how far two models do the same on the same items, pair by pair. Pure.

    same verdict         share of items on which both are right or both are wrong
    error consistency    kappa = (same verdict - expected) / (1 - expected), expected = p q + (1 - p)(1 - q) of the two
                         accuracies: 0 is what independent errors give, 1 the same errors (Geirhos 2020)
    same answer          share of items with the same answer, right or wrong
    rank correlation     Spearman's, of what each item is worth; where answers are not right or wrong

Shape suffixes: N items.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from leaderboard import worst
from suite.metrics.base import Columns
from suite.outcomes import ITEM

_TWO = 2


def pairs(columns: Mapping[str, Columns]) -> pd.DataFrame:
    """A row a pair of models: a, b, n, what of the above can be said, why the rest cannot.

    Args:
        columns: model -> its outcomes on one task.
    """
    rows = [{"a": a, "b": b, **_pair(columns[a], columns[b])} for a, b in combinations(columns, 2)]
    return pd.DataFrame(rows)


def consistency(a_N: NDArray[np.bool_], b_N: NDArray[np.bool_]) -> float | None:
    """Error consistency of two models; None where chance alone would agree on everything.

    >>> right = np.array([1, 1, 0, 0], bool)
    >>> consistency(right, right), consistency(right, np.array([1, 0, 1, 0], bool))
    (1.0, 0.0)
    """
    p, q = float(a_N.mean()), float(b_N.mean())
    expected = p * q + (1 - p) * (1 - q)
    return None if expected == 1 else (float((a_N == b_N).mean()) - expected) / (1 - expected)


def _pair(a: Columns, b: Columns) -> dict[str, Any]:
    if not np.array_equal(a[ITEM], b[ITEM]):
        return {"n": None, "why missing": "they do not have the same items"}
    found: dict[str, Any] = {"n": len(a[ITEM])}
    if "correct" in a and "correct" in b:
        a_N, b_N = (np.asarray(one["correct"]).astype(bool) for one in (a, b))
        found |= {"same verdict": float((a_N == b_N).mean()), "error consistency": consistency(a_N, b_N)}
        answers = [_answers(one) for one in (a, b)]
        if answers[0] is not None and answers[1] is not None:
            found["same answer"] = float((answers[0] == answers[1]).mean())
        return found
    ours, theirs = worst.worth(a), worst.worth(b)
    if ours is None or theirs is None:
        return {**found, "why missing": "the outcomes hold no score of single items"}
    return {**found, **_correlation(ours.values_N, theirs.values_N)}


def _correlation(x_N: NDArray[np.float64], y_N: NDArray[np.float64]) -> dict[str, Any]:
    from scipy.stats import rankdata

    known = np.isfinite(x_N) & np.isfinite(y_N)
    ranks = [rankdata(one[known]) for one in (x_N, y_N)]
    if known.sum() <= _TWO or any(one.std() == 0 for one in ranks):
        return {"why missing": "too few different items to correlate"}
    return {"rank correlation": float(np.corrcoef(*ranks)[0, 1])}


def _answers(columns: Columns) -> NDArray[np.int64] | None:
    if "decided" in columns:
        return np.asarray(columns["decided"])
    if "probs" in columns:
        return np.array([int(np.argmax(row)) for row in columns["probs"]], dtype=np.int64)
    return None
