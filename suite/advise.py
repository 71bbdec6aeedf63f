"""Advice: which submissions meet the constraints and are not beaten by another that does, and how sure that is."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suite.errors import InputError
from suite.pareto import on_front
from suite.standing import Place, Standing
from suite.store import Store, Stored

BYTES, LATENCY = "bytes", "latency_p50_s"
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
        machine: only latencies measured on the machine whose id begins so.
    """

    max_bytes: float | None = None
    max_latency_s: float | None = None
    min_retention: float | None = None
    machine: str | None = None


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
    """Choices, best quality first, and why each other one is none."""

    choices: tuple[Choice, ...]
    excluded: Mapping[str, str]


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


def advise(standing: Standing, store: Store, limits: Limits) -> Advice:
    """Pick from the ranked submissions of one kind.

    Args:
        standing: with its resamples.
        store: where their latencies stand.
        limits: what the user can afford.
    """
    excluded = dict(standing.excluded)
    latencies = {place.submission: latency(store, place.submission, limits.machine) for place in standing.places}
    left: list[int] = []
    for at, place in enumerate(standing.places):
        why = _beyond(place, latencies[place.submission], limits)
        if why:
            excluded[place.submission] = why
        else:
            left.append(at)
    places = [standing.places[at] for at in left]
    costs = [[p.bytes if p.bytes is not None else np.inf, _known(latencies[p.submission])] for p in places]
    if not left:
        return Advice((), excluded)
    kept = standing.resampled_retention[:, left]
    enough = (kept >= (limits.min_retention or -np.inf)) | np.isnan(kept)
    sure = _sure(costs, standing.resampled[:, left], enough)
    front = on_front(costs, standing.scores[left])
    choices = []
    for place, first, share in zip(places, front, sure, strict=True):
        if not first:
            excluded[place.submission] = "another that meets the limits is as small, as fast and as good, or better"
            continue
        seen = latencies[place.submission]
        choices.append(Choice(place.submission, place.values, place.bytes, seen, place.retention, float(share)))
    return Advice(tuple(choices), excluded)


def latency(store: Store, submission: str, machine: str | None) -> float | None:
    """The newest median latency of a submission on a machine, None where none was measured or it was contended."""
    found: Stored | None = None
    for stored in store.scan(submission):
        measured = stored.record.measurement(LATENCY)
        here = machine is None or stored.record.machine.id.startswith(machine)
        newer = found is None or stored.record.provenance.started > found.record.provenance.started
        if measured is not None and measured.value is not None and here and newer:
            found = stored
    measured = found.record.measurement(LATENCY) if found else None
    return measured.value if measured else None


def _beyond(place: Place, latency_s: float | None, limits: Limits) -> str | None:
    """Which limit a submission does not meet, in words."""
    if limits.max_bytes is not None and (place.bytes is None or place.bytes > limits.max_bytes):
        return "its size was not measured" if place.bytes is None else f"{place.bytes:.0f} bytes"
    if limits.max_latency_s is not None and (latency_s is None or latency_s > limits.max_latency_s):
        where = f" on machine {limits.machine}" if limits.machine else ""
        run = f"hallmark run {place.submission} --suite efficiency"
        return f"no latency measured{where}: {run}" if latency_s is None else f"{latency_s * 1e3:.4g} ms a call{where}"
    short = place.retention is not None and limits.min_retention is not None
    if short and place.retention < limits.min_retention:  # type: ignore[operator]
        return f"keeps {place.retention:.4g} of its parent's quality"
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
