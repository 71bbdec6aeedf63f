"""The check on a run's own items: a few requests of its first call computed alone, beside what sharing made of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from suite.engine.plain import Plain
from suite.model import Ints, TokenScores

MOST = 8  # requests
_LEAST = 2
SHARE = 16  # of the positions that the call computed, at most one in so many are computed again
TAIL = 9  # tokens for which a difference is allowed; a longer request may differ as much more as it is longer

Asked = tuple[Ints, int, TokenScores]  # a sequence, how many of its last tokens are scored, and their scores


@dataclass(frozen=True)
class Finding:
    """What the check saw.

    Attributes:
        requests: how many were computed again.
        gap: the largest difference of a summed log-probability, nats.
        holds: whether every difference is one that rounding makes.
    """

    requests: int
    gap: float
    holds: bool


def look(plain: Plain, asked: Sequence[Asked], allowed: float, positions: int) -> Finding:
    """Compute some requests again, each alone.

    Args:
        plain: computes them.
        asked: requests of one call with the scores that sharing gave.
        allowed: nats, for a request of up to `TAIL` scored tokens.
        positions: what the call computed; it bounds what the check may cost.
    """
    chosen = _choose([len(ids_T) for ids_T, _, _ in asked], positions // SHARE)
    gap, holds = 0.0, True
    for ids_T, tail, scores in (asked[i] for i in chosen):
        (alone,) = plain.score([ids_T], [tail])
        off = float(np.abs(alone.logprobs_T.sum() - scores.logprobs_T.sum()))
        holds &= off <= allowed * max(1.0, tail / TAIL)  # false where it is no number
        gap = float(np.maximum(gap, off))
    return Finding(len(chosen), gap, holds)


def _choose(lengths: Sequence[int], budget: int) -> list[int]:
    """The longest request and others by lot, at least two, as far as the budget goes."""
    longest = int(np.argmax(lengths))
    others = [int(i) for i in np.random.default_rng(0).permutation(len(lengths)) if i != longest]
    chosen: list[int] = []
    for i in [longest, *others][:MOST]:
        budget -= lengths[i] - 1
        if len(chosen) >= _LEAST and budget < 0:
            break
        chosen.append(i)
    return chosen
