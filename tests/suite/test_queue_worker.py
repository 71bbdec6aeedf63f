"""``hallmark worker``: takes work one at a time, survives failures of it, and goes on after being killed."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from support import Ran, one_line, write_submission

from suite import queue_worker
from suite.cli import KNOWN
from suite.errors import InfrastructureError
from suite.queue import STATES, Progress, Queue
from suite.queue_worker import Work, serve
from suite.store import Store
from suite.submission import load

Start = Callable[..., subprocess.Popen[bytes]]
TASKS = {"tasks": ["digits"]}


@pytest.fixture
def queue(tmp_path: Path) -> Queue:
    return Queue(tmp_path / "results")


def put(queue: Queue, name: str, content: bytes = b'{"fake": "oracle"}', **fields: Any) -> Path:
    """Queue a submission without checking it."""
    root = queue.results.parent / "made"
    folder = write_submission(root, name, {"f.json": content}, "f.json", **{**TASKS, **fields})
    with queue.staging() as stage:
        (stage / name).symlink_to(folder)
        queue.keep(name, stage / name)
    queue.add(load(folder).manifest)
    return folder


def states(queue: Queue) -> dict[str, list[str]]:
    return {state: names for state in STATES if (names := [e.name for e in queue.entries(state)])}


def work(queue: Queue, said: list[str]) -> Work:
    return Work(queue, Store(queue.results), KNOWN.tasks, KNOWN.suites, say=said.append, complain=said.append)


def test_from_queue_to_records(queue: Queue, hallmark: Callable[..., Ran]) -> None:
    put(queue, "good")
    put(queue, "fails", b'{"fake": "oracle", "fault": "die", "at": 1}')
    put(queue, "odd", tasks=["generated-text"])
    changed = put(queue, "changed")
    (changed / "submission.toml").write_text((changed / "submission.toml").read_text().replace("for a test", "now"))
    put(queue, "gone")
    queue.folder("gone").unlink()
    ran = hallmark("worker", "--once", "--results", queue.results)
    assert ran.code == 1, ran
    assert states(queue) == {"done": ["good"], "failed": ["fails", "odd", "changed", "gone"]}
    (good,) = queue.entries("done")
    assert good.scored[0].startswith("good on digits: accuracy 0.1")
    why = {entry.name: entry.failures[0] for entry in queue.entries("failed")}
    assert why["fails"].startswith("on digits: ")
    assert "generated-text" in why["odd"]
    assert "has changed since it was checked" in why["changed"]
    assert "no manifest" in why["gone"]
    assert [s.record.manifest.name for s in Store(queue.results).scan()] == ["good"]
    assert all(name in ran.err for name in ("fails", "odd", "changed", "gone"))
    assert hallmark("worker", "--once", "--results", queue.results, "--json").json == {"entries": []}


def test_a_bug_or_a_full_disk(
    queue: Queue, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: Any) -> Any:
        raise raised[0]

    monkeypatch.setattr(queue_worker, "_units", broken)
    put(queue, "a")
    said: list[str] = []
    for error in (InfrastructureError("the disk is full"), KeyboardInterrupt()):
        raised = [error]
        with pytest.raises(type(error)):
            serve(work(queue, said), once=True)
        (entry,) = queue.entries("queued")
        assert entry.attempts == 0
    raised = [ZeroDivisionError("oops")]
    serve(work(queue, said), once=True)
    assert "ZeroDivisionError: oops" in queue.entries("failed")[0].failures[0]
    assert "Traceback" in capsys.readouterr().err


def test_it_waits_for_more_until_it_is_stopped(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    def attend(_: Work, entry: Any) -> bool:
        seen.append(entry.name)
        queue.finish(entry, ["x"], [])
        return False

    def rest(_: float) -> None:
        if len(seen) == 2:
            raise KeyboardInterrupt
        put(queue, f"later{len(seen)}")

    monkeypatch.setattr(queue_worker, "_attend", attend)
    put(queue, "first")
    with pytest.raises(KeyboardInterrupt):
        serve(work(queue, []), once=False, rest=rest)
    assert seen == ["first", "later1"]


def test_progress_is_noted_once_a_second(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    put(queue, "a")
    entry = queue.take()
    assert entry is not None
    clock = [100.0]
    monkeypatch.setattr(queue_worker.time, "monotonic", lambda: clock[0])
    bars = queue_worker._bars(queue, entry, ["digits", "more"])
    with bars("a on digits") as note:
        assert queue.progress(entry) == Progress(task="digits", nth=1, tasks=2)
        note(1, 10)
        assert queue.progress(entry) == Progress(task="digits", nth=1, tasks=2)
        clock[0] += 1
        note(2, 10)
        assert queue.progress(entry) == Progress(task="digits", done=2, total=10, nth=1, tasks=2)
    with bars("a on more"):
        assert queue.progress(entry) == Progress(task="more", nth=2, tasks=2)


def test_bad_usage_is_one_line(hallmark: Callable[..., Ran], queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("suite.queue._PATIENCE_S", 0.05)
    one_line(hallmark("worker", "--once", "--suite", "nope"), 2, "unknown suite")
    with queue.worker():
        one_line(hallmark("worker", "--once", "--results", queue.results), 2, "another worker")


@pytest.mark.slow
def test_killed_at_any_moment_the_next_one_goes_on(queue: Queue, tmp_path: Path, start: Start) -> None:
    for name, delay_s in (("slow", 0.05), ("next", 0.0)):
        spec = {"fake": "uniform", "vocabulary": 64, "delay_s": delay_s}
        put(queue, name, json.dumps(spec).encode(), kind="language", tasks=["generated-choices"])
    for batches in (0, 3):
        process = start("worker", "--results", queue.results)
        end = time.monotonic() + 60
        while len(list(queue.results.glob(".journal/*/0*.parquet"))) < max(1, batches) - (not batches):
            assert time.monotonic() < end
            if queue.entries("running"):
                time.sleep(0.05)
        children = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        psutil.wait_procs(children, timeout=10)
        assert not queue.has_worker()
        assert len(queue.entries("running")) <= 1
    kept = len(list(queue.results.glob(".journal/*/0*.parquet")))
    assert kept >= 3, "finished batches are kept for the next one"
    process = start("worker", "--once", "--results", queue.results)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert b"slow: left by a worker that was stopped" in out
    assert states(queue) == {"done": ["slow", "next"]}
    assert sorted(s.record.manifest.name for s in Store(queue.results).scan()) == ["next", "slow"]
