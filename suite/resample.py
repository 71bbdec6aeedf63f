"""One stream of resamples for many metrics: the bootstrap of `suite.stats`, with its draws made once.

Drawing 100,000 clusters 10,000 times takes longer than any sum over them, and the draws depend on nothing but their
number and the seed. So every additive metric of a record puts in its sums per cluster, and every resample is counted
once and multiplied with all of them. A spread over groups puts in sums per cluster and group, sorted by group, so that
what it costs does not grow with the number of groups; all spreads over the same groups share the values by group.

The draws are those of `stats.resampled_sums`: the numbers agree with its but for the rounding of sums.

Shape suffixes: N items, C clusters, M pairs of a cluster and a group, S groups, V = S + 1 with the value over
everything last, K terms, R resamples, B resamples of one block.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise

import numpy as np

from suite.draws import Counts, Draws
from suite.stats import N_RESAMPLES, Finish, FloatArray, IntArray, cluster_sums, finished

_BLOCK_COUNTS = 2**21  # counts in one block: 4 MB
_WORKERS = 4  # at most: drawing is a third of the work, and one stream
_CACHED = 2**16  # floats: half a megabyte
_WIDE = 8  # terms from which a metric is worth a look at which of them are 0
_TAKE, _CALL = 4, 500  # what it costs to pick a unit's count, and to call a product, in products


@dataclass
class Sums:
    """Sums of terms per unit, to be resampled: a unit is a cluster, or what a cluster holds of one group.

    Attributes:
        finish: sums [..., K] -> values [...].
        sums_MK: of each unit.
        cluster_M: index of each unit's cluster; ``None``: unit m is cluster m.
        ends_S: units are sorted by group: those of group s are ``ends_S[s]:ends_S[s + 1]``, of no group those before
            ``ends_S[0]``; ``None``: there are no groups.
        n_clusters: all clusters C.
        values: what came out, [B, V], or [B, 1] without groups, by the first resample of each block.
    """

    finish: Finish
    sums_MK: FloatArray
    cluster_M: IntArray | None = None
    ends_S: IntArray | None = None
    n_clusters: int = 0
    values: dict[int, FloatArray] = field(default_factory=dict)

    @property
    def resampled(self) -> FloatArray:
        """All that came out, [R, V]."""
        return np.concatenate([self.values[start] for start in sorted(self.values)])

    @cached_property
    def real(self) -> FloatArray:
        """The values without resampling, [V]."""
        edges = [0, len(self.sums_MK)] if self.ends_S is None else [0, *self.ends_S.tolist()]
        sums_SK = np.stack([self.sums_MK[start:stop].sum(axis=0) for start, stop in pairwise(edges)])
        if self.ends_S is not None:
            sums_SK = np.concatenate([sums_SK[1:], sums_SK.sum(axis=0, keepdims=True)])
        return finished(self.finish, sums_SK)

    @cached_property
    def n_by_group(self) -> IntArray:
        """How many clusters each group's value is made of: those with a term that is not 0, one at least."""
        ends_S = np.array([0, len(self.sums_MK)]) if self.ends_S is None else self.ends_S
        there_M = np.concatenate([[0], np.cumsum(self.sums_MK.any(axis=1))])
        return np.asarray(np.maximum(1, np.diff(there_M[ends_S])), dtype=np.int64)

    def add(self, start: int, sums_BSK: FloatArray) -> None:
        """Take in one block's sums by segment: no group, then each group; or everything.

        Args:
            start: the block's first resample.
            sums_BSK: its sums.
        """
        if self.ends_S is not None:
            sums_BSK = np.concatenate([sums_BSK[:, 1:], sums_BSK.sum(axis=1, keepdims=True)], axis=1)
        self.values[start] = finished(self.finish, sums_BSK)


def of_clusters(terms_NK: FloatArray, finish: Finish, cluster_N: IntArray) -> Sums:
    """The sums of a metric over everything; `cluster_N` numbers the clusters in the order of their labels."""
    sums_CK = cluster_sums(terms_NK, cluster_N)
    return Sums(finish, sums_CK, n_clusters=len(sums_CK))


