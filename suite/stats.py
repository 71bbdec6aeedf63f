"""Intervals for the value of a metric: 95 %, two-sided, and honest about clusters.

Items of one document, patient or image group are not independent, so every interval resamples or counts *clusters*.
An additive metric is given by sufficient statistics per item and a function of their sums: accuracy is (hit, 1) with
``s0 / s1``, perplexity is (nll, tokens) with ``exp(s0 / s1)``, calibration error is 15 x 3 bin sums.

    proportion, one item per cluster   Wilson score interval                                      ``wilson``
    proportion, real clusters          Wilson at the effective sample size (Korn & Graubard)      ``wilson-cluster``
    any other additive metric          bootstrap of clusters, 10,000 times, expanded percentile   ``bootstrap``, or
    a function of rows (AURC)          the same, 1,000 times                                      ``bootstrap-cluster``
    of ranked classes (AUROC)          the same, each class drawn from itself (suite.strata)   ``bootstrap-stratified``
    both quantiles at a finite bound   Clopper-Pearson at n of n, n = clusters of all items, or   ``exact-bound``
                                       of the smallest group where it is a spread over groups
    nothing honest to say              null and a reason

Measured coverage of the nominal 95 % (``tests/suite/test_stats_coverage.py`` re-measures it and holds these bands):

    proportions .5 .9 .98, n 20 to 5,000                      0.92 - 0.99
    clustered proportions .5 .9 .98, ICC .3, 12, 50 clusters  0.92 - 0.99, but .98 in 50 clusters 0.84 - 0.92: too short
    normal means and ratios, n >= 20 or >= 12 clusters        0.92 - 0.99
    lognormal(0.5) means                                      n = 20: 0.90 - 0.97; n >= 50: 0.92 - 0.99
    lognormal(1) means, too short for few items               n = 20: 0.84 - 0.91; 50: 0.87 - 0.94; 200: 0.90 - 0.97
    5 clusters                                                means 0.89 - 0.97; proportions 0.95 - 1.00: too long

Shapes: N items, G clusters, K terms, R resamples, B resamples in one block.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from suite.errors import Undefined

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
Labels = npt.NDArray[np.generic]
Clusters = Labels | Sequence[str] | Sequence[int]
Finish = Callable[[FloatArray], FloatArray]
Bounds = tuple[float | None, float | None]

N_RESAMPLES = 10_000
LEVEL = 0.95
MAX_UNDEFINED = 0.05  # share of resamples without a value above which the interval has none either
HALF_CLUSTER = 0.5  # weight of the belief in full correlation, in clusters; chosen by the coverage simulation
_same = partial(np.isclose, rtol=1e-12, atol=1e-14)  # equal but for rounding
_BLOCK_DRAWS = 2**17  # draws held at once: 1 MB per array, which stays in the cache


@dataclass(frozen=True)
class Interval:
    """A two-sided 95 % interval, or the reason why there is none.

    Attributes:
        low: lower end in the metric's unit; ``None`` exactly when `high` is.
        high: upper end.
        method: one of the names in the module's table.
        reason: why there is no interval; ``None`` when there is one.
    """

    low: float | None
    high: float | None
    method: str
    reason: str | None = None


def interval(
    terms_NK: npt.ArrayLike,
    finish: Finish,
    clusters_N: Clusters,
    *,
    seed: int,
    bounds: Bounds = (None, None),
    proportion: bool = False,
) -> Interval:
    """The interval of an additive metric; the module's table says which method answers.

    Args:
        terms_NK: sufficient statistics per item; for a proportion the columns (hit in {0, 1}, 1).
        finish: sums [..., K] -> value [...], NaN where undefined; not called for a proportion.
        clusters_N: cluster label of each item; all different means independent items.
        seed: of the resampling; the same seed, items and labels give the same interval in any row order.
        bounds: least and greatest possible value of the metric; ``None`` for an open side.
        proportion: whether the metric is the share of hits.

    Returns:
        An interval within `bounds` that contains the value; without ends when there are no items, one cluster, no
        finite value, more than 5 % of resamples without a value, or no variation away from a bound.

    Raises:
        ValueError: terms and clusters do not fit together, or the terms of a proportion are not (0 or 1, 1).
    """
    terms_NK, labels_N = checked(terms_NK, clusters_N)
    sums_GK = cluster_sums(terms_NK, labels_N)
    n_items, n_clusters = len(terms_NK), len(sums_GK)
    method = ("wilson" if proportion else "bootstrap") + ("-cluster" if n_clusters < n_items else "")
    if proportion:
        check_hits(terms_NK)
    if n_clusters < 2:  # noqa: PLR2004
        return Interval(None, None, method, "one cluster: no interval" if n_items else "no items")
    if proportion:
        return _wilson_interval(sums_GK, method)
    value = float(finished(finish, sums_GK.sum(axis=0, keepdims=True))[0])
    return percentile_interval(value, finished(finish, resampled_sums(sums_GK, seed)), n_clusters, method, bounds)


def interval_rows(
    fn: Callable[[IntArray], float],
    n_rows: int,
    clusters_N: Clusters,
    *,
    seed: int,
    bounds: Bounds = (None, None),
    n_resamples: int = 1000,
) -> Interval:
    """The cluster bootstrap of a metric that is no function of sums, such as AUROC; otherwise as `interval`.

    For a paired difference let `fn` return metric_b(rows) - metric_a(rows): both sides then share their resamples.

    Args:
        fn: row indices, in any order -> value; raises `Undefined` or returns NaN when it has none.
        n_rows: number of items N.
        clusters_N: cluster label of each item; ValueError unless there are `n_rows` of them.
        seed: of the resampling.
        bounds: least and greatest possible value; ``None`` for an open side.
        n_resamples: resamples R; each costs one call of `fn`.
    """
    labels_N = checked(np.empty((n_rows, 0)), clusters_N)[1]
    _, cluster_N, size_G = np.unique(labels_N, return_inverse=True, return_counts=True)
    n_clusters = len(size_G)
    method = "bootstrap" if n_clusters == n_rows else "bootstrap-cluster"
    if n_clusters < 2:  # noqa: PLR2004
        return Interval(None, None, method, "one cluster: no interval" if n_rows else "no items")
    rows_of_G = np.split(np.argsort(cluster_N, kind="stable"), np.cumsum(size_G)[:-1])
    rng = np.random.default_rng(seed)
    draws = (rng.integers(0, n_clusters, n_clusters) for _ in range(n_resamples))
    values_R = np.array([_value_of(fn, np.concatenate([rows_of_G[g] for g in picks_G])) for picks_G in draws])
    return percentile_interval(_value_of(fn, np.arange(n_rows)), values_R, n_clusters, method, bounds)


def cluster_sums(terms_NK: npt.ArrayLike, clusters_N: Clusters) -> FloatArray:
    """Sums of the terms over each cluster, sums_GK, in ascending order of the labels.

    Rows are sorted by (label, terms) before they are added, so the order of the input changes not a single bit.

    Args:
        terms_NK: sufficient statistics per item.
        clusters_N: label of each item, strings or integers.

    Raises:
        ValueError: `terms_NK` is not a matrix, or the lengths differ.

    >>> cluster_sums([[1, 1], [0, 1], [1, 1]], ["b", "a", "b"]).tolist()
    [[0.0, 1.0], [2.0, 2.0]]
    """
    terms_NK, labels_N = checked(terms_NK, clusters_N)
    if len(terms_NK) == 0:
        return terms_NK
    _, first_G, cluster_N = np.unique(labels_N, return_index=True, return_inverse=True)
    if len(first_G) == len(terms_NK):
        return terms_NK[first_G]
    order_N = np.lexsort((*terms_NK.T, cluster_N))
    starts_G = np.searchsorted(cluster_N[order_N], np.arange(len(first_G)))
    return np.asarray(np.add.reduceat(terms_NK[order_N], starts_G, axis=0), dtype=np.float64)


def checked(terms_NK: npt.ArrayLike, clusters_N: Clusters) -> tuple[FloatArray, Labels]:
    """Terms as a float64 matrix and labels as a vector of the same length; ValueError when they are not."""
    terms = np.asarray(terms_NK, dtype=np.float64)
    labels = np.asarray(clusters_N)
    if terms.ndim != 2 or labels.shape != terms.shape[:1]:  # noqa: PLR2004
        raise ValueError(f"want terms [N, K] and clusters [N], not {terms.shape} and {labels.shape}")
    return terms, labels


def check_hits(terms_NK: FloatArray) -> None:
    """Raise ValueError unless the columns are (0 or 1, 1)."""
    if terms_NK.shape[1:] != (2,) or not (np.isin(terms_NK, (0, 1)).all() and terms_NK[:, 1].all()):
        raise ValueError("the terms of a proportion must be (hit in {0, 1}, 1)")


def finished(finish: Finish, sums_RK: FloatArray) -> FloatArray:
    """``finish(sums_RK)`` as float64 [R], without numpy's warnings about undefined values."""
    with np.errstate(all="ignore"):
        return np.asarray(finish(sums_RK), dtype=np.float64)


