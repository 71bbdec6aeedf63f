"""Standing: the newest records of a set of submissions and tasks, ranked on shared resamples of the items."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suite import outcomes, rows
from suite.entrants import Entrants, collect
from suite.errors import IncomparableError, InputError
from suite.metrics.base import Columns, Metric
from suite.outcomes import CLUSTER
from suite.pareto import share_on_front
from suite.ranks import MIN_TIED, RESAMPLES, Ranking, Sample, ranking, sample
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
        scores: what they are ordered by, larger is better, in the order of the places.
        resampled: the same on every resample [R, M].
        resampled_retention: retention on every resample [R, M], NaN where there is none.
    """

    places: tuple[Place, ...]
    excluded: Mapping[str, str]
    tasks: Mapping[str, str]
    scores: NDArray[Any]
    resampled: NDArray[Any]
    resampled_retention: NDArray[Any]

    def summary(self) -> dict[str, Any]:
        """Plain values for ``--json``."""
        places = [asdict(place) for place in self.places]
        return {"places": places, "excluded": dict(self.excluded), "tasks": dict(self.tasks)}


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
    collected = collect(store, names, tasks)
    ranked = [name for name in collected.names() if name not in collected.excluded]
    if len(ranked) < MIN_TIED:
        why = "; ".join(f"{name}: {reason}" for name, reason in list(collected.excluded.items())[:3])
        raise InputError(f"nothing to rank: {len(ranked)} submission(s) with complete records of the tasks ({why})")
    samples = {task.name: _sample(task, [collected.found[task.name][n] for n in ranked], seed) for task in tasks}
    ranked_M = ranking(list(samples.values()))
    kept_M, kept_RM = _retention(ranked, tasks, samples, collected)
    return Standing(
        places=_places(ranked, tasks, samples, _Found(ranked_M, kept_M, kept_RM, collected)),
        excluded=collected.excluded,
        tasks={task.name: task.primary for task in tasks},
        scores=ranked_M.score_M[ranked_M.order],
        resampled=ranked_M.score_RM[:, ranked_M.order],
        resampled_retention=kept_RM[:, ranked_M.order],
    )


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
    """A metric that is no function of sums is computed again for every resample, the same ones for all models."""
    sign = 1.0 if metric.higher_is_better else -1.0
    which = np.unique(clusters, return_inverse=True)[1]
    resampled = np.stack([rows.resampled(metric, one, which, seed) for one in columns], axis=1)
    if not np.isfinite(resampled).all():
        raise IncomparableError(f"{metric.name} has no value in some resamples: {metric.undefined}")
    return Sample(np.array([sign * metric(one) for one in columns]), (sign * resampled).astype(np.float32))


@dataclass(frozen=True)
class _Found:
    """What places are made of, in the order of the names."""

    ranking: Ranking
    kept_M: NDArray[Any]
    kept_RM: NDArray[Any]
    collected: Entrants


def _places(
    names: Sequence[str], tasks: Sequence[AnyTask], samples: Mapping[str, Sample], found: _Found
) -> tuple[Place, ...]:
    ranked = found.ranking
    low_M, high_M = np.percentile(found.kept_RM, [100 * (1 - LEVEL) / 2, 100 * (1 + LEVEL) / 2], axis=0)
    sizes = [_bytes(name, found.collected) for name in names]
    front, groups = _front(ranked, sizes), _groups(ranked)
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
            retention=_finite(found.kept_M[m]),
            retention_low=_finite(min(low_M[m], found.kept_M[m])),
            retention_high=_finite(max(high_M[m], found.kept_M[m])),
            bytes=sizes[m],
            front=front[m],
            values={task: signs[task] * float(one.values_M[m]) for task, one in samples.items()},
        )
        for place, m in enumerate(ranked.order.tolist())
    )


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _sign(task: AnyTask) -> float:
    return 1.0 if next(m for m in task.metrics if m.name == task.primary).higher_is_better else -1.0


def _groups(ranked: Ranking) -> list[tuple[int, ...]]:
    of_place: list[tuple[int, ...]] = [()] * len(ranked.order)
    for number, (first, last) in enumerate(ranked.groups, start=1):
        for place in range(first, last + 1):
            of_place[place] = (*of_place[place], number)
    return of_place


def _retention(
    names: Sequence[str], tasks: Sequence[AnyTask], samples: Mapping[str, Sample], collected: Entrants
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Mean over tasks of child / parent, or parent / child where smaller is better; NaN without a parent here."""
    at = {name: m for m, name in enumerate(names)}
    kept_M, kept_RM = np.full(len(names), np.nan), np.full((RESAMPLES, len(names)), np.nan)
    for name, m in at.items():
        parent = at.get(collected.found[tasks[0].name][name].record.manifest.parent or "")
        if parent is not None:
            with np.errstate(divide="ignore", invalid="ignore"):
                ratios = [_ratio(samples[task.name], m, parent, _sign(task)) for task in tasks]
            kept_M[m] = np.mean([one for one, _ in ratios])
            kept_RM[:, m] = np.mean([many for _, many in ratios], axis=0)
    return kept_M, kept_RM


def _ratio(one: Sample, child: int, parent: int, sign: float) -> tuple[float, NDArray[np.float64]]:
    top, bottom = (child, parent) if sign > 0 else (parent, child)
    many = one.resampled_RM[:, top].astype(np.float64) / one.resampled_RM[:, bottom]
    return float(one.values_M[top] / one.values_M[bottom]), many


def _bytes(name: str, collected: Entrants) -> float | None:
    for found in collected.found.values():
        measured = found[name].record.measurement(COST)
        if measured is not None and measured.value is not None:
            return measured.value
    return None


def _front(ranked: Ranking, sizes: Sequence[float | None]) -> list[float | None]:
    """Share of the resamples on the front of size and quality; quality is what the ranking orders by."""
    with_size = [m for m, size in enumerate(sizes) if size is not None]
    front: list[float | None] = [None] * len(sizes)
    if not with_size:
        return front
    costs = np.array([sizes[m] for m in with_size], dtype=np.float64)
    for m, share in zip(with_size, share_on_front(costs, ranked.score_RM[:, with_size]), strict=True):
        front[m] = float(share)
    return front
