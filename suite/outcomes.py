"""Outcomes: per-item rows as Arrow tables and Parquet bytes. One column an outcome, scalars or fixed-size lists.

Shape suffixes: N items.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from suite.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

GROUP_PREFIX = "group."
METADATA = "metadata."  # prefix of columns that slices may be described by, and that nothing is reported by
ITEM, CLUSTER = "item", "cluster"
CALL_SECONDS = "call_seconds"  # of outcomes that are timings


def to_table(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Rows (all with the same keys) as a table; NumPy arrays become lists of their own dtype."""
    import pyarrow as pa

    return pa.table({name: _column([row[name] for row in rows]) for name in rows[0]})


def series_table(series: Mapping[str, Sequence[float]]) -> pa.Table:
    """Raw samples of readings as a table: name of the series, number, value."""
    rows = [
        {"series": name, "sample": i, "value": float(value)}
        for name, values in sorted(series.items())
        for i, value in enumerate(values)
    ]
    return to_table(rows)


def to_columns(table: pa.Table) -> dict[str, NDArray[Any]]:
    """A table as NumPy columns: [N] for scalars, [N, ...] for lists of one length, object arrays for ragged ones."""
    return {name: _to_array(table.column(name)) for name in table.column_names}


def to_parquet(table: pa.Table) -> bytes:
    """The table as Parquet bytes (zstd), the same for the same rows and library version."""
    import pyarrow.parquet as pq

    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()


def from_parquet(content: bytes, where: str) -> pa.Table:
    """The table in Parquet bytes.

    Raises:
        InputError: the bytes are not Parquet.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.read_table(io.BytesIO(content))
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{where} cannot be read as Parquet: {error}") from None


def lacking(needed: Iterable[str], columns: Mapping[str, Any]) -> str | None:
    """The first column that is needed and not there.

    >>> lacking(["nll", "brier"], {"nll": 0}), lacking(["nll"], {"nll": 0})
    ('brier', None)
    """
    return next((name for name in needed if name not in columns), None)


def digest(content: bytes) -> str:
    """sha256 of a file's bytes."""
    return hashlib.sha256(content).hexdigest()


def _column(values: list[Any]) -> pa.Array:
    import pyarrow as pa

    first = values[0]
    if isinstance(first, np.ndarray):
        return pa.array([value.tolist() for value in values], type=pa.list_(pa.from_numpy_dtype(first.dtype)))
    if isinstance(first, np.generic):
        return pa.array(np.array(values))
    return pa.array(values)


def _to_array(column: pa.ChunkedArray) -> NDArray[Any]:
    import pyarrow as pa

    kind = column.type
    if not pa.types.is_list(kind):
        return (
            np.asarray(column.to_numpy()) if not pa.types.is_string(kind) else np.asarray(column.to_pylist(), dtype=str)
        )
    flat = column.combine_chunks()
    values: NDArray[Any] = flat.flatten().to_numpy(zero_copy_only=False)
    lengths = flat.value_lengths().to_numpy(zero_copy_only=False)
    if len(lengths) and (lengths == lengths[0]).all():
        return values.reshape(len(lengths), -1)
    ragged = np.empty(len(lengths), dtype=object)
    for i, part in enumerate(np.split(values, np.cumsum(lengths)[:-1])):
        ragged[i] = part
    return ragged
