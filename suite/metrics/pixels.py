"""Calibration of a segmentation's probabilities over cases, from the sums of `suite.masks.rows.reliability_row`.

Pooled over all voxels of all cases; ``ece_15_case`` is the mean of the cases' own ECE, where noise adds to each.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from suite.masks.calibration import SCOPES
from suite.metrics.base import Columns, Finish, Metric, Terms, ratio
from suite.metrics.calibration import BINS, expected_gap

Floats = NDArray[np.float64]


def pixel_calibration(scopes: Sequence[str] = SCOPES) -> list[Metric]:
    """NLL, Brier score and ECE of each scope: ``nll[scope=all]``, ``brier[scope=band]``, ``ece_15[scope=either]``."""
    return [metric for scope in scopes for metric in _of_scope(scope)]


def classwise(names: Sequence[str]) -> list[Metric]:
    """Class-wise ECE over all voxels: the mean over classes, the background counted, and one metric a class.

    Args:
        names: the classes without the background, class 1 first.
    """

    def gaps(sums: Floats) -> Floats:
        return expected_gap(sums.reshape(*sums.shape[:-1], len(names) + 1, 3 * BINS))

    def metric(name: str, finish: Finish, text: str) -> Metric:
        return Metric(
            name=name, needs=("bins_class",), terms=lambda columns: np.asarray(columns["bins_class"], np.float64),
            finish=finish, width=3 * BINS * (len(names) + 1), unit="", higher_is_better=False, bounds=(0.0, 1.0),
            undefined="no voxel", reference=f"{text}; 15 bins of equal width, all voxels of all cases (Kull 2019)",
        )  # fmt: skip

    def of(k: int) -> Finish:
        return lambda sums: gaps(sums)[..., k]

    mean = metric(f"classwise_ece_{BINS}", lambda sums: gaps(sums).mean(axis=-1), "mean of the ECE of each class")
    texts = "|share of the class - its mean probability|, each class against the rest"
    each = [metric(f"classwise_ece_{BINS}[class={name}]", of(k), texts) for k, name in enumerate(names, start=1)]
    return [mean, *each]


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
