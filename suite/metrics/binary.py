"""One class against the rest: the score, the truth and the decision that ranking and decision metrics are made of.

Shape suffixes: N items, K classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suite.metrics.base import Columns

PROBS, DECIDED = "probs", "decided"
TWO = 2  # classes: one question


@dataclass(frozen=True)
class Binary:
    """How to read a yes-or-no question from the outcome columns.

    Attributes:
        positive: the label that counts as yes.
        column: probabilities [N, K], of which `of_class` makes the score; or one score [N] where higher means yes
            (an abnormality).
        threshold: decide yes from this probability, or score, on; ``None``: where `positive` has the largest
            probability, the first of equal ones, as the column ``decided`` says: from before probabilities are rounded.
    """

    positive: int = 1
    column: str = PROBS
    threshold: float | None = None

    @property
    def needs(self) -> tuple[str, ...]:
        """The outcome columns that scores and truths are read from."""
        return (self.column, "label")

    @property
    def decision_needs(self) -> tuple[str, ...]:
        """The outcome columns that decisions and truths are read from."""
        return ("label", DECIDED) if self.threshold is None and self.column == PROBS else self.needs

    def truth(self, columns: Columns) -> NDArray[np.bool_]:
        """Whether each item is a positive, [N]."""
        return np.asarray(columns["label"] == self.positive)

    def score(self, columns: Columns) -> NDArray[np.float64]:
        """The score of each item, [N] float64."""
        values = np.asarray(columns[self.column])
        return values.astype(np.float64) if values.ndim == 1 else of_class(values, self.positive)

    def decision(self, columns: Columns) -> NDArray[np.bool_]:
        """Whether each item is taken for a positive, [N]; by the probabilities where they are not ``decided``.

        Raises:
            ValueError: a single score has no largest probability: it needs a threshold.
        """
        if self.threshold is None and self.column == PROBS and DECIDED in columns:
            return np.asarray(columns[DECIDED] == self.positive)
        values = np.asarray(columns[self.column])
        if self.threshold is not None:
            mine = values if values.ndim == 1 else values[:, self.positive]
            return np.asarray(mine.astype(np.float64) >= self.threshold)
        if values.ndim == 1:
            raise ValueError(f"decisions by the score {self.column!r} need a threshold")
        return np.asarray(values.argmax(axis=1) == self.positive)


def of_class(probs_NK: NDArray[Any], k: int) -> NDArray[np.float64]:
    """What ranks items by class k, [N]: p_k, or for two classes ln p_k - ln p_other, in the same order.

    Both probabilities are kept as float32. Above 0.5 these lie 6e-8 apart and the sure ones all are 1, but their other
    probability is as exact as ever. ln 0 is that of the least float64 above it.
    """
    if probs_NK.shape[1] != TWO:
        return probs_NK[:, k].astype(np.float64)
    log_N2 = np.log(np.maximum(probs_NK.astype(np.float64), np.nextafter(0, 1)))
    return np.asarray(log_N2[:, k] - log_N2[:, 1 - k])


DEFAULT = Binary()
