"""Two records of one task -> paired differences, child minus parent, on the items that both have."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from suite import outcomes
from suite.errors import IncomparableError, Undefined
from suite.metrics.base import Columns, Metric
from suite.outcomes import CLUSTER, ITEM
from suite.paired import Difference, paired_difference
from suite.record import Record
from suite.store import Store, Stored


@dataclass(frozen=True)
class Paired:
    """A record beside its parent's.

    Attributes:
        parent: the parent's record.
        differences: metric name -> child minus parent.
    """

    parent: Stored
    differences: dict[str, Difference]


def beside_parent(child: Stored, store: Store, metrics: Iterable[Metric]) -> Paired | str:
    """The paired differences to the parent's newest comparable record, or why there are none."""
    name = child.record.manifest.parent
    if name is None:
        return "it has no parent"
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


def differences(parent: Stored, child: Stored, metrics: Iterable[Metric]) -> dict[str, Difference]:
    """Child minus parent for every metric that both can be scored on.

    Raises:
        IncomparableError: they do not have the same items.
    """
    a, b = (outcomes.to_columns(stored.outcomes()) for stored in (parent, child))
    if len(a[ITEM]) != len(b[ITEM]) or not (a[ITEM] == b[ITEM]).all():
        raise IncomparableError("the two records do not have the same items (another tokenizer cuts other windows)")
    return {metric.name: _difference(metric, a, b, child.record.seed) for metric in metrics}


def _difference(metric: Metric, a: Columns, b: Columns, seed: int) -> Difference:
    a, b = metric.rows(a), metric.rows(b)
    if metric.observed is not None and not (a[metric.observed] == b[metric.observed]).all():
        why = f"the two do not count the same {metric.observed} (another tokenizer): compare per byte or per item"
        return Difference(None, None, None, "none", len(b[ITEM]), len(set(b[CLUSTER].tolist())), why)
    clusters = np.unique(b[CLUSTER], return_inverse=True)[1]
    try:
        metric(a), metric(b)
    except Undefined as why:
        return Difference(None, None, None, "none", len(clusters), len(set(clusters.tolist())), str(why))
    return paired_difference(
        metric.terms(a), metric.terms(b), metric.finish, clusters, seed=seed, proportion=metric.proportion
    )
