"""Columns of outcomes and series of readings -> measurements. The one place where numbers of a record are made.

`run` calls it on fresh outcomes and `verify` on stored ones: the same code, so a stored number can be recomputed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from suite.errors import Undefined
from suite.intervals import Intervals, numbered
from suite.metrics.base import Columns, Metric
from suite.metrics.codes import with_numbers
from suite.outcomes import CLUSTER
from suite.probes import PROBES
from suite.probes.base import Probe, Reading, Series
from suite.record import Measurement


def scores(metrics: Iterable[Metric], columns: Columns, seed: int) -> list[Measurement]:
    """Every metric on these outcomes, with its interval; an undefined one is null with its reason."""
    intervals = Intervals(seed)
    columns = with_numbers({**columns, CLUSTER: numbered(columns)})  # numbers are faster than text, in the same order
    drafts = [_draft(metric, columns, intervals) for metric in metrics]
    intervals.settle()
    return [draft() for draft in drafts]


def _draft(metric: Metric, columns: Columns, intervals: Intervals) -> Callable[[], Measurement]:
    """The measurement but for its interval."""
    mine = metric.rows(columns)
    n_items, n_clusters = len(mine[CLUSTER]), int(numbered(mine).max(initial=-1)) + 1
    facts: dict[str, Any] = {
        "name": metric.name,
        "unit": metric.unit,
        "higher_is_better": metric.higher_is_better,
        "n": metric.observations(mine),
        "n_clusters": n_clusters,
    }
    try:
        value = metric(mine)
    except Undefined as why:
        reason = str(why)
        return lambda: Measurement(**facts, value=None, reason=reason)
    found = intervals.interval(metric, columns)
    observed = facts["n"] > n_items  # items themselves are clusters of observations

    def measurement() -> Measurement:
        interval = found()
        method = None if interval.low is None else interval.method
        if method == "bootstrap" and observed:
            method = "bootstrap-cluster"
        return Measurement(
            **facts, value=value, low=interval.low, high=interval.high, method=method, reason=interval.reason
        )

    return measurement


def readings(series: Series, reasons: Mapping[str, str]) -> list[Measurement]:
    """Every probe's numbers; null with the probe's reason where its series are missing.

    Args:
        series: raw samples by name.
        reasons: probe name -> why it could not read; or name of a series -> why it is missing.
    """
    return [_reading(reading, series, reasons, name) for name, make in PROBES.items() for reading in _readings_of(make)]


def reading_named(name: str) -> Reading | None:
    """The reading that makes the measurement of that name, if one does."""
    return next((r for make in PROBES.values() for r in _readings_of(make) if r.name == name), None)


def _readings_of(make: Any) -> tuple[Reading, ...]:
    probe: type[Probe] = make
    return probe.readings


def _reading(reading: Reading, series: Series, reasons: Mapping[str, str], probe: str) -> Measurement:
    facts: dict[str, Any] = {"name": reading.name, "unit": reading.unit, "higher_is_better": reading.higher_is_better}
    samples: Sequence[float] = series.get(reading.series[0], ())
    missing = [name for name in reading.series if not len(series.get(name, ()))]
    why = reasons.get(probe) or next((reasons[name] for name in missing if name in reasons), None)
    if why or missing:
        return Measurement(**facts, value=None, n=0, reason=why or f"nothing was read for {', '.join(missing)}")
    return Measurement(**facts, value=float(reading.reduce(series)), n=len(samples))
