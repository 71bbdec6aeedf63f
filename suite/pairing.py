"""Pairing: two records of one task -> the estimate of every number that both have, paired where it can be.

Scores are paired item by item from the outcomes (`suite.compare.estimates`). Without outcomes on either side (imported
or pinned records) they are compared unpaired, from the two intervals, which needs several times the items. Readings
(bytes, seconds, memory) have no items: they are compared by value, or by their intervals where they have some.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from suite import compare, outcomes, timings
from suite.errors import HallmarkError, IncomparableError
from suite.evidence import Exact, Normal
from suite.metrics import harness
from suite.metrics.base import Columns, Metric
from suite.outcomes import CLUSTER, ITEM
from suite.paired import Difference, Estimate
from suite.record import Measurement, Record
from suite.stats import t_quantile
from suite.store import Stored
from suite.task import AnyTask

READINGS = ("bytes", "bits_per_weight", "items_per_s", "latency_p50_s", "latency_ratio", "peak_rss_bytes", "energy_j")
UNPAIRED = (
    "UNPAIRED: {who} no outcomes, so the two are compared by their intervals alone; a paired comparison needs "
    "several times fewer items"
)


@dataclass(frozen=True)
class Pair:
    """Two comparable records of one task.

    Attributes:
        parent: the one that is compared with.
        child: the one that is judged.
        task: their task; ``None`` where it is not known here, and then nothing can be paired.
    """

    parent: Stored
    child: Stored
    task: AnyTask | None
    _estimates: dict[str, Estimate] = field(default_factory=dict, repr=False)

    @cached_property
    def unpaired(self) -> str | None:
        """Why nothing is paired; None where it is."""
        if self.timed:
            return timings.BY_INTERVALS
        sides = {"the baseline": self.parent.record, "the candidate": self.child.record}
        without = [name for name, record in sides.items() if record.outcomes_sha256 is None or not self._has(name)]
        if without:
            return UNPAIRED.format(who=" and ".join(without) + (" keep" if len(without) > 1 else " keeps"))
        record = self.child.record
        if self.task is not None or self._sampled:
            return None
        if record.source == "imported":
            return f"UNPAIRED: no number of task {record.task!r} can be made of its imported samples again"
        return f"UNPAIRED: task {record.task!r}, version {record.task_version!r}, is not known here"

    @property
    def timed(self) -> bool:
        """Whether the task times models, so that its items are no questions to pair."""
        return self.task is not None and self.task.timed

    def _has(self, side: str) -> bool:
        """Whether the outcomes lie beside the record; a file of several records has none."""
        return (self.parent if side == "the baseline" else self.child).outcomes_path.exists()

    @cached_property
    def _read(self) -> tuple[Columns, Columns]:
        """Outcomes of parent and child as they lie there; read once."""
        first, second = (outcomes.to_columns(one.outcomes()) for one in (self.parent, self.child))
        return first, second

    @cached_property
    def columns(self) -> tuple[Columns, Columns]:
        """Outcomes of parent and child; each item is its own cluster where no clusters are kept."""
        a, b = self._read
        return _clustered(a), _clustered(b)

    @property
    def without_clusters(self) -> bool:
        """Whether the outcomes of either side name no clusters."""
        return any(CLUSTER not in one for one in self._read)

    @property
    def same_documents(self) -> bool:
        """Whether imported samples are of the same documents, as far as both say."""
        a, b = (dict(zip(one[ITEM].tolist(), one.get(harness.DOCUMENT, ()), strict=False)) for one in self.columns)
        return all(a[item] == b[item] for item in a.keys() & b.keys())

    @cached_property
    def same_answers(self) -> bool:
        """Whether every outcome is the same to the last bit, some real number among them: the models do the same."""
        a, b = (one.record.outcomes_sha256 for one in (self.parent, self.child))
        return a is not None and a == b and any(_real(values) for values in self.columns[1].values())

    @cached_property
    def metrics(self) -> Mapping[str, Metric]:
        """Every metric of the task, those by group among them."""
        if self.task is None:
            return self._sampled
        scored = getattr(self.task, "scored", None)
        return {m.name: m for m in (self.task.metrics if scored is None or self.unpaired else scored(self.columns[1]))}

    @cached_property
    def _sampled(self) -> Mapping[str, Metric]:
        """Of imported records with items: the numbers that can be made of them again on both sides."""
        records = (self.parent.record, self.child.record)
        if any(record.source != "imported" or record.outcomes_sha256 is None for record in records):
            return {}
        if not (self._has("the baseline") and self._has("the candidate")):
            return {}
        both = []
        for record, columns in zip(records, self.columns, strict=True):
            reported = {m.name: (m.value, m.higher_is_better) for m in record.measurements if m.value is not None}
            both.append(harness.of_samples(columns, reported))
        a, b = both
        return {name: replace(m, proportion=m.proportion and a[name].proportion) for name, m in b.items() if name in a}

    def is_score(self, name: str) -> bool:
        """Whether a measurement is a score of the items, not a reading; of a task unknown here, by its looks."""
        m = self.child.record.measurement(name)
        if self.task is not None or m is None:
            return name in self.metrics
        if self.child.record.source == "imported":  # another tool's numbers say nothing of clusters
            return name not in READINGS and not timings.of_machine(m)
        return m.n_clusters is not None

    def estimates(self, names: Iterable[str]) -> dict[str, Estimate]:
        """Child minus parent for each of these metrics or readings.

        Raises:
            IncomparableError: the two do not have the same items.
        """
        wanted = [name for name in dict.fromkeys(names) if name not in self._estimates]
        scores = [self.metrics[name] for name in wanted if name in self.metrics]
        if scores and not self.unpaired:
            if self.same_answers:
                self._estimates.update({metric.name: self._equal(metric) for metric in scores})
            else:
                a, b = self.columns
                self._estimates.update(compare.estimates(a, b, scores, self.child.record.seed))
        for name in wanted:
            if name not in self._estimates:
                self._estimates[name] = self._by_value(name)
        return {name: self._estimates[name] for name in names}

    def _equal(self, metric: Metric) -> Estimate:
        items = metric.rows(self.columns[1])
        n, n_clusters = len(items[ITEM]), len(set(items[CLUSTER].tolist()))
        m = self.child.record.measurement(metric.name)
        if m is None or m.value is None:
            return Estimate(Difference(None, None, None, "none", n, n_clusters, m.reason if m else "no value"))
        return Estimate(Difference(0.0, 0.0, 0.0, "identical", n, n_clusters), Exact(0.0))

    def _by_value(self, name: str) -> Estimate:
        before, after = self.parent.record, self.child.record
        a, b = timings.baseline_value(before, after, name), after.measurement(name)
        reading = not self.is_score(name) and all(m is None or m.n_clusters is None for m in (a, b))
        of_machine = b is not None and (timings.of_machine(b) if reading else self.timed)
        why = timings.apart(before, after, name) if of_machine and b is not None and b.value is not None else None
        for who, m in (("the candidate", b), ("the baseline", a)):
            if m is None or m.value is None:
                why = why or f"{who} has no {name}" + (f": {m.reason}" if m and m.reason else "")
        if why or a is None or b is None:
            return Estimate(Difference(None, None, None, "none", b.n if b else 0, 0, why))
        found = unpaired(a, b, exact=reading or self.timed)
        if not (timings.is_ratio(name) and timings.is_parent(before, after)):
            return found
        return replace(found, difference=replace(found.difference, method=timings.BESIDE))


def find(parent: Stored, child: Stored, tasks: Mapping[str, AnyTask]) -> Pair:
    """`pair` of the task that the two records are of."""
    return pair(parent, child, known((parent.record, child.record), tasks))


def known(records: Sequence[Record], tasks: Mapping[str, AnyTask]) -> AnyTask | None:
    """The task of these records; None where it is not known here.

    Imported records are judged by what their source states and, where it has samples, by these: a task of lm-eval
    (which takes a second to look up), or another version of one of ours, says nothing of them.
    """
    record = records[-1]
    imported = all(one.source == "imported" for one in records)
    if imported and not any(record.task == name for name in tasks):
        return None
    task = tasks.get(record.task)
    return None if imported and task is not None and task.version != record.task_version else task


def pair(parent: Stored, child: Stored, task: AnyTask | None) -> Pair:
    """The two as a pair.

    Raises:
        IncomparableError: another task version, protocol, data or limit.
    """
    why = compare.incomparable(parent.record, child.record)
    if why is None and task is not None and task.version != child.record.task_version:
        why = f"task version {child.record.task_version!r}, this installation has {task.version!r}; run both again"
    timed = task is not None and task.timed  # its ratios say themselves whose they are
    if why is None and not timed and child.record.parent_sha256 != parent.record.parent_sha256:
        why = "the task itself compares each with its own parent, and these are not the same"
    if why:
        raise IncomparableError(why)
    found = Pair(parent, child, task)
    if task is None and not found.unpaired and not found.same_documents:
        raise IncomparableError("other documents under the same numbers: their hashes in the samples differ")
    return found


def unpaired(a: Measurement, b: Measurement, exact: bool) -> Estimate:
    """B minus a from two independent measurements; `exact`: without intervals, they are taken as free of error.

    The interval is MOVER's (Zou & Donner 2008); the evidence is normal with the root of the sum of squared errors.
    """
    assert a.value is not None
    assert b.value is not None
    value, n, clusters = b.value - a.value, min(a.n, b.n), min(a.n_clusters or a.n, b.n_clusters or b.n)
    if a.low is None or a.high is None or b.low is None or b.high is None:
        if exact:
            return Estimate(Difference(value, value, value, "exact", n, clusters), Exact(value))
        return Estimate(Difference(value, None, None, "none", n, clusters, "unpaired, and a side has no interval"))
    low = value - math.hypot(b.value - b.low, a.high - a.value)
    high = value + math.hypot(b.high - b.value, a.value - a.low)
    se = (high - low) / (2 * t_quantile(np.inf))
    law = Normal((low + high) / 2, se) if se > 0 else Exact(value)
    return Estimate(Difference(value, low, high, "unpaired", n, clusters), law)


def nondeterminism(newest: Stored, others: Iterable[Stored], primary: str | None) -> list[str]:
    """How far apart runs of the same model, task, machine and packages are, one line for each that differs."""
    lines = []
    for other in others:
        if other.record.outcomes_sha256 == newest.record.outcomes_sha256:
            continue
        changed = _changed_items(other, newest)
        a, b = (one.record.measurement(primary) if primary else None for one in (other, newest))
        known = [m.value for m in (a, b) if m is not None and m.value is not None]
        size = f"{primary} {known[0]:.6g} and {known[1]:.6g}" if len(known) == 2 else "scores"  # noqa: PLR2004
        lines.append(
            f"{newest.record.manifest.name} on {newest.record.task} was scored twice with different results "
            f"({size}{changed}): {other.path.name} and {newest.path.name}; the newer one counts"
        )
    return lines


def _changed_items(a: Stored, b: Stored) -> str:
    try:
        old, new = a.outcomes(), b.outcomes()
    except HallmarkError:
        return ""
    if old.num_rows != new.num_rows or old.column_names != new.column_names:
        return ", other items"
    changed = np.zeros(old.num_rows, dtype=bool)
    for name in old.column_names:
        if not old.column(name).equals(new.column(name)):
            pairs = zip(old.column(name).to_pylist(), new.column(name).to_pylist(), strict=True)
            changed |= np.array([x != y for x, y in pairs])
    return f", {int(changed.sum())} of {len(changed)} items differ"


def _clustered(columns: Columns) -> Columns:
    return columns if CLUSTER in columns else {**columns, CLUSTER: columns[ITEM]}


def _real(values: object) -> bool:
    array = np.asarray(values)
    return array.dtype.kind == "f" and bool((array % 1 != 0).any())
