"""Memory that the model's process holds on NVIDIA GPUs, as the driver counts it, through ``nvidia-ml-py``."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from suite.probes.base import Observed, Probe, Reading
from suite.probes.nvml import process_bytes, why_not

_REASON = "the driver lists no process of this model: it computes elsewhere, or in another namespace of process ids"


class GpuMemory(Probe):
    """Device memory of the model's process when its last batch was answered: context, allocator's pool and all.

    What torch's allocator took is not in it alone: libraries' workspaces and the CUDA context are too. The pool does
    not shrink by itself, so this is close to the peak. Source: nvmlDeviceGetComputeRunningProcesses, usedGpuMemory.
    """

    name = "gpu-memory"
    title = "device memory of the model's process (NVML)"
    readings = (
        Reading("gpu_process_bytes", "B", False, ("nvml_process_bytes",), lambda s: max(s["nvml_process_bytes"])),
    )

    def __init__(self, used: Callable[[], Mapping[int, int]] = process_bytes) -> None:
        self._used = used
        self._held: int | None = None
        self._left = False

    def unavailable(self) -> str | None:
        """Needs the package, the driver, and a process that the driver lists."""
        silent = why_not(self._used)
        if silent is not None:
            return silent
        return _REASON if self._left and not self._held else None

    def __enter__(self) -> GpuMemory:
        return self

    def __exit__(self, *_: object) -> None:
        """Sum over the GPUs, and over this process' children, which the models are."""
        import psutil  # slow to import, and `hallmark list` names the probes

        self._left = True
        try:
            used = self._used()
            mine = {child.pid for child in psutil.Process().children(recursive=True)}
        except Exception:  # no NVML: `unavailable` says so
            return
        self._held = sum(held for pid, held in used.items() if pid in mine)

    def read(self, observed: Observed) -> dict[str, list[float]]:
        """Bytes; nothing if another model held memory beside it."""
        return {"nvml_process_bytes": [float(self._held)]} if observed.alone and self._held else {}
