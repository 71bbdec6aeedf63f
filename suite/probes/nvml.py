"""Energy of NVIDIA GPUs from NVML's counters, through the optional package ``nvidia-ml-py``."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from suite.probes.base import Observed, Probe, Reading

_MILLI = 1e-3


@contextlib.contextmanager
def _nvml() -> Iterator[Any]:
    import pynvml

    pynvml.nvmlInit()
    try:
        yield pynvml
    finally:
        pynvml.nvmlShutdown()


def gpu_name() -> str | None:
    """Model of the first GPU, None if there is none or NVML is not installed."""
    try:
        with _nvml() as nvml:
            name = nvml.nvmlDeviceGetName(nvml.nvmlDeviceGetHandleByIndex(0))
    except Exception:  # NVML's own error types exist only where the package does
        return None
    return name.decode() if isinstance(name, bytes) else str(name)


def process_bytes() -> dict[int, int]:
    """Bytes of device memory of every process that computes, by process id, over all GPUs; only what is told.

    Raises:
        ImportError: the package is not installed.
        pynvml.NVMLError: no driver, or it does not tell.
    """
    found: dict[int, int] = {}
    with _nvml() as nvml:
        for i in range(nvml.nvmlDeviceGetCount()):
            for one in nvml.nvmlDeviceGetComputeRunningProcesses(nvml.nvmlDeviceGetHandleByIndex(i)):
                if one.usedGpuMemory is not None:  # Windows' driver model does not tell
                    found[one.pid] = found.get(one.pid, 0) + int(one.usedGpuMemory)
    return found


def why_not(ask: Callable[[], object]) -> str | None:
    """Why NVML does not answer a question; nothing where it does."""
    try:
        ask()
    except ImportError:
        return "the package nvidia-ml-py is not installed: pip install nvidia-ml-py"
    except Exception as error:  # NVML's own error types exist only where the package does
        return f"NVML: {error}"
    return None


class Nvml(Probe):
    """Joules of all GPUs while the child worked, idle power included."""

    name = "nvml"
    title = "energy of NVIDIA GPUs (NVML counters)"
    readings = (Reading("gpu_energy_j", "J", False, ("nvml_gpu_j",), lambda s: sum(s["nvml_gpu_j"])),)

    def __init__(self) -> None:
        self._before: list[float] = []
        self._used_j: list[float] = []

    def unavailable(self) -> str | None:
        """Needs the package, the driver and a GPU that counts energy."""
        return why_not(self._counters)

    def __enter__(self) -> Nvml:
        self._before = self._counters() if self.unavailable() is None else []
        return self

    def __exit__(self, *_: object) -> None:
        """Take the difference."""
        if self._before:
            self._used_j = [after - before for before, after in zip(self._before, self._counters(), strict=True)]

    def read(self, observed: Observed) -> dict[str, list[float]]:
        """Joules per GPU; nothing if part of a resumed unit was not in the window, or another model was."""
        return {} if observed.resumed or not observed.alone or not self._used_j else {"nvml_gpu_j": self._used_j}

    def joules(self) -> float:
        """Joules of all GPUs since the driver was loaded."""
        return sum(self._counters())

    def _counters(self) -> list[float]:
        with _nvml() as nvml:
            handles = [nvml.nvmlDeviceGetHandleByIndex(i) for i in range(nvml.nvmlDeviceGetCount())]
            return [nvml.nvmlDeviceGetTotalEnergyConsumption(handle) * _MILLI for handle in handles]
