"""Ranks with uncertainty: who is surely better than whom, from paired resamples of the items.

All models of a task share every resample of its clusters, so what the items have in common cancels. The score that
models are ordered by is the value itself on one task, and minus the mean rank over several tasks, whose units differ.

    rank interval   1 + (models surely better)  to  M - (models surely worse)
                    j is surely better than i when (s_j - s_i) / se_ij exceeds the 95 % quantile, over the resamples, of
                    max_j |(s*_i - s*_j) - (s_i - s_j)| / se_ij: all comparisons of i hold together, ties included.
                    Source: Mogstad, Romano, Shaikh & Wilhelm 2024, "Inference for Ranks" (marginal intervals). The
                    plain percentiles of resampled ranks do not cover when models are equally good.
    tie groups      maximal runs of neighbours in the order of which no two are surely different, as the bars of a
                    critical-difference diagram (Demsar 2006), but by the intervals above instead of Nemenyi's test.
    p_best          share of the resamples in which a model has the largest score; equal ones share it.

Shape suffixes: M models, R resamples, N items, G clusters, K terms, T tasks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np
import numpy.typing as npt
from numpy.typing import NDArray

from suite.slabs import by_slabs
from suite.stats import LEVEL, Finish, finished

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
RESAMPLES = 1000
MIN_TIED = 2
_BLOCK_DRAWS = 1 << 23  # counts at once: 32 MB
_COLUMNS = 128  # resamples, and _ROWS of them, at once: what stays in the cache
_ROWS = 64
_RESAMPLED = 125  # resamples that a thread sums at once
_INDEX_BITS = 24  # models that a sort can tell apart: 16 million


@dataclass(frozen=True)
class Sample:
    """One task's scores, larger is better.

    Attributes:
        values_M: of all items.
        resampled_RM: of every resample of the clusters, the same draws for all models.
    """

    values_M: Floats
    resampled_RM: Singles


@dataclass(frozen=True)
class Ranking:
    """What a set of models and tasks gives; everything in the order of the models given.

    Attributes:
        score_M: what they are ordered by, larger is better.
        rank_M: 1 is best; equal scores share their mean rank.
        low_M: smallest rank that is not ruled out.
        high_M: largest.
        mean_rank_M: mean of the ranks on the single tasks.
        mean_rank_low_M: lower end of its 95 % percentile interval.
        mean_rank_high_M: upper end.
        p_best_M: share of the resamples in which it is best.
        score_RM: the scores on every resample.
        order: models, best first.
        groups: tie groups as (first, last) places in `order`, counted from 0.
    """

    score_M: Floats
    rank_M: Floats
    low_M: NDArray[np.int64]
    high_M: NDArray[np.int64]
    mean_rank_M: Floats
    mean_rank_low_M: Floats
    mean_rank_high_M: Floats
    p_best_M: Floats
    score_RM: Singles
    order: NDArray[np.int64]
    groups: tuple[tuple[int, int], ...]


def sample(
    terms_MNK: npt.ArrayLike, finish: Finish, clusters_N: npt.ArrayLike, *, larger_is_better: bool, seed: int = 0
) -> Sample:
    """The scores of an additive metric on all items and on `RESAMPLES` resamples of the clusters.

    Args:
        terms_MNK: for each model its sufficient statistics per item, the same items in the same order [M, N, K].
        finish: sums [..., K] -> value [...].
        clusters_N: cluster of each item.
        larger_is_better: the metric's direction; values of the others are negated.
        seed: of the draws.
    """
    sign = 1.0 if larger_is_better else -1.0
    sums_MGK = _cluster_sums(np.asarray(terms_MNK), clusters_N)
    n_models, n_clusters, n_terms = sums_MGK.shape
    values_MK = np.stack([sums_MGK[:, :, term].sum(axis=1) for term in range(n_terms)], axis=1)
    sums_KMG = [sums_MGK[:, :, term].astype(np.float32) for term in range(n_terms)]
    sums_KMG = [one[:1] if (one == one[0]).all() else one for one in sums_KMG]  # the count of items is everybody's
    resampled_RM = np.empty((RESAMPLES, n_models), dtype=np.float32)
    done = 0
    for counts_BG in draws(n_clusters, seed):
        mine_BM = resampled_RM[done : done + len(counts_BG)]
        by_slabs(partial(_resample, counts_BG, sums_KMG, finish, mine_BM), len(counts_BG), _RESAMPLED)
        done += len(counts_BG)
    resampled_RM *= np.float32(sign)
    return Sample(sign * finished(finish, values_MK), resampled_RM)


def _resample(counts_BG: Singles, sums_KMG: Sequence[Singles], finish: Finish, out_BM: Singles, rows: slice) -> None:
    sums_BMK = np.empty((*out_BM[rows].shape, len(sums_KMG)))
    for term, sums_MG in enumerate(sums_KMG):
        sums_BMK[:, :, term] = counts_BG[rows] @ sums_MG.T
    out_BM[rows] = finished(finish, sums_BMK)


def draws(n_clusters: int, seed: int) -> Iterator[Singles]:
    """How often each of G clusters is drawn in each resample, as blocks [B, G] of all R rows."""
    if n_clusters * RESAMPLES <= _BLOCK_DRAWS:
        yield _only_block(n_clusters, seed)
    else:
        yield from _blocks(n_clusters, seed)


@lru_cache(maxsize=1)
def _only_block(n_clusters: int, seed: int) -> Singles:
    """The counts of few clusters, kept for the next task with as many items."""
    (counts_RG,) = _blocks(n_clusters, seed)
    counts_RG.flags.writeable = False
    return counts_RG


def _blocks(n_clusters: int, seed: int) -> Iterator[Singles]:
    rng = np.random.default_rng(seed)
    n_rows = max(1, _BLOCK_DRAWS // n_clusters)
    for start in range(0, RESAMPLES, n_rows):
        rows = min(n_rows, RESAMPLES - start)
        drawn = rng.integers(0, n_clusters, (rows, n_clusters)) + n_clusters * np.arange(rows)[:, None]
        yield np.bincount(drawn.ravel(), minlength=rows * n_clusters).reshape(rows, n_clusters).astype(np.float32)


def _cluster_sums(terms_MNK: Floats, clusters_N: npt.ArrayLike) -> Floats:
    """Sums over the items of each cluster, [M, G, K]."""
    labels_N = np.unique(np.asarray(clusters_N), return_inverse=True)[1]
    order_N = np.argsort(labels_N, kind="stable")
    starts_G = np.flatnonzero(np.diff(labels_N[order_N], prepend=-1))
    if len(starts_G) == len(labels_N):
        return terms_MNK  # the order of the clusters does not matter
    return np.add.reduceat(terms_MNK[:, order_N], starts_G, axis=1)


def ranking(samples: Sequence[Sample]) -> Ranking:
    """Ranks of M models over T tasks.

    Raises:
        ValueError: no tasks, or tasks with different numbers of models, or a score that is not finite.
    """
    _check(samples)
    total_RM = _total_ranks([one.resampled_RM for one in samples])
    total_M = np.zeros(len(samples[0].values_M))
    for one in samples:
        total_M += average_ranks(one.values_M[None].astype(np.float64))[0]
    mean_RM, mean_M = total_RM / np.float32(len(samples)), total_M / len(samples)
    score_M: Floats = -mean_M
    score_RM: Singles = -mean_RM
    if len(samples) == 1:
        score_M, score_RM = samples[0].values_M, samples[0].resampled_RM
    better_MM = surely_better(score_M, score_RM)
    order = np.argsort(-score_M, kind="stable")
    tails = [100 * (1 - LEVEL) / 2, 100 * (1 + LEVEL) / 2]
    low_M, high_M = np.percentile(mean_RM, tails, axis=0)
    return Ranking(
        score_M=score_M,
        rank_M=average_ranks(score_M[None])[0].astype(np.float64),
        low_M=1 + better_MM.sum(axis=0),
        high_M=len(score_M) - better_MM.sum(axis=1),
        mean_rank_M=mean_M,
        mean_rank_low_M=np.minimum(low_M, mean_M),
        mean_rank_high_M=np.maximum(high_M, mean_M),
        p_best_M=_p_best(score_RM),
        score_RM=score_RM,
        order=order,
        groups=_runs(~(better_MM | better_MM.T)[np.ix_(order, order)]),
    )


def average_ranks(scores_RM: NDArray[np.floating]) -> Singles:
    """Ranks along the last axis, 1 for the largest; equal scores share the mean of their ranks.

    >>> average_ranks(np.array([[0.3, 0.9, 0.3, 0.1]]))
    array([[2.5, 1. , 2.5, 4. ]], dtype=float32)
    """
    return _total_ranks([scores_RM])


def _total_ranks(scores_TRM: Sequence[NDArray[np.floating]]) -> Singles:
    """Sum of the tasks' ranks."""
    total_RM = np.zeros(scores_TRM[0].shape, dtype=np.float32)

    def add(rows: slice) -> None:
        for scores_RM in scores_TRM:
            total_RM[rows] += _ranks_of(np.ascontiguousarray(scores_RM[rows], dtype=np.float32))

    by_slabs(add, len(total_RM), _ROWS)
    return total_RM


