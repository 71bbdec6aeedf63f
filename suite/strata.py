"""How the items of a metric are resampled: as they are, by clusters, or each class from itself.

    bootstrap              every item is its own cluster: items are drawn
    bootstrap-cluster      real clusters: whole clusters are drawn, with whatever they hold
    bootstrap-stratified   every item is its own cluster, and the metric ranks one class against another: of each class
                           as many items are drawn as it has

How many positives there are among how many negatives was decided when the items were collected; it says nothing of the
model. A resample that draws items alike also varies that, and may hold no positive at all. So AUROC, AUPRC and what
else `Metric.strata` names classes for keep the number of each class, and by groups that of each class in each group, as
pROC does by default (Robin et al. 2011). Clusters cannot be kept whole and classes fixed: there clusters win.

Measured coverage of the nominal 95 % (``tests/bench/auroc.py`` measures it): of 20 positives among 180 negatives 0.95
at an AUROC of 0.7, 0.93 at 0.8, 0.91 at 0.95; of 100 and 100 0.95; of 10 positives 0.94, 0.91 and 0.83: too short where
few positives rank high.

A class of one item would be the same in every resample, as if it were sure. Then its group (or everything, where there
are no groups) is drawn as it is: where it is one of two classes there is no interval, because a third of the resamples
lack it.

Shape suffixes: N items, S strata, G groups.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from suite.metrics.base import Columns, Metric
from suite.stats import IntArray

_TWO = 2


@dataclass(frozen=True)
class Design:
    """What a bootstrap draws, and how far its resamples can be trusted.

    Attributes:
        method: the interval's name, see above.
        n_items: items N.
        n_clusters: clusters.
        size: as how many independent items the values vary, for the width of percentile intervals: the clusters, or
            the `effective` number of strata.
        fewest: as how many items a value without any variation counts, of one group; ``None``: all clusters.
    """

    method: str
    n_items: int
    n_clusters: int
    size: float
    fewest: int | None = None


def design(metric: Metric, columns: Columns, cluster_N: IntArray) -> Design:
    """How `metric` is resampled on its rows.

    Args:
        metric: any.
        columns: its rows, as `Metric.rows` gives them.
        cluster_N: number of each row's cluster, from 0, none left out.
    """
    n_items, n_clusters = len(cluster_N), int(cluster_N.max(initial=-1)) + 1
    stratum_N = strata(metric, columns, cluster_N)
    if stratum_N is None:
        method = "bootstrap" if n_clusters == n_items else "bootstrap-cluster"
        return Design(method, n_items, n_clusters, n_clusters)
    if metric.blocks is not None:
        stratum_N = stratum_N[columns[metric.blocks.column][:, 0] >= 0]
    return Design("bootstrap-stratified", n_items, n_clusters, effective(stratum_N), _fewest(stratum_N))


def strata(metric: Metric, columns: Columns, cluster_N: IntArray) -> IntArray | None:
    """The stratum of each row, numbered from 0, [N]; ``None`` where nothing is stratified.

    Classes of a `Metric.blocks` are told apart by group. Arguments as of `design`.
    """
    if metric.strata is None or not len(cluster_N) or int(cluster_N.max()) + 1 < len(cluster_N):
        return None
    classes, class_N = np.unique(metric.strata(columns), return_inverse=True)
    code_N = np.zeros_like(cluster_N) if metric.blocks is None else columns[metric.blocks.column][:, 0]
    both_N = (code_N - code_N.min()) * len(classes) + class_N
    alone = np.bincount(both_N)[both_N] == 1
    both_N[np.isin(code_N, code_N[alone])] -= class_N[np.isin(code_N, code_N[alone])]
    found, stratum_N = np.unique(both_N, return_inverse=True)
    return None if len(found) == 1 else np.asarray(stratum_N, dtype=np.int64)


def effective(stratum_N: IntArray) -> float:
    """As how many independent items strata of these sizes vary: degrees of freedom + 1, by Welch and Satterthwaite.

        (sum_s 1/n_s)^2 / sum_s (1/n_s^2 / (n_s - 1)) + 1

    of a sum of means that vary alike within each: 39 of 20 and 20 items, 24.4 of 20 positives and 180 negatives, about
    the smallest where one is small. Strata of one item say nothing of how they vary, and do not count.
    """
    size_S = np.bincount(stratum_N).astype(np.float64)
    size_S = size_S[size_S > 1]
    if not len(size_S):
        return float(len(stratum_N))
    return float((1 / size_S).sum() ** 2 / (1 / (size_S**2 * (size_S - 1))).sum()) + 1


def clusters_by_group(metric: Metric, columns: Columns, cluster_N: IntArray) -> IntArray:
    """As how many clusters the value of each group of a `Metric.blocks` counts where it does not vary, [G].

    A perfect AUROC of 20 positives and 180 negatives is as sure as 20 of 20. Of more than two classes, one against the
    rest, the smallest counts as often as there are classes, because it weighs so little in their mean. Arguments as of
    `design`.
    """
    assert metric.blocks is not None
    codes_N2, stratum_N = columns[metric.blocks.column], strata(metric, columns, cluster_N)
    n_groups = int(codes_N2[:1, 1].sum())
    if stratum_N is not None:
        return np.array([_fewest(stratum_N[codes_N2[:, 0] == g]) for g in range(n_groups)], dtype=np.int64)
    n_clusters = int(cluster_N.max()) + 1
    pairs = np.unique((codes_N2[:, 0] + 1) * n_clusters + cluster_N)
    return np.bincount(pairs // n_clusters, minlength=n_groups + 1)[1:].astype(np.int64)


def _fewest(stratum_N: IntArray) -> int:
    size_S = np.unique(stratum_N, return_counts=True)[1]
    weight = len(size_S) if len(size_S) > _TWO else 1
    return weight * int(size_S.min()) if len(size_S) else 1
