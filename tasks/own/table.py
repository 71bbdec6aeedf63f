"""The table beside a user's data: ids, clusters and groups, from CSV, TSV or Parquet."""

from __future__ import annotations

import csv as csv_lines
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from suite.errors import InputError, unknown
from suite.metrics.codes import MISSING, SMALL
from tasks.own.common import Common

if TYPE_CHECKING:
    import pyarrow as pa

_LONGEST = 100  # characters of a group's value
SUFFIXES = (".csv", ".tsv", ".txt", ".parquet")
_EMPTY = ["", "NA", "N/A", "NaN", "nan", "null"]
_DELIMITERS = ("\t", ";", ",")


@dataclass(frozen=True)
class Attributes:
    """What the table says of one item.

    Attributes:
        cluster: correlated items share it.
        groups: attribute to value; `MISSING` where the cell is empty.
        origin: what it is a variant of; empty where the description names no such column.
        metadata: columns that errors may be described by, as `described` reads them.
    """

    cluster: str
    groups: Mapping[str, str]
    origin: str = ""
    metadata: Mapping[str, float | str] = field(default_factory=dict)


@dataclass(frozen=True)
class Table:
    """A table as it lies on disk; cells of text files are text until somebody asks for numbers.

    Attributes:
        path: of the file.
        columns: its content.
    """

    path: Path
    columns: pa.Table

    def __len__(self) -> int:
        return int(self.columns.num_rows)

    def text(self, column: str) -> list[str]:
        """A column as text; an empty cell (also NA, N/A, NaN, null) is ``""``.

        So is a NaN of a Parquet file, which is how pandas writes that a number is missing.

        Raises:
            InputError: there is no such column, or more than one.
        """
        return ["" if cell is None else str(cell).strip() for cell in self._cells(column)]

    def numbers(self, column: str) -> NDArray[np.float64]:
        """A column as numbers; an empty cell (as of `text`) is NaN.

        Raises:
            InputError: there is no such column, or more than one, or a cell is not a number.
        """
        cells = self._cells(column)
        try:
            return np.array([np.nan if cell is None else float(cell) for cell in cells], dtype=np.float64)
        except (ValueError, TypeError):  # text that is no number; a date, a list
            bad = next(cell for cell in cells if cell is not None and not _is_number(cell))
            raise InputError(f"{self.path}: column {column!r} holds {str(bad)!r}, which is not a number") from None

    def _cells(self, column: str) -> list[Any]:
        return [None if _is_empty(cell) else cell for cell in self._column(column).to_pylist()]

    def _column(self, name: str) -> Any:
        if name not in self.columns.column_names:
            raise unknown(f"column in {self.path}", name, self.columns.column_names)
        count = self.columns.column_names.count(name)
        if count > 1:
            raise InputError(f"{self.path} has {count} columns {name!r}; give each a name of its own")
        return self.columns.column(name)