def of_groups(terms_NK: FloatArray, finish: Finish, cluster_N: IntArray, codes_N2: IntArray) -> Sums:
    """The sums of a metric by group; `codes_N2` as `suite.metrics.codes` makes them."""
    n_groups, n_clusters = int(codes_N2[:1, 1].sum()), int(cluster_N.max()) + 1
    unit_N = (codes_N2[:, 0] + 1) * n_clusters + cluster_N
    units = np.unique(unit_N)
    ends_S = np.searchsorted(units, np.arange(1, n_groups + 2) * n_clusters)
    return Sums(finish, cluster_sums(terms_NK, unit_N), units % n_clusters, ends_S, n_clusters)


def resample(asked: Sequence[Sums], n_clusters: int, seed: int) -> None:
    """Draw `n_clusters` clusters with replacement 10,000 times and fill in everybody's `values`.

    Two to four threads draw blocks in turn, count and sum them; what comes out does not depend on their number. Each
    holds a block of draws and two of counts, 25 MB, whatever the number of clusters below 2 million; the counts of the
    latest draw that fit in 64 MB are kept. The values take 8 bytes a resample, group and metric.
    """
    layouts = [_Layout(group) for group in _same_units(asked)]
    n_rows = max(1, _BLOCK_COUNTS // max(n_clusters, *(layout.width for layout in layouts)))
    stream = Draws(n_clusters, n_rows, seed)

    def work(_: int) -> None:
        try:
            while (block := stream.block()) is not None:
                for layout in layouts:
                    layout.add(*block)
        except BaseException:
            stream.stop()
            raise

    n_workers = min(_WORKERS, os.cpu_count() or 1, -(-N_RESAMPLES // n_rows))
    with ThreadPoolExecutor(n_workers) as workers:
        try:
            list(workers.map(work, range(n_workers)))
        except BaseException:  # Ctrl-C comes here alone, and the threads would go on to the last block
            stream.stop()
            raise
    stream.keep()


class _Layout:
    """The sums of several metrics over the same units, side by side in one matrix."""

    def __init__(self, members: Sequence[Sums]) -> None:
        self._members = members
        terms_MK = np.concatenate([one.sums_MK for one in members], axis=1)
        self._cuts = np.cumsum([one.sums_MK.shape[1] for one in members])[:-1]
        ends_S = members[0].ends_S
        edges = [0, len(terms_MK)] if ends_S is None else [0, *ends_S.tolist()]
        self._shape = len(edges) - 1, terms_MK.shape[1]
        self._cluster_M, self._parts = members[0].cluster_M, _whole(terms_MK, edges)
        if any(one.sums_MK.shape[1] >= _WIDE for one in members):
            self._sort(terms_MK, edges)
        target_F = np.concatenate([part.target_K for part in self._parts])
        starts = np.cumsum([0, *(part.terms_PD.shape[1] for part in self._parts[:-1])])
        column_F = np.concatenate([part.column_K + at for part, at in zip(self._parts, starts, strict=True)])
        order_F = np.argsort(target_F, kind="stable")
        self._column_F = column_F[order_F]
        self._target_T, self._first_T = np.unique(target_F[order_F], return_index=True)
        self.width = max(len(target_F), self._shape[0] * self._shape[1])

    def _sort(self, terms_MK: FloatArray, edges: Sequence[int]) -> None:
        """Sort units by their cell, where that leaves far fewer products: a unit of an ECE has 3 terms of 45."""
        order_M, parts = _by_cell(terms_MK, edges, next(_cells(self._members)))
        taken = 0 if self._cluster_M is not None else _TAKE * len(terms_MK)
        if sum(part.terms_PD.size for part in parts) + taken + _CALL * len(parts) < terms_MK.size:
            self._cluster_M = order_M if self._cluster_M is None else self._cluster_M[order_M]
            self._parts = parts

    def add(self, start: int, counts_BC: Counts) -> None:
        """Sum a block, whose first resample is `start`, and hand everybody his sums."""
        counts = counts_BC if self._cluster_M is None else counts_BC.take(self._cluster_M, axis=1)
        found_BD = np.concatenate([_product(counts[:, p.start : p.stop], p.terms_PD) for p in self._parts], axis=1)
        sums_BX = np.zeros((len(counts), self._shape[0] * self._shape[1]))
        if len(self._first_T):
            sums_BX[:, self._target_T] = np.add.reduceat(found_BD[:, self._column_F], self._first_T, axis=1)
        sums_BSK = sums_BX.reshape(len(counts), *self._shape)
        for one, mine in zip(self._members, np.split(sums_BSK, self._cuts, axis=2), strict=True):
            one.add(start, mine)


def _product(counts_BP: Counts, terms_PD: FloatArray) -> FloatArray:
    """Counts times terms, as many rows at a time as stay in the cache as floats."""
    n_rows = max(1, _CACHED // max(1, counts_BP.shape[1]))
    if n_rows >= len(counts_BP):
        return counts_BP.astype(np.float64) @ terms_PD
    out_BD = np.empty((len(counts_BP), terms_PD.shape[1]))
    floats = np.empty((n_rows, counts_BP.shape[1]))
    for start in range(0, len(counts_BP), n_rows):
        mine = counts_BP[start : start + n_rows]
        floats[: len(mine)] = mine
        np.matmul(floats[: len(mine)], terms_PD, out=out_BD[start : start + len(mine)])
    return out_BD


@dataclass(frozen=True)
class _Part:
    """Units ``start:stop`` of one group, with those terms that are not 0 in all of them.

    Attributes:
        start: first unit.
        stop: one past the last unit.
        terms_PD: their different terms: the 1 that is summed for every mean stands here once.
        column_K: which of these each term is.
        target_K: which of all sums each term goes into, segments first.
    """

    start: int
    stop: int
    terms_PD: FloatArray
    column_K: IntArray
    target_K: IntArray


def _part(start: int, stop: int, terms_PK: FloatArray, target_K: IntArray) -> _Part:
    """With equal terms once."""
    number: dict[bytes, int] = {}
    column_K = np.array([number.setdefault(term.tobytes(), len(number)) for term in terms_PK.T], dtype=np.int64)
    first_D = np.unique(column_K, return_index=True)[1]
    return _Part(start, stop, np.ascontiguousarray(terms_PK[:, first_D]), column_K, target_K)


def _whole(terms_MK: FloatArray, edges: Sequence[int]) -> list[_Part]:
    """One part a segment, with all terms."""
    width = terms_MK.shape[1]
    return [
        _part(start, stop, terms_MK[start:stop], np.arange(width) + segment * width)
        for segment, (start, stop) in enumerate(pairwise(edges))
        if stop > start
    ]


def _cells(members: Sequence[Sums]) -> Iterator[IntArray]:
    """Per member with many terms, the number of each unit's first term that is not 0: of an ECE, its bin's."""
    for one in members:
        if one.sums_MK.shape[1] >= _WIDE:
            yield (one.sums_MK != 0).argmax(axis=1)


def _by_cell(terms_MK: FloatArray, edges: Sequence[int], cell_M: IntArray) -> tuple[IntArray, list[_Part]]:
    """An order of the units by segment and cell, and one part for each pair of these."""
    segment_M = np.repeat(np.arange(len(edges) - 1), np.diff(edges))
    order_M = np.lexsort((cell_M, segment_M))
    key_M = segment_M[order_M] * terms_MK.shape[1] + cell_M[order_M]
    starts = [0, *(np.flatnonzero(np.diff(key_M)) + 1).tolist(), len(key_M)]
    parts = []
    for start, stop in pairwise(starts):
        terms_PK = terms_MK[order_M[start:stop]]
        there = np.flatnonzero(terms_PK.any(axis=0))
        target = there + segment_M[order_M[start]] * terms_MK.shape[1]
        parts.append(_part(start, stop, terms_PK[:, there], target))
    return order_M, parts


def _same_units(asked: Sequence[Sums]) -> list[list[Sums]]:
    """Those with the same units together; of those with many terms one each."""
    found: list[list[Sums]] = []
    for one in asked:
        wide = one.sums_MK.shape[1] >= _WIDE
        mine = next((group for group in found if _alike(group[0], one) and not (wide and _is_wide(group))), None)
        if mine is None:
            found.append([one])
        else:
            mine.append(one)
    return found


def _is_wide(group: Sequence[Sums]) -> bool:
    return any(one.sums_MK.shape[1] >= _WIDE for one in group)


def _alike(a: Sums, b: Sums) -> bool:
    pairs = ((a.cluster_M, b.cluster_M), (a.ends_S, b.ends_S))
    return all((x is None) == (y is None) and (x is None or np.array_equal(x, y)) for x, y in pairs)  # type: ignore[arg-type]
