"""Stopping: when a run may end because every gated metric of its task is decided.

Whole clusters are asked in a random order, and at the looks of `suite.sequential` the paired change to the baseline is
put to the policy's margins. A verdict, once reached, stands:

    non-inferior   z(-margin) >= bound at alpha            (every primary must be: an intersection-union test)
    regressed      z(-margin) <= -bound at alpha / 2m      (m: metrics of its family in the policy, Bonferroni)

The bounds spend alpha over the looks (Lan & DeMets 1983, of O'Brien-Fleming's type), so that looking often does not
raise the error rates above those of `suite.verdict`. z is `suite.statistic`: Tango's score statistic of right or wrong,
else the change over its clustered error, without its skewness, judged by Student's t, from half of the items on. The
run ends when all are decided, or as soon as one has regressed, for then nothing that follows lets the gate pass.
Metrics that are no mean (calibration error, AUROC, a worst group, a gap) are judged once, when all items are scored, as
`hallmark gate` does, at the same levels. ``python tests/bench/sequential.py`` measures the error rates.

The interval shown is the repeated one (Jennison & Turnbull 1989): it holds at every look together.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from suite import outcomes, questions, sequential
from suite.errors import InputError
from suite.manifest import canonical_json
from suite.metrics.base import Columns, Metric
from suite.outcomes import CLUSTER, ITEM
from suite.policy import ANY_TASK, Gated, Policy
from suite.record import Measurement, Record
from suite.store import Stored
from suite.task import AnyTask
from suite.verdict import FEW_ITEMS

METHOD = "stopped as decided (--until-decided)"
FEWEST_CLUSTERS = 20  # before the last look: fewer say too little of their own spread
VALUES_FROM = 0.5  # share of the items: a sample of fewer may hold none of the few that carry a loss
_SUMS = 2  # terms of a mean or a function of one


@dataclass(frozen=True)
class Gauge:
    """A gated metric of the task.

    Attributes:
        gated: the policy's entry.
        metric: the metric.
        margin: what may be lost, in its unit.
        a: the baseline's value on all items.
        level: error allowed for "regressed".
        shares: of its items, at every look; 0 where it cannot be decided.
    """

    gated: Gated
    metric: Metric
    margin: float
    a: Measurement
    level: float
    shares: tuple[float, ...]

    @property
    def sign(self) -> int:
        """1 where more is better."""
        return 1 if self.metric.higher_is_better else -1

    def bound(self, look: int, alpha: float) -> float | None:
        """Standard errors that decide at this look; ``None`` where it has nothing new."""
        seen = tuple(dict.fromkeys(share for share in self.shares[: look + 1] if share))
        fresh = self.shares[look] not in self.shares[:look] or look == len(self.shares) - 1
        return _bounds(seen, alpha)[-1] if self.shares[look] and fresh else None


@dataclass(frozen=True)
class Rule:
    """When a run of one task may stop.

    Attributes:
        baseline: record of the whole task, with outcomes.
        task: the task.
        policy: what may be lost.
        seed: of the order of the items.
    """

    baseline: Stored
    task: AnyTask
    policy: Policy
    seed: int

    @cached_property
    def key(self) -> str:
        """sha256 over what decides where a run stops."""
        decides = {
            "policy": [gated.model_dump(mode="json") for gated in self.policy.metric],
            "alpha": self.policy.alpha,
            "baseline": [self.baseline.record.manifest.sha256, self.baseline.record.outcomes_sha256],
            "seed": self.seed,
            "looks": self.looks,
        }
        return hashlib.sha256(canonical_json(decides)).hexdigest()

    @cached_property
    def columns(self) -> Columns:
        """The baseline's outcomes."""
        columns = outcomes.to_columns(self.baseline.outcomes())
        if CLUSTER not in columns:
            raise InputError(f"{self.baseline.path} names no clusters; run the baseline again")
        return columns

    @cached_property
    def order(self) -> NDArray[np.int64]:
        """Rows of the baseline in the order in which their items are asked: whole clusters, permuted."""
        _, cluster_N = np.unique(self.columns[CLUSTER], return_inverse=True)
        task = int.from_bytes(hashlib.sha256(self.task.name.encode()).digest()[:8], "big")
        place_G = np.random.default_rng([self.seed, task]).permutation(int(cluster_N.max()) + 1)
        return np.argsort(place_G[cluster_N], kind="stable")

    @cached_property
    def looks(self) -> list[int]:
        """Numbers of items after which is looked: those of `suite.sequential.looks`, up to the end of a cluster."""
        clusters = self.columns[CLUSTER][self.order]
        n = len(clusters)
        ends = np.flatnonzero(np.append(clusters[1:] != clusters[:-1], True)) + 1
        wanted = sequential.looks(n)
        return [int(end) for end in np.unique(ends[np.searchsorted(ends, wanted)])]

    @cached_property
    def gauges(self) -> tuple[Gauge, ...]:
        """The gated metrics of the task.

        Raises:
            InputError: none, none of them primary, or a margin that cannot be had.
        """
        scored = {metric.name: metric for metric in self.task.scored(self.columns)}
        mine = {g.name: g for task in (ANY_TASK, self.task.name) for g in self.policy.metric if g.task == task}
        found = [self._gauge(gated, scored[name]) for name, gated in mine.items() if name in scored]
        if not found:
            raise InputError(f"the policy gates no score of task {self.task.name!r}; gate one, or leave the task out")
        if not any(gauge.gated.primary for gauge in found):
            raise InputError(
                f"task {self.task.name!r} gates {', '.join(g.metric.name for g in found)} and none is primary; "
                "mark the one that must be shown to hold: primary = true"
            )
        return tuple(found)

    def _gauge(self, gated: Gated, metric: Metric) -> Gauge:
        if metric.higher_is_better is None:
            raise InputError(f"{gated.name} cannot be gated: neither more nor less of it is better")
        a = self.baseline.record.measurement(gated.name)
        margin, why = questions.margin(gated, a)
        if a is None or a.value is None or margin is None:
            why = why or (f"{a.reason}" if a else "its record lacks it")
            raise InputError(f"{gated.name} of the baseline on {self.task.name!r} decides nothing: {why}")
        level = self.policy.alpha / 2 / family(self.policy, gated.primary)
        return Gauge(gated, metric, margin, a, level, self._shares(metric))

    def _shares(self, metric: Metric) -> tuple[float, ...]:
        """Which share of the metric's own items (of its group, say) is seen at every look."""
        if not early(metric):
            return (*[0.0] * (len(self.looks) - 1), 1.0)
        total = len(metric.rows(self.columns)[ITEM])
        if total < FEW_ITEMS:
            return (0.0,) * len(self.looks)
        shares = []
        for n in self.looks:
            rows = metric.rows(self.first(n))
            enough = len(rows[ITEM]) >= max(FEW_ITEMS, first_share(metric.proportion) * total)
            enough = enough and len(np.unique(rows[CLUSTER])) >= FEWEST_CLUSTERS
            shares.append(len(rows[ITEM]) / total if enough or n == self.looks[-1] else 0.0)
        return tuple(shares)

    def first(self, n: int) -> Columns:
        """The baseline's outcomes of the first `n` items, in the task's order."""
        rows = np.sort(self.order[:n])
        return {name: values[rows] for name, values in self.columns.items()}

    def misfit(self, record: Mapping[str, str | None]) -> str | None:
        """Why the baseline's record is of another question: task version, protocol, data."""
        theirs = self.baseline.record.model_dump(mode="json", include=set(record))
        other = [f"{name.removesuffix('_sha256')} {theirs[name]!r} against {record[name]!r}"
                 for name in record if theirs[name] != record[name]]  # fmt: skip
        return f"the baseline's record is of another {'; '.join(other)}; run the baseline again" if other else None


