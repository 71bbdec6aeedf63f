"""Where a run happens: processor, cores, memory, GPU, and the digest by which equal machines are known."""

from __future__ import annotations

import functools
import hashlib
import os
import platform
import re
from pathlib import Path

import psutil

from suite.errors import InputError
from suite.manifest import canonical_json
from suite.probes.nvml import gpu_name
from suite.record import Machine

_GIB = 1 << 30
_CUDA_DEVICE = Path("/dev/nvidiactl")
_CPUINFO = Path("/proc/cpuinfo")
_CPUS = Path("/sys/devices/system/cpu")
_VECTORS = {  # field of /proc/cpuinfo -> the flags in it that name vector and matrix instructions: x86, arm
    "flags": re.compile("mmx|sse|ssse|pni$|fma|f16c|avx|amx|xop$"),
    "Features": re.compile("asimd|fphp$|sve|sme|bf16|i8mm|neon|vfp"),
}


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
        cpu_flags=cpu_flags(),
        governor=governor(),
    )


def cpu_flags() -> str | None:
    """Vector and matrix instruction sets that Linux states of every core, sorted; None where it states none."""
    for field, vector in _VECTORS.items():
        cores_flags = [set(flags.split()) for flags in _stated(field)]
        if cores_flags:
            return " ".join(sorted(flag for flag in set.intersection(*cores_flags) if vector.match(flag))) or None
    return None


def governor() -> str | None:
    """Frequency governors of the cores that this process may use, sorted; None where Linux tells of none."""
    mine = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    found = set()
    for core in mine:
        try:
            found.add((_CPUS / f"cpu{core}" / "cpufreq" / "scaling_governor").read_text(encoding="ascii").strip())
        except (OSError, ValueError):
            continue
    return " ".join(sorted(found - {""})) or None


def _cpu() -> str:
    names = _stated("model name")
    return names[0] if names else platform.processor() or platform.machine()


def _stated(field: str) -> list[str]:
    """Values of one field of /proc/cpuinfo, one a core; empty where there is no such file."""
    lines = (line.partition(":") for line in _cpuinfo(_CPUINFO))
    return [value.strip() for name, _, value in lines if name.strip() == field]


@functools.cache
def _cpuinfo(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
