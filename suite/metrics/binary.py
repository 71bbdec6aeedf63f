"""One class against the rest: the score, the truth and the decision that ranking and decision metrics are made of.

Shape suffixes: N items, K classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from suite.metrics.base import Columns


@dataclass(frozen=True)
class Binary:
    """How to read a yes-or-no question from the outcome columns.

    Attributes:
        positive: the label that counts as yes.
        column: probabilities [N, K], of which that of `positive` is the score; or one score [N] where higher means yes
            (an abnormality).
        threshold: decide yes from this score on; ``None``: where `positive` has the largest probability, the first of
            equal ones.
    """

    positive: int = 1
    column: str = "probs"
    threshold: float | None = None

    @property
    def needs(self) -> tuple[str, ...]:
        """The outcome columns that it reads."""
        return (self.column, "label")

    def truth(self, columns: Columns) -> NDArray[np.bool_]:
        """Whether each item is a positive, [N]."""
        return np.asarray(columns["label"] == self.positive)

    def score(self, columns: Columns) -> NDArray[np.float64]:
        """The score of each item, [N] float64."""
        values = np.asarray(columns[self.column])
        return (values if values.ndim == 1 else values[:, self.positive]).astype(np.float64)

    def decision(self, columns: Columns) -> NDArray[np.bool_]:
        """Whether each item is taken for a positive, [N].

        Raises:
            ValueError: a single score has no largest probability: it needs a threshold.
        """
        if self.threshold is not None:
            return self.score(columns) >= self.threshold
        values = np.asarray(columns[self.column])
        if values.ndim == 1:
            raise ValueError(f"decisions by the score {self.column!r} need a threshold")
        return np.asarray(values.argmax(axis=1) == self.positive)


DEFAULT = Binary()
