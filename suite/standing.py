"""Standing: the newest records of a set of submissions and tasks, ranked on shared resamples of the items."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suite import outcomes
from suite.errors import IncomparableError, InputError, Undefined
from suite.metrics.base import Columns, Metric
from suite.outcomes import CLUSTER, ITEM
from suite.pareto import share_on_front
from suite.ranks import MIN_TIED, RESAMPLES, Ranking, Sample, draws, ranking, sample
from suite.stats import LEVEL
from suite.store import Store, Stored
from suite.task import AnyTask

COST = "bytes"


@dataclass(frozen=True)
class Place:
    """One submission among the others.

    Attributes:
        submission: its name.
        rank: 1 is best; equal scores share their mean rank.
        rank_low: smallest rank that is not ruled out.
        rank_high: largest.
        groups: numbers of the tie groups that it belongs to, counted from 1 at the top; none: surely apart.
        mean_rank: over the tasks.
        mean_rank_low: lower end of its 95 % interval.
        mean_rank_high: upper end.
        p_best: share of the resamples in which it is best.
        retention: mean over tasks of its value divided by its parent's (the inverse where smaller is better); None
            without a parent among the ranked, or where a parent's value is 0.
        retention_low: lower end of its 95 % interval.
        retention_high: upper end.
        bytes: size on disk, None where no record says it.
        front: share of the resamples in which no other one is both at least as small and at least as good, and better
            in one of the two; None without a size.
        values: task -> value of its primary metric.
    """

    submission: str
    rank: float
    rank_low: int
    rank_high: int
    groups: tuple[int, ...]
    mean_rank: float
    mean_rank_low: float
    mean_rank_high: float
    p_best: float
    retention: float | None
    retention_low: float | None
    retention_high: float | None
    bytes: float | None
    front: float | None
    values: Mapping[str, float]


@dataclass(frozen=True)
class Standing:
    """Places, best first, and who could not be ranked.

    Attributes:
        places: best first.
        excluded: submission -> why.
        tasks: task -> primary metric.
    """

    places: tuple[Place, ...]
    excluded: Mapping[str, str]
    tasks: Mapping[str, str]


@dataclass
class _Field:
    """What is being collected: for every task the records that can be compared, and why others were left out."""

    found: dict[str, dict[str, Stored]] = field(default_factory=dict)
    excluded: dict[str, str] = field(default_factory=dict)


def stand(store: Store, names: Sequence[str], tasks: Sequence[AnyTask], seed: int = 0) -> Standing:
    """Rank submissions on the primary metrics of tasks. A submission that lacks a task is not ranked.

    Args:
        store: records; limited runs and imported records do not count, for they have no items to resample.
        names: submissions; empty: all that have a record of one of the tasks.
        tasks: what to rank on.
        seed: of the resamples.

    Raises:
        InputError: fewer than two submissions can be ranked.
    """
    collected = _collect(store, names, tasks)
    ranked = [name for name in _in_order(collected) if name not in collected.excluded]
    if len(ranked) < MIN_TIED:
        why = "; ".join(f"{name}: {reason}" for name, reason in list(collected.excluded.items())[:3])
        raise InputError(f"nothing to rank: {len(ranked)} submission(s) with complete records of the tasks ({why})")
    samples = {task.name: _sample(task, [collected.found[task.name][n] for n in ranked], seed) for task in tasks}
    return Standing(
        places=_places(ranked, tasks, samples, collected),
        excluded=collected.excluded,
        tasks={task.name: task.primary for task in tasks},
    )


def _collect(store: Store, names: Sequence[str], tasks: Sequence[AnyTask]) -> _Field:
    collected = _Field()
    for task in tasks:
        newest = _newest(store, task.name, names)
        common = Counter(_terms_of(stored) for stored in newest.values()).most_common(1)
        for name, stored in list(newest.items()):
            if _terms_of(stored) != common[0][0]:
                collected.excluded.setdefault(name, f"{task.name}: another version, protocol or data than most")
        collected.found[task.name] = newest
    for name in [*names, *_in_order(collected)]:
        absent = next((task.name for task in tasks if name not in collected.found[task.name]), None)
        if absent is not None:
            collected.excluded.setdefault(name, f"no complete record of {absent} with outcomes")
    _same_items(collected)
    return collected


def _newest(store: Store, task: str, names: Sequence[str]) -> dict[str, Stored]:
    newest: dict[str, Stored] = {}
    for stored in store.scan(task=task):
        record = stored.record
        name = record.manifest.name
        if record.limit is not None or record.outcomes_sha256 is None or (names and name not in names):
            continue
        if name not in newest or newest[name].record.provenance.started <= record.provenance.started:
            newest[name] = stored
    return newest


def _terms_of(stored: Stored) -> tuple[str, str, str]:
    return stored.record.task_version, stored.record.protocol, stored.record.data_sha256


def _same_items(collected: _Field) -> None:
    """Leave out whoever has other items than the first one of a task."""
    for task, found in collected.found.items():
        items: NDArray[Any] | None = None
        for name, stored in found.items():
            if name in collected.excluded:
                continue
            own = np.asarray(stored.outcomes().column(ITEM).to_pylist(), dtype=str)
            items = own if items is None else items
            if not np.array_equal(items, own):
                collected.excluded[name] = f"{task}: other items (another tokenizer cuts the text differently)"


def _in_order(collected: _Field) -> list[str]:
    return list(dict.fromkeys(name for found in collected.found.values() for name in found))


def _sample(task: AnyTask, chosen: Sequence[Stored], seed: int) -> Sample:
    metric = next(m for m in task.metrics if m.name == task.primary)
    if metric.higher_is_better is None:
        raise InputError(f"{task.name}: its primary metric {metric.name} has no direction, so nothing can be ranked")
    columns = [metric.rows(outcomes.to_columns(stored.outcomes())) for stored in chosen]
    clusters = columns[0][CLUSTER]
    if metric.whole is None:
        terms = [metric.terms(one) for one in columns]
        return sample(np.stack(terms), metric.finish, clusters, larger_is_better=metric.higher_is_better, seed=seed)
    return _sample_of_rows(metric, columns, clusters, seed)


def _sample_of_rows(metric: Metric, columns: Sequence[Columns], clusters: NDArray[Any], seed: int) -> Sample:
    """A metric that is no function of sums is computed again from the rows of every resample."""
    sign = 1.0 if metric.higher_is_better else -1.0
    which = np.unique(clusters, return_inverse=True)[1]
    rows_of = [np.flatnonzero(which == cluster) for cluster in range(which.max() + 1)]
    resampled = np.empty((RESAMPLES, len(columns)), dtype=np.float32)
    counts_RG = (row for block in draws(len(rows_of), seed) for row in block.astype(np.int64))
    for r, counts_G in enumerate(counts_RG):
        rows = np.concatenate([np.tile(rows_of[g], counts_G[g]) for g in np.flatnonzero(counts_G)])
        for model, one in enumerate(columns):
            try:
                resampled[r, model] = sign * metric.of_rows(one, rows)
            except Undefined as why:
                raise IncomparableError(f"{metric.name} has no value in some resamples: {why}") from None
    values = np.array([sign * metric(one) for one in columns])
    return Sample(values, resampled)


def _places(
    names: Sequence[str], tasks: Sequence[AnyTask], samples: Mapping[str, Sample], collected: _Field
) -> tuple[Place, ...]:
    ranked = ranking(list(samples.values()))
    kept, kept_low, kept_high = _retention(names, tasks, samples, collected)
    sizes = [_bytes(name, collected) for name in names]
    front = _front(ranked, samples, sizes)
    groups = _groups(ranked)
    signs = {task.name: _sign(task) for task in tasks}
    return tuple(
        Place(
            submission=names[m],
            rank=float(ranked.rank_M[m]),
            rank_low=int(ranked.low_M[m]),
            rank_high=int(ranked.high_M[m]),
            groups=groups[place],
            mean_rank=float(ranked.mean_rank_M[m]),
            mean_rank_low=float(ranked.mean_rank_low_M[m]),
            mean_rank_high=float(ranked.mean_rank_high_M[m]),
            p_best=float(ranked.p_best_M[m]),
            retention=kept[m],
            retention_low=kept_low[m],
            retention_high=kept_high[m],
            bytes=sizes[m],
            front=front[m],
            values={task: signs[task] * float(one.values_M[m]) for task, one in samples.items()},
        )
        for place, m in enumerate(ranked.order.tolist())
    )


def _sign(task: AnyTask) -> float:
    return 1.0 if next(m for m in task.metrics if m.name == task.primary).higher_is_better else -1.0


def _groups(ranked: Ranking) -> list[tuple[int, ...]]:
    of_place: list[tuple[int, ...]] = [()] * len(ranked.order)
    for number, (first, last) in enumerate(ranked.groups, start=1):
        for place in range(first, last + 1):
            of_place[place] = (*of_place[place], number)
    return of_place


def _retention(
    names: Sequence[str], tasks: Sequence[AnyTask], samples: Mapping[str, Sample], collected: _Field
) -> tuple[list[float | None], list[float | None], list[float | None]]:
    """Mean over tasks of child / parent, or parent / child where smaller is better, with percentile intervals."""
    at = {name: m for m, name in enumerate(names)}
    first = collected.found[tasks[0].name]
    value: list[float | None] = [None] * len(names)
    low, high = list(value), list(value)
    for name, m in at.items():
        parent = at.get(first[name].record.manifest.parent or "")
        if parent is None:
            continue
        with np.errstate(divide="ignore", invalid="ignore"):
            ratios = [_ratio(samples[task.name], m, parent, _sign(task)) for task in tasks]
        mean, resampled = np.mean([one for one, _ in ratios]), np.mean([many for _, many in ratios], axis=0)
        if np.isfinite(mean) and np.isfinite(resampled).all():
            ends = np.percentile(resampled, [100 * (1 - LEVEL) / 2, 100 * (1 + LEVEL) / 2])
            value[m], low[m], high[m] = float(mean), float(min(ends[0], mean)), float(max(ends[1], mean))
    return value, low, high


def _ratio(one: Sample, child: int, parent: int, sign: float) -> tuple[float, NDArray[np.float64]]:
    top, bottom = (child, parent) if sign > 0 else (parent, child)
    many = one.resampled_RM[:, top].astype(np.float64) / one.resampled_RM[:, bottom]
    return float(one.values_M[top] / one.values_M[bottom]), many


def _bytes(name: str, collected: _Field) -> float | None:
    for found in collected.found.values():
        measured = found[name].record.measurement(COST)
        if measured is not None and measured.value is not None:
            return measured.value
    return None


def _front(ranked: Ranking, samples: Mapping[str, Sample], sizes: Sequence[float | None]) -> list[float | None]:
    """Share of the resamples on the front of size and quality; quality is what the ranking orders by."""
    with_size = [m for m, size in enumerate(sizes) if size is not None]
    front: list[float | None] = [None] * len(sizes)
    if not with_size:
        return front
    costs = np.array([sizes[m] for m in with_size], dtype=np.float64)
    for m, share in zip(with_size, share_on_front(costs, ranked.score_RM[:, with_size]), strict=True):
        front[m] = float(share)
    return front
