"""Probes: one aspect of a run's cost per file."""

from __future__ import annotations

from collections.abc import Callable

from suite.probes.activations import Activations
from suite.probes.base import Batch, Observed, Probe, Reading, Series
from suite.probes.clock import Clock
from suite.probes.gpu_memory import GpuMemory
from suite.probes.memory import Memory
from suite.probes.nvml import Nvml
from suite.probes.rapl import Rapl
from suite.probes.size import Size
from suite.probes.static import Static

PROBES: dict[str, Callable[[], Probe]] = {
    probe.name: probe for probe in (Size, Static, Activations, Clock, Memory, GpuMemory, Rapl, Nvml)
}

__all__ = ["PROBES", "Batch", "Observed", "Probe", "Reading", "Series"]
