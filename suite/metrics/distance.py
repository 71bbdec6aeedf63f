"""Distance of a child's next-token distributions to its parent's, token by token.

Notation: p parent, q child, both over the whole vocabulary at one position; nats. Outcome columns of one item (a window
of text), the lists with one entry a predicted token:

    kl             sum_v p_v ln(p_v / q_v), the Kullback-Leibler divergence from parent to child
    agree          whether p and q have the same likeliest token (the first one, where several are)
    overlap        sum_v min(p_v, q_v) = 1 - total variation
    logp_true      ln p of the token that the text has
    logq_true      ln q of it
    n_tokens       number of predicted tokens

A token of the vocabulary whose q is 0 while p is above 0 makes kl infinite; both 0 add nothing. Quantiles are those of
all tokens together: the smallest value that at least that share does not exceed, the mean of two where both qualify
(``averaged_inverted_cdf`` of NumPy). llama.cpp interpolates between neighbours instead, so that its median is the same
and its other percentiles differ by less than the gap between two neighbouring values.

Shape suffixes: T tokens, V vocabulary, N items.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from suite.metrics.base import Columns, Metric, Terms, Whole, ratio

_BLOCK_BYTES = 1 << 20  # of float64 at once: what follows then stays in the cache

Floats = NDArray[np.float64]
Rows = NDArray[np.float32]


def compared(logp_TV: Rows, logq_TV: Rows, true_T: NDArray[np.int64]) -> dict[str, NDArray[np.generic]]:
    """The outcome lists of T positions.

    Both sides are brought to sum to 1 once more, in float64: what float32 rounded off the log-probabilities then enters
    kl squared, and kl cannot fall below 0.

    Args:
        logp_TV: the parent's log-probabilities, float32; -inf where the probability is 0.
        logq_TV: the child's, the same shape.
        true_T: the token that the text has at each position.

    >>> rows = compared(np.log(np.float32([[0.5, 0.5]])), np.log(np.float32([[0.75, 0.25]])), np.array([0]))
    >>> {name: round(float(values[0]), 4) for name, values in rows.items()}
    {'kl': 0.1438, 'agree': 1.0, 'overlap': 0.75, 'logp_true': -0.6931, 'logq_true': -0.2877}
    """
    step = max(1, _BLOCK_BYTES // (8 * logp_TV.shape[1]))
    parts = [
        _block(logp_TV[at : at + step], logq_TV[at : at + step], true_T[at : at + step])
        for at in range(0, len(true_T), step)
    ]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _block(logp_TV: Rows, logq_TV: Rows, true_T: NDArray[np.int64]) -> dict[str, NDArray[np.generic]]:
    agree_T = logp_TV.argmax(axis=1) == logq_TV.argmax(axis=1)
    (logp, p), (logq, q) = _normalised(logp_TV), _normalised(logq_TV)
    with np.errstate(invalid="ignore"):  # -inf - -inf is no number, and left out
        gaps_TV = logp - logq
    gaps_TV[p == 0] = 0.0
    kl_T = np.einsum("tv,tv->t", p, gaps_TV)
    rows = np.arange(len(true_T))
    return {
        "kl": np.maximum(kl_T, 0.0),
        "agree": agree_T,
        "overlap": np.minimum(np.minimum(p, q).sum(axis=1), 1.0),
        "logp_true": logp[rows, true_T],
        "logq_true": logq[rows, true_T],
    }


def _normalised(log_TV: Rows) -> tuple[Floats, Floats]:
    """Log-probabilities and probabilities whose rows sum to 1, float64."""
    log = log_TV.astype(np.float64)
    probs = np.exp(log)
    totals = probs.sum(axis=1, keepdims=True)
    log -= np.log(totals)
    probs /= totals
    return log, probs


def _sums(values: NDArray[np.generic]) -> Floats:
    """Sum of each item's list."""
    return np.array([np.sum(row, dtype=np.float64) for row in values])


def _per_token(column: str) -> Terms:
    """Terms of a mean over tokens: (sum of the item's list, its tokens)."""

    def terms(columns: Columns) -> Floats:
        return np.stack([_sums(columns[column]), columns["n_tokens"].astype(np.float64)], axis=1)

    return terms


