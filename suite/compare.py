"""Two records of one task -> paired differences, child minus parent, on the items that both have."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suite import outcomes, rows
from suite.errors import IncomparableError, Undefined
from suite.metrics.base import Columns, Metric
from suite.outcomes import CLUSTER, ITEM
from suite.paired import Difference, Estimate, paired_estimate, resampled
from suite.record import Record
from suite.stats import percentile_interval
from suite.store import Store, Stored
from suite.strata import Design, design
from suite.together import together

N_BYTES, N_TOKENS = "n_bytes", "n_tokens"
Metrics = Iterable[Metric] | Callable[[Columns], Iterable[Metric]]


@dataclass(frozen=True)
class Paired:
    """A record beside its parent's.

    Attributes:
        parent: the parent's record.
        differences: metric name -> child minus parent.
    """

    parent: Stored
    differences: dict[str, Difference]


def beside_parent(child: Stored, store: Store, metrics: Metrics) -> Paired | str:
    """The paired differences to the parent's newest comparable record, or why there are none.

    Args:
        child: the record.
        store: where its parent's are.
        metrics: what to compare, or, as `Task.scored`, what makes it of the child's outcomes (metrics by group).
    """
    name = child.record.manifest.parent
    if name is None:
        return "it has no parent"
    if child.record.parent_sha256 is not None:
        return "the task itself compares it with its parent"
    found = [s for s in store.scan(name, child.record.task) if incomparable(s.record, child.record) is None]
    if not found:
        newest = store.latest(name, child.record.task)
        why = (
            incomparable(newest.record, child.record)
            if newest
            else f"not scored: hallmark run {name} -t {child.record.task}"
        )
        return f"parent {name!r}: {why}"
    parent = max(found, key=lambda s: s.record.provenance.started)
    try:
        return Paired(parent, differences(parent, child, metrics))
    except IncomparableError as error:
        return f"parent {name!r}: {error}"


def incomparable(a: Record, b: Record) -> str | None:
    """Why two records of one task cannot be compared, None if they can."""
    checks = {
        "task version": (a.task_version, b.task_version),
        "protocol": (a.protocol, b.protocol),
        "data": (a.data_sha256, b.data_sha256),
        "limit": (a.limit, b.limit),
        "sampling seed": (a.seed if a.limit else 0, b.seed if b.limit else 0),
    }
    other = [f"{what} {old!r} against {new!r}" for what, (old, new) in checks.items() if old != new]
    return "another " + "; ".join(other) if other else None


def differences(parent: Stored, child: Stored, metrics: Metrics) -> dict[str, Difference]:
    """Child minus parent for every metric that both can be scored on.

    Where another tokenizer cuts one text into other items, only what is counted per byte is compared, by clusters
    (documents, sections), which both have.

    Raises:
        IncomparableError: they do not have the same items.
    """
    a, b = (outcomes.to_columns(stored.outcomes()) for stored in (parent, child))
    return {name: found.difference for name, found in estimates(a, b, metrics, child.record.seed).items()}


def estimates(a: Columns, b: Columns, metrics: Metrics, seed: int) -> dict[str, Estimate]:
    """`differences` of columns of outcomes, b minus a, each with its evidence.

    Raises:
        IncomparableError: they do not have the same items.
    """
    if outcomes.CALL_SECONDS in a or outcomes.CALL_SECONDS in b:
        raise IncomparableError("timings of two runs are not paired; the ratios are of calls that took turns")
    metrics = list(metrics(b) if callable(metrics) else metrics)
    needed = [name for metric in metrics for name in metric.needs]
    lacking = outcomes.lacking(needed, a) or outcomes.lacking(needed, b)
    if lacking:
        raise IncomparableError(f"its outcomes, or its parent's, have no column {lacking}; run both again")
    text = N_BYTES in a and N_BYTES in b
    same_items = np.array_equal(a[ITEM], b[ITEM])
    if not same_items and not text:
        raise IncomparableError("the two records do not have the same items")
    if not text or (same_items and all(np.array_equal(a[column], b[column]) for column in (N_BYTES, N_TOKENS))):
        return together(a, b, metrics, seed, _difference, _bootstrapped)
    return {metric.name: _of_other_tokens(metric, a, b, seed, same_items) for metric in metrics}


def on_same_items(a: Columns, b: Columns, metrics: Iterable[Metric], seed: int) -> dict[str, Difference]:
    """The second minus the first for every metric; both outcomes are of the same items in the same order."""
    found = together(a, b, metrics, seed, _difference, _bootstrapped)
    return {name: estimate.difference for name, estimate in found.items()}


def _bootstrapped(value: float, values_R: NDArray[np.float64], drawn: Design) -> Estimate:
    one = percentile_interval(value, values_R, drawn.size, drawn.method, (None, None))
    difference = Difference(value, one.low, one.high, one.method, drawn.n_items, drawn.n_clusters, one.reason)
    return Estimate(difference, resampled(value, values_R, drawn.size) if one.low is not None else None)


def _of_other_tokens(metric: Metric, a: Columns, b: Columns, seed: int, same_items: bool) -> Estimate:
    """The difference of a metric between models that cut the same text into other tokens."""
    if same_items and metric.observed is None:
        return _difference(metric, a, b, seed)
    names, both = np.unique(np.concatenate([a[CLUSTER], b[CLUSTER]]), return_inverse=True)
    if metric.observed != N_BYTES:
        why = "the two have different tokenizers: compared per byte or per item, never per token"
        return Estimate(Difference(None, None, None, "none", len(b[ITEM]), len(names), why))
    sums = []
    for columns, where in ((a, both[: len(a[CLUSTER])]), (b, both[len(a[CLUSTER]) :])):
        terms_NK = metric.terms(columns)
        sums_GK = np.zeros((len(names), terms_NK.shape[1]))
        np.add.at(sums_GK, where, terms_NK)
        sums.append(sums_GK)
    return paired_estimate(sums[0], sums[1], metric.finish, np.arange(len(names)), seed=seed)


def _difference(metric: Metric, a: Columns, b: Columns, seed: int) -> Estimate:
    a, b = metric.rows(a), metric.rows(b)
    if metric.observed is not None and not (a[metric.observed] == b[metric.observed]).all():
        why = f"the two do not count the same {metric.observed}"
        return Estimate(Difference(None, None, None, "none", len(b[ITEM]), len(set(b[CLUSTER].tolist())), why))
    clusters = np.unique(b[CLUSTER], return_inverse=True)[1]
    try:
        metric(a), metric(b)
    except Undefined as why:
        return Estimate(Difference(None, None, None, "none", len(clusters), len(set(clusters.tolist())), str(why)))
    if metric.whole is not None or metric.no_interval is not None:
        return _difference_of_rows(metric, a, b, clusters, seed)
    return paired_estimate(
        metric.terms(a), metric.terms(b), metric.finish, clusters, seed=seed, proportion=metric.proportion
    )


def _difference_of_rows(metric: Metric, a: Columns, b: Columns, clusters: NDArray[Any], seed: int) -> Estimate:
    """The difference of a metric that is no function of sums: both sides share the rows of every resample."""
    value, drawn = metric.of_columns(b) - metric.of_columns(a), design(metric, b, clusters)
    n, n_clusters = drawn.n_items, drawn.n_clusters
    if metric.no_interval is not None:
        return Estimate(Difference(value, None, None, "none", n, n_clusters, metric.no_interval))
    if n_clusters < 2:  # noqa: PLR2004
        return Estimate(Difference(value, None, None, drawn.method, n, n_clusters, "one cluster: no interval"))
    before_R, after_R = (rows.resampled(metric, columns, clusters, seed) for columns in (a, b))
    return _bootstrapped(value, after_R - before_R, drawn)
