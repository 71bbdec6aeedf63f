"""Lesions over cases: BraTS' lesion-wise scores and FROC, from the columns of `suite.masks.object_rows`.

Shape suffixes: N cases, T thresholds, B resamples.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from suite.masks.froc import RATES
from suite.masks.lesions import PENALTY_MM
from suite.masks.overlap import divided
from suite.metrics.base import Columns, Metric, ratio

Floats = NDArray[np.float64]
THRESHOLDS = np.append(1 / (1 + np.exp(-np.linspace(17, -8, 201))), 0.0)  # of probabilities, even in log-odds


def brats() -> list[Metric]:
    """Lesion-wise Dice and HD95 of BraTS 2023: mean over the cases with a lesion on either side."""
    rule = (
        "lesions merged by a dilation, any overlap; a false positive counts as a lesion; mean over cases (BraTS 2023)"
    )
    return [
        _lesionwise("lesionwise_dice_brats", "lesions_dice", 0.0, f"sum of Dice / (lesions + false positives); {rule}"),
        _lesionwise(
            "lesionwise_hd95_brats",
            "lesions_hd95",
            PENALTY_MM,
            f"surfels; missed lesions and false positives are charged 374 mm; {rule}",
        ),
    ]


def _lesionwise(name: str, column: str, penalty: float, reference: str) -> Metric:
    def terms(columns: Columns) -> Floats:
        false = np.asarray(columns["lesions_fp"], dtype=np.float64)
        n = columns["lesions_n"] + false
        value = np.divide(columns[column] + penalty * false, n, out=np.zeros(len(n)), where=n > 0)
        return np.stack([value, (n > 0).astype(np.float64)], axis=1)

    better = not penalty
    return Metric(
        name=name, needs=(column, "lesions_n", "lesions_fp"), terms=terms, finish=ratio,
        unit="" if better else "mm", higher_is_better=better, bounds=(0.0, 1.0 if better else None),
        undefined="no case has a lesion on either side", reference=reference,
    )  # fmt: skip


def free_response(percent: int) -> list[Metric]:
    """CPM, and the sensitivity at each of its seven rates of false positives per scan.

    Args:
        percent: a candidate finds a lesion above this IoU, one to one; the columns were made with it.
    """
    rule = (
        f"candidates are components of the predicted class, scored by its largest probability; IoU above "
        f"{percent / 100:g}, one to one; 202 thresholds, even in log-odds, linear between them (LUNA16)"
    )
    rates: list[tuple[str, tuple[float, ...], str]] = [
        (f"cpm_iou{percent}", RATES, f"mean sensitivity at 1/8, 1/4, 1/2, 1, 2, 4, 8 false positives per scan; {rule}")
    ]
    rates += [
        (f"froc_sensitivity_iou{percent}[fp={rate:g}]", (rate,), f"at {rate:g} false positives per scan; {rule}")
        for rate in RATES
    ]
    return [_at(name, which, text) for name, which, text in rates]


def _at(name: str, rates: tuple[float, ...], reference: str) -> Metric:
    return Metric(
        name=name, needs=("found_score", "false_score", "n_lesions"), terms=_terms,
        finish=_finish(rates), unit="", higher_is_better=True, bounds=(0.0, 1.0),
        undefined="no case has a lesion", width=2 * len(THRESHOLDS) + 2, reference=reference,
    )  # fmt: skip


def _terms(columns: Columns) -> Floats:
    """How many of a case's scores reach each threshold: found lesions, false candidates; its lesions; 1."""
    counts = [
        np.stack([_reached(np.asarray(one, dtype=np.float64).ravel()) for one in columns[name]])
        for name in ("found_score", "false_score")
    ]
    n = np.asarray(columns["n_lesions"], dtype=np.float64)[:, None]
    return np.concatenate([*counts, n, np.ones_like(n)], axis=1)


def _reached(scores: Floats) -> Floats:
    return (len(scores) - np.searchsorted(np.sort(scores), THRESHOLDS, side="left")).astype(np.float64)


def _finish(rates: tuple[float, ...]) -> Callable[[Floats], Floats]:
    """Sensitivity at the rates, as `numpy.interp` has it, for all resamples at once."""

    def finished(sums: Floats) -> Floats:
        flat_BK = sums.reshape(-1, sums.shape[-1])
        size = (flat_BK.shape[1] - 2) // 2
        start_B1 = np.zeros((len(flat_BK), 1))
        found = np.concatenate([start_B1, divided(flat_BK[:, :size], flat_BK[:, -2:-1])], axis=1)
        false = np.concatenate([start_B1, divided(flat_BK[:, size:-2], flat_BK[:, -1:])], axis=1)
        values = np.mean([_interpolated(rate, false, found) for rate in rates], axis=0)
        known = (flat_BK[:, -2:] > 0).all(axis=1)
        return np.where(known, values, np.nan).reshape(sums.shape[:-1])

    return finished


def _interpolated(rate: float, x_BT: Floats, y_BT: Floats) -> Floats:
    """Y at x = rate in every row; x ascends from 0, and beyond its end y stays."""
    each, last = np.arange(len(x_BT)), x_BT.shape[1] - 1
    below = (x_BT <= rate).sum(axis=1) - 1
    above = np.minimum(below + 1, last)
    width = x_BT[each, above] - x_BT[each, below]
    share = np.divide(rate - x_BT[each, below], width, out=np.zeros(len(x_BT)), where=width > 0)
    return np.asarray(y_BT[each, below] + share * (y_BT[each, above] - y_BT[each, below]))
