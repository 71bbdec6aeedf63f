"""Derived figures of a segmentation record: scores that weigh quality against cost, made from stored measurements.

They are shown, never stored: whoever has the records can compute them again.

    u_score       U-Score of U-Bench, unchanged (`suite.masks.uscore`), on the data sets whose percentiles it froze: IoU
                  (mean over cases and classes), parameters in their original shapes and MACs at 256 x 256 from this
                  record; frames per second, 1 / median latency of one image, from the speed record of these weights
                  (and its MACs, where this record has none)
    u_score_bits  the same with stored bits / 32 in the place of the parameters
    bits_score    100 / (0.5 / A + 0.5 / E)
                  A = clip((Dice / parent's Dice - 0.9) / 0.1, 0, 1)     a tenth of the quality lost is all of it
                  E = clip(log2(parent's bits / bits) / 5, 0, 1)         five halvings: one bit for each of float32's 32
                  each at least 0.05, as in U-Score; bits are 8 times the bytes on disk, never a nominal width

The harmonic mean lets neither make up for the other: 5..100, higher is better. The parent itself has no bits score.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from suite.errors import InputError
from suite.masks.uscore import FLOOR, IOU_PERCENTILES, SIDE, u_score, u_score_bits
from suite.record import Measurement, Record

EFFICIENCY = "efficiency-segmentation"  # the task whose record says how fast it is
LATENCY = "latency_p50_s[scenario=batch-1]"
WORK = "macs[scenario=batch-1]"
LEAST_RETENTION = 0.9
HALVINGS = 5
_BITS_PER_BYTE = 8


@dataclass(frozen=True)
class _Cost:
    """What U-Score is made of, but for the percentiles."""

    iou: float
    parameters_m: float
    gmacs: float
    fps: float
    stored_bits: float
    device: str

    @property
    def words(self) -> str:
        size = f"{self.parameters_m:.4g} M parameters, {self.gmacs:.4g} G MACs at {SIDE} x {SIDE}"
        return f"IoU {self.iou:.4g}, {size}, {self.fps:.4g} images/s on this {self.device}"


def derived(record: Record, parent: Record | None, ubench: str | None, speed: Record | None) -> list[Measurement]:
    """U-Score, U-Score by bits and bits score of a segmentation record; null with the reason where undefined.

    Args:
        record: of a submission.
        parent: its parent's record of the same task; ``None`` without a comparable one.
        ubench: name of the task's data set in U-Bench; ``None`` if it has none.
        speed: the record of `EFFICIENCY` of the same weights; ``None`` without one.
    """
    return [*_u_scores(record, ubench, speed), _bits_score(record, parent)]


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
    return _score("bits_score", bits_score(dice / parents_dice, parents_size / size))


def _values(record: Record) -> tuple[float | None, float | None]:
    return _value(record, "dice"), _value(record, "bytes")


def _u_scores(record: Record, ubench: str | None, speed: Record | None) -> list[Measurement]:
    names = ("u_score", "u_score_bits")
    if ubench not in IOU_PERCENTILES:
        known = f"the {len(IOU_PERCENTILES)} data sets of U-Bench that have percentiles"
        return [_null(name, f"defined only on {known}; the description of one names it, as ubench") for name in names]
    missing = [why for why in (*_missing(record, speed), _wrong_size(record), _no_speed(record, speed)) if why]
    if missing or speed is None:
        return [_null(name, "; ".join(missing)) for name in names]
    cost, bounds = _cost(record, speed), IOU_PERCENTILES[ubench]
    rest = (cost.gmacs, cost.fps, bounds)
    plain, bits = u_score(cost.iou, cost.parameters_m, *rest), u_score_bits(cost.iou, cost.stored_bits, *rest)
    how = f"U-Bench's constants of {ubench}; {cost.words}"
    return [_score("u_score", plain, how), _score("u_score_bits", bits, f"{how}; {cost.stored_bits:.4g} bits")]


def _cost(record: Record, speed: Record) -> _Cost:
    """What there is, as `_missing` and `_no_speed` have seen."""
    parameters = _value(record, "unpacked_parameters") or _value(record, "parameters") or 0.0
    bits = _BITS_PER_BYTE * (_value(record, "bytes") or 0.0)
    iou, latency = _value(record, "iou") or 0.0, _value(speed, LATENCY) or 0.0
    return _Cost(iou, parameters / 1e6, _macs(record, speed) / 1e9, 1 / latency, bits, speed.machine.device)


def _macs(record: Record, speed: Record | None) -> float:
    """Multiply-accumulates of one image; 0 where neither record tells."""
    return _value(record, "macs") or (_value(speed, WORK) if speed else None) or 0.0


def _missing(record: Record, speed: Record | None) -> Sequence[str]:
    """What of the record's own numbers is not there, one reason each."""
    found = []
    for name in ("iou", "parameters", "bytes", "macs"):
        if name == "macs" and _macs(record, speed):
            continue
        m = record.measurement(name)
        if m is None:
            found.append(f"the record has no {name}: run it again")
        elif m.value is None or (not m.value and name != "iou"):
            found.append(f"{name} has no value: {m.reason or 'it is 0'}")
    return found


def _wrong_size(record: Record) -> str | None:
    """Why its MACs are not those of U-Bench's images."""
    inputs = record.manifest.inputs
    stated = inputs.shape[1:] if inputs.shape else inputs.patch
    if stated is None:
        return f"its manifest does not say that it takes {SIDE} x {SIDE} pixels: inputs.shape = [C, {SIDE}, {SIDE}]"
    if tuple(size for size in stated if size != 1) != (SIDE, SIDE):
        return (
            f"MACs are counted at {SIDE} x {SIDE} pixels there, those of this record at {' x '.join(map(str, stated))}"
        )
    return None


def _no_speed(record: Record, speed: Record | None) -> str | None:
    """Why there are no frames per second."""
    again = f"hallmark run {record.manifest.name} -t {EFFICIENCY}"
    if speed is None:
        return f"no record of {EFFICIENCY} of these weights: {again}"
    if speed.contended:
        return f"its record of {EFFICIENCY} is CONTENDED; on an idle machine: {again} --again"
    return None if _value(speed, LATENCY) else f"its record of {EFFICIENCY} has no {LATENCY}: {again} --again"


def _value(record: Record, name: str) -> float | None:
    m = record.measurement(name)
    return m.value if m else None


def _score(name: str, value: float, how: str | None = None) -> Measurement:
    return Measurement(name=name, value=value, unit="", higher_is_better=True, n=1, method=how)


def _null(name: str, reason: str) -> Measurement:
    return Measurement(name=name, value=None, unit="", higher_is_better=True, n=0, reason=reason)