def _delta_p(power: int) -> Terms:
    """Terms of the mean of (q - p)^power at the true token."""

    def terms(columns: Columns) -> Floats:
        pairs = zip(columns["logp_true"], columns["logq_true"], strict=True)
        sums = [float(((np.exp(logq) - np.exp(logp)) ** power).sum()) for logp, logq in pairs]
        return np.stack([np.array(sums), columns["n_tokens"].astype(np.float64)], axis=1)

    return terms


def _log_ratio(columns: Columns) -> Floats:
    """Terms of the mean of nll_child - nll_parent."""
    gained = _sums(columns["logp_true"]) - _sums(columns["logq_true"])
    return np.stack([gained, columns["n_tokens"].astype(np.float64)], axis=1)


def _root(sums: Floats) -> Floats:
    return np.sqrt(ratio(sums))


def _exp(sums: Floats) -> Floats:
    with np.errstate(over="ignore"):
        return np.exp(ratio(sums))


def _quantile(share: float) -> Whole:
    def whole(columns: Columns) -> float:
        return float(np.quantile(np.concatenate(list(columns["kl"])), share, method="averaged_inverted_cdf"))

    return whole


def _largest(columns: Columns) -> float:
    return float(max(np.max(row) for row in columns["kl"]))


def _of_kl(name: str, whole: Whole, reference: str, no_interval: str | None = None) -> Metric:
    """A quantile of kl over all tokens."""
    return Metric(
        name=name,
        needs=("kl",),
        whole=whole,
        no_interval=no_interval,
        unit="nats/token",
        higher_is_better=False,
        bounds=(0.0, None),
        observed="n_tokens",
        reference=reference,
    )


def _share(name: str, terms: Terms, needs: tuple[str, ...], reference: str) -> Metric:
    """A mean over all tokens of values within [0, 1], where more is better."""
    return Metric(
        name=name,
        needs=(*needs, "n_tokens"),
        terms=terms,
        finish=ratio,
        unit="",
        higher_is_better=True,
        bounds=(0.0, 1.0),
        undefined="no predicted tokens",
        observed="n_tokens",
        reference=reference,
    )


_LLAMA = "llama.cpp --kl-divergence"
_TRUE = ("logp_true", "logq_true")

KL_MEAN = replace(
    _share("kl_mean", _per_token("kl"), ("kl",), f"mean over tokens of sum p ln(p/q), p the parent; {_LLAMA}"),
    unit="nats/token",
    higher_is_better=False,
    bounds=(0.0, None),
)
KL_MEDIAN = _of_kl("kl_median", _quantile(0.5), f"median over tokens; {_LLAMA}")
KL_P99 = _of_kl("kl_p99", _quantile(0.99), f"99 % of tokens lie at or below; {_LLAMA}, which interpolates")
KL_MAX = _of_kl(
    "kl_max", _largest, f"worst token; {_LLAMA}", "no interval: a resample never exceeds the largest value seen"
)

TOP1_AGREEMENT = _share(
    "top1_agreement", _per_token("agree"), ("agree",), f"share of tokens with the same argmax; {_LLAMA}: same top p"
)
EXPECTED_ACCEPTANCE = _share(
    "expected_acceptance",
    _per_token("overlap"),
    ("overlap",),
    "mean of sum min(p, q) = 1 - total variation; EAR of arXiv 2605.02404, which calls 0.99 distribution-lossless",
)
DELTA_P_MEAN = replace(
    _share("delta_p_mean", _delta_p(1), _TRUE, f"mean of q - p at the text's token, a fraction; {_LLAMA} in percent"),
    bounds=(-1.0, 1.0),
)
DELTA_P_RMS = replace(
    _share("delta_p_rms", _delta_p(2), _TRUE, f"root mean square of q - p at the text's token; {_LLAMA} in percent"),
    finish=_root,
    higher_is_better=False,
)
PERPLEXITY_RATIO = replace(
    _share(
        "perplexity_ratio",
        _log_ratio,
        _TRUE,
        f"exp(mean(nll_child - nll_parent)); {_LLAMA}, paired token by token as its covariance error is",
    ),
    finish=_exp,
    higher_is_better=False,
    bounds=(0.0, None),
)

DISTANCES = (
    *(KL_MEAN, KL_MEDIAN, KL_P99, KL_MAX, TOP1_AGREEMENT, EXPECTED_ACCEPTANCE),
    *(DELTA_P_MEAN, DELTA_P_RMS, PERPLEXITY_RATIO),
)
