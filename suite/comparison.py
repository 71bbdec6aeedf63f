"""Comparison: two submissions on every task that both were scored on -> changes, tests, flips, and what is left out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from suite import changes, pairing, significance, timings
from suite.changes import Flips, Recovery
from suite.compared import ALPHA, Comparison, Row, TaskComparison
from suite.errors import HallmarkError, IncomparableError, unknown
from suite.harm import Harm, harm, in_short
from suite.metrics.base import Metric
from suite.metrics.harness import PREFIX
from suite.outcomes import CLUSTER, ITEM
from suite.paired import Estimate, mcnemar
from suite.pairing import READINGS, Pair
from suite.record import Measurement
from suite.sides import Side
from suite.task import AnyTask
from suite.verdict import FEW_CLUSTERS, FEW_ITEMS, few


def compare(
    a: Side,
    b: Side,
    tasks: Mapping[str, AnyTask],
    chosen: Sequence[str] = (),
    metrics: Sequence[str] | None = (),
    groups: bool = False,
) -> Comparison:
    """Everything that both sides have, b minus a.

    Args:
        a: what is compared with.
        b: what is judged.
        tasks: the known tasks.
        chosen: only these tasks; empty: all that either side has.
        metrics: metrics beside each task's primary one; None: all.
        groups: what changed for groups as well, where a task declares them.

    Raises:
        InputError: a chosen task, or a metric, that neither side has.
    """
    names = sorted({*a.records, *b.records})
    for name in chosen:
        if name not in names:
            raise unknown(f"task in the records of {a.name} and {b.name}", name, names)
    found, left_out = [], {}
    for name in chosen or names:
        missing = [side for side in (a, b) if name not in side.records]
        if missing:
            side = missing[0]
            left_out[name] = f"{side.name} was not scored on it: hallmark run {side.typed} -t {name}"
            continue
        try:
            pair = pairing.find(a.records[name], b.records[name], tasks)
            other = timings.elsewhere(pair.parent.record, pair.child.record) if pair.timed else None
            if other:
                raise IncomparableError(other)
            one = _compared(pair, metrics, a, b)
            found.append(replace(one, harm=_harm(pair)) if groups else one)
        except IncomparableError as error:
            left_out[name] = str(error)
        except HallmarkError as error:  # a damaged record must not hide the others
            left_out[name] = f"unreadable: {error}"
    _check_metrics(metrics or (), found)
    return Comparison(a, b, tuple(_with_holm(found)), left_out)


def estimate_test(pair: Pair, metric: Metric | None, estimate: Estimate) -> tuple[str, float] | None:
    """Which test fits the metric, and its two-sided p-value; None where nothing can be tested."""
    if estimate.evidence is None or estimate.difference.value is None:
        return None
    if estimate.difference.method == "identical":
        return "identical answers", 1.0
    if metric is None or pair.unpaired or metric.whole is not None or _other_tokens(metric, pair):
        name = "unpaired z" if pair.unpaired or metric is None else "paired bootstrap"
        if estimate.difference.method == timings.BESIDE:
            name = f"z, {timings.BESIDE}"
        return name, significance.two_sided(estimate.evidence)
    a, b = (metric.rows(columns) for columns in pair.columns)
    clusters_N = np.unique(b[CLUSTER], return_inverse=True)[1]
    terms_a, terms_b = metric.terms(a), metric.terms(b)
    if metric.proportion and len(np.unique(clusters_N)) == len(clusters_N):
        return "exact McNemar", mcnemar(terms_a[:, 0], terms_b[:, 0])
    if metric.proportion or _is_mean(terms_a, terms_b):
        change_G = np.bincount(clusters_N, weights=terms_b[:, 0] - terms_a[:, 0])
        clustered = len(change_G) < len(clusters_N)
        return "paired permutation" + (" of clusters" if clustered else ""), significance.swaps(change_G, 0)
    return "paired bootstrap", significance.two_sided(estimate.evidence)


def warnings(pair: Pair, n: int, n_clusters: int) -> list[str]:
    """What a reader must know before believing a comparison."""
    lines = [pair.unpaired] if pair.unpaired else []
    for who, record in (("the baseline", pair.parent.record), ("the candidate", pair.child.record)):
        if record.limit is not None:
            lines.append(f"{who} is a limited run: --limit {record.limit}")
        if record.source != "measured":
            lines.append(f"{who} is {'imported' if record.source == 'imported' else 'predictions'}, not measured here")
    if not pair.unpaired and pair.without_clusters:
        lines.append("the outcomes name no clusters: items are taken as independent")
    if not n:
        lines.append("how many items it is of is not stated: its interval is taken at its word")
    elif n < FEW_ITEMS:
        lines.append(f"{n} items are too few to decide anything (at least {FEW_ITEMS})")
    elif n_clusters < FEW_CLUSTERS and not pair.timed:  # six pairs of processes are the protocol
        lines.append(f"only {n_clusters} clusters: intervals are rough")
    return lines


def _compared(pair: Pair, metrics: Sequence[str] | None, a: Side, b: Side) -> TaskComparison:
    record, task = pair.child.record, pair.task
    scores = [name for name in (m.name for m in record.measurements) if pair.is_score(name)]
    primary = task.primary if task else next(iter(scores), None)
    wanted = scores if metrics is None else [n for n in (primary, *metrics) if n in scores]
    wanted = list(dict.fromkeys([*([primary] if primary in wanted else []), *wanted]))
    estimates = pair.estimates([str(name) for name in wanted])
    rows = tuple(_row(pair, name, estimate) for name, estimate in estimates.items())
    first = rows[0] if rows else None
    n, n_clusters = (first.difference.n, first.difference.n_clusters) if first else (0, 0)
    notes = [
        *warnings(pair, n, n_clusters),
        *(
            line
            for side in (a, b)
            for line in pairing.nondeterminism(side.records[record.task], side.twice.get(record.task, ()), primary)
            if not pair.timed  # no two timings are the same
        ),
    ]
    return TaskComparison(
        task=record.task,
        primary=primary,
        rows=rows,
        paired=not pair.unpaired,
        n=n,
        flips=_flips(pair, primary),
        recovery=_recovery(pair, first) if first and first.metric == primary else None,
        costs=_costs(pair),
        notes=tuple(notes),
    )


def _row(pair: Pair, name: str, estimate: Estimate) -> Row:
    b = pair.child.record.measurement(name)
    a = timings.baseline_value(pair.parent.record, pair.child.record, name)
    shown = b or a
    tested = estimate_test(pair, pair.metrics.get(name), estimate)
    evidence, d = estimate.evidence, estimate.difference
    se = evidence.se() if evidence is not None else None
    return Row(
        metric=name,
        unit=shown.unit if shown else "",
        higher_is_better=shown.higher_is_better if shown else None,
        a=a,
        b=b,
        difference=d,
        test=tested[0] if tested else None,
        p=tested[1] if tested else None,
        se=se or None,
        few=few(d),
    )


def _with_holm(found: Iterable[TaskComparison]) -> list[TaskComparison]:
    """Holm over the primary metrics of all tasks that a verdict is drawn on."""
    found = list(found)
    family = [i for i, one in enumerate(found) if one.first is not None and one.first.testable]
    p_values = [first.p for i in family if (first := found[i].first) is not None and first.p is not None]
    level = significance.next_level(p_values, ALPHA)
    for i, p_holm in zip(family, significance.holm(p_values), strict=True):
        first, *others = found[i].rows
        found[i] = replace(found[i], rows=(replace(first, p_holm=p_holm, level=level), *others))
    return found


def _flips(pair: Pair, primary: str | None) -> Flips | None:
    metric = pair.metrics.get(primary or "")
    if pair.unpaired or metric is None or not metric.proportion or not _is_answer(metric.needs[0]):
        return None
    a, b = pair.columns
    if not np.array_equal(a[ITEM], b[ITEM]):
        return None
    return changes.flips(metric.rows(a), metric.rows(b), metric.needs[0])


def _is_answer(column: str) -> bool:
    """Whether a column of hits says which answers were right: ours, or those of imported samples."""
    return column in changes.ANSWERS or column.startswith(PREFIX)


def _harm(pair: Pair) -> Harm | None:
    """What changed for groups; None where the task declares none, or nothing is paired."""
    if pair.unpaired or pair.task is None or not pair.task.framed.of(pair.columns[1]):
        return None
    a, b = pair.columns
    if not np.array_equal(a[ITEM], b[ITEM]):
        return None
    return harm(a, b, pair.task.framed, pair.child.record.seed, in_short)


def _recovery(pair: Pair, row: Row) -> Recovery | None:
    if row.a is None or row.b is None or row.a.value is None or row.b.value is None:
        return None
    chance = pair.task.chance if pair.task else None
    return changes.recovery(row.a.value, row.b.value, row.higher_is_better, chance)


def _costs(pair: Pair) -> dict[str, tuple[Measurement | None, Measurement | None, str | None]]:
    a, b = pair.parent.record, pair.child.record
    found = {}
    for name in READINGS:
        mine, theirs = b.measurement(name), timings.baseline_value(a, b, name)
        if mine is None and theirs is None:
            continue
        timed = (mine or theirs) is not None and timings.of_machine(mine or theirs)  # type: ignore[arg-type]
        why = timings.elsewhere(a, b) if timed else None
        found[name] = (theirs, mine, why or next((m.reason for m in (theirs, mine) if m and m.value is None), None))
    return found


def _is_mean(terms_a: Any, terms_b: Any) -> bool:
    """Whether a metric is a (function of a) mean whose weights the two share: swapping changes the sum alone."""
    return terms_a.shape[1] == 2 and np.array_equal(terms_a[:, 1], terms_b[:, 1])  # noqa: PLR2004


def _other_tokens(metric: Metric, pair: Pair) -> bool:
    a, b = pair.columns
    return metric.observed is not None and not np.array_equal(a[ITEM], b[ITEM])


def _check_metrics(metrics: Sequence[str], found: Sequence[TaskComparison]) -> None:
    """A metric that no compared task has is a typing error."""
    known = {m for one in found for m in (row.metric for row in one.rows)}
    for name in metrics:
        if found and name not in known:
            raise unknown("metric of the compared tasks", name, known)
