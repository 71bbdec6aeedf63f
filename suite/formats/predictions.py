"""Format ``predictions``: probabilities or logits in a file, for where no model can be run. Nothing is computed of it.

    .npz            arrays [N, K] named by ``inputs.scores`` (and ``inputs.calibration_scores``), in the data's order,
                    or with an array of ids (``inputs.ids``)
    .csv, .parquet  a column of ids (``inputs.ids``, default ``id``), and one column a class whose names begin with
                    ``inputs.scores`` (default ``p_``), in the file's order; the calibration split's items among them

Shape suffixes: N items, K classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suite.errors import AnswerError, InputError, UnitError
from suite.formats import _vision
from suite.formats._errors import one_line
from suite.formats.base import Description, Place
from suite.manifest import Inputs, Kind
from suite.model import Facts, Float, Model

SUFFIXES = (".npz", ".csv", ".parquet")
_DEFAULT = {".npz": "scores", ".csv": "p_", ".parquet": "p_"}
_SCORED, _CALIBRATION = "scored", "calibration"


@dataclass(frozen=True)
class Table:
    """Scores of one split.

    Attributes:
        probs_NK: class probabilities.
        rows: item id to row; ``None``: the rows are in the data's order.
    """

    probs_NK: Float
    rows: Mapping[str, int] | None


@dataclass
class Given:
    """A ``suite.model.Predictions``.

    Attributes:
        tables: by split, ``scored`` and perhaps ``calibration``; one table with ids may serve both.
        facts: says that nothing was computed.
    """

    tables: Mapping[str, Table]
    facts: Facts

    def given(
        self, items: Sequence[str], numbers: Sequence[int], totals: Sequence[int], calibration: Sequence[bool]
    ) -> list[Float]:
        """The probabilities of each item, found by its id, or by its number in its split where there are no ids."""
        found = []
        for index, (item, number, total, of_calibration) in enumerate(
            zip(items, numbers, totals, calibration, strict=True)
        ):
            table = self.tables.get(_CALIBRATION if of_calibration else _SCORED, self.tables[_SCORED])
            if table.rows is not None:
                row = table.rows.get(item)
                if row is None:
                    raise AnswerError("the predictions have no row with this id", index)
            else:
                row = number
                if len(table.probs_NK) != total:
                    raise UnitError(
                        f"the predictions have {len(table.probs_NK)} rows without ids, the data has {total} items"
                    )
            found.append(table.probs_NK[row])
        return found


class Predictions:
    """Scores of every item of a task, made elsewhere."""

    name = "predictions"
    title = "probabilities or logits in a .npz, .csv or .parquet file; no model is run"
    kinds: tuple[Kind, ...] = ("classification",)
    packages: tuple[str, ...] = ("numpy", "pyarrow")
    extra: str | None = None
    gradients = False

    def check(self, weights: Path) -> list[str]:
        """Reasons to refuse the file: another kind of file, or one that cannot be read without unpickling."""
        if weights.suffix.lower() not in SUFFIXES:
            return [f"{weights.name} is no file of predictions; allowed: {', '.join(SUFFIXES)}"]
        try:
            _names(weights)
        except InputError as error:
            return [str(error)]
        return []

    def describe(self, weights: Path) -> Description:
        """Nothing: there is no model."""
        return Description(parameters=0, tensor_bytes=0)

    def load(self, weights: Path, kind: Kind, inputs: Inputs, place: Place) -> Model:
        """The tables, as probabilities.

        Raises:
            InputError: `check` refuses the file.
            UnitError: no such array or columns, other shapes, values that are no probabilities or not finite.
        """
        for finding in self.check(weights):
            raise InputError(finding)
        wanted = {_SCORED: inputs.scores or _DEFAULT[weights.suffix.lower()]}
        if inputs.calibration_scores is not None:
            wanted[_CALIBRATION] = inputs.calibration_scores
        tables = {split: _table(weights, name, inputs) for split, name in wanted.items()}
        return Given(tables, Facts(dtype="none", engine="predictions"))


def _names(weights: Path) -> list[str]:
    """Arrays or columns of a file."""
    try:
        if weights.suffix.lower() == ".npz":
            with weights.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                return list(arrays.files)
        return list(_columns(weights).column_names)
    except Exception as error:  # zip, NumPy and Arrow raise many types
        raise InputError(f"{weights.name} cannot be read: {one_line(error)}") from None


def _columns(weights: Path, ids: str = "id") -> Any:
    """The table; in a .csv ids are text as they stand there: 007 is not 7."""
    if weights.suffix.lower() == ".csv":
        import pyarrow as pa
        from pyarrow import csv

        return csv.read_csv(weights, convert_options=csv.ConvertOptions(column_types={ids: pa.string()}))
    from pyarrow import parquet

    return parquet.read_table(weights)


def _table(weights: Path, name: str, inputs: Inputs) -> Table:
    if weights.suffix.lower() == ".npz":
        with np.load(weights, allow_pickle=False) as arrays:
            for wanted in (name, inputs.ids):
                if wanted is not None and wanted not in arrays.files:
                    raise UnitError(f"{weights.name} has no array {wanted!r}; it has {', '.join(sorted(arrays.files))}")
            scores, ids = (
                arrays[name],
                None if inputs.ids is None else _ids(arrays[inputs.ids], inputs.ids, weights.name),
            )
    else:
        columns = _columns(weights, inputs.ids or "id")
        chosen = [column for column in columns.column_names if column.startswith(name)]
        key = inputs.ids or "id"
        if len(chosen) < 2 or key not in columns.column_names:  # noqa: PLR2004 - one class is no choice
            has = ", ".join(columns.column_names)
            raise UnitError(f"{weights.name} needs a column {key!r} and one a class beginning {name!r}; it has {has}")
        for column in (key, *chosen):
            if columns.column_names.count(column) > 1:
                raise UnitError(
                    f"{weights.name} has more than one column {column!r}; wanted: one for the ids and one a class"
                )
        scores = np.stack([_numbers(columns, column, weights.name) for column in chosen], axis=1)
        ids = ["" if value is None else str(value) for value in columns.column(key).to_pylist()]
    probs_NK = _probabilities(scores, weights.name, inputs)
    if ids is not None and len(ids) != len(probs_NK):
        raise UnitError(f"{weights.name} has {len(ids)} ids and scores of {len(probs_NK)} items; wanted: as many")
    return Table(probs_NK, None if ids is None else _rows_of(ids, weights.name))


def _ids(array: NDArray[Any], name: str, file: str) -> list[str]:
    """An array of ids as text."""
    if array.ndim != 1:
        raise UnitError(f"{file}: ids {name!r} are of shape {array.shape}; wanted: [items]")
    return [str(value) for value in array.astype(str).tolist()]


def _numbers(columns: Any, column: str, file: str) -> NDArray[Any]:
    """One column of scores."""
    values = columns.column(column).to_numpy()
    if values.dtype.kind in "fiu":
        return values  # type: ignore[no-any-return]
    row = next((row for row, value in enumerate(values.tolist()) if not _is_number(value)), 0)
    raise UnitError(f"{file}: row {row}, column {column!r} holds {str(values[row])!r}; wanted: a number")


def _is_number(value: object) -> bool:
    try:
        float(str(value))
    except ValueError:
        return False
    return True


def _rows_of(ids: Sequence[str], file: str) -> dict[str, int]:
    empty = next((row for row, item in enumerate(ids) if not item.strip()), None)
    if empty is not None:
        raise UnitError(f"{file}: row {empty} has no id")
    rows = {item: row for row, item in enumerate(ids)}
    if len(rows) != len(ids):
        twice = next(item for row, item in enumerate(ids) if rows[item] != row)
        raise UnitError(f"{file} has two rows for the id {twice!r}")
    return rows


def _probabilities(scores: NDArray[Any], file: str, inputs: Inputs) -> Float:
    if scores.ndim != 2 or scores.shape[1] < 2 or scores.dtype.kind != "f":  # noqa: PLR2004
        raise UnitError(f"{file}: scores are {scores.dtype} of shape {scores.shape}; wanted: floats [items, classes]")
    finite_N = np.isfinite(scores).all(axis=1)
    if not finite_N.all():
        raise UnitError(f"{file}: row {int(np.argmin(finite_N))} holds a score that is not finite")
    if inputs.classes is not None and scores.shape[1] != inputs.classes:
        raise UnitError(f"{file} has scores of {scores.shape[1]} classes, inputs.classes is {inputs.classes}")
    return _vision.as_probabilities(scores.astype(np.float64), inputs)
