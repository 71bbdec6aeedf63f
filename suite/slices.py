"""Error slices: groups of items that nobody named and on which a model does worse than on the rest.

Half of the clusters is searched (`suite.slice_rules`), the other half tests what was found, so that a gap is none of
the search's making: the intervals of all m tests hold together at 95 % (Bonferroni), and only slices are reported whose
gap is above 0 within its interval. Slices have at least 5 % of the items. Everything follows from the record's outcomes
and the seed.

Shape suffixes: N items, G clusters, R resamples, M tests.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suite.errors import InputError, unknown
from suite.metrics.base import Columns, Metric, ratio
from suite.metrics.classification import ACCURACY
from suite.outcomes import CLUSTER, ITEM, lacking
from suite.slice_rules import STATISTIC, Inside, Rule, by_clusters, by_tree, features, summary
from suite.stats import LEVEL, cluster_sums, resampled_sums

LEAST_SHARE = 0.05
LEAST_ITEMS = 10  # of a slice in each half
MIN_ITEMS = 100
MIN_CLUSTERS = 10  # in each half: with fewer, all of them are worse by chance too often (M tests: M / 2^G)
EXAMPLES = 5
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Slice:
    """One slice on which the model does worse. Values are of the half that did not find it.

    Attributes:
        words: what its items have in common.
        method: how it was found.
        n: its items, of both halves.
        share: of all items.
        n_tested: its items in the testing half.
        value: the metric on them.
        rest: on the testing half's other items.
        gap: how much worse the slice is, in the metric's unit; above 0.
        low: lower end of the gap's interval, 95 % for all tests together.
        high: its upper end.
        examples: ids of its worst items, of both halves.
    """

    words: str
    method: str
    n: int
    share: float
    n_tested: int
    value: float
    rest: float
    gap: float
    low: float
    high: float
    examples: tuple[str, ...]


@dataclass(frozen=True)
class Search:
    """What was looked for, and what was found.

    Attributes:
        metric: name of the metric.
        unit: of it and of the gaps.
        higher_is_better: its direction.
        n: items.
        n_clusters: independent ones.
        n_tested: candidates that were tested.
        candidates: by method.
        slices: largest gap first.
        level: of all intervals together.
        seed: of the halves, the search and the resamples.
    """

    metric: str
    unit: str
    higher_is_better: bool
    n: int
    n_clusters: int
    n_tested: int
    candidates: dict[str, int]
    slices: tuple[Slice, ...]
    level: float
    seed: int


def chosen_metric(metrics: Sequence[Metric], primary: str, columns: Columns, name: str | None) -> Metric:
    """The metric to search by: the named one, else the primary one, else accuracy, else the first that fits.

    A metric of some items alone (its `where`) is searched among these; accuracy, where it is not declared, among those
    that every declared metric of ``correct`` is about: items of none of the classes are never right.

    Raises:
        InputError: there is none that is a mean over items with a direction.
    """
    fit = {metric.name: metric for metric in metrics if _fits(metric, columns)}
    if "correct" in columns:
        where = _shared_where(metrics)
        fit.setdefault(ACCURACY.name, replace(ACCURACY, where=where) if where else ACCURACY)
    if name is not None and name not in fit:
        raise unknown("metric for slices, a mean over items with a direction,", name, fit)
    if not fit:
        raise InputError("slices need a metric that is a mean over items, and this task has none")
    first = min(fit, key=lambda one: len(fit[one].where))
    return fit[name or next((one for one in (primary, ACCURACY.name) if one in fit), first)]


def _fits(metric: Metric, columns: Columns) -> bool:
    plain = metric.finish is ratio and metric.whole is None and metric.prepare is None
    needed = (*metric.needs, *(column for column, _ in metric.where))
    return plain and metric.higher_is_better is not None and lacking(needed, columns) is None


def _shared_where(metrics: Sequence[Metric]) -> tuple[tuple[str, str], ...]:
    """The conditions that all metrics of ``correct`` have in common."""
    each = [metric.where for metric in metrics if "correct" in metric.needs]
    return tuple(one for one in each[0] if all(one in where for where in each)) if each else ()


def search(columns: Columns, metric: Metric, seed: int = 0, more: Sequence[str] = ()) -> Search:
    """Find slices on one half of the clusters and test them on the other, among the items that the metric is about.

    Args:
        columns: outcomes.
        metric: as `chosen_metric` gives it.
        seed: of everything random.
        more: numeric or text columns that slices may be described by, beside groups, label and ``stat.*``.

    Raises:
        InputError: too few items or clusters, no such column, or one that holds lists.
    """
    columns, n_clusters = _searchable(columns, metric, more)
    finding = _half(columns[CLUSTER], seed)
    terms_N2, sign = metric.terms(columns), 1.0 if metric.higher_is_better else -1.0
    rules = _candidates(_rows(columns, finding), sign * terms_N2[finding], seed, more)
    inside = [rule.holds(columns) for rule in rules]
    worse = [
        i
        for i, mask in enumerate(inside)
        if _large(mask, finding) and _gap(_terms(sign * terms_N2, mask)[finding].sum(axis=0)) > 0
    ]
    gaps = _intervals(columns, sign * terms_N2, [inside[i] for i in worse], ~finding, seed)
    found = [
        _slice(columns, terms_N2, rules[i], inside[i], (~finding, sign, gap))
        for i, gap in zip(worse, gaps, strict=True)
        if gap[1] > 0
    ]
    return Search(
        metric=metric.name,
        unit=metric.unit,
        higher_is_better=sign > 0,
        n=len(columns[ITEM]),
        n_clusters=n_clusters,
        n_tested=len(worse),
        candidates=dict(summary(rules)),
        slices=tuple(sorted(found, key=lambda one: -one.gap)),
        level=LEVEL,
        seed=seed,
    )


def _searchable(columns: Columns, metric: Metric, more: Sequence[str]) -> tuple[Columns, int]:
    """The items that the metric is about, and of how many clusters they are: enough for two halves."""
    absent = [name for name in more if name not in columns]
    if absent:
        raise unknown("column", absent[0], columns)
    mine = dict(metric.inside(columns))
    n = len(mine[ITEM])
    if n < MIN_ITEMS:
        about = "".join(f" with {column} = {value}" for column, value in metric.where)
        raise InputError(f"{n} items{about} are too few to search and to test; at least {MIN_ITEMS} are needed")
    n_clusters = len(np.unique(mine[CLUSTER]))
    if n_clusters < 2 * MIN_CLUSTERS:
        raise InputError(
            f"the {n} items are of {n_clusters} independent clusters, too few to search one half of them and test on "
            f"the other; at least {2 * MIN_CLUSTERS} are needed"
        )
    return mine, n_clusters


def _half(clusters_N: NDArray[Any], seed: int) -> Inside:
    """The items whose cluster is in the half to be searched."""
    _, cluster_N = np.unique(clusters_N, return_inverse=True)
    order_G = np.random.default_rng(seed).permutation(int(cluster_N.max()) + 1)
    return np.asarray(order_G[cluster_N] < len(order_G) // 2)


def _rows(columns: Columns, inside: Inside) -> Columns:
    return {name: np.asarray(values)[inside] for name, values in columns.items()}


def _candidates(columns: Columns, terms_N2: Floats, seed: int, more: Sequence[str]) -> list[Rule]:
    top_N, bottom_N = terms_N2[:, 0], np.abs(terms_N2[:, 1])
    score_N = np.divide(top_N, bottom_N, out=np.zeros_like(top_N), where=bottom_N > 0)
    least = max(LEAST_ITEMS, math.ceil(LEAST_SHARE * len(score_N)))
    rules = by_tree(columns, features(columns, more), score_N, bottom_N, least, seed)
    statistics = sorted(name for name in columns if name.startswith(STATISTIC))
    if statistics:
        rules += by_clusters(columns, statistics, "input statistics", seed)
    if "probs" in columns and np.asarray(columns["probs"]).ndim == 2:  # noqa: PLR2004 - one number of classes
        rules += by_clusters(columns, ["probs"], "the model's probabilities", seed)
    return rules


def _large(mask: Inside, finding: Inside) -> bool:
    """At least 5 % of all items, and enough of them in each half; and so for the rest."""
    return all(
        bool(part.mean() >= LEAST_SHARE and min(part[finding].sum(), part[~finding].sum()) >= LEAST_ITEMS)
        for part in (mask, ~mask)
    )


def _terms(terms_N2: Floats, mask: Inside) -> Floats:
    """Sums of the slice and of the rest: [N, 4]."""
    return np.concatenate([terms_N2 * mask[:, None], terms_N2 * ~mask[:, None]], axis=1)


def _gap(sums: Floats) -> Any:
    """Rest minus slice; with signed terms the slice is worse above 0."""
    bottom = np.abs(sums[..., [1, 3]])
    values = np.divide(sums[..., [0, 2]], bottom, out=np.full(bottom.shape, np.nan), where=bottom > 0)
    return values[..., 1] - values[..., 0]


Gap = tuple[float, float, float]
"""Value, lower and upper end."""


def _slice(columns: Columns, terms_N2: Floats, rule: Rule, mask: Inside, tested: tuple[Inside, float, Gap]) -> Slice:
    """What there is to say of a slice: its values on the testing half, and its worst items."""
    testing, sign, (gap, low, high) = tested
    ids = np.asarray(columns[ITEM])
    value_N = np.divide(terms_N2[:, 0], terms_N2[:, 1], out=np.zeros(len(ids)), where=terms_N2[:, 1] != 0)
    worst = sorted(np.flatnonzero(mask), key=lambda i: (sign * value_N[i], str(ids[i])))[:EXAMPLES]
    inside = testing & mask
    return Slice(
        words=rule.words,
        method=rule.method,
        n=int(mask.sum()),
        share=float(mask.mean()),
        n_tested=int(inside.sum()),
        value=float(ratio(terms_N2[inside].sum(axis=0))),
        rest=float(ratio(terms_N2[testing & ~mask].sum(axis=0))),
        gap=gap,
        low=low,
        high=high,
        examples=tuple(str(ids[i]) for i in worst),
    )


def _intervals(columns: Columns, terms_N2: Floats, masks: Sequence[Inside], testing: Inside, seed: int) -> list[Gap]:
    """Every slice's gap with its expanded percentile interval at level 1 - 0.05 / M; all share the resamples."""
    from scipy.special import ndtr, stdtrit

    if not masks:
        return []
    blocks = np.concatenate([_terms(terms_N2, mask)[testing] for mask in masks], axis=1)
    sums_GK = cluster_sums(blocks, columns[CLUSTER][testing])
    n_clusters = len(sums_GK)
    values_RM = _gap(resampled_sums(sums_GK, seed).reshape(-1, len(masks), 4))
    gap_M = _gap(sums_GK.sum(axis=0).reshape(len(masks), 4))
    quantile = stdtrit(n_clusters - 1, 1 - (1 - LEVEL) / 2 / len(masks))
    tail = float(ndtr(-np.sqrt(n_clusters / (n_clusters - 1)) * quantile))
    low_M, high_M = np.nanquantile(values_RM, [tail, 1 - tail], axis=0)
    return [(float(gap), float(low), float(high)) for gap, low, high in zip(gap_M, low_M, high_M, strict=True)]


def shown(found: Search) -> Iterable[tuple[str, ...]]:
    """Rows of a table: slice, share, value, rest, gap with interval, examples."""
    for one in found.slices:
        yield (
            one.words,
            f"{one.share:.0%}",
            f"{one.value:.4g}",
            f"{one.rest:.4g}",
            f"{one.gap:.4g} [{one.low:.4g}, {one.high:.4g}]",
            one.method,
            " ".join(one.examples),
        )
