"""Sheets: CSV files and Markdown tables as figures, in our own columns or as a mapping file says.

Our own columns: ``submission kind task metric value`` and optionally ``parent title low high unit higher_is_better n
method bits licence task_version protocol``. A mapping (TOML) reads what others publish; see ``Mapping``.
"""

from __future__ import annotations

import csv
import io
import re
import tomllib
from collections.abc import Iterator, Mapping
from importlib import resources
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from suite.errors import InputError, unknown
from suite.exchange.figure import Figure, Model, name_of, with_error
from suite.explain import explain
from suite.manifest import KINDS, Kind

NEEDED = ("submission", "kind", "task", "metric", "value")
ALLOWED = (
    *NEEDED,
    *("parent", "title", "low", "high", "unit", "higher_is_better", "n", "method", "bits", "licence"),
    *("task_version", "protocol"),
)
IGNORED = ("reason", "source", "machine", "threads", "format", "data_sha256", "started", "limit", "unit_key")  # exports
_NUMBER = re.compile(r"[-+]?[0-9][0-9,]*\.?[0-9]*(?:[eE][-+]?[0-9]+)?")
_FACTS = {"true": True, "false": False, "1": True, "0": False, "": None}
Row = dict[str, str]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Column(_Strict):
    """One column that holds a metric of a task; a cell such as ``6.23 ± 0.04`` gives value and standard error."""

    column: str
    metric: str
    task: str | None = None
    unit: str = ""
    higher_is_better: bool | None = None
    scale: float = 1.0


class Join(_Strict):
    """Columns of a second CSV; ``before`` joins on the part of both keys before its first occurrence."""

    file: str
    key: str
    before: str | None = None
    columns: tuple[str, ...] = ()


class Sheet(_Strict):
    """How to read a foreign table. Texts in braces are cells: ``submission = "llama-3-8b-{Quantization}"``."""

    submission: str
    kind: Kind
    task: str | None = None
    task_version: str = "unknown"
    protocol: str = "unknown"
    parent: str | None = None
    title: str | None = None
    method: str | None = None
    bits: str | None = None
    licence: str | None = None
    table: int = Field(default=1, ge=1)
    skip: dict[str, str] = Field(default_factory=dict)
    first: str | None = None
    join: tuple[Join, ...] = ()
    figure: tuple[Column, ...]


def mapping(given: str) -> Sheet:
    """A mapping by the name of a built-in one or by its file.

    Raises:
        InputError: no such mapping, or something in it is wrong.
    """
    path = Path(given)
    if path.suffix == ".toml":
        try:
            text = path.read_text(encoding="utf-8")
        except OSError as error:
            raise InputError(f"no mapping at {path} ({error.strerror})") from None
    else:
        built_in = {p.name.removesuffix(".toml"): p for p in resources.files(__package__).joinpath("maps").iterdir()}
        if given not in built_in:
            raise unknown("mapping", given, built_in, "; or give a .toml file")
        text = built_in[given].read_text(encoding="utf-8")
    try:
        return Sheet.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"mapping {given}: {error}") from None
    except ValidationError as error:
        raise InputError(f"mapping {given}: {explain(error, Sheet)}") from None


def rows_of(text: str, where: str, table: int = 1) -> list[Row]:
    """The rows of a CSV, or of the n-th table of a Markdown file.

    Raises:
        InputError: there is no such table, or a column stands there twice.
    """
    if not where.endswith((".md", ".markdown")):
        return _csv(text, where)
    found: list[list[list[str]]] = []
    inside = False
    for line in text.splitlines():
        if not line.lstrip().startswith("|"):
            inside = False
            continue
        cells = [re.sub(r"[*`]", "", cell).strip() for cell in line.strip().strip("|").split("|")]
        if not inside:
            found.append([])
            inside = True
        if not all(re.fullmatch(r":?-+:?", cell) for cell in cells):
            found[-1].append(cells)
    if len(found) < table:
        raise InputError(f"{where} has {len(found)} tables, the mapping asks for number {table}")
    head, *body = found[table - 1]
    return [dict(zip(head, cells, strict=False)) for cells in body]


def native(rows: list[Row], where: str) -> Iterator[Figure]:
    """Figures of a CSV in our own columns.

    Raises:
        InputError: a column is missing or unknown, or a cell cannot be read; names the line.
    """
    header = list(rows[0]) if rows else []
    lacking = [name for name in NEEDED if name not in header]
    if lacking:
        hint = "; or say how to read it: --map FILE.toml"
        raise InputError(f"{where} has no column {', '.join(lacking)}; it needs {', '.join(NEEDED)}{hint}")
    for name in header:
        if name not in (*ALLOWED, *IGNORED):
            raise unknown(f"column in {where}", name, ALLOWED)
    for number, row in enumerate(rows, start=2):
        if row["value"].strip():
            yield _native(row, f"{where} line {number}")


