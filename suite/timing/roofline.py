"""What the machine at hand can do at most: measured once per machine, device and threads, kept in the user's cache.

    bandwidth_bytes_per_s   STREAM's triad a = b + s c: three arrays' bytes over the best time (McCalpin 1995); on a
                            processor what a write of `a` reads first (write-allocate) is not counted, as there
    fp32_flops_per_s        a square float32 matrix product, 2 n^3 over the best time
    bf16_flops_per_s        the same in bfloat16; much below fp32 where the processor has no instruction for it

``python -m suite.timing.roofline THREADS DEVICE`` measures in a process of its own and prints one line of JSON.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from suite.disk import write_synced
from suite.record import Machine

CACHE_VARIABLE = "HALLMARK_CACHE"
VERSION = 1
_TIMEOUT_S = 120.0
_ROUNDS = 5
_LEAST_S = 1.0  # of every measurement: on a busy machine the best of many calls is near the peak
_ARRAY_BYTES = {"cpu": 1 << 27, "cuda": 1 << 30}  # of each of three: far more than any cache holds
_SIDE = {"cpu": 1536, "cuda": 8192}
UNITS = {"bandwidth_bytes_per_s": "B/s", "fp32_flops_per_s": "FLOP/s", "bf16_flops_per_s": "FLOP/s"}


def cache_folder() -> Path:
    """Where measured peaks are kept: $HALLMARK_CACHE, else $XDG_CACHE_HOME/hallmark, else ~/.cache/hallmark."""
    named = os.environ.get(CACHE_VARIABLE)
    return Path(named) if named else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hallmark"


def cached(machine: Machine, busy: bool = False) -> dict[str, float] | None:
    """The peaks that were measured on this machine before, if any; those of a busy one only if `busy`."""
    if not busy and was_busy(machine):
        return None
    try:
        found = json.loads(_file(machine).read_text(encoding="utf-8"))
        peaks = {name: float(found["peaks"][name]) for name in UNITS if name in found["peaks"]}
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return peaks if all(value > 0 for value in peaks.values()) and peaks else None


def measured_load(machine: Machine) -> float | None:
    """The load average at which the cached peaks were measured, if there are any."""
    try:
        return float(json.loads(_file(machine).read_text(encoding="utf-8"))["load"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def was_busy(machine: Machine) -> bool:
    """Whether the cached peaks were measured at a load of more than half the cores beyond the threads: too low."""
    load = measured_load(machine)
    return load is not None and load > _limit(machine)


def _limit(machine: Machine) -> float:
    return machine.threads + machine.cores / 2


def peaks(machine: Machine, force: bool = False, busy: bool = False) -> Mapping[str, float]:
    """The machine's peaks, measured now unless they are known; empty where they cannot be measured.

    Args:
        machine: where; the peaks are those of its device and threads.
        force: measure again.
        busy: give what was measured while other work ran, too; it is too low for a record.
    """
    known = None if force else cached(machine, busy)
    if known is not None:
        return known
    load = os.getloadavg()[0]  # before the measurement, which is load itself
    found = measure(machine)
    if found:
        try:
            _file(machine).parent.mkdir(parents=True, exist_ok=True)
            write_synced(_file(machine), json.dumps({"peaks": found, "load": load}).encode())
        except OSError:
            pass  # a folder that cannot be written: they are measured again next time
    return found if busy or load <= _limit(machine) else {}


def measure(machine: Machine) -> dict[str, float]:
    """Measure in a fresh process with the machine's threads; empty if it fails."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(machine.threads))
    root = str(Path(__file__).resolve().parent.parent.parent)
    paths = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    command = [sys.executable, "-m", "suite.timing.roofline", str(machine.threads), machine.device]
    environment = {**os.environ, **threads, "PYTHONPATH": paths}
    try:
        done = subprocess.run(command, env=environment, capture_output=True, check=True, timeout=_TIMEOUT_S)
        found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return {}
    return found


def _file(machine: Machine) -> Path:
    return cache_folder() / f"peaks-{VERSION}-{machine.id}-{machine.device}-{machine.threads}.json"


def _measured(threads: int, device: str) -> dict[str, float]:
    """The three peaks, by torch."""
    import torch

    torch.set_num_threads(threads)
    settle = torch.cuda.synchronize if device == "cuda" else lambda: None
    n = _ARRAY_BYTES[device] // 4
    a, b, c = (torch.ones(n, device=device) for _ in range(3))
    took = _best(lambda: torch.add(b, c, alpha=3.0, out=a), settle)
    found = {"bandwidth_bytes_per_s": 3 * 4 * n / took}
    side = _SIDE[device]
    for name, dtype in (("fp32_flops_per_s", torch.float32), ("bf16_flops_per_s", torch.bfloat16)):
        x, y = (torch.ones((side, side), device=device, dtype=dtype) for _ in range(2))
        took = _best(lambda x=x, y=y: x @ y, settle)  # type: ignore[misc]
        found[name] = 2 * side**3 / took
    return found


def _best(call: Callable[[], Any], settle: Callable[[], Any]) -> float:
    """Seconds of the fastest of at least five calls and a second of them, after one that warms up."""
    took: list[float] = []
    while len(took) <= _ROUNDS or sum(took) < _LEAST_S:
        settle()
        start = time.perf_counter()
        call()
        settle()
        took.append(time.perf_counter() - start)
    return min(took[1:])


if __name__ == "__main__":
    sys.stdout.write(json.dumps(_measured(int(sys.argv[1]), sys.argv[2])) + "\n")
