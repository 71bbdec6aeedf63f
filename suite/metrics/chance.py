"""What gap between groups chance alone would give: a permutation test.

The largest minus the smallest of several noisy values is above 0 even where the model treats all alike, the more so the
smaller the groups. So the group labels are dealt out anew, many times, and the gap taken again:

    accuracy_gap_p[age]       p = (1 + gaps at least as large as the real one) / (1 + permutations)
    accuracy_gap_null[age]    the 95 % quantile of those gaps: a real one below it may well be chance

Clusters (patients, documents) of one group exchange their labels as wholes; in a cluster of several groups, labels move
within it only, so that what a cluster has in common never counts as a difference.
Groups that take part are those of `groups.gap`: of at least `least` items and with a value.

Shape suffixes: N items, C clusters, G groups, K terms, P permutations, U units that exchange labels.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suite.ahead import ahead
from suite.errors import Undefined
from suite.metrics.base import Columns, Metric, not_additive
from suite.metrics.codes import Attributes
from suite.metrics.counted import ByCounts
from suite.metrics.groups import gap
from suite.metrics.spread import gap_of, value_of
from suite.outcomes import CLUSTER
from suite.stats import cluster_sums, finished

PERMUTATIONS = 1000
PERMUTATIONS_OF_ROWS = 200  # of a metric that is no function of sums, where each costs G evaluations
SEED = 0
QUANTILE, MAX_UNDEFINED = 0.95, 0.05
NO_ESTIMATE = "a statement about chance, not an estimate"
_WIDE = 8  # terms from which it is worth a look at which of them are 0
_BATCH, _WORKERS = 2**21, 2  # labels that are dealt at a time by another thread; threads that sum them
_SHORTEST, _SHORT = 2**16, 2**32
_KEPT_LABELS = 2**27  # labels of all permutations that are kept: 256 MB

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Permuted:
    """Gaps under exchanged group labels.

    Attributes:
        real: the gap with the labels as they are.
        gaps_P: those with labels dealt out anew, without the ones that have no value.
    """

    real: float
    gaps_P: Floats

    @property
    def p_value(self) -> float:
        """(1 + permuted gaps not below the real one) / (1 + P); equal but for rounding counts as not below."""
        return float((1 + np.count_nonzero(self.gaps_P >= self.real - 1e-12)) / (1 + len(self.gaps_P)))

    @property
    def quantile(self) -> float:
        """The 95 % quantile of the permuted gaps."""
        return float(np.quantile(self.gaps_P, QUANTILE))


class Deals:
    """Labels dealt out anew, kept for the next metric of the same groups, and so are its gaps; one of each at most.

    Its results are those without it.
    """

    def __init__(self) -> None:
        self._labels: tuple[bytes, Ints | NDArray[np.int16]] = (b"", np.empty((0, 0), dtype=np.int64))
        self._found: tuple[Any, Permuted | None] = (None, None)

    def labels(self, code_U: Ints, block_U: Ints) -> Iterable[NDArray[Any]]:
        """Per permutation, the group that each unit is given; units exchange labels within their block."""
        if PERMUTATIONS * len(code_U) > _KEPT_LABELS:
            return _dealt(code_U, block_U)
        key = digest(code_U, block_U)
        if self._labels[0] != key:
            made = np.empty((PERMUTATIONS, len(code_U)), dtype=np.int16 if code_U.max(initial=0) < 2**15 else np.int64)
            small_U = code_U.astype(made.dtype)
            for row_U, deal_U in zip(made, ahead(_deals(block_U), 1 + _BATCH // (1 + len(code_U))), strict=True):
                row_U[deal_U] = small_U
            self._labels = key, made
        return self._labels[1]

    def of(self, metric: Metric, columns: Columns, codes_N2: Ints, real: float) -> Permuted:
        """`permuted`, once for both figures of it."""
        needed = (*metric.needs, *(column for column, _ in metric.where), CLUSTER)
        key = metric, digest(codes_N2, *(columns[name] for name in needed))
        if self._found[0] != key:
            self._found = key, permuted(metric, columns, codes_N2, real, self)
        assert self._found[1] is not None
        return self._found[1]


def gap_p(
    metric: Metric, attribute: Attributes, least: int = 1, *, merged: bool = False, deals: Deals | None = None
) -> Metric:
    """The p-value of the gap: small if chance alone hardly ever gives as large a one.

    Args:
        metric: whose gap between groups it is.
        attribute: the groups.
        least: items that a group needs.
        merged: as of `groups.gap`.
        deals: shared by metrics that are scored one after the other, which saves time.
    """
    real = gap(metric, attribute, least, merged=merged)
    made = _of_gap(metric, real, "p", lambda found: found.p_value, deals)
    return replace(made, unit="", bounds=(0.0, 1.0), reference=f"{made.reference}; share of gaps as large")


def gap_null(
    metric: Metric, attribute: Attributes, least: int = 1, *, merged: bool = False, deals: Deals | None = None
) -> Metric:
    """The 95 % quantile of the gap under chance; arguments as of `gap_p`."""
    real = gap(metric, attribute, least, merged=merged)
    made = _of_gap(metric, real, "null", lambda found: found.quantile, deals)
    return replace(made, reference=f"{made.reference}; 95 % of the gaps are at most this")


def _of_gap(
    metric: Metric, real: Metric, what: str, figure: Callable[[Permuted], float], deals: Deals | None
) -> Metric:
    assert real.blocks is not None
    column, shared = real.blocks.column, deals or Deals()
    stem, _, inner = real.name.partition("_gap[")
    return replace(
        real,
        name=f"{stem}_gap_{what}[{inner}",
        needs=(*real.needs, CLUSTER),
        terms=not_additive,
        finish=not_additive,
        whole=lambda columns: figure(shared.of(metric, columns, columns[column], real(columns))),
        total=None,
        blocks=None,
        no_interval=NO_ESTIMATE,
        higher_is_better=None,
        reference=f"permutation of group labels, {PERMUTATIONS} times ({PERMUTATIONS_OF_ROWS} without sums)",
    )


def permuted(metric: Metric, columns: Columns, codes_N2: Ints, real: float, deals: Deals) -> Permuted:
    """The gaps of `metric` under exchanged labels.

    Args:
        metric: whose values by group make the gap.
        columns: outcomes, with clusters.
        codes_N2: group of each item (-1: none) and number of groups, as `codes.Grouping` makes them.
        real: the gap with the labels as they are.
        deals: gives the labels.

    Raises:
        Undefined: more than 5 % of the permutations have no gap.
    """
    inside = np.flatnonzero(codes_N2[:, 0] >= 0)
    needs = (*metric.needs, *(column for column, _ in metric.where), CLUSTER)
    mine = {name: columns[name][inside] for name in needs}
    code_N = codes_N2[inside, 0]
    gaps_P = _gaps_of_rows(metric, mine, code_N) if metric.whole else _gaps_of_sums(metric, mine, code_N, deals)
    defined = gaps_P[np.isfinite(gaps_P)]
    if (lost := 1 - len(defined) / len(gaps_P)) > MAX_UNDEFINED:
        raise Undefined(f"no gap in {lost:.1%} of the permutations")
    return Permuted(real, defined)


def _gaps_of_sums(metric: Metric, columns: Columns, code_N: Ints, deals: Deals) -> Floats:
    terms_NK = metric.terms(columns)
    known = [g for g in np.unique(code_N) if np.isfinite(metric.finish(terms_NK[code_N == g].sum(axis=0)))]
    kept_N = np.isin(code_N, known)
    terms_NK, code_N, cluster_N = terms_NK[kept_N], np.searchsorted(known, code_N[kept_N]), columns[CLUSTER][kept_N]
    unit_N, code_U, block_U = _units(cluster_N, code_N, terms_NK.T)
    sums_PGK = _dealt_sums(cluster_sums(terms_NK, unit_N), code_U, len(known), deals.labels(code_U, block_U))
    values_PG = finished(metric.finish, sums_PGK)
    return gap_of(values_PG, np.ones(values_PG.shape, dtype=bool))


def _dealt_sums(units_UK: Floats, code_U: Ints, n_groups: int, dealt: Iterable[NDArray[Any]]) -> Floats:
    """Sums of the terms in each group, [P, G, K], for every permutation of the groups.

    Units are told apart by group and cell, and a cell's terms that are not 0 come first: three of the 45 of an ECE,
    whose cells are its bins.
    """
    n_terms = units_UK.shape[1]
    constant_K = (units_UK == units_UK[:1]).all(axis=0)  # the same for every unit: no permutation changes its sums
    fixed_GK = np.bincount(code_U, minlength=n_groups)[:, None] * (units_UK[:1] * constant_K)
    varying_UK = units_UK * ~constant_K
    cells, cell_U = np.unique((varying_UK != 0).argmax(axis=1) if n_terms >= _WIDE else 0 * code_U, return_inverse=True)
    term_SC, values_SU = _packed(varying_UK, cell_U, len(cells))

    def summed(labels_U: NDArray[Any]) -> Floats:
        at_U = labels_U * np.int64(len(cells)) + cell_U if len(cells) > 1 else labels_U.astype(np.int64)
        sums_GK: Floats = fixed_GK.copy()
        for term_C, values_U in zip(term_SC, values_SU, strict=True):
            found_GC = np.bincount(at_U, values_U, minlength=n_groups * len(cells)).reshape(n_groups, len(cells))
            np.add.at(sums_GK.T, term_C, found_GC.T)
        return sums_GK

    if isinstance(dealt, np.ndarray) and dealt.size > _BATCH:  # all in memory, and enough to share out
        with ThreadPoolExecutor(_WORKERS) as workers:
            sums = list(workers.map(summed, dealt))
    else:
        sums = [summed(labels_U) for labels_U in dealt]
    sums_PGK: Floats = np.stack(sums)
    return sums_PGK


def _packed(terms_UK: Floats, cell_U: Ints, n_cells: int) -> tuple[list[Ints], list[Floats]]:
    """For as many turns as a cell has terms: which term of each cell it is, [C], and its value for each unit, [U]."""
    there_CK = np.zeros((n_cells, terms_UK.shape[1]), dtype=bool)
    np.logical_or.at(there_CK, cell_U, terms_UK != 0)
    order_CK = np.argsort(~there_CK, axis=1, kind="stable")
    turns = order_CK[:, : int(there_CK.sum(axis=1).max(initial=0))].T
    units = np.arange(len(cell_U))
    return list(turns), [np.ascontiguousarray(terms_UK[units, turn_C[cell_U]]) for turn_C in turns]


def _gaps_of_rows(metric: Metric, columns: Columns, code_N: Ints) -> Floats:
    keys = [key for name in metric.needs for key in _sort_keys(columns[name])]
    unit_N, code_U, block_U = _units(columns[CLUSTER], code_N, keys)
    if block_U.any():
        order = np.argsort(unit_N, kind="stable")
        columns, unit_N = {name: values[order] for name, values in columns.items()}, unit_N[order]
    dealt = (code_U[deal_U][unit_N] for deal_U in _deals(block_U, PERMUTATIONS_OF_ROWS))
    groups = np.unique(code_N)
    if isinstance(metric.whole, ByCounts) and metric.whole.parted is not None:
        parted = metric.whole.parted(columns)
        values_PG = np.array([parted(np.searchsorted(groups, labels_N), len(groups)) for labels_N in dealt])
    else:
        values_PG = np.array([[value_of(metric, columns, labels_N == g) for g in groups] for labels_N in dealt])
    return gap_of(values_PG, np.ones(values_PG.shape, dtype=bool))


def _dealt(code_U: Ints, block_U: Ints) -> Iterator[Ints]:
    """The labels of units, dealt out anew each time."""
    for deal_U in ahead(_deals(block_U), 1):
        labels_U = np.empty_like(code_U)
        labels_U[deal_U] = code_U
        yield labels_U


def digest(*arrays: NDArray[Any]) -> bytes:
    """Of what the arrays hold."""
    made = hashlib.blake2b()
    for array in arrays:
        for part in array if array.dtype == object else [array]:
            shorter = _shorter(np.asarray(part))
            made.update(shorter.dtype.str.encode())
            made.update(np.ascontiguousarray(shorter).view(np.uint8).data)
    return made.digest()


def _shorter(array: NDArray[Any]) -> NDArray[Any]:
    """Numbers of groups and clusters in a quarter of the bytes; digests take the time of what they read."""
    fits = array.dtype == np.int64 and array.size and array.min() >= 0 and array.max() < _SHORT
    return array.astype(np.uint16 if fits and array.max() < _SHORTEST else np.uint32) if fits else array


def _deals(block_U: Ints, times: int = PERMUTATIONS) -> Iterator[Ints]:
    """Random permutations of units that stay within their block; `block_U` is sorted."""
    rng = np.random.default_rng(SEED)
    for _ in range(times):
        yield np.lexsort((rng.random(len(block_U)), block_U)) if block_U.any() else rng.permutation(len(block_U))


def _units(cluster_N: NDArray[Any], code_N: Ints, keys: Iterable[NDArray[Any]]) -> tuple[Ints, Ints, Ints]:
    """What exchanges labels: each item's unit, and the group and the block of each unit.

    First the clusters of one group, a unit each and one block together; then the items of every other cluster, a block
    each, sorted by `keys`: the same whatever order the items come in.
    """
    _, first_C, number_N = np.unique(cluster_N, return_index=True, return_inverse=True)
    whole_C = np.ones(len(first_C), dtype=bool)
    whole_C[number_N[code_N != code_N[first_C][number_N]]] = False
    n_whole, mixed = int(whole_C.sum()), np.flatnonzero(~whole_C[number_N])
    mixed = mixed[np.lexsort((*(key[mixed] for key in keys), code_N[mixed], number_N[mixed]))]
    unit_N = (np.cumsum(whole_C) - 1)[number_N]
    unit_N[mixed] = n_whole + np.arange(len(mixed))
    code_U, block_U = np.zeros((2, n_whole + len(mixed)), dtype=np.int64)
    code_U[unit_N] = code_N
    block_U[n_whole:] = number_N[mixed] + (n_whole > 0)
    return unit_N, code_U, block_U


def _sort_keys(values: NDArray[np.generic]) -> list[NDArray[np.generic]]:
    """What to sort items by; lists of different lengths go by their sums."""
    if values.dtype == object:
        return [np.array([np.sum(row, dtype=np.float64) for row in values])]
    return list(values.reshape(len(values), -1).T)
