"""Paired differences between two models on the same items: child minus parent, with a 95 % interval.

Both sides share every resample, so what the items have in common cancels: the interval is usually many times shorter
than the two intervals of ``suite.stats`` suggest.

    proportion, one item per cluster    adjusted Wald (Bonett & Price)                  ``bonett-price``
    proportion, real clusters           the same at the effective sample size           ``bonett-price-cluster``
    any other additive metric           bootstrap of clusters, expanded percentile      ``bootstrap[-cluster]``
    equal terms, item by item           [0, 0]                                          ``identical``

Measured coverage of the nominal 95 % (``tests/suite/test_stats_coverage.py`` holds these bands):

    proportions, n 20 to 5,000, flips 4 % to 25 %       0.93 - 1.00 (1.00 when only a flip or two is expected)
    clustered proportions, ICC .3, 5 to 50 clusters     0.92 - 1.00, but 5 clusters of 100 items 0.86 - 1.00
    means, n >= 20 or >= 12 clusters                    0.92 - 0.99; 5 clusters 0.89 - 0.97

A metric that is no function of sums: see ``suite.stats.interval_rows``.

Shapes: N items, G clusters, K terms, R resamples.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from suite.evidence import Answers, Evidence, Exact, Resampled
from suite.stats import (
    Clusters,
    Finish,
    FloatArray,
    Interval,
    Labels,
    check_hits,
    checked,
    cluster_sums,
    effective_size,
    finished,
    percentile_interval,
    resampled_sums,
    t_quantile,
)


@dataclass(frozen=True)
class Difference:
    """Child minus parent, in the metric's unit.

    Attributes:
        value: the difference on these items; ``None`` when either side is undefined.
        low: lower end of its 95 % interval; ``None`` when there is none.
        high: upper end.
        method: one of the names in the module's table.
        n: items N.
        n_clusters: clusters G.
        reason: why `value` or the interval is missing; ``None`` when both are there.
    """

    value: float | None
    low: float | None
    high: float | None
    method: str
    n: int
    n_clusters: int
    reason: str | None = None


@dataclass(frozen=True)
class Estimate:
    """A difference and the evidence for it.

    Attributes:
        difference: with its 95 % interval.
        evidence: bounds and one-sided tests at any level; ``None`` when there is no interval.
    """

    difference: Difference
    evidence: Evidence | None = None


def paired_difference(
    terms_a_NK: npt.ArrayLike,
    terms_b_NK: npt.ArrayLike,
    finish: Finish,
    clusters_N: Clusters,
    *,
    seed: int,
    proportion: bool = False,
) -> Difference:
    """``finish(sum of b) - finish(sum of a)``: let a be the parent and b the child.

    Args:
        terms_a_NK: sufficient statistics of the parent per item; for a proportion the columns (hit in {0, 1}, 1).
        terms_b_NK: those of the child, same items in the same order.
        finish: sums [..., K] -> value [...], NaN where undefined; not called for a proportion.
        clusters_N: cluster label of each item; all different means independent items.
        seed: of the resampling.
        proportion: whether the metric is the share of hits.

    Returns:
        The difference, with an interval unless there is one cluster, too many undefined resamples, or no variation.
        Equal terms give [0, 0] when some term is no whole number: equal losses show that the models do the same.
        Equal counts do not, so they give no interval, or for a proportion one of positive length.

    Raises:
        ValueError: the sides or the clusters do not fit together, or the terms of a proportion are not (0 or 1, 1).
    """
    found = paired_estimate(terms_a_NK, terms_b_NK, finish, clusters_N, seed=seed, proportion=proportion)
    return found.difference


def paired_estimate(
    terms_a_NK: npt.ArrayLike,
    terms_b_NK: npt.ArrayLike,
    finish: Finish,
    clusters_N: Clusters,
    *,
    seed: int,
    proportion: bool = False,
) -> Estimate:
    """`paired_difference` with the evidence that its interval was read from."""
    terms_a_NK, labels_N = checked(terms_a_NK, clusters_N)
    terms_b_NK, _ = checked(terms_b_NK, labels_N)
    if terms_a_NK.shape != terms_b_NK.shape:
        raise ValueError(f"want the same terms on both sides, not {terms_a_NK.shape} and {terms_b_NK.shape}")
    n_items, n_clusters = len(labels_N), len(np.unique(labels_N))
    if n_items == 0:
        return Estimate(Difference(None, None, None, "bonett-price" if proportion else "bootstrap", 0, 0, "no items"))
    if proportion:
        value, found, evidence = _of_proportions(terms_a_NK, terms_b_NK, labels_N)
    else:
        value, found, evidence = _of_sums(np.hstack([terms_a_NK, terms_b_NK]), finish, labels_N, seed)
    known = value if np.isfinite(value) else None
    difference = Difference(known, found.low, found.high, found.method, n_items, n_clusters, found.reason)
    return Estimate(difference, evidence if found.low is not None else None)


def resampled(value: float, values_R: FloatArray, n_clusters: float) -> Resampled:
    """The evidence of a bootstrap, without the resamples that have no value."""
    return Resampled(value, values_R[np.isfinite(values_R)], n_clusters)


def mcnemar(correct_a_N: npt.ArrayLike, correct_b_N: npt.ArrayLike) -> float:
    """Exact two-sided McNemar test that neither model is right more often, for independent items.

    p = P(|X - m/2| >= |wins - m/2|) = min(1, 2 P(X <= fewer wins)), X ~ Binomial(m, 1/2), over the m items that only
    one model gets right; 1 when m = 0. Range (0, 1], smaller is more evidence of a difference. Agrees with
    statsmodels' ``mcnemar(exact=True)``.

    Raises:
        ValueError: the lengths differ.

    >>> mcnemar([1, 1, 1, 1, 1, 0], [0, 0, 0, 0, 0, 0])
    0.0625
    """
    from scipy.special import bdtr  # scipy.stats takes a second to import

    a_N, b_N = np.asarray(correct_a_N, dtype=bool), np.asarray(correct_b_N, dtype=bool)
    if a_N.shape != b_N.shape:
        raise ValueError(f"want answers to the same items, not {a_N.shape} and {b_N.shape}")
    gains, losses = int((b_N & ~a_N).sum()), int((a_N & ~b_N).sum())
    return min(1.0, 2 * float(bdtr(min(gains, losses), gains + losses, 0.5))) if gains + losses else 1.0


def _of_proportions(
    terms_a_NK: FloatArray, terms_b_NK: FloatArray, labels_N: Labels
) -> tuple[float, Interval, Evidence | None]:
    """The difference of two shares of hits, and Bonett & Price's interval, which has length even without a flip.

        (g - l) +- z sqrt((g + l - (g - l)^2) / (n + 2)),  g = (gains + 1) / (n + 2),  l = (losses + 1) / (n + 2)

    Clusters count at the effective size of gains minus losses, without its pull: the added flips are enough.
    The evidence tests by Tango's score statistic (`suite.statistic`).

    Source: Bonett & Price 2012, "Adjusted Wald confidence interval for a difference of binomial proportions based on
    paired data".
    """
    check_hits(terms_a_NK)
    check_hits(terms_b_NK)
    change_N = terms_b_NK[:, 0] - terms_a_NK[:, 0]
    sums_GK = cluster_sums(np.stack([change_N > 0, change_N < 0, np.ones_like(change_N)], axis=1), labels_N)
    n = float(len(labels_N))
    gain, loss = (float(total) / n for total in sums_GK.sum(axis=0)[:2])
    value = gain - loss
    method = "bonett-price" if len(sums_GK) == n else "bonett-price-cluster"
    if len(sums_GK) == 1:
        return value, Interval(None, None, method, "one cluster: no interval"), None
    if len(sums_GK) < n:
        n = effective_size(sums_GK[:, 0] - sums_GK[:, 1], sums_GK[:, 2], gain + loss - value**2, prior=0.0)
    flips = gain * n, loss * n, n
    gain, loss = (gain * n + 1) / (n + 2), (loss * n + 1) / (n + 2)
    error = float(np.sqrt((gain + loss - (gain - loss) ** 2) / (n + 2)))
    half = t_quantile(np.inf) * error
    low, high = max(gain - loss - half, -1.0), min(gain - loss + half, 1.0)
    found = Interval(float(min(low, value)), float(max(high, value)), method)
    return value, found, Answers(gain - loss, error, *flips)


def _of_sums(
    terms_ab_NK: FloatArray, finish: Finish, labels_N: Labels, seed: int
) -> tuple[float, Interval, Evidence | None]:
    """The difference of an additive metric and its bootstrap interval; the columns are those of a, then those of b."""
    n_terms = terms_ab_NK.shape[1] // 2
    sums_GK = cluster_sums(terms_ab_NK, labels_N)

    def difference(sums_RK: FloatArray) -> FloatArray:
        return finished(finish, sums_RK[:, n_terms:]) - finished(finish, sums_RK[:, :n_terms])

    value = float(finished(difference, sums_GK.sum(axis=0, keepdims=True))[0])
    same = np.array_equal(terms_ab_NK[:, :n_terms], terms_ab_NK[:, n_terms:])
    if same and np.isfinite(value) and (terms_ab_NK % 1 != 0).any():
        return value, Interval(0.0, 0.0, "identical"), Exact(0.0)
    method = "bootstrap" if len(sums_GK) == len(labels_N) else "bootstrap-cluster"
    if len(sums_GK) == 1:
        return value, Interval(None, None, method, "one cluster: no interval"), None
    values_R = finished(difference, resampled_sums(sums_GK, seed))
    found = percentile_interval(value, values_R, len(sums_GK), method, (None, None))
    return value, found, resampled(value, values_R, len(sums_GK))