def mapped(rows: list[Row], sheet: Sheet, where: str, folder: Path) -> Iterator[Figure]:
    """Figures of a foreign table, as its mapping says; empty cells and cells without a number give none."""
    for join in sheet.join:
        rows = _joined(rows, sheet, join, folder)
    for row in rows:
        if any(row.get(column) == value for column, value in sheet.skip.items()):
            continue
        model = _model(row, sheet, where)
        for column in sheet.figure:
            if column.column not in row:
                if any(column.column in other for other in rows):
                    continue
                raise unknown(f"column in {where}", column.column, row)
            found = [float(n.replace(",", "")) for n in _NUMBER.findall(row[column.column].replace("−", "-"))]
            if not found:
                continue
            task = column.task or sheet.task or "unknown"
            figure = Figure(
                model, task, column.metric, found[0] * column.scale, unit=column.unit,
                higher_is_better=column.higher_is_better, task_version=sheet.task_version, protocol=sheet.protocol,
            )  # fmt: skip
            has_error = "±" in row[column.column] and len(found) > 1
            yield with_error(figure, found[1] * column.scale if has_error else None)


def _csv(text: str, where: str) -> list[Row]:
    reader = csv.reader(io.StringIO(text.removeprefix("\ufeff")))
    head = [name.strip() for name in next(reader, [])]
    if len(set(head)) != len(head):
        raise InputError(f"{where}: a column stands there twice: {', '.join(head)}")
    rows = [dict(zip(head, cells, strict=False)) for cells in reader if any(cell.strip() for cell in cells)]
    if not rows:
        raise InputError(f"{where} holds no rows")
    return [{name: row.get(name, "") for name in head} for row in rows]


def _native(row: Row, where: str) -> Figure:
    if row["kind"] not in KINDS:
        raise unknown(f"kind at {where}", row["kind"], KINDS)
    bits = _number(row, "bits", where)
    model = Model(
        name=name_of(row["submission"]),
        title=row.get("title") or row["submission"],
        kind=row["kind"],
        parent=name_of(row["parent"]) if row.get("parent") else None,
        method=row.get("method") or None,
        bits=bits,
        licence=row.get("licence") or None,
    )
    direction = row.get("higher_is_better", "").strip().lower()
    if direction not in _FACTS:
        raise InputError(f"{where}: higher_is_better is {direction!r}; give true, false or nothing")
    value = _number(row, "value", where)
    return Figure(
        model, row["task"], row["metric"], float("nan") if value is None else value,
        low=_number(row, "low", where), high=_number(row, "high", where), unit=row.get("unit", ""),
        higher_is_better=_FACTS[direction], n=int(_number(row, "n", where) or 0),
        task_version=row.get("task_version") or "unknown", protocol=row.get("protocol") or "unknown",
    )  # fmt: skip


def _number(row: Mapping[str, str], column: str, where: str) -> float | None:
    text = row.get(column, "").strip()
    if not text:
        return None
    try:
        return float(text)
    except ValueError:
        raise InputError(f"{where}: {column} is {text!r}, want a number") from None


def _filled(template: str | None, row: Row, where: str) -> str | None:
    if template is None:
        return None
    try:
        return template.format(**row)
    except (KeyError, IndexError, ValueError) as error:
        raise InputError(f"{where}: {template!r} names no column of it ({error})") from None


def _model(row: Row, sheet: Sheet, where: str) -> Model:
    full = _filled(sheet.submission, row, where) or ""
    name, parent = name_of(full), _filled(sheet.parent, row, where)
    own = name_of(parent) if parent else None
    bits = _NUMBER.search(_filled(sheet.bits, row, where) or "")
    is_parent = own == name
    return Model(
        name=name,
        title=_filled(sheet.title, row, where) or full,
        kind=sheet.kind,
        parent=None if is_parent else own,
        method=None if is_parent else _filled(sheet.method, row, where),
        bits=float(bits[0]) if bits and float(bits[0]) > 0 else None,
        licence=sheet.licence,
    )


def _joined(rows: list[Row], sheet: Sheet, join: Join, folder: Path) -> list[Row]:
    """The rows with the columns of the first row of the second file that has their key."""
    path = folder / join.file
    try:
        others = _csv(path.read_text(encoding="utf-8"), path.name)
    except OSError as error:
        raise InputError(f"no {path} to join ({error.strerror})") from None

    def key(row: Row) -> str:
        value = row.get(join.key, "")
        return value.split(join.before)[0] if join.before else value

    of: dict[str, Row] = {}
    for other in others:
        of.setdefault(key(other), other)
    none: Row = {}
    return [{**row, **{c: of.get(key(row), none).get(c, "") for c in join.columns}} for row in rows]
