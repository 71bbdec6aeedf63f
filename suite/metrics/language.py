"""Metrics of language modelling: sums over documents or windows of negative log-likelihood, tokens and bytes.

Outcome columns of one item: ``nll`` (nats, summed over its predicted tokens), ``n_tokens`` (predicted tokens),
``n_bytes`` (UTF-8 bytes of the text that they spell).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from suite.metrics.base import Columns, Metric, Terms, ratio


def _over(bottom: str) -> Terms:
    def terms(columns: Columns) -> NDArray[np.float64]:
        return np.stack([columns["nll"], columns[bottom]], axis=1).astype(np.float64)

    return terms


def _exp_ratio(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    with np.errstate(over="ignore"):
        return np.exp(ratio(sums))


def _bits(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    return ratio(sums) / math.log(2)


NLL = Metric(
    name="nll",
    needs=("nll", "n_tokens"),
    terms=_over("n_tokens"),
    finish=ratio,
    unit="nats/token",
    higher_is_better=False,
    bounds=(0.0, None),
    undefined="no predicted tokens",
    observed="n_tokens",
    reference="mean over all predicted tokens, as GPTQ and SparseGPT pool equal windows",
)

PERPLEXITY = Metric(
    name="perplexity",
    needs=("nll", "n_tokens"),
    terms=_over("n_tokens"),
    finish=_exp_ratio,
    unit="",
    higher_is_better=False,
    bounds=(1.0, None),
    undefined="no predicted tokens, or beyond float64",
    observed="n_tokens",
    reference="exp(sum nll / sum tokens); torchmetrics Perplexity agrees; depends on the tokenizer",
)

BITS_PER_BYTE = Metric(
    name="bits_per_byte",
    needs=("nll", "n_bytes"),
    terms=_over("n_bytes"),
    finish=_bits,
    unit="bit/byte",
    higher_is_better=False,
    bounds=(0.0, None),
    undefined="no bytes",
    observed="n_bytes",
    reference="sum nll / ln 2 / sum UTF-8 bytes, as lm-eval's bits_per_byte; independent of the tokenizer",
)
