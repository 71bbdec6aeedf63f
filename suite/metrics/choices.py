"""Metrics of multiple choice: K continuations of a context, scored by their summed log-probabilities.

Outcome columns of one item, made by `outcomes`. Two ways to make probabilities of K log-probabilities, both reported:
the softmax over the sums (columns ``probs correct nll brier``), and the softmax over the sums divided by the choices'
lengths in characters, as lm-eval's ``acc_norm`` divides them (the same names with ``_norm``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suite.metrics import classification
from suite.metrics.base import Metric, per_item, ratio
from suite.metrics.calibration import ece

_BY_LENGTH = "probabilities = softmax of log-probability / characters of the choice"


def outcomes(logprobs_K: NDArray[np.float64], choices: Sequence[str], right: Sequence[int]) -> dict[str, Any]:
    """The outcome columns of one item.

    Args:
        logprobs_K: summed log-probability of each choice, nats.
        choices: their texts without the delimiter, whose characters the normalised form divides by.
        right: indices of the right choices; most items have one. Several count as one whose probability is their sum.
            None, or one that is no choice (-100 in lm-eval's data): the item counts as wrong, p(right) as 0.

    >>> outcomes(np.log([0.2, 0.8]), ["a", "abcd"], [1])["correct_norm"]
    1
    """
    right = [k for k in right if 0 <= k < len(choices)]
    lengths_K = np.array([max(1, len(choice)) for choice in choices], dtype=np.float64)
    found: dict[str, Any] = {
        "logprobs": logprobs_K,
        "label": right[0] if right else -1,
        "tied": int((logprobs_K == logprobs_K.max()).sum() > 1),
    }
    for suffix, scores_K in (("", logprobs_K), ("_norm", logprobs_K / lengths_K)):
        found |= {name + suffix: value for name, value in _one_way(scores_K, right).items()}
    return found


def _one_way(scores_K: NDArray[np.float64], right: Sequence[int]) -> dict[str, Any]:
    correct = int(scores_K.argmax()) in right
    exp_K = np.exp(scores_K - scores_K.max())
    probs_K = exp_K / exp_K.sum()
    if right:  # several right choices become one, the first
        total = probs_K[list(right)].sum()
        probs_K[list(right)] = 0.0
        probs_K[right[0]] = total
        brier = classification.outcomes(probs_K, right[0])["brier"]
        nll = float(np.logaddexp.reduce(scores_K) - np.logaddexp.reduce(scores_K[list(right)]))
        return {"probs": probs_K, "correct": int(correct), "nll": max(nll, 0.0), "brier": brier}
    nll = -float(np.log(classification.NLL_EPS))
    return {"probs": probs_K, "correct": 0, "nll": nll, "brier": float((probs_K**2).sum() + 1)}


ACCURACY_NORM = replace(
    classification.ACCURACY,
    name="accuracy_norm",
    needs=("correct_norm",),
    terms=per_item("correct_norm"),
    reference="argmax of log-probability / characters of the choice: lm-eval's acc_norm",
)
NLL = replace(
    classification.NLL,
    reference="mean of -ln p(right), taken of the log-probabilities, so never cut off; torch cross_entropy agrees",
)
NLL_NORM = replace(NLL, name="nll_norm", needs=("nll_norm",), terms=per_item("nll_norm"), reference=_BY_LENGTH)
BRIER_NORM = replace(
    classification.BRIER, name="brier_norm", needs=("brier_norm",), terms=per_item("brier_norm"), reference=_BY_LENGTH
)
ECE_15_NORM = replace(ece("probs_norm", "ece_15_norm"), reference=_BY_LENGTH)
TIES = Metric(
    name="ties",
    needs=("tied",),
    terms=per_item("tied"),
    finish=ratio,
    unit="",
    higher_is_better=None,
    bounds=(0.0, 1.0),
    proportion=True,
    reference="share of items whose best log-probability several choices have; argmax takes the first, as lm-eval does",
)
METRICS: tuple[Metric, ...] = (
    classification.ACCURACY,
    ACCURACY_NORM,
    NLL,
    classification.BRIER,
    ece(),
    NLL_NORM,
    BRIER_NORM,
    ECE_15_NORM,
    TIES,
)
