"""Statistic: by how many standard errors a paired change lies above the most that may be lost.

    z = (gain + margin) / SE,   gain: child minus parent, turned so that more is better

Right or wrong answers (Tango's score statistic): the SE is that of a change of exactly -margin, whose share of flips is
the most likely one given that change. It needs no flip to be seen, and it is honest where nearly all flips are losses:
Wald's SE, from the observed flips, is too small there (a margin of 2 % on 400 items with nothing but losses passes one
time in ten at 5 %).

    z = (b - c + n m) / sqrt(n (2 q - m - m^2)),   b gains, c losses, m margin,   q the likeliest share of losses

Everything else: the jackknife's SE over clusters, which is the clustered SE for a mean, and holds for smooth functions
of sums such as exp(mean) as well.

    SE^2 = (G - 1) / G sum_g (d_(g) - mean d_(g))^2,   d_(g): the change without cluster g

and Hall's transformation, which undoes the skewness s of the clusters' shares in the change. Where few items carry most
of the loss, the plain z says "no worse" too often, because a sample without them varies little:

    z' = sqrt(G) (w + s w^2 / 3 + s^2 w^3 / 27 + s / 6G),   w = z / sqrt(G)

Source: Tango 1998, "Equivalence test and confidence interval for the difference in proportions for the paired-sample
design"; Efron & Stein 1981 (jackknife); Hall 1992, "On the removal of skewness by transformation". Shapes: N items,
G clusters, K terms.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from suite.stats import Finish, FloatArray, Labels, cluster_sums, effective_size, finished

_ROUNDING = 1e-12  # relative: sums of floats in another order differ by less, and that is no variation


@dataclass(frozen=True)
class Change:
    """A change on the items seen so far, as a statistic of any margin.

    Attributes:
        gain: child minus parent, turned so that more is better.
        se: its standard error as observed; 0 without any variation.
        n_clusters: clusters behind it.
        skewness: of what each cluster adds to the gain.
        flips: gains, losses and number of answers at their effective size; ``None`` for what is not right or wrong.
    """

    gain: float
    se: float
    n_clusters: int
    skewness: float = 0.0
    flips: tuple[float, float, float] | None = None

    def z(self, margin: float) -> float | None:
        """Standard errors above a loss of `margin`; ``None`` where there is nothing to measure them by."""
        if self.flips is not None:
            return score(*self.flips, margin)
        if not self.se > 0:
            return None
        root, s = math.sqrt(self.n_clusters), self.skewness
        w = (self.gain + margin) / self.se / root
        return root * (w + s * w**2 / 3 + s**2 * w**3 / 27 + s / (6 * self.n_clusters))

    def widened(self, bound: float) -> float:
        """The bound for a standard error that is itself estimated: the same tail of Student's t on G - 1."""
        if self.flips is not None:
            return bound
        from scipy.special import ndtr, stdtrit

        return float(-stdtrit(self.n_clusters - 1, ndtr(-bound)))


def score(gains: float, losses: float, n: float, margin: float) -> float | None:
    """Tango's statistic of `gains` and `losses` among `n` pairs against a loss of `margin`; ``None`` without variance.

    Without a margin it is McNemar's (b - c) / sqrt(b + c).

    `n` pairs need not be a whole number; a negative `margin` is a gain that must be exceeded.

    >>> score(10, 30, 100, 0.0) == -20 / 40**0.5
    True
    """
    d = -margin
    b = 2 * n * d - gains - losses - (gains - losses) * d
    q = (math.sqrt(max(b * b + 8 * n * losses * d * (1 - d), 0.0)) - b) / (4 * n)
    variance = n * (2 * q + d * (1 - d))
    return (gains - losses - n * d) / math.sqrt(variance) if variance > _ROUNDING * n else None


def of_proportions(hits_a_N: FloatArray, hits_b_N: FloatArray, clusters_N: Labels, sign: int) -> Change:
    """The change of a share of hits (0 or 1); correlated answers count at their effective size.

    Args:
        hits_a_N: of the parent.
        hits_b_N: of the child, same items in the same order.
        clusters_N: cluster of each item.
        sign: 1 where more hits are better, -1 where fewer are.
    """
    change_N = sign * (hits_b_N - hits_a_N)
    sums_GK = cluster_sums(np.stack([change_N > 0, change_N < 0, np.ones_like(change_N)], axis=1), clusters_N)
    n = float(len(change_N))
    up, down = (float(total) / n for total in sums_GK.sum(axis=0)[:2])
    variance = up + down - (up - down) ** 2
    size = n
    if len(sums_GK) < n:
        size = effective_size(sums_GK[:, 0] - sums_GK[:, 1], sums_GK[:, 2], variance, prior=0.0)
    # Bonett & Price: one more flip each way, so that the error as shown has length
    g, l = (up * size + 1) / (size + 2), (down * size + 1) / (size + 2)  # noqa: E741
    error = math.sqrt((g + l - (g - l) ** 2) / (size + 2))
    return Change(up - down, error, len(sums_GK), flips=(up * size, down * size, size))


def of_sums(terms_a_NK: FloatArray, terms_b_NK: FloatArray, finish: Finish, clusters_N: Labels, sign: int) -> Change:
    """The change of a function of sums over items.

    Args:
        terms_a_NK: sufficient statistics of the parent.
        terms_b_NK: of the child, same items in the same order.
        finish: sums [..., K] -> value [...].
        clusters_N: cluster of each item.
        sign: 1 where more is better, -1 where less is.
    """
    a_GK, b_GK = cluster_sums(terms_a_NK, clusters_N), cluster_sums(terms_b_NK, clusters_N)
    n_clusters = len(a_GK)

    def change(a: FloatArray, b: FloatArray) -> FloatArray:
        return sign * (finished(finish, b) - finished(finish, a))

    a_K, b_K = a_GK.sum(axis=0), b_GK.sum(axis=0)
    gain = float(change(a_K[None], b_K[None])[0])
    without_G = change(a_K - a_GK, b_K - b_GK)
    adds_G = without_G.mean() - without_G  # to the gain, but for a factor
    spread = float((adds_G**2).sum())
    se = math.sqrt((n_clusters - 1) / n_clusters * spread)
    if se <= _ROUNDING * abs(gain):
        return Change(gain, 0.0, n_clusters)
    skewness = float((adds_G**3).mean() / (adds_G**2).mean() ** 1.5)
    return Change(gain, se, n_clusters, skewness)
