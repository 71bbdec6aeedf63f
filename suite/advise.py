"""Advice: which submissions meet the constraints and are not beaten by another that does, and how sure that is."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suite.errors import InputError
from suite.latencies import Latencies
from suite.pareto import on_front
from suite.standing import Place, Standing
from suite.text import amount

_SIZES = {"b": 1.0, "kb": 1e3, "mb": 1e6, "gb": 1e9, "tb": 1e12, "kib": 2.0**10, "mib": 2.0**20, "gib": 2.0**30}
_TIMES = {"us": 1e-6, "ms": 1e-3, "s": 1.0}
_AMOUNT = re.compile(r"\s*([0-9]*\.?[0-9]+(?:e[+-]?[0-9]+)?)\s*([a-z]*)\s*", re.IGNORECASE)


@dataclass(frozen=True)
class Limits:
    """What a user can afford.

    Attributes:
        max_bytes: size on disk.
        max_latency_s: median seconds of one call (single stream).
        min_retention: least mean of value / parent's value; a model without a parent has 1.
    """

    max_bytes: float | None = None
    max_latency_s: float | None = None
    min_retention: float | None = None


@dataclass(frozen=True)
class Choice:
    """One submission that meets the limits and is not beaten.

    Attributes:
        submission: its name.
        values: task -> value of its primary metric.
        bytes: size on disk.
        latency_s: median seconds of one call; None where none was measured.
        retention: share of the parent's quality that is left.
        sure: share of the resamples in which it meets the quality limit and no other one beats it.
    """

    submission: str
    values: Mapping[str, float]
    bytes: float | None
    latency_s: float | None
    retention: float | None
    sure: float


@dataclass(frozen=True)
class Advice:
    """Choices, best quality first, and why each other one is none.

    Attributes:
        choices: best first.
        excluded: submission -> why.
        machine: where the latencies were measured.
        notes: what a reader must know.
    """

    choices: tuple[Choice, ...]
    excluded: Mapping[str, str]
    machine: str | None = None
    notes: tuple[str, ...] = ()


def quantity(text: str, units: Mapping[str, float], what: str) -> float:
    """A number with its unit in the base unit; a bare number is in the base unit.

    >>> quantity("2GB", _SIZES, "size"), quantity("50 ms", _TIMES, "time")
    (2000000000.0, 0.05)

    Raises:
        InputError: it is no such quantity.
    """
    found = _AMOUNT.fullmatch(text)
    unit = found[2].lower() if found else None
    if found is None or (unit and unit not in units):
        raise InputError(f"{text!r} is no {what}; give a number and one of {', '.join(units)}, such as 50{[*units][1]}")
    return float(found[1]) * units.get(unit or "", 1.0)


def size(text: str) -> float:
    """Bytes of ``2GB``, ``500 MiB``, ``1e6``."""
    return quantity(text, _SIZES, "size")


def seconds(text: str) -> float:
    """Seconds of ``50ms``, ``0.1 s``, ``0.1``."""
    return quantity(text, _TIMES, "time")


def advise(standing: Standing, timed: Latencies, limits: Limits) -> Advice:
    """Pick from the ranked submissions of one kind.

    Args:
        standing: with its resamples.
        timed: their latencies, of one machine.
        limits: what the user can afford.
    """
    excluded = dict(standing.excluded)
    left: list[int] = []
    for at, place in enumerate(standing.places):
        why = _beyond(place, timed, limits)
        if why:
            excluded[place.submission] = why
        else:
            left.append(at)
    places = [standing.places[at] for at in left]
    costs = [[_known(p.bytes), _known(timed.of.get(p.submission))] for p in places]
    notes = (*timed.notes, *_busy(places, timed))
    if not left:
        return Advice((), excluded, timed.machine, notes)
    kept = standing.resampled_retention[:, left]
    enough = (kept >= (limits.min_retention or -np.inf)) | np.isnan(kept)
    sure = _sure(costs, standing.resampled[:, left], enough)
    front = on_front(costs, standing.scores[left])
    choices = []
    for place, first, share in zip(places, front, sure, strict=True):
        if not first:
            excluded[place.submission] = "another that meets the limits is as small, as fast and as good, or better"
            continue
        seen = timed.of.get(place.submission)
        choices.append(Choice(place.submission, place.values, place.bytes, seen, place.retention, float(share)))
    return Advice(tuple(choices), excluded, timed.machine, notes)


def _busy(places: Sequence[Place], timed: Latencies) -> list[str]:
    """Those that stay in although a latency of theirs was passed over."""
    found = [(p.submission, timed.why.get(p.submission, "")) for p in places]
    return [f"{name} without latency: {why}" for name, why in found if why.startswith("timed ")]


def _beyond(place: Place, timed: Latencies, limits: Limits) -> str | None:
    """Which limit a submission does not meet, in words."""
    if limits.max_bytes is not None and (place.bytes is None or place.bytes > limits.max_bytes):
        if place.bytes is None:
            return "its size was not measured"
        return f"{amount(place.bytes, 'B')} on disk, more than {amount(limits.max_bytes, 'B')}"
    latency_s = timed.of.get(place.submission)
    if limits.max_latency_s is not None and (latency_s is None or latency_s > limits.max_latency_s):
        if latency_s is None:
            return timed.why.get(place.submission, "no latency measured")
        most = f"{limits.max_latency_s * 1e3:.4g} ms"
        return f"{latency_s * 1e3:.4g} ms a call on machine {timed.machine}, more than {most}"
    short = place.retention is not None and limits.min_retention is not None
    if short and place.retention < limits.min_retention:  # type: ignore[operator]
        return f"keeps {place.retention:.4g} of its parent's quality, less than {limits.min_retention:.4g}"
    return None


def _known(value: float | None) -> float:
    return np.inf if value is None else value


def _sure(costs: Sequence[Sequence[float]], quality_RM: NDArray[Any], enough_RM: NDArray[Any]) -> NDArray[Any]:
    """Share of the resamples in which each one keeps enough and none that does beats it."""
    points = np.asarray(costs, dtype=np.float64)
    no_worse_MM = np.asarray((points[:, None] <= points[None]).all(axis=2))  # [i, j]: i costs no more than j
    less_MM = no_worse_MM & np.asarray((points[:, None] < points[None]).any(axis=2))
    sure_RM = enough_RM.copy()
    for i in range(len(points)):
        rivals = np.flatnonzero(no_worse_MM[i])
        beats_RM = (quality_RM[:, [i]] > quality_RM[:, rivals]) | (
            (quality_RM[:, [i]] == quality_RM[:, rivals]) & less_MM[i, rivals]
        )
        sure_RM[:, rivals] &= ~(beats_RM & enough_RM[:, [i]])
    return np.asarray(sure_RM.mean(axis=0))