def early(metric: Metric) -> bool:
    """Whether a metric can be decided before all items are scored: a mean, or a smooth function of one."""
    simple = metric.whole is None and metric.blocks is None and metric.prepare is None and metric.no_interval is None
    return metric.proportion or (simple and metric.width == _SUMS)


def first_share(proportion: bool) -> float:
    """The share of a metric's items before which it is not decided."""
    return 0.0 if proportion else VALUES_FROM


def family(policy: Policy, primary: bool) -> int:
    """How many verdicts share the error rate: the primaries of a policy are one family, the others a second one.

    An entry for every task counts once for each task that the policy names.
    """
    tasks = len({gated.task for gated in policy.metric} - {ANY_TASK}) or 1
    return sum(tasks if gated.task == ANY_TASK else 1 for gated in policy.metric if gated.primary is primary) or 1


def note(rule: Rule, used: int) -> str:
    """What the record says of how it ended."""
    looked = ", ".join(str(look) for look in rule.looks if look <= used)
    return (
        f"{METHOD}: {used} of {rule.looks[-1]} items, clusters in random order, looks at {looked}; Lan-DeMets bounds "
        f"of O'Brien-Fleming type, alpha {rule.policy.alpha:g}, against {rule.baseline.path.stem}"
    )


def used(record: Record) -> str | None:
    """How a record says that it was stopped early; ``None`` where it is of the whole task or of another kind."""
    if record.limit is None:
        return None
    found = [line for line in record.provenance.notes if line.startswith(METHOD)]
    return f"{METHOD} after {record.limit} items" if found else None


@functools.cache
def _bounds(shares: tuple[float, ...], alpha: float) -> Sequence[float]:
    found: list[float] = sequential.bounds(shares, alpha).tolist()
    return found
