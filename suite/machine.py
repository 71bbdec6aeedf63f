"""Where a run happens: processor, cores, memory, GPU, and the digest by which equal machines are known."""

from __future__ import annotations

import functools
import hashlib
import os
import platform
from pathlib import Path

import psutil

from suite.errors import InputError
from suite.manifest import canonical_json
from suite.probes.nvml import gpu_name
from suite.record import Machine

_GIB = 1 << 30
_CUDA_DEVICE = Path("/dev/nvidiactl")


def cores() -> int:
    """Logical cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def default_threads() -> int:
    """``OMP_NUM_THREADS`` where it is set, as every runtime here reads it; else all cores."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    return min(int(asked), cores()) if asked.isdigit() and int(asked) else cores()


def observe(device: str = "cpu", threads: int | None = None) -> Machine:
    """The machine at hand.

    Raises:
        InputError: CUDA asked for where there is none, or more threads than cores.
    """
    threads = threads or default_threads()
    if threads > cores():
        raise InputError(f"--threads {threads} but this machine has {cores()} cores; give at most {cores()}")
    if device == "cuda" and not _CUDA_DEVICE.exists():
        raise InputError("--device cuda but this machine has no NVIDIA driver; use --device cpu")
    cpu, gpu = _cpu(), gpu_name()
    ram = psutil.virtual_memory().total
    known_by = {"cpu": cpu, "cores": cores(), "ram_gib": round(ram / _GIB), "gpu": gpu}
    return Machine(
        id=hashlib.sha256(canonical_json(known_by)).hexdigest()[:12],
        cpu=cpu,
        cores=cores(),
        ram_bytes=ram,
        gpu=gpu,
        device=device,
        threads=threads,
    )


@functools.cache
def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
