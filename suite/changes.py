"""Changes: what became of each answer between two models, and how much of the parent's score is left.

    gains     wrong -> right          losses   right -> wrong          other   wrong -> another wrong answer
    volume    (gains + losses) / n: how many answers flipped
    direction gains / (gains + losses), 1/2 for even noise, null without a flip
    accuracy(child) = accuracy(parent) + volume (2 direction - 1)
    recovery  q / p, child over parent; p / q where lower is better, so that 1 is "nothing lost" either way
    recovery above chance   (q - chance) / (p - chance): at p = 0.75, q = 0.70, chance 0.25 it is 0.90, and raw 0.93

Source: Dutta et al. 2024, "Accuracy is Not All You Need" (flips).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suite.metrics import harness
from suite.metrics.base import Columns

ANSWERS = {  # column of hits -> column whose argmax is the answer
    "correct": "probs",
    "correct_norm": "probs_norm",
    f"{harness.PREFIX}acc": harness.CHOICES,  # of imported samples
}


@dataclass(frozen=True)
class Flips:
    """What became of N answers.

    Attributes:
        n: answers.
        gains: wrong in the parent, right in the child.
        losses: right in the parent, wrong in the child.
        other: wrong in both, but another answer; ``None`` where the answers are not kept.
    """

    n: int
    gains: int
    losses: int
    other: int | None

    @property
    def volume(self) -> float:
        """Share of answers that flipped."""
        return (self.gains + self.losses) / self.n

    @property
    def direction(self) -> float | None:
        """Share of gains among the flips."""
        flips = self.gains + self.losses
        return self.gains / flips if flips else None

    def summary(self) -> dict[str, Any]:
        """Plain values for ``--json``."""
        counts = {"n": self.n, "right_to_wrong": self.losses, "wrong_to_right": self.gains}
        shares = {"volume": self.volume, "direction": self.direction}
        why = {} if self.other is not None else {"reason": "the outcomes keep no answer beside right and wrong"}
        return {**counts, "wrong_to_other_wrong": self.other, **shares, **why}


@dataclass(frozen=True)
class Recovery:
    """How much of the parent's score the child keeps.

    Attributes:
        raw: child over parent, or its inverse.
        above_chance: the same above the chance level.
        reason: why `above_chance`, or both, are missing.
    """

    raw: float | None
    above_chance: float | None
    reason: str | None = None


def flips(a: Columns, b: Columns, hits: str) -> Flips:
    """What became of the answers.

    Args:
        a: the parent's columns.
        b: the child's, same items in the same order.
        hits: the column that says whether an answer is right.
    """
    before_N, after_N = a[hits].astype(bool), b[hits].astype(bool)
    answers = ANSWERS.get(hits)
    other = None
    if answers is not None and answers in a and answers in b:
        both_wrong_N = np.flatnonzero(~before_N & ~after_N)
        other = int((_answers(a, answers, both_wrong_N) != _answers(b, answers, both_wrong_N)).sum())
    gains, losses = int((~before_N & after_N).sum()), int((before_N & ~after_N).sum())
    return Flips(len(before_N), gains, losses, other)


def recovery(parent: float, child: float, higher_is_better: bool | None, chance: float | None) -> Recovery:
    """How much of the parent's score is left.

    >>> recovery(0.75, 0.70, True, 0.25)
    Recovery(raw=0.9333333333333332, above_chance=0.8999999999999999, reason=None)
    >>> recovery(2.0, 4.0, False, None)
    Recovery(raw=0.5, above_chance=None, reason='the task states no chance level')
    """
    if higher_is_better is None:
        return Recovery(None, None, "neither more nor less of it is better")
    above, below = (child, parent) if higher_is_better else (parent, child)
    if below <= 0 or above < 0:
        return Recovery(None, None, "a ratio of values at or below 0 says nothing")
    raw = above / below
    if chance is None or not higher_is_better:
        return Recovery(raw, None, "the task states no chance level")
    if parent <= chance:
        return Recovery(raw, None, f"the parent is not above chance ({chance:g})")
    return Recovery(raw, (child - chance) / (parent - chance))


def _answers(columns: Columns, scores: str, wrong_W: NDArray[np.int64]) -> NDArray[np.int64]:
    """The most probable answer of each of these items, all answered wrongly: the label itself is left out.

    (Where several answers are right, their probabilities stand summed at the label.) Items may have different numbers
    of answers.
    """
    found = np.full(len(wrong_W), -1, dtype=np.int64)
    for i, item in enumerate(wrong_W):
        probs_K = np.array(columns[scores][item], dtype=np.float64)
        label = int(columns["label"][item]) if "label" in columns else -1
        if 0 <= label < len(probs_K):
            probs_K[label] = -np.inf
        found[i] = int(probs_K.argmax())
    return found
