"""Indexing: step by step, told to people and to the board, never twice, and the board never waits for it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from support import REPOSITORY

from suite import board, derived_index, index, indexing, paired_index
from suite.compare import Paired, beside_parent
from suite.derived import derived
from suite.errors import InputError
from suite.paired_index import pairs
from suite.store import Store, load
from tasks import TASKS

RESULTS = REPOSITORY / "results"
PARENT, INT8 = "embedded-volumes", "embedded-volumes-int8"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    for name in (PARENT, INT8, "tasks"):
        shutil.copytree(RESULTS / name, tmp_path / name)
    return Store(tmp_path)


def stem(store: Store, name: str) -> str:
    (path,) = (store.root / name).glob("*/*.json")
    return path.stem


def test_everything_is_told_once_and_made_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    seen: list[Any] = []
    real = indexing.write_synced
    monkeypatch.setattr(indexing, "write_synced", lambda path, content, sync: seen.append(json.loads(content)) or real(
        path, content, sync
    ))  # fmt: skip
    indexing.everything(store, TASKS, said.append)
    assert said == [
        "reading records (2)",
        "comparing records with their parents' (1)",
        "weighing quality against cost (2)",
        "ranking 2 models on generated-volumes",
    ]
    assert [one["what"] for one in seen] == [line.partition(" (")[0] for line in said]
    assert seen[1] == {"what": "comparing records with their parents'", "done": 1, "total": 1, "pid": os.getpid()}
    assert indexing.read(store) is None
    before = index.digest(store)
    said.clear()
    indexing.everything(store, TASKS, said.append)
    assert said == []
    assert index.digest(store) == before


def test_the_change_is_that_of_the_command_line(store: Store) -> None:
    indexing.refresh(store, TASKS)
    found = paired_index.read(store)[stem(store, INT8)]
    assert found["parent"] == stem(store, PARENT)
    task = TASKS["generated-volumes"]
    (path,) = (store.root / INT8).glob("*/*.json")
    paired = beside_parent(load(path), store, [m for m in task.metrics if m.name == task.primary])
    assert isinstance(paired, Paired)
    assert list(found["differences"]) == [task.primary]
    expected = paired.differences[task.primary]
    assert {k: found["differences"][task.primary][k] for k in ("value", "low", "high", "method", "n")} == {
        k: getattr(expected, k) for k in ("value", "low", "high", "method", "n")
    }


def test_the_figures_are_those_of_the_command_line(store: Store) -> None:
    indexing.refresh(store, TASKS)
    child, parent = (load(next((store.root / name).glob("*/*.json"))).record for name in (INT8, PARENT))
    expected = {m.name: (m.value, m.reason) for m in derived(child, parent, None, None)}
    rows = [one for one in derived_index.read(store).to_pylist() if one["stem"] == stem(store, INT8)]
    assert {one["name"]: (one["value"], one["reason"]) for one in rows} == expected
    assert expected["bits_score"][0] is not None


def test_stopped_it_keeps_what_it_has_and_says_nothing_more(store: Store) -> None:
    with pytest.raises(indexing.StopIndexingError):
        indexing.everything(store, TASKS, lambda line: None, lambda: True)
    assert indexing.read(store) is None
    assert not paired_index.path(store).exists()


def test_what_could_not_be_compared_is_not_tried_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[str] = []

    def differences(*_: object) -> Mapping[str, Any]:
        tried.append("once")
        raise paired_index.IncomparableError("the two records do not have the same items")

    monkeypatch.setattr(paired_index, "differences", differences)
    for _ in range(2):
        indexing.refresh(store, TASKS)
    assert tried == ["once"]
    (found,) = paired_index.read(store)[stem(store, INT8)]["differences"].values()
    assert (found["value"], found["reason"]) == (None, "the two records do not have the same items")


def test_a_damaged_file_is_tried_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def damaged(*_: object) -> Mapping[str, Any]:
        raise InputError("no outcomes")

    with monkeypatch.context() as patched:
        patched.setattr(paired_index, "differences", damaged)
        indexing.refresh(store, TASKS)
    assert paired_index.read(store) == {}
    indexing.refresh(store, TASKS)
    assert list(paired_index.read(store)) == [stem(store, INT8)]


def line(name: str, parent: str | None = None, **more: Any) -> dict[str, Any]:
    blank = dict.fromkeys(paired_index.NEEDED)
    about = {"submission": name, "stem": name, "parent": parent, "started": "2026-01-01", "task": "t", "seed": 0}
    return {**blank, **about, **more}


def test_the_parents_newest_comparable_record_is_taken() -> None:
    old, new = line("a", stem="old"), line("a", stem="new", started="2026-02-01")
    other = line("a", stem="other", started="2026-03-01", protocol="another")
    found = list(pairs([line("b", "a"), new, other, old]))
    assert [(pair.child["stem"], pair.parent["stem"]) for pair in found] == [("b", "new")]
    assert list(pairs([line("b", "a", protocol="third"), new, old])) == []
    assert list(pairs([line("b", "a", problem="torn"), new])) == []
    limited = [line("b", "a", limit=5, seed=1), line("a", limit=5, seed=2), line("a", limit=5, seed=1, stem="mine")]
    assert [pair.parent["stem"] for pair in pairs(limited)] == ["mine"]


def test_progress_of_a_process_that_is_gone_is_not_believed(store: Store) -> None:
    index.sync(store)
    file = index.folder(store) / indexing.NAME
    about = {"what": "reading records", "done": 5, "total": 17}
    file.write_text(json.dumps({**about, "pid": os.getpid()}))
    step = indexing.read(store)
    assert step is not None
    assert step.words == "reading records: 5 of 17"
    os.utime(file, (0, 0))
    assert indexing.read(store) is None
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    file.write_text(json.dumps({**about, "pid": gone.pid}))
    assert indexing.read(store) is None
    for damage in ("", "[]", '{"what": 1}'):
        file.write_text(damage)
        assert indexing.read(store) is None


def test_the_server_starts_before_the_index_is_there(
    store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    opened = threading.Event()
    made = threading.Event()
    real = index.sync

    def sync(*given: Any) -> Any:
        assert opened.wait(30), "the server was not started first"
        return real(*given)

    def run(*_: object) -> int:
        opened.set()
        assert made.wait(30)
        return 0

    real_everything = indexing.everything

    def everything(*given: Any) -> None:
        real_everything(*given)
        made.set()

    monkeypatch.setattr(index, "sync", sync)
    monkeypatch.setattr(indexing, "everything", everything)
    monkeypatch.setattr(board, "_run", run)
    addresses: list[str] = []
    board.serve(store, 8501, TASKS, addresses.append)
    assert addresses == ["http://localhost:8501"]
    assert len(paired_index.read(store)) == 1
    assert "hallmark: comparing records with their parents' (1)" in capsys.readouterr().err