def resampled_sums(sums_GK: FloatArray, seed: int) -> FloatArray:
    """Sums of `N_RESAMPLES` draws of G clusters with replacement: counts_RG @ sums_GK, in blocks of rows.

    The draws come from one stream in row order, so the size of a block does not matter. A block holds one resample or
    2^17 draws, whichever is more, at 24 bytes per draw.
    """
    n_clusters = len(sums_GK)
    n_rows, rng, blocks_BK = max(1, _BLOCK_DRAWS // n_clusters), np.random.default_rng(seed), []
    for start in range(0, N_RESAMPLES, n_rows):
        shape = min(n_rows, N_RESAMPLES - start), n_clusters
        draws_BG = rng.integers(0, n_clusters, shape) + n_clusters * np.arange(shape[0])[:, None]
        counts_BG = np.bincount(draws_BG.ravel(), minlength=draws_BG.size).reshape(shape)
        blocks_BK.append(counts_BG.astype(np.float64) @ sums_GK)
    return np.concatenate(blocks_BK)


def percentile_interval(
    value: float, values_R: FloatArray, n_clusters: float, method: str, bounds: Bounds, fewest: int | None = None
) -> Interval:
    """The expanded percentile interval of bootstrap values, widened to hold `value` and clipped to `bounds`.

    Quantiles a' and 1 - a' with a' = Phi(-sqrt(G / (G - 1)) t_{G-1, 0.975}), which undoes the narrowness of the plain
    percentile interval in small samples (Hesterberg 2015, "What Teachers Should Know About the Bootstrap"). Resamples
    without a finite value are left out while they are at most 5 %. What does not vary at a bound is as sure as `fewest`
    clusters make it, those of the smallest group of a spread; by default all. Of strata, G is `suite.strata.effective`.
    """
    from scipy.special import ndtr

    if not np.isfinite(value):
        return Interval(None, None, method, "the value itself is undefined")
    defined = values_R[np.isfinite(values_R)]
    if (undefined := 1 - len(defined) / len(values_R)) > MAX_UNDEFINED:
        return Interval(None, None, method, f"undefined in {undefined:.1%} of the resamples")
    tail = float(ndtr(-np.sqrt(n_clusters / (n_clusters - 1)) * t_quantile(n_clusters - 1)))
    low, high = np.quantile(defined, [tail, 1 - tail])
    if _same(low, high):
        return _without_variation(value, n_clusters, method, bounds, fewest or n_clusters)
    return Interval(*_holding(value, float(low), float(high), bounds), method)


def effective_size(total_G: FloatArray, size_G: FloatArray, unit_variance: float, prior: float) -> float:
    """The number of independent items that would tell as much as these clusters do.

        n_eff = n / deff' * (t_{n-1} / t_{G-1})^2
        deff' = (G max(1, deff) + prior * m) / (G + prior),  m = sum_g n_g^2 / n  (deff of fully correlated clusters)
        deff  = n V / unit_variance,  V = G / (G - 1) sum_g (y_g - ratio n_g)^2 / n^2

    with y_g = total_G the sums over clusters of n_g = size_G items, and the variance of one item. The design effect is
    noisy for few clusters, hence its floor of 1 and its pull towards full correlation, weighed in clusters by `prior`.
    Without any variation it is unknown, and full correlation is assumed: n_eff = G.

    Source: Korn & Graubard 1998, "Confidence intervals for proportions with small expected number of positive counts
    estimated from survey data" (deff and the t factor); floor and pull are ours, chosen by simulation.
    """
    n_clusters, n_items = len(size_G), float(size_G.sum())
    if unit_variance <= 0:
        return float(n_clusters)
    residual_G = total_G - total_G.sum() / n_items * size_G
    variance = n_clusters / (n_clusters - 1) * float(residual_G @ residual_G) / n_items**2
    deff = max(1.0, n_items * variance / unit_variance)
    deff = (n_clusters * deff + prior * float(size_G @ size_G) / n_items) / (n_clusters + prior)
    return float(n_items / deff * (t_quantile(n_items - 1) / t_quantile(n_clusters - 1)) ** 2)


def t_quantile(df: float) -> float:
    """The upper 2.5 % point of Student's t; 1.96 at infinitely many degrees of freedom."""
    from scipy.special import stdtrit

    return float(stdtrit(df, (1 + LEVEL) / 2))


def _wilson_interval(sums_GK: FloatArray, method: str) -> Interval:
    """Wilson's score interval at n items, or at the effective size of clusters (`effective_size`).

    (p + z^2 / 2n +- z sqrt(p (1 - p) / n + z^2 / 4n^2)) / (1 + z^2 / n). Source: Wilson 1927.
    """
    hits_G, size_G = sums_GK.T
    n, p = float(size_G.sum()), float(hits_G.sum()) / float(size_G.sum())
    if method == "wilson-cluster":
        n = effective_size(hits_G, size_G, p * (1 - p), HALF_CLUSTER)
    z = t_quantile(np.inf)
    centre, half, scale = p + z**2 / (2 * n), z * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2)), 1 + z**2 / n
    return Interval(*_holding(p, (centre - half) / scale, (centre + half) / scale, (0.0, 1.0)), method)


