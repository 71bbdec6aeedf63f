from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest
from support import REPOSITORY

from suite import outcomes, record
from suite.errors import InputError
from suite.record import Record
from suite.store import Store, load

EXAMPLE = record.read((REPOSITORY / "tests" / "fixtures" / "record.json").read_bytes(), "fixture")


def made(table: bytes, **changes: object) -> Record:
    return EXAMPLE.model_copy(update={"outcomes_sha256": outcomes.digest(table), **changes})


def publish(store: Store, new: Record, table: bytes) -> Path:
    with store.unit(new.unit_key) as journal:
        return store.publish(new, {".parquet": table}, journal)


TABLE = outcomes.to_parquet(outcomes.to_table([{"item": "a", "cluster": "a", "nll": 1.0}]))


def test_the_path_scheme(tmp_path: Path) -> None:
    new = made(TABLE, task="lm-eval:piqa")
    path = publish(Store(tmp_path), new, TABLE)
    digest = record.content_digest(path.read_bytes())
    assert path == tmp_path / "stories260k" / "lm-eval%3Apiqa" / f"20260101-{digest[:12]}.json"
    assert path.with_suffix(".parquet").read_bytes() == TABLE
    assert load(path).record == new
    (found,) = Store(tmp_path).scan(task="lm-eval:piqa")
    assert found.record.task == "lm-eval:piqa"
    assert found.outcomes().column("nll").to_pylist() == [1.0]


def test_publishing_is_idempotent_and_never_overwrites(tmp_path: Path) -> None:
    store = Store(tmp_path)
    new = made(TABLE)
    first, second = publish(store, new, TABLE), publish(store, new, TABLE)
    assert first == second
    other = publish(store, made(TABLE, seed=1), TABLE)
    assert other != first
    assert len(list(store.scan())) == 2


def test_the_newest_unlimited_record_is_the_latest(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for day, limit in (("2026-01-01", None), ("2026-01-03", 5), ("2026-01-02", None)):
        started = EXAMPLE.provenance.model_copy(update={"started": f"{day}T00:00:00Z"})
        publish(store, made(TABLE, provenance=started, limit=limit), TABLE)
    latest = store.latest("stories260k", "tinystories")
    assert latest is not None
    assert latest.record.provenance.started.startswith("2026-01-02")
    assert store.latest("nobody", "tinystories") is None


def test_damage_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    store = Store(tmp_path)
    path = publish(store, made(TABLE), TABLE)
    stored = load(path)
    path.with_suffix(".parquet").write_bytes(TABLE[:-3])
    with pytest.raises(InputError, match="the record says"):
        stored.outcomes()
    with pytest.raises(InputError, match="keeps no outcomes"):
        load(publish(store, made(TABLE, outcomes_sha256=None), TABLE)).outcomes()
    path.write_text(json.dumps({"schema_version": 9}))
    problems: list[str] = []
    assert len(list(store.scan(on_problem=problems.append))) == 1
    assert "schema_version 9" in problems[0]


def test_outcome_columns_of_every_shape_come_back() -> None:
    import numpy as np

    rows = [
        {"item": "a", "x": 1.5, "k": 1, "flag": True, "v": np.array([1.0, 2.0]), "r": np.array([1], dtype=np.int64)},
        {"item": "b", "x": 2.5, "k": 2, "flag": False, "v": np.array([3.0, 4.0]), "r": np.array([2, 3])},
    ]
    table = outcomes.from_parquet(outcomes.to_parquet(outcomes.to_table(rows)), "here")
    columns = outcomes.to_columns(table)
    assert columns["item"].tolist() == ["a", "b"]
    assert columns["x"].dtype == np.float64
    assert columns["v"].tolist() == [[1.0, 2.0], [3.0, 4.0]]
    assert [part.tolist() for part in columns["r"]] == [[1], [2, 3]]
    assert columns["flag"].tolist() == [True, False]
    sliced = outcomes.to_columns(pa.concat_tables([table.slice(1), table.slice(0, 1)]))
    assert sliced["v"].tolist() == [[3.0, 4.0], [1.0, 2.0]]


def test_bytes_that_are_no_parquet() -> None:
    with pytest.raises(InputError, match="cannot be read as Parquet"):
        outcomes.from_parquet(b"PAR1 nothing", "here")


def test_task_descriptions_lie_beside_the_records_and_are_no_records(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.describe_task("a:b", {"title": "x"})
    assert json.loads((tmp_path / "tasks" / "a%3Ab.json").read_text()) == {"title": "x"}
    assert list(store.scan()) == []