def read(path: Path) -> Table:
    """A table: Parquet, or text with a header whose delimiter (comma, semicolon, tab) the header shows.

    Raises:
        InputError: no such file, not a table, or no rows.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"{path} is no table; allowed: {', '.join(SUFFIXES)}")
    try:
        columns = _parquet(path) if path.suffix.lower() == ".parquet" else _text(path)
    except OSError as error:
        raise InputError(f"no table at {path}: {error.strerror or error}") from None
    except (ValueError, IndexError) as error:  # pyarrow's errors are ValueErrors
        raise InputError(f"{path} is not a readable table: {str(error).splitlines()[0]}") from None
    if columns.num_rows == 0:
        raise InputError(f"{path} has no rows")
    return Table(path, columns)


def attributes(table: Table, description: Common) -> dict[str, Attributes]:
    """What the table says of every item that `description.where` lets in, by id, in the table's order.

    Raises:
        InputError: a column is not there, an id is empty or given twice, a cell is not a number where bands are asked
            for, or no row is let in.
    """
    ids = table.text(description.id)
    _check_ids(table, description.id, ids)
    origins, described = _origins(table, description), _described(table, getattr(description, "metadata", ()))
    clusters = table.text(description.cluster) if description.cluster else origins or ids
    groups = {name: _groups(table, name, description.bands.get(name)) for name in description.groups}
    wanted = [table.text(column) for column in description.where]
    found = {}
    for row, item in enumerate(ids):
        if all(cells[row] == value for cells, value in zip(wanted, description.where.values(), strict=True)):
            values = {name: cells[row] for name, cells in groups.items()}
            about = {name: cells[row] for name, cells in described.items()}
            found[item] = Attributes(clusters[row] or item, values, origins[row] if origins else "", about)
    if not found:
        raise InputError(f"{table.path}: no row has {_said(description.where)}")
    return found


def of_items(items: Iterable[str], known: Mapping[str, Attributes], where: Path) -> list[Attributes]:
    """The attributes of every item.

    Raises:
        InputError: an item has no row; names the first and counts the others.
    """
    items = list(items)
    lost = [item for item in items if item not in known]
    if lost:
        more = f" (and {len(lost) - 1} more)" if lost[1:] else ""
        raise InputError(f"{where} has no row for {lost[0]!r}{more}; add it, or remove the item")
    return [known[item] for item in items]


def group_values(known: Iterable[Attributes]) -> dict[str, dict[str, int]]:
    """Attribute -> value -> number of items, values in order of their names, `MISSING` last."""
    counts: dict[str, Counter[str]] = {}
    for one in known:
        for name, value in one.groups.items():
            counts.setdefault(name, Counter())[value] += 1
    return {
        name: {value: found[value] for value in sorted(found, key=lambda v: (v == MISSING, v))}
        for name, found in counts.items()
    }


def band(value: float, limits: tuple[float, ...]) -> str:
    """The band of a number: lower limit within, upper limit not; NaN is `MISSING`.

    >>> [band(age, (40, 65)) for age in (39.9, 40, 65)]
    ['<40', '40-65', '>=65']
    """
    if np.isnan(value):
        return MISSING
    at = int(np.searchsorted(limits, value, side="right"))
    if at == 0:
        return f"<{limits[0]:g}"
    return f">={limits[-1]:g}" if at == len(limits) else f"{limits[at - 1]:g}-{limits[at]:g}"


def bands_of(limits: tuple[float, ...]) -> tuple[str, ...]:
    """All bands between these limits.

    >>> bands_of((40, 65))
    ('<40', '40-65', '>=65')
    """
    return tuple(band(value, limits) for value in (-np.inf, *limits))


def _groups(table: Table, name: str, limits: tuple[float, ...] | None) -> list[str]:
    if limits is not None:
        return [band(value, limits) for value in table.numbers(name).tolist()]
    values = [cell or MISSING for cell in table.text(name)]
    if bad := next((value for value in dict.fromkeys(values) if (_why_not(value))), None):
        raise InputError(f"{table.path}: group {name!r} has the value {bad[:60]!r}; {_why_not(bad)}: rename it")
    return values


def _why_not(value: str) -> str:
    """Why a value cannot stand in a metric's name, which is to be read back; empty if it can."""
    if set(value) & set("[],="):
        return "a value may not hold any of [ ] , ="
    if not value.isprintable():
        return "a value may not hold line breaks or other control characters"
    if value == SMALL:
        return "that name is of all groups that are too small"
    return f"a value may have {_LONGEST} characters, this has {len(value)}" if len(value) > _LONGEST else ""


def _described(table: Table, names: Iterable[str]) -> dict[str, Sequence[float] | list[str]]:
    """Columns as numbers (NaN where a cell is empty) where every cell is one, else as text."""
    found: dict[str, Sequence[float] | list[str]] = {}
    for name in names:
        cells = table.text(name)
        numeric = all(_is_number(cell) for cell in cells if cell)
        found[name] = table.numbers(name).tolist() if numeric else cells
    return found


def _origins(table: Table, description: Common) -> list[str]:
    """What each row is a variant of; empty where nothing says so."""
    if description.variants is None or description.variants.origin is None:
        return []
    column = description.variants.origin
    origins = table.text(column)
    if "" in origins:
        raise InputError(f"{table.path}: row {origins.index('') + 1} has nothing in column {column!r}, its origin")
    return origins


def _check_ids(table: Table, column: str, ids: list[str]) -> None:
    if "" in ids:
        raise InputError(f"{table.path}: row {ids.index('') + 1} has no id in column {column!r}")
    twice = next((item for item, count in Counter(ids).items() if count > 1), None)
    if twice is not None:
        raise InputError(f"{table.path}: id {twice!r} is given twice in column {column!r}")


def _parquet(path: Path) -> pa.Table:
    import pyarrow.parquet as pq

    return pq.read_table(path)


def _text(path: Path) -> pa.Table:
    import pyarrow as pa
    from pyarrow import csv

    with path.open(encoding="utf-8-sig") as file:
        header = file.readline()
    delimiter = max(_DELIMITERS, key=header.count)
    names = next(iter(csv_lines.reader([header], delimiter=delimiter)), [])
    return csv.read_csv(
        path,
        parse_options=csv.ParseOptions(delimiter=delimiter),
        convert_options=csv.ConvertOptions(
            column_types={name: pa.string() for name in names}, null_values=_EMPTY, strings_can_be_null=True
        ),
    )


def _is_empty(cell: Any) -> bool:
    if isinstance(cell, str):
        return cell.strip() in _EMPTY
    return cell is None or (isinstance(cell, float) and math.isnan(cell))


def _is_number(cell: Any) -> bool:
    try:
        float(cell)
    except (ValueError, TypeError):
        return False
    return True


def _said(where: Mapping[str, str]) -> str:
    return " and ".join(f"{column} = {value!r}" for column, value in where.items())