def _ranks_of(scores_RM: Singles) -> Singles:
    n_rows, n_models = scores_RM.shape
    bits_RM = (scores_RM + np.float32(0)).view(np.int32)  # -0 becomes 0
    bits_RM ^= (bits_RM >> 31) & np.int32(2**31 - 1)  # in the order of floats: of a negative one all but the sign turn
    keys_RM = bits_RM.astype(np.int64)
    keys_RM <<= _INDEX_BITS
    keys_RM |= np.arange(n_models)
    keys_RM.sort(axis=1)  # one sort of integers is several times faster than argsort and take
    where = keys_RM & ((1 << _INDEX_BITS) - 1)
    where += (np.arange(n_rows) * n_models)[:, None]
    keys_RM >>= _INDEX_BITS
    starts = np.ones((n_rows, n_models), dtype=np.bool_)
    np.not_equal(keys_RM[:, 1:], keys_RM[:, :-1], out=starts[:, 1:])
    first = np.flatnonzero(starts)
    sizes = np.diff(first, append=starts.size)
    top = np.tile(np.arange(n_models, 0, -1, dtype=np.float32), n_rows)[first]  # ascending: place p has rank M - p
    out = np.empty(starts.size, dtype=np.float32)
    out[where.ravel()] = np.repeat(top - (sizes - 1).astype(np.float32) / 2, sizes)
    return out.reshape(n_rows, n_models)


