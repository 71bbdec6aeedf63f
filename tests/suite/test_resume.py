"""Killed at any moment and started again, a run ends with the record of an undisturbed one."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from suite import outcomes
from suite.store import Store, Stored

READINGS_ASIDE = {"items_per_s", "cpu_s_per_item", "peak_rss_bytes", "model_rss_bytes", "energy_j", "gpu_energy_j"}
TASK = "generated-choices"  # 19 batches, and intervals that take a second
SLOW: dict[str, Any] = {"fake": "uniform", "vocabulary": 64, "delay_s": 0.05}
Start = Callable[..., subprocess.Popen[bytes]]


def records(results: Path) -> list[Stored]:
    return list(Store(results).scan())


def scores(stored: Stored) -> list[Any]:
    return [m for m in stored.record.measurements if m.name not in READINGS_ASIDE]


def same(a: Stored, b: Stored) -> None:
    assert scores(a) == scores(b)
    assert a.record.unit_key == b.record.unit_key
    assert a.record.outcomes_sha256 == b.record.outcomes_sha256
    assert a.outcomes().equals(b.outcomes())


def run_to_end(start: Start, *arguments: str | Path) -> None:
    process = start(*arguments)
    out, err = process.communicate(timeout=240)
    assert process.returncode == 0, err.decode() + out.decode()


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[bytes], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition() and process.poll() is None and time.monotonic() < end:
        time.sleep(0.01)


def workers_of(results: Path) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter(["cmdline"]):
        line = " ".join(process.info["cmdline"] or [])
        if "suite.worker" in line and process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
            found.append(process)
    return found


@pytest.mark.slow
def test_sigkill_at_several_moments_changes_nothing(tmp_path: Path, start: Start, fake: Callable[..., Path]) -> None:
    folder = fake("slow", SLOW, kind="language")
    run_to_end(start, "run", folder, "-t", TASK, "--results", "calm")
    results = tmp_path / "killed"
    for batches in (0, 2, 7, 13, 18):
        process = start("run", folder, "-t", TASK, "--results", results)
        wait_for(lambda n=batches: len(list(results.glob(".journal/*/0*.parquet"))) >= n, process)  # type: ignore[misc]
        children = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
        process.send_signal(signal.SIGKILL)
        process.communicate()
        _, alive = psutil.wait_procs(children, timeout=10)
        assert not alive, "an orphan survived its parent"
    run_to_end(start, "run", folder, "-t", TASK, "--results", results)
    (calm,), (killed,) = records(tmp_path / "calm"), records(results)
    same(calm, killed)
    left = [p for p in (results / ".journal").iterdir() if p.suffix != ".lock"]
    assert not left
    assert not list(results.rglob("*.tmp"))


@pytest.mark.slow
def test_two_runs_at_once_do_not_disturb_each_other(tmp_path: Path, start: Start, fake: Callable[..., Path]) -> None:
    one, other = (fake(name, SLOW, kind="language") for name in ("one", "other"))
    processes = [start("run", one, other, "-t", TASK) for _ in range(2)]
    for process in processes:
        out, err = process.communicate(timeout=240)
        assert process.returncode == 0, err.decode() + out.decode()
    found = records(tmp_path / "results")
    assert sorted(s.record.manifest.name for s in found) == ["one", "other"]
    run_to_end(start, "verify")


def test_a_staged_record_is_published_by_the_next_run(tmp_path: Path) -> None:
    """Killed between staging and linking, or between two links: the same files appear, once."""
    store = Store(tmp_path)
    for linked in range(3):
        key = f"{linked}" * 64
        with store.unit(key) as journal:
            journal.stage({f"s/t{linked}/a.parquet": b"p", f"s/t{linked}/a.json": b"j"})
            for source, name in journal.staged()[:linked]:
                (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
                (tmp_path / name).hardlink_to(source)
        with store.unit(key) as journal:
            assert journal.staged() == []
        assert (tmp_path / f"s/t{linked}/a.parquet").read_bytes() == b"p"
        assert (tmp_path / f"s/t{linked}/a.json").read_bytes() == b"j"


def test_an_unfinished_staging_is_not_published(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with store.unit("0" * 64) as journal:
        building = tmp_path / ".journal" / ("0" * 64) / "staging"
        building.mkdir(parents=True)
        (building / "0").write_bytes(b"half")
        assert journal.staged() == []
    assert not list(tmp_path.glob("s"))


def test_a_torn_batch_is_never_seen(tmp_path: Path) -> None:
    """What a crash leaves while a batch is written is a temporary name, which the journal does not read."""
    store = Store(tmp_path)
    with store.unit("0" * 64) as journal:
        table = outcomes.to_table([{"position": 0, "x": 1.5}])
        journal.keep(0, table)
        folder = tmp_path / ".journal" / ("0" * 64)
        (folder / ".0000001.parquet.123.tmp").write_bytes(b"half")
        kept = journal.batch(0)
        assert kept is not None
        assert kept.equals(table)
        assert journal.batch(1) is None
