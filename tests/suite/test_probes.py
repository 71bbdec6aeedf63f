"""Every probe: documented, honest about absence, and its numbers are recomputed from raw samples by hand."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from support import REPOSITORY

from suite import measure
from suite.probes import PROBES
from suite.probes.base import Batch, Observed, Probe
from suite.probes.clock import Clock
from suite.probes.gpu_memory import GpuMemory
from suite.probes.memory import Memory, status_bytes
from suite.probes.nvml import process_bytes
from suite.probes.rapl import Rapl
from suite.probes.size import Size

OBSERVED = Observed(
    file_bytes=1000,
    tensor_bytes=500,
    parameters=900,
    parent_parameters=2000,
    rss_before_load_bytes=100,
    batches=[Batch(4, 2.0, 3.0, 700), Batch(4, 0.5, 0.75, 900), Batch(2, 0.5, 0.25, 800)],
)


def values(probe: Probe) -> dict[str, float]:
    series = probe.read(OBSERVED)
    return {reading.name: reading.reduce(series) for reading in probe.readings}


@pytest.mark.parametrize("make", PROBES.values(), ids=PROBES)
def test_every_probe_is_documented_and_says_why_it_cannot_read(make: Callable[[], Probe]) -> None:
    probe = make()
    assert probe.title
    assert probe.readings
    reason = probe.unavailable()
    assert reason is None or (len(reason) > 10 and "\n" not in reason)
    with probe:
        pass
    series = probe.read(OBSERVED)
    if reason is None:
        assert all(len(values) for values in series.values())


def test_size_by_hand() -> None:
    assert values(Size()) == {"bytes": 1000, "parameters": 900, "bits_per_weight": 8 * 500 / 2000}


def test_clock_leaves_the_warm_up_batch_out_of_the_rate_but_not_out_of_the_cost() -> None:
    assert values(Clock()) == {"items_per_s": 6 / 1.0, "cpu_s_per_item": 4.0 / 10}
    one = Observed(1, 1, 1, 1, None, [Batch(4, 2.0, 3.0, None)])
    series = Clock().read(one)
    assert Clock().readings[0].reduce(series) == 2.0


def test_memory_by_hand() -> None:
    assert values(Memory()) == {"peak_rss_bytes": 900, "model_rss_bytes": 800}


def test_memory_of_this_process_grows_with_an_array() -> None:
    if Memory().unavailable():
        pytest.skip("this system has no /proc")
    code = (
        "import os, numpy as np\n"
        "from suite.probes.memory import peak_rss_bytes, rss_bytes\n"
        "before = rss_bytes(os.getpid())\n"
        "array = np.ones(4_000_000)\n"
        "print(array.nbytes, before, rss_bytes(os.getpid()), peak_rss_bytes(os.getpid()))\n"
    )  # a fresh process: this one may hold freed pages that an array takes without growing
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=REPOSITORY)
    size, before, after, peak = map(int, done.stdout.split())
    assert after - before > 0.9 * size
    assert peak >= after
    assert status_bytes(os.getpid(), "VmNothing") is None
    assert status_bytes(2**22 + 1, "VmRSS") is None


def counter(root: Path, name: str, energy_uj: int, domain: str = "package-0") -> None:
    folder = root / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "name").write_text(f"{domain}\n")
    (folder / "energy_uj").write_text(f"{energy_uj}\n")
    (folder / "max_energy_range_uj").write_text("1000000\n")


def test_rapl_takes_the_difference_and_its_wrap_around(tmp_path: Path) -> None:
    counter(tmp_path, "intel-rapl:0", 200_000)
    counter(tmp_path, "intel-rapl:1", 900_000)
    probe = Rapl(tmp_path)
    assert probe.unavailable() is None
    with probe:
        counter(tmp_path, "intel-rapl:0", 700_000)
        counter(tmp_path, "intel-rapl:1", 99_999)
    assert values(probe) == {"energy_j": pytest.approx(0.5 + 0.2)}
    resumed = Observed(1, 1, 1, 1, None, [], resumed=True)
    assert probe.read(resumed) == {}


def test_rapl_counts_packages_and_dies_once_and_not_the_whole_platform(tmp_path: Path) -> None:
    def zones(package_uj: int, psys_uj: int) -> None:
        counter(tmp_path, "intel-rapl:0", package_uj)
        counter(tmp_path, "intel-rapl:0:0", package_uj, "core")
        counter(tmp_path, "intel-rapl:1", psys_uj, "psys")
        counter(tmp_path, "intel-rapl:10", package_uj, "package-1-die-0")

    zones(0, 0)
    with Rapl(tmp_path) as probe:
        zones(100_000, 900_000)
    assert values(probe) == {"energy_j": pytest.approx(0.1 + 0.1)}


def test_rapl_of_the_platform_alone_is_no_energy_of_the_packages(tmp_path: Path) -> None:
    counter(tmp_path, "intel-rapl:0", 0, "psys")
    assert "processor package" in str(Rapl(tmp_path).unavailable())


def test_rapl_without_counters_is_null_with_the_reason(tmp_path: Path) -> None:
    reason = Rapl(tmp_path).unavailable()
    assert reason is not None
    assert str(tmp_path) in reason
    (m,) = [m for m in measure.readings({}, {"rapl": reason}) if m.name == "energy_j"]
    assert (m.value, m.n, m.reason) == (None, 0, reason)


def test_gpu_memory_is_that_of_the_processes_begun_here(monkeypatch: pytest.MonkeyPatch) -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        probe = GpuMemory(lambda: {child.pid: 700, os.getpid(): 40, 1: 5})
        with probe:
            pass
        assert probe.unavailable() is None
        assert values(probe) == {"gpu_process_bytes": 700}
        assert probe.read(replace(OBSERVED, alone=False)) == {}
        other = GpuMemory(lambda: {1: 5})
        with other:
            pass
        assert other.read(OBSERVED) == {}
        assert "lists no process" in str(other.unavailable())
    finally:
        child.communicate()


class Driver:
    """NVML with two GPUs, as `pynvml` of nvidia-ml-py 13 speaks for it."""

    def nvmlInit(self) -> None: ...  # noqa: N802
    def nvmlShutdown(self) -> None: ...  # noqa: N802

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        return 2

    def nvmlDeviceGetHandleByIndex(self, i: int) -> int:  # noqa: N802
        return i

    def nvmlDeviceGetComputeRunningProcesses(self, handle: int) -> list[SimpleNamespace]:  # noqa: N802
        rows = [[(7, 100), (8, None)], [(7, 20), (9, 3)]][handle]
        return [SimpleNamespace(pid=pid, usedGpuMemory=used) for pid, used in rows]


def test_memory_of_a_process_is_summed_over_gpus_and_left_out_where_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", Driver())  # type: ignore[arg-type]
    assert process_bytes() == {7: 120, 9: 3}


def test_missing_series_are_null_with_a_reason() -> None:
    for m in measure.readings({}, {}):
        assert m.value is None
        assert m.reason
    names = [m.name for m in measure.readings({}, {})]
    assert len(set(names)) == len(names)