def surely_better(score_M: Floats, score_RM: Singles) -> NDArray[np.bool_]:
    """[i, j]: i is surely better than j; see the module's text. No pair is surely better both ways."""
    n_models = len(score_M)
    better_MM = np.zeros((n_models, n_models), dtype=np.bool_)
    if n_models < MIN_TIED:
        return better_MM
    about_MR = np.ascontiguousarray((score_RM - score_M).T, dtype=np.float32)
    centred_MR = (about_MR - about_MR.mean(axis=1, keepdims=True)).astype(np.float64)
    variance_MM = centred_MR @ centred_MR.T / (RESAMPLES - 1)
    own_M = np.diag(variance_MM)
    se_MM = np.sqrt(np.maximum(own_M[:, None] + own_M - 2 * variance_MM, 0.0))
    scale_MM = np.maximum(np.sqrt(np.maximum(own_M[:, None], own_M)), np.finfo(np.float64).tiny)
    se_MM[se_MM < 1e-6 * scale_MM] = 0.0  # rounding of a difference that never varies
    with np.errstate(divide="ignore"):
        weight_MM = np.where(se_MM > 0, 1 / se_MM, 0.0).astype(np.float32)
    critical_M = np.quantile(_largest(about_MR, weight_MM), LEVEL, axis=1)
    lead_MM = score_M[:, None] - score_M
    better_MM = lead_MM > np.maximum(critical_M * se_MM, 1e-6 * scale_MM)
    return np.asarray(better_MM & ~better_MM.T)


def _largest(about_MR: Singles, weight_MM: Singles) -> Singles:
    """[i, r]: max over j of |about_ir - about_jr| weight_ij, in pieces that stay in the cache; each pair once."""
    out_MR = np.zeros_like(about_MR)

    def fill(resamples: slice) -> None:
        part_MC = np.ascontiguousarray(about_MR[:, resamples])
        work_MC, best_MC = np.empty_like(part_MC), np.zeros_like(part_MC)
        for i in range(len(part_MC) - 1):
            later_JC = work_MC[i + 1 :]
            np.subtract(part_MC[i + 1 :], part_MC[i], out=later_JC)
            np.multiply(later_JC, weight_MM[i + 1 :, i, None], out=later_JC)
            np.abs(later_JC, out=later_JC)
            np.maximum(best_MC[i + 1 :], later_JC, out=best_MC[i + 1 :])
            np.maximum(best_MC[i], later_JC.max(axis=0), out=best_MC[i])
        out_MR[:, resamples] = best_MC

    by_slabs(fill, about_MR.shape[1], _COLUMNS)
    return out_MR


def _check(samples: Sequence[Sample]) -> None:
    if not samples:
        raise ValueError("want at least one task")
    if len({len(one.values_M) for one in samples}) > 1:
        raise ValueError("want the same models on every task")
    if not all(np.isfinite(one.values_M).all() and np.isfinite(one.resampled_RM).all() for one in samples):
        raise ValueError("want finite scores")


def _p_best(score_RM: Singles) -> Floats:
    best_RM = score_RM == score_RM.max(axis=1, keepdims=True)
    return np.asarray((best_RM / best_RM.sum(axis=1, keepdims=True)).mean(axis=0), dtype=np.float64)


def _runs(alike_MM: NDArray[np.bool_]) -> tuple[tuple[int, int], ...]:
    """Maximal runs of places of which no two differ; single places are no group."""
    n = len(alike_MM)
    reach = [i + int(np.argmin(np.append(alike_MM[i, i:], False))) - 1 for i in range(n)]
    for i in range(n - 2, -1, -1):  # all pairs inside, not only those with the first
        reach[i] = min(reach[i], max(reach[i + 1], i))
    runs, told = [], -1
    for i, last in enumerate(reach):
        if last > max(told, i):
            runs.append((i, last))
            told = last
    return tuple(runs)
