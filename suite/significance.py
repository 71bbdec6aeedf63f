"""Significance: p-values of "the two do not differ", many of them at once, and how much data a decision needs.

Which test answers (`suite.comparison` chooses): exact McNemar for right or wrong, one item a cluster
(`suite.paired.mcnemar`); `swaps` for a mean over items, clustered or not; the paired bootstrap (`two_sided`) for
everything else, such as ECE, AUROC, a worst group or a gap.

    MDE = (z_0.975 + z_0.8) SE = 2.8 SE;  for right or wrong with share of flips f: 2.8 sqrt(f / n)
    n needed = n (MDE / delta)^2;  for right or wrong: 7.85 f / delta^2

At another level than 5 % (Holm's, of many metrics) z_0.975 becomes that level's (`detectable`, `needed`, `decides`).

Source: Miller 2024, "Adding Error Bars to Evals" (paired, clustered standard errors, and power).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from suite.evidence import Evidence

_POWER = 0.8416212335729143  # z of 80 %
_NOTHING = 1e-3  # standard errors
N_SWAPS = 9_999
EXACT_CLUSTERS = 13  # 2^13 sign patterns are fewer than N_SWAPS: all of them are tried
_BLOCK = 2**22
_WAITING = 2**24  # bytes of sign patterns that are added up at once
_TIE = 1e-9  # relative; sums of floats in another order differ by less


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values, in the order given; reject where at most alpha. Family-wise error rate alpha.

    p_(i) adjusted = max over j <= i of min(1, (m - j + 1) p_(j)). Source: Holm 1979. Agrees with statsmodels'
    ``multipletests(method="holm")``.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    adjusted, highest = [0.0] * len(p_values), 0.0
    for rank, i in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[i]))
        adjusted[i] = highest
    return adjusted


def two_sided(evidence: Evidence) -> float:
    """P-value of "no difference": twice the smaller one-sided one, at most 1."""
    return min(1.0, 2 * min(evidence.p_above(0.0), evidence.p_below(0.0)))


def swaps(change_G: npt.ArrayLike, seed: int) -> float:
    """Paired permutation test on the sum of changes: under "no difference" each cluster's sign is a fair coin.

    All 2^G patterns up to 13 clusters, else 9,999 random ones, the observed one counted too. Two-sided: the share of
    patterns whose |sum| is at least the observed one. Clusters without change do not matter. Agrees with
    ``scipy.stats.permutation_test(permutation_type="samples")``, at a fraction of its time and memory.

    Args:
        change_G: child minus parent summed over each cluster (or item).
        seed: of the random patterns.
    """
    given_G = np.asarray(change_G, dtype=np.float64)
    moved_G = given_G[given_G != 0]
    g = len(moved_G)
    if g == 0:
        return 1.0
    total = abs(moved_G.sum()) - _TIE * np.abs(moved_G).sum()
    if g <= EXACT_CLUSTERS:
        patterns_RG = (np.arange(2**g)[:, None] >> np.arange(g)) & 1
        return float((np.abs((2 * patterns_RG - 1) @ moved_G) >= total).mean())
    rng, hits, width = np.random.default_rng(seed), 0, -(-g // 8)
    sums_WV = _sums_of_bytes(moved_G, width)
    block, waiting = max(1, _BLOCK // g), []
    for start in range(0, N_SWAPS, block):
        rows = min(block, N_SWAPS - start)
        waiting.append(np.frombuffer(rng.bytes(rows * width), dtype=np.uint8).reshape(rows, width))
        if len(waiting) * block * width < _WAITING and start + block < N_SWAPS:
            continue
        sums_R = 2 * _added(sums_WV, np.concatenate(waiting)) - moved_G.sum()
        hits += int((np.abs(sums_R) >= total).sum())
        waiting.clear()
    return (hits + 1) / (N_SWAPS + 1)


def _sums_of_bytes(moved_G: npt.NDArray[np.float64], width: int) -> npt.NDArray[np.float64]:
    """For every eight clusters [W] and every byte [256], the sum of those whose bit is set, the first bit the highest.

    A pattern's sum then takes one look-up for eight clusters (the method of the four Russians).
    """
    padded_W8 = np.zeros(8 * width)
    padded_W8[: len(moved_G)] = moved_G
    bits_V8 = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1)
    return padded_W8.reshape(width, 8) @ bits_V8.T.astype(np.float64)


def _added(sums_WV: npt.NDArray[np.float64], bytes_RW: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """Sum over W of ``sums_WV[w, bytes_RW[r, w]]``; w by w, so that table and sums stay in the cache."""
    bytes_WR = np.ascontiguousarray(bytes_RW.T)
    sums_R, mine_R = np.zeros(len(bytes_RW)), np.empty(len(bytes_RW))
    for sums_V, bytes_R in zip(sums_WV, bytes_WR, strict=True):
        np.take(sums_V, bytes_R, out=mine_R, mode="clip")
        sums_R += mine_R
    return sums_R


def next_level(p_values: Sequence[float], alpha: float) -> float:
    """The level at which Holm would reject the next one: alpha / (hypotheses that are not rejected yet).

    >>> next_level([0.001, 0.2, 0.3], 0.05)
    0.025
    """
    left = sum(p > alpha for p in holm(p_values))
    return alpha / max(left, 1)


def detectable(se: float, level: float = 0.05) -> float:
    """The smallest true difference that a two-sided test finds with power 80 %: 2.8 SE at the level of 5 %."""
    return (_z(level / 2) + _POWER) * se


def needed(n: int, se: float, distance: float, level: float = 0.05) -> int | None:
    """How many items (or clusters) would decide, if the true value lies as far from the border as the observed one.

    n (MDE / distance)^2 of a two-sided test at this level; None when the distance is 0, where no number is enough.

    >>> needed(1000, 0.2 / 1000**0.5, 0.01)  # 4 % flips, one point: 7.85 * 0.04 / 0.01^2
    3140
    """
    if distance == 0 or not math.isfinite(se):
        return None
    return math.ceil(n * (detectable(se, level) / distance) ** 2)


def decides(n: int, p: float, level: float) -> int | None:
    """How many items would bring a one-sided p-value down to a level with power 80 %, if all else stays as observed.

    n ((z_{1-level} + z_0.8) / z_{1-p})^2, since z grows with sqrt(n). More than `n` wherever p is above the level,
    whatever the test; None where p is 1/2 or more, so that nothing points there, and where `n` is not known (0).

    >>> decides(1000, 0.05, 0.05), decides(1000, 0.5, 0.05)
    (2286, None)
    """
    seen = _z(p)
    return math.ceil(n * ((_z(level) + _POWER) / seen) ** 2) if n and seen > _NOTHING else None


def beyond(z: float) -> float:
    """The probability that a standard normal value exceeds z."""
    from scipy.special import ndtr

    return float(ndtr(-z))


def _z(p: float) -> float:
    """The point that a standard normal value exceeds with probability p."""
    from scipy.special import ndtri

    return -float(ndtri(p))
