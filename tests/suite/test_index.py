"""The index of records: incremental, complete, and never in the way."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support import REPOSITORY

from suite import index, paired_index, rankings, record
from suite.record import Record
from suite.store import Store
from tasks import TASKS


@pytest.fixture
def example() -> Record:
    path = REPOSITORY / "tests" / "fixtures" / "record.json"
    return record.read(path.read_bytes(), str(path))


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Names of the record files that are opened."""
    seen: list[str] = []
    real = index.load

    def load(path: Path) -> Any:
        seen.append(path.name)
        return real(path)

    monkeypatch.setattr(index, "load", load)
    yield seen


def put(store: Store, example: Record, name: str) -> Path:
    manifest = example.manifest.model_copy(update={"name": name})
    return store.add(example.model_copy(update={"manifest": manifest}), {})


def names(store: Store) -> list[str]:
    return sorted(index.sync(store).column("submission").to_pylist())


def test_only_new_and_changed_files_are_read_again(tmp_path: Path, example: Record, reads: list[str]) -> None:
    store = Store(tmp_path)
    first = put(store, example, "a")
    assert names(store) == ["a"]
    second = put(store, example, "b")
    assert names(store) == ["a", "b"]
    assert reads == [first.name, second.name]
    before = index.digest(store)
    index.sync(store)
    assert len(reads) == 2
    assert index.digest(store) == before
    first.unlink()
    assert names(store) == ["b"]
    assert index.digest(store) != before
    assert len(reads) == 2


def test_an_unreadable_file_is_a_problem_until_it_is_mended(tmp_path: Path, example: Record) -> None:
    store = Store(tmp_path)
    path = put(store, example, "a")
    whole = path.read_bytes()
    path.write_bytes(whole[:50])
    (problem,) = index.sync(store).column("problem").to_pylist()
    assert str(path) in problem
    path.write_bytes(whole)
    assert index.sync(store).column("problem").to_pylist() == [None]


def test_every_column_of_a_row_is_declared(tmp_path: Path, example: Record) -> None:
    store = Store(tmp_path)
    put(store, example, "a")
    (row,) = index.sync(store).to_pylist()
    assert (row["metric"], row["value"], row["low"], row["better"]) == ("perplexity", 3.5482, 3.4, "lower")
    assert index.records(store).schema.equals(index.schema())
    assert index.records(store, ["stem", "task"]).column_names == ["stem", "task"]


def test_a_folder_that_cannot_be_written_is_indexed_in_the_cache(
    tmp_path: Path, example: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path / "results")
    put(store, example, "a")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(index.os, "access", lambda path, mode: False)  # the tests may run as root
    assert names(store) == ["a"]
    assert not (store.root / ".index").exists()
    assert index.records(store).num_rows == 1
    assert index.folder(store).is_relative_to(tmp_path / "cache")


def test_an_index_whose_records_are_elsewhere_is_used_as_it_is(tmp_path: Path, example: Record) -> None:
    store = Store(tmp_path)
    path = put(store, example, "a")
    index.write(store, index.sync(store), elsewhere=True)
    path.unlink()
    assert names(store) == ["a"]
    assert paired_index.refresh(store, {}) == {}
    index.write(store, index.records(store))
    assert names(store) == []


def test_ranks_are_computed_once_for_the_same_records(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import shutil

    for name in ("embedded-digits", "embedded-digits-int2", "embedded-digits-int8", "tasks"):
        shutil.copytree(REPOSITORY / "results" / name, tmp_path / name)
    store, told = Store(tmp_path), list[str]()
    index.sync(store)
    rankings.refresh(store, TASKS, told.append)
    found = rankings.read(store)
    assert told == ["ranking 3 models on digits"]
    assert {(place["rank_low"], place["rank_high"]) for place in found} == {(1, 2), (3, 3)}
    monkeypatch.setattr(rankings, "stand", None)  # would fail if it were called
    rankings.refresh(store, TASKS, told.append)
    assert rankings.read(store) == found
    assert len(told) == 1
