"""Columns of outcomes and series of readings -> measurements. The one place where numbers of a record are made.

`run` calls it on fresh outcomes and `verify` on stored ones: the same code, so a stored number can be recomputed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suite import stats
from suite.errors import Undefined
from suite.metrics.base import Columns, Metric
from suite.outcomes import CLUSTER
from suite.probes import PROBES
from suite.probes.base import Probe, Reading, Series
from suite.record import Measurement


def scores(metrics: Iterable[Metric], columns: Columns, seed: int) -> list[Measurement]:
    """Every metric on these outcomes, with its interval; an undefined one is null with its reason."""
    return [_score(metric, metric.rows(columns), seed) for metric in metrics]


def _score(metric: Metric, columns: Columns, seed: int) -> Measurement:
    clusters: NDArray[Any] = np.unique(columns[CLUSTER], return_inverse=True)[1]
    facts: dict[str, Any] = {
        "name": metric.name,
        "unit": metric.unit,
        "higher_is_better": metric.higher_is_better,
        "n": metric.observations(columns),
        "n_clusters": int(clusters.max()) + 1 if len(clusters) else 0,
    }
    try:
        value = metric(columns)
    except Undefined as why:
        return Measurement(**facts, value=None, reason=str(why))
    interval = _interval(metric, columns, clusters, seed)
    method = None if interval.low is None else interval.method
    if method == "bootstrap" and facts["n"] > len(clusters):  # items themselves are clusters of observations
        method = "bootstrap-cluster"
    return Measurement(
        **facts, value=value, low=interval.low, high=interval.high, method=method, reason=interval.reason
    )


def _interval(metric: Metric, columns: Columns, clusters: NDArray[Any], seed: int) -> stats.Interval:
    if metric.no_interval is not None:
        return stats.Interval(None, None, "none", metric.no_interval)
    if metric.whole is not None:
        value_of = partial(metric.of_rows, columns)
        return stats.interval_rows(value_of, len(clusters), clusters, seed=seed, bounds=metric.bounds)
    return stats.interval(
        metric.terms(columns),
        metric.finish,
        clusters,
        seed=seed,
        bounds=metric.bounds,
        proportion=metric.proportion,
    )


def readings(series: Series, reasons: Mapping[str, str]) -> list[Measurement]:
    """Every probe's numbers; null with the probe's reason where its series are missing.

    Args:
        series: raw samples by name.
        reasons: probe name -> why it could not read.
    """
    return [
        _reading(reading, series, reasons.get(name)) for name, make in PROBES.items() for reading in _readings_of(make)
    ]


def reading_named(name: str) -> Reading | None:
    """The reading that makes the measurement of that name, if one does."""
    return next((r for make in PROBES.values() for r in _readings_of(make) if r.name == name), None)


def _readings_of(make: Any) -> tuple[Reading, ...]:
    probe: type[Probe] = make
    return probe.readings


def _reading(reading: Reading, series: Series, why: str | None) -> Measurement:
    facts: dict[str, Any] = {"name": reading.name, "unit": reading.unit, "higher_is_better": reading.higher_is_better}
    samples: Sequence[float] = series.get(reading.series[0], ())
    missing = [name for name in reading.series if not len(series.get(name, ()))]
    if why or missing:
        return Measurement(**facts, value=None, n=0, reason=why or f"nothing was read for {', '.join(missing)}")
    return Measurement(**facts, value=float(reading.reduce(series)), n=len(samples))
