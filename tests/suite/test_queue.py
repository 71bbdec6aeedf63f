"""The queue's files: states, crashes at every step of a change, one worker, and uploads that were left behind."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support import REPOSITORY

from suite import queue as module
from suite.errors import InputError
from suite.manifest import Manifest
from suite.queue import MOST_ATTEMPTS, STATES, Entry, Progress, Queue, digest


def manifest(name: str = "a", **fields: Any) -> Manifest:
    about = {"schema_version": 1, "name": name, "title": name, "kind": "classification", "format": "fake"}
    return Manifest.model_validate({**about, "weights": "f.json", "sha256": "0" * 64, **fields})


def states(queue: Queue) -> dict[str, list[str]]:
    return {state: names for state in STATES if (names := [e.name for e in queue.entries(state)])}


@pytest.fixture
def queue(tmp_path: Path) -> Queue:
    return Queue(tmp_path)


def test_entries_go_through_the_states_in_order(queue: Queue) -> None:
    for name in ("b", "a", "c"):
        queue.add(manifest(name))
    assert states(queue) == {"queued": ["b", "a", "c"]}
    first = queue.take()
    assert first is not None
    assert (first.name, first.attempts, first.started is not None) == ("b", 1, True)
    assert states(queue) == {"queued": ["a", "c"], "running": ["b"]}
    assert queue.finish(first, ["b on digits: accuracy 0.9"], []) == "done"
    second = queue.take()
    assert second is not None
    assert queue.finish(second, [], ["on digits: it broke"]) == "failed"
    assert states(queue) == {"queued": ["c"], "done": ["b"], "failed": ["a"]}
    (done,), (failed,) = queue.entries("done"), queue.entries("failed")
    assert done.scored == ("b on digits: accuracy 0.9",)
    assert failed.failures == ("on digits: it broke",)
    assert done.ended is not None
    assert [state for state, _ in queue.of_name("a")] == ["failed"]
    assert (queue.count("queued"), queue.count("running")) == (1, 0)


def test_an_empty_queue_makes_no_folder(queue: Queue) -> None:
    assert queue.take() is None
    assert not queue.has_worker()
    assert queue.entries("done") == []
    assert not list(queue.results.iterdir())


def test_progress_is_kept_until_the_end(queue: Queue) -> None:
    queue.add(manifest())
    entry = queue.take()
    assert entry is not None
    assert queue.progress(entry) is None
    told = Progress(task="digits", done=3, total=10, nth=1, tasks=2)
    queue.report(entry, told)
    assert queue.progress(entry) == told
    queue.finish(entry, ["x"], [])
    assert queue.progress(entry) is None


class _Killed(BaseException):
    pass


def killed_at(monkeypatch: pytest.MonkeyPatch, step: int, act: Any) -> bool:
    """Do `act`, ended before its `step`-th change of the disk; whether there were that many."""
    left = [step]

    def breaking(target: Any, name: str) -> None:
        real = getattr(target, name)

        def broken(*arguments: Any, **more: Any) -> Any:
            if left[0] == 0:
                raise _Killed
            left[0] -= 1
            return real(*arguments, **more)

        patch.setattr(target, name, broken)

    with monkeypatch.context() as patch:
        breaking(module, "write_synced")
        breaking(module, "sync_folder")
        breaking(Path, "unlink")
        breaking(Path, "replace")
        breaking(Path, "rename")
        try:
            act()
        except _Killed:
            return True
    return False


@pytest.mark.parametrize("change", ["take", "finish", "put_back", "recover"])
def test_a_crash_at_any_step_of_a_change_loses_and_doubles_nothing(
    change: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for step in range(100):
        queue = Queue(tmp_path / str(step))
        queue.add(manifest("a"))
        queue.add(manifest("b"))
        entry = queue.take() if change != "take" else None
        acts = {
            "take": queue.take,
            "finish": lambda: queue.finish(entry, ["done"], []),  # type: ignore[arg-type]  # noqa: B023
            "put_back": lambda: queue.put_back(entry),  # type: ignore[arg-type]  # noqa: B023
            "recover": queue.recover,
        }
        was_killed = killed_at(monkeypatch, step, acts[change])
        names = [e.name for state in STATES for e in queue.entries(state)]
        assert sorted(names) == ["a", "b"], (step, states(queue))
        queue.recover()
        assert not queue.entries("running")
        assert not list((queue.root / "running").glob("*.json"))
        while (one := queue.take()) is not None:
            queue.finish(one, ["done"], [])
        assert sorted(states(queue)["done"]) == ["a", "b"]
        assert [p for state in STATES[:2] for p in (queue.root / state).glob("*.json")] == []
        if not was_killed:
            assert step >= 2
            return
    raise AssertionError("the change never ended")


def test_what_a_killed_worker_left_is_queued_again_in_its_place(queue: Queue) -> None:
    queue.add(manifest("a"))
    queue.add(manifest("b"))
    queue.take()
    assert [e.name for e in queue.recover()] == ["a"]
    assert states(queue) == {"queued": ["a", "b"]}


def test_what_kills_its_worker_again_and_again_fails_at_last(queue: Queue) -> None:
    queue.add(manifest())
    for _ in range(MOST_ATTEMPTS):
        assert queue.take() is not None
        queue.recover()
    assert states(queue) == {"failed": ["a"]}
    assert "was killed" in queue.entries("failed")[0].failures[0]


def test_a_stopped_worker_is_not_counted_against_the_entry(queue: Queue) -> None:
    queue.add(manifest())
    for _ in range(MOST_ATTEMPTS + 2):
        entry = queue.take()
        assert entry is not None
        assert entry.attempts == 1
        queue.put_back(entry)
    assert states(queue) == {"queued": ["a"]}


def test_a_damaged_file_does_not_stop_the_others(queue: Queue) -> None:
    queue.add(manifest("a"))
    (queue.root / "queued" / "00000000T000000000000-bad.json").write_text('{"half": ')
    (queue.root / "queued" / ".20260101T-x.json.77.tmp").write_text("")
    (queue.root / "running").mkdir()
    (queue.root / "running" / "worse.json").write_text("[]")
    assert states(queue) == {"queued": ["a"]}
    queue.recover()
    taken = queue.take()
    assert taken is not None
    assert taken.name == "a"


def test_too_many_waiting_are_refused(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_WAITING", 2)
    queue.add(manifest("a"))
    queue.add(manifest("b"))
    with pytest.raises(InputError, match="waiting already"):
        queue.add(manifest("c"))


@pytest.fixture
def other_process(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    code = (
        "import sys, time; from pathlib import Path; from suite.queue import Queue\n"
        "with Queue(Path(sys.argv[1])).worker():\n    print('held', flush=True); time.sleep(60)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, env=environment)
    assert process.stdout is not None
    assert process.stdout.readline() == b"held\n"
    yield process
    process.kill()
    process.communicate()


def test_one_worker_at_a_time_until_it_is_killed(
    queue: Queue, other_process: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PATIENCE_S", 0.05)
    assert queue.has_worker()
    with pytest.raises(InputError, match="another worker"), queue.worker():
        pass
    other_process.kill()
    other_process.wait()
    assert not queue.has_worker()
    with queue.worker():
        assert queue.has_worker()
    assert not queue.has_worker()


def test_uploads_that_a_crash_left_are_swept(queue: Queue) -> None:
    with queue.staging() as mine:
        (mine / "x").write_text("x")
        old, new = mine.with_name("old"), mine.with_name("new")
        old.mkdir()
        new.mkdir()
        os.utime(old, (time.time() - 2 * 86400,) * 2)
        queue.sweep()
        assert (mine.exists(), old.exists(), new.exists()) == (True, False, True)
    assert not mine.exists()


def test_files_of_a_new_submission_replace_those_of_a_failed_one(queue: Queue, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for content in ("one", "two"):
        with queue.staging() as stage:
            (stage / "a").mkdir()
            (stage / "a" / "f").write_text(content)
            queue.keep("a", stage / "a")
        assert (queue.folder("a") / "f").read_text() == content
    with queue.staging() as stage:
        (stage / "a").symlink_to(elsewhere)
        queue.keep("a", stage / "a")
    assert queue.folder("a").is_symlink()
    with queue.staging() as stage:
        (stage / "a").mkdir()
        queue.keep("a", stage / "a")
    assert not queue.folder("a").is_symlink()
    assert elsewhere.is_dir()
    assert not list((queue.root / "incoming").iterdir())


def test_the_digest_is_of_all_that_the_manifest_says() -> None:
    assert digest(manifest()) == digest(manifest())
    assert digest(manifest()) != digest(manifest(title="other"))


def test_an_entry_of_another_version_is_not_read(queue: Queue) -> None:
    sent = queue.add(manifest())
    file = queue.root / "queued" / f"{sent.id}.json"
    assert Entry.model_validate_json(file.read_bytes()) == sent
    file.write_text(file.read_text().replace('"schema_version": 1', '"schema_version": 2'))
    assert queue.entries("queued") == []
