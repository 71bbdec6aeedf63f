"""Calibration: does a stated confidence come true? Float64 bin sums, so any number of items and any order agree.

Shape suffixes: N items, K classes, B bins.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from suite.metrics.base import Columns, Metric

BINS = 15
_BLOCK = 1 << 16  # items at once: what is computed of them stays small, and so do the sums that are rounded

Floats = NDArray[np.float64]
Top = Callable[[Columns], tuple[Floats, NDArray[np.bool_]]]


def top_label(column: str = "probs") -> Top:
    """Columns -> the largest probability of each item and whether it is the label's (the first of equal ones counts).

    Float32 probabilities are compared as they are and only the largest becomes float64: no copy of [N, K] is made.
    """

    def top(columns: Columns) -> tuple[Floats, NDArray[np.bool_]]:
        probs_NK = np.asarray(columns[column])
        return probs_NK.max(axis=1).astype(np.float64), probs_NK.argmax(axis=1) == columns["label"]

    return top


def bin_of(confidence_N: Floats, bins: int = BINS) -> NDArray[np.int64]:
    """Bin b holds confidences in (b / B, (b + 1) / B], the first also 0, so that 1.0 falls into the last one."""
    return np.clip(np.ceil(confidence_N * bins).astype(np.int64) - 1, 0, bins - 1)


def bin_totals(confidence_N: Floats, correct_N: NDArray[np.bool_], bins: int = BINS) -> Floats:
    """The sums of `top_bins` over all items, [3 * B], without holding them. Totals of batches add up to those of all.

    Sums are taken in float64: torchmetrics and MONAI take them in float32, which at millions of items drifts by many
    times the error itself.
    """
    out = np.zeros((bins, 3))
    for at in range(0, len(confidence_N), _BLOCK):
        confidence, correct = confidence_N[at : at + _BLOCK], correct_N[at : at + _BLOCK]
        which = bin_of(confidence, bins)
        out[:, 0] += np.bincount(which, minlength=bins)
        out[:, 1] += np.bincount(which[correct.astype(bool)], minlength=bins)
        out[:, 2] += np.bincount(which, confidence, minlength=bins)
    return out.reshape(-1)


def top_bins(confidence_N: NDArray[np.float64], correct_N: NDArray[np.bool_], bins: int = BINS) -> NDArray[np.float64]:
    """One-hot bin of each confidence times (1, correct, confidence): [N, 3 * B].

    Bin b holds confidences in (b / B, (b + 1) / B], the first also 0, so that 1.0 falls into the last one
    (torchmetrics opens a further bin for it; see torchmetrics#3510).
    """
    which = bin_of(confidence_N, bins)
    out = np.zeros((len(confidence_N), bins, 3))
    out[np.arange(len(confidence_N)), which] = np.stack([np.ones_like(confidence_N), correct_N, confidence_N], axis=1)
    return out.reshape(len(confidence_N), -1)


def expected_gap(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """ECE from bin sums [..., 3 * B]: sum_b |hits_b - confidence_b| / n; NaN where n is 0."""
    binned = sums.reshape(*sums.shape[:-1], -1, 3)
    n: NDArray[np.float64] = binned[..., 0].sum(axis=-1)
    gap: NDArray[np.float64] = np.abs(binned[..., 1] - binned[..., 2]).sum(axis=-1)
    out: NDArray[np.float64] = np.full(np.shape(n), np.nan)
    return np.divide(gap, n, out=out, where=n > 0)


def of_bins(top: Top, needs: tuple[str, ...], name: str, reference: str) -> Metric:
    """A metric of the 15 equal-width bins of a top label; as it is, the expected calibration error."""
    return Metric(
        name=name,
        needs=needs,
        terms=lambda columns: top_bins(*top(columns)),
        total=lambda columns: bin_totals(*top(columns)),
        finish=expected_gap,
        unit="",
        higher_is_better=False,
        bounds=(0.0, 1.0),
        width=3 * BINS,
        reference=reference,
    )


_ECE = "sum_b n_b/N |acc_b - conf_b| (Naeini 2015, Guo 2017); netcal agrees; biased upward in small samples"


def ece(column: str = "probs", name: str = f"ece_{BINS}") -> Metric:
    """Expected calibration error of the top label, 15 bins of equal width."""
    return of_bins(top_label(column), (column, "label"), name, _ECE)


ECE_15 = ece()
TOKEN_ECE_15 = Metric(
    name="ece_15",
    needs=("token_bins", "n_tokens"),
    terms=lambda columns: np.stack(list(columns["token_bins"])).astype(np.float64),
    finish=expected_gap,
    unit="",
    higher_is_better=False,
    bounds=(0.0, 1.0),
    observed="n_tokens",
    width=3 * BINS,
    reference="of next tokens: the likeliest token's probability against how often it is the true one; bins as ece_15",
)
