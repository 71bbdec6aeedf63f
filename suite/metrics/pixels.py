"""Calibration of a segmentation's probabilities over cases, from the sums of `suite.masks.rows.reliability_row`.

Pooled over all voxels of all cases; ``ece_15_case`` is the mean of the cases' own ECE, where noise adds to each.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from suite.masks.calibration import SCOPES
from suite.metrics.base import Columns, Metric, Terms, ratio
from suite.metrics.calibration import BINS, expected_gap

Floats = NDArray[np.float64]


def pixel_calibration(scopes: Sequence[str] = SCOPES) -> list[Metric]:
    """NLL, Brier score and ECE of each scope: ``nll[scope=all]``, ``brier[scope=band]``, ``ece_15[scope=either]``."""
    return [metric for scope in scopes for metric in _of_scope(scope)]


def _of_scope(scope: str) -> list[Metric]:
    voxels, bins = f"voxels_{scope}", f"bins_{scope}"

    def mean(column: str) -> Terms:
        return lambda columns: np.stack([columns[column], columns[voxels]], axis=1).astype(np.float64)

    def per_case(columns: Columns) -> Floats:
        gaps = expected_gap(np.asarray(columns[bins], dtype=np.float64))
        known = ~np.isnan(gaps)
        return np.stack([np.where(known, gaps, 0.0), known], axis=1).astype(np.float64)

    def metric(name: str, needs: tuple[str, ...], terms: Terms, high: float | None, text: str) -> Metric:
        return Metric(
            name=f"{name}[scope={scope}]", needs=needs, terms=terms, finish=ratio, unit="", higher_is_better=False,
            bounds=(0.0, high), undefined=f"no voxel in the scope {scope}", reference=text,
        )  # fmt: skip

    pooled = Metric(
        name=f"ece_{BINS}[scope={scope}]", needs=(bins,), finish=expected_gap, width=3 * BINS,
        terms=lambda columns: np.asarray(columns[bins], dtype=np.float64), unit="", higher_is_better=False,
        bounds=(0.0, 1.0), undefined=f"no voxel in the scope {scope}",
        reference="top label, 15 bins of equal width, all voxels of all cases, float64",
    )  # fmt: skip
    return [
        metric("nll", (f"nll_{scope}", voxels), mean(f"nll_{scope}"), None, "-ln p of the true class, nats per voxel"),
        metric("brier", (f"brier_{scope}", voxels), mean(f"brier_{scope}"), 2.0, "sum over classes of (p - 1[y])^2"),
        pooled,
        metric(f"ece_{BINS}_case", (bins,), per_case, 1.0, "ECE of each case, mean over cases"),
    ]
