"""Derived figures of a segmentation record: scores that weigh quality against cost, made from stored measurements.

They are shown, never stored: whoever has the records can compute them again.

    u_score     U-Score of U-Bench, unchanged (`suite.masks.uscore`); only on data sets whose percentiles it froze
    bits_score  100 / (0.5 / A + 0.5 / E)
                A = clip((Dice / parent's Dice - 0.9) / 0.1, 0, 1)     a tenth of the quality lost is all of it
                E = clip(log2(parent's bits / bits) / 5, 0, 1)         five halvings: one bit for each of float32's 32
                each at least 0.05, as in U-Score; bits are 8 times the bytes on disk, never a nominal width

The harmonic mean lets neither make up for the other: 5..100, higher is better, and the parent itself has none.
"""

from __future__ import annotations

import math

from suite.errors import InputError
from suite.masks.uscore import FLOOR, IOU_PERCENTILES
from suite.record import Measurement, Record

LEAST_RETENTION = 0.9
HALVINGS = 5


def derived(record: Record, parent: Record | None, dataset: str) -> list[Measurement]:
    """U-Score and bits score of a segmentation record; null with the reason where they are undefined.

    Args:
        record: of a submission.
        parent: its parent's record of the same task; ``None`` without a comparable one.
        dataset: name of the task's data set.
    """
    return [_u_score(dataset), _bits_score(record, parent)]


def bits_score(retention: float, size_ratio: float) -> float:
    """The bits score.

    Args:
        retention: Dice over the parent's Dice.
        size_ratio: the parent's bits over the submission's.

    Raises:
        InputError: a number is negative, or no number.

    >>> round(bits_score(1.0, 4.0), 1), bits_score(1.0, 32.0), round(bits_score(0.8, 1.0), 1)
    (57.1, 100.0, 5.0)
    """
    if not (math.isfinite(retention) and math.isfinite(size_ratio)) or retention < 0 or size_ratio <= 0:
        raise InputError(f"retention {retention} and size ratio {size_ratio} must be positive numbers")
    quality = (retention - LEAST_RETENTION) / (1 - LEAST_RETENTION)
    parts = [min(max(part, FLOOR), 1.0) for part in (quality, math.log2(size_ratio) / HALVINGS)]
    return 100 / sum(0.5 / part for part in parts)


def _bits_score(record: Record, parent: Record | None) -> Measurement:
    if parent is None:
        return _null("bits_score", "needs a record of its parent on this task")
    (dice, size), (parents_dice, parents_size) = _values(record), _values(parent)
    if not (size and parents_dice and parents_size) or dice is None:
        return _null("bits_score", "needs dice and bytes of it and of its parent, none of them 0")
    value = bits_score(dice / parents_dice, parents_size / size)
    return Measurement(name="bits_score", value=value, unit="", higher_is_better=True, n=1)


def _values(record: Record) -> tuple[float | None, float | None]:
    dice, size = (record.measurement(name) for name in ("dice", "bytes"))
    return dice.value if dice else None, size.value if size else None


def _u_score(dataset: str) -> Measurement:
    if dataset not in IOU_PERCENTILES:
        known = ", ".join(IOU_PERCENTILES)
        return _null("u_score", f"defined on its own data sets only; percentiles are known of {known}")
    return _null("u_score", "needs GFLOPs and frames per second on the authors' device; see suite.masks.uscore")


def _null(name: str, reason: str) -> Measurement:
    return Measurement(name=name, value=None, unit="", higher_is_better=True, n=0, reason=reason)
