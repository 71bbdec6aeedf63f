"""Calibration: does a stated confidence come true? Float64 bin sums, so any number of items and any order agree.

Shape suffixes: N items, K classes, B bins.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from suite.metrics.base import Columns, Metric, Terms

BINS = 15


def top_label_bins(column: str = "probs", bins: int = BINS) -> Terms:
    """Per item [N, 3 * B]: one-hot bin of the top probability times (1, correct, confidence).

    Bin b holds confidences in (b / B, (b + 1) / B], the first also 0, so that 1.0 falls into the last one
    (torchmetrics opens a further bin for it; see torchmetrics#3510).
    """

    def terms(columns: Columns) -> NDArray[np.float64]:
        probs_NK = np.asarray(columns[column], dtype=np.float64)
        confidence = probs_NK.max(axis=1)
        correct = probs_NK.argmax(axis=1) == columns["label"]
        which = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
        out = np.zeros((len(confidence), bins, 3))
        out[np.arange(len(confidence)), which] = np.stack([np.ones_like(confidence), correct, confidence], axis=1)
        return out.reshape(len(confidence), -1)

    return terms


def expected_gap(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """ECE from bin sums [..., 3 * B]: sum_b |hits_b - confidence_b| / n; NaN where n is 0."""
    binned = sums.reshape(*sums.shape[:-1], -1, 3)
    n: NDArray[np.float64] = binned[..., 0].sum(axis=-1)
    gap: NDArray[np.float64] = np.abs(binned[..., 1] - binned[..., 2]).sum(axis=-1)
    out: NDArray[np.float64] = np.full(np.shape(n), np.nan)
    return np.divide(gap, n, out=out, where=n > 0)


def ece(column: str = "probs", name: str = f"ece_{BINS}") -> Metric:
    """Expected calibration error of the top label, 15 bins of equal width."""
    return Metric(
        name=name,
        needs=(column, "label"),
        terms=top_label_bins(column),
        finish=expected_gap,
        unit="",
        higher_is_better=False,
        bounds=(0.0, 1.0),
        width=3 * BINS,
        reference="sum_b n_b/N |acc_b - conf_b| (Naeini 2015, Guo 2017); netcal agrees; biased upward in small samples",
    )


ECE_15 = ece()