def _without_variation(value: float, n_clusters: float, method: str, bounds: Bounds, fewest: float) -> Interval:
    """Clopper-Pearson at n of n, scaled to the metric's range, when `value` sits at one of two finite bounds."""
    if (least := bounds[0]) is not None and (most := bounds[1]) is not None:
        reach = (most - least) * (1 - ((1 - LEVEL) / 2) ** (1 / fewest))
        if _same(value, most):
            return Interval(most - reach, float(most), "exact-bound")
        if _same(value, least):
            return Interval(float(least), least + reach, "exact-bound")
    among = f"{n_clusters} clusters" if n_clusters == int(n_clusters) else "the resamples"
    return Interval(None, None, method, f"no variation among {among}")


def _holding(value: float, low: float, high: float, bounds: Bounds) -> tuple[float, float]:
    """The ends clipped to `bounds` and moved outwards to hold `value`."""
    least, most = (end if bound is None else bound for end, bound in zip((-np.inf, np.inf), bounds, strict=True))
    return float(min(max(low, least), value)), float(max(min(high, most), value))


def _value_of(fn: Callable[[IntArray], float], rows: IntArray) -> float:
    """``fn(rows)``, NaN where undefined."""
    try:
        return float(fn(rows))
    except Undefined:
        return float("nan")
