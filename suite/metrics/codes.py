"""Which group every item is in, by one group column or by the combinations of several.

Items whose value is the empty string, or ``(missing)`` as users' tables spell it, have none. Groups smaller than
`least` say little. `Grouping.merged` decides what becomes of both: either they belong to no group, or the items without
a value form the group ``(missing)`` (as one value of its column, where there are several), and the small groups
together form the group ``(small)``. A group that is still smaller than `least` takes part in nothing;
`suite.metrics.groups.left_out` counts its items.

Sizes are those of all items that the metric is about, decided once and never in a resample.

Shape suffixes: N items, G groups.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suite.metrics.base import Columns
from suite.outcomes import GROUP_PREFIX

MIN_GROUP = 20  # items below which a group says nothing
MISSING, SMALL = "(missing)", "(small)"
CODED = 2  # dimensions of a column of codes
_NONE = frozenset({"", MISSING})  # values of items that have none
_NUMBER_OF = "number of "

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]
Attributes = str | tuple[str, ...]
Group = tuple[str, ...]


def with_numbers(columns: Columns) -> Columns:
    """The columns, and beside each group column the number of each item's value, so that text is read once.

    Whoever asks many metrics of the same outcomes does this first; the numbers are those without it.
    """
    texts = [name for name in columns if name.startswith(GROUP_PREFIX) and columns[name].ndim < CODED]
    missing = [name for name in texts if _NUMBER_OF + name not in columns]
    return {**columns, **{_NUMBER_OF + name: _of_text(columns[name])[1] for name in missing}}


def columns_of(attribute: Attributes) -> tuple[str, ...]:
    """The outcome columns of the attributes."""
    return tuple(GROUP_PREFIX + name for name in names_of(attribute))


def names_of(attribute: Attributes) -> tuple[str, ...]:
    """One attribute, or several, as a tuple."""
    return (attribute,) if isinstance(attribute, str) else tuple(attribute)


@dataclass(frozen=True)
class Grouping:
    """How items are told apart.

    Attributes:
        attribute: the group column without its prefix, or several whose combinations are the groups.
        least: items that a group needs.
        merged: ``(missing)`` and ``(small)`` are groups; otherwise their items are in none.
    """

    attribute: Attributes
    least: int = 1
    merged: bool = False

    @property
    def column(self) -> str:
        """The outcome column that codes take the place of."""
        return columns_of(self.attribute)[0]

    def coded(self, columns: Columns) -> Ints:
        """[N, 2]: which group each item is in, 0..G-1 in the order of their names, -1 for none; and G, in every row.

        A resample thus knows how many groups there are, though it may hold fewer. Columns with codes give these.
        """
        if columns[self.column].ndim == CODED:
            return columns[self.column]
        found, code_N, count_G = self._found(columns)
        large_G = count_G >= self.least
        if not self.merged:
            large_G &= np.array([_NONE.isdisjoint(group) for group in found], dtype=bool)
        number_G = np.where(large_G, np.cumsum(large_G) - 1, -1)
        n_groups = int(large_G.sum())
        if self.merged and count_G[~large_G].sum() >= self.least:
            number_G[~large_G], n_groups = n_groups, n_groups + 1
        return np.stack([number_G[code_N], np.full(len(code_N), n_groups)], axis=1).astype(np.int64)

    def with_codes(self, columns: Columns) -> Columns:
        """The columns with codes in the place of the (first) attribute's; the same if they are there already."""
        return {**columns, self.column: self.coded(columns)}

    def groups(self, columns: Columns) -> list[Group]:
        """The groups that occur, small ones too, in the order of their names; ``""`` for a value that is missing."""
        return self._found(columns)[0]

    def in_small(self, columns: Columns) -> Bools:
        """[N]: whether the item is in a group with fewer than `least` items."""
        _, code_N, count_G = self._found(columns)
        return np.asarray((count_G < self.least)[code_N], dtype=bool)

    def _found(self, columns: Columns) -> tuple[list[Group], Ints, Ints]:
        """Groups that occur, in the order of their names, each item's, and their sizes."""
        names, code_N = _numbered(columns, self.column)
        found: list[Group] = [(name,) for name in names]
        for column in columns_of(self.attribute)[1:]:
            more, more_N = _numbered(columns, column)
            pairs, code_N = np.unique(code_N * max(1, len(more)) + more_N, return_inverse=True)
            found = [(*found[pair // len(more)], more[pair % len(more)]) for pair in pairs.tolist()]
        return found, code_N, np.bincount(code_N, minlength=len(found)).astype(np.int64)


def _numbered(columns: Columns, column: str) -> tuple[list[str], Ints]:
    """The different values as text, sorted, and the number of each item's; from `with_numbers`, if it was there."""
    known, values = columns.get(_NUMBER_OF + column), columns[column]
    if known is None or not len(known):
        return _of_text(values)
    first = np.full(int(known.max()) + 1, -1)
    first[known[::-1]] = np.arange(len(known))[::-1]  # of equal ones the last write counts: the first item
    there = first >= 0
    return [str(values[row]) for row in first[there].tolist()], (np.cumsum(there) - 1)[known]


def _of_text(values: NDArray[Any]) -> tuple[list[str], Ints]:
    """The different values, sorted, and the number of each item's; ten times as fast as sorting text."""
    texts = np.asarray(values, dtype=str).tolist()
    names = sorted(set(texts))
    number = {name: i for i, name in enumerate(names)}
    return names, np.fromiter(map(number.__getitem__, texts), dtype=np.int64, count=len(texts))
