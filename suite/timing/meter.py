"""Energy of a window of work: counters of the processor (RAPL), of NVIDIA GPUs (NVML) or of a meter; never an estimate.

A meter of one's own is a file that holds the joules used so far, one number, named by ``HALLMARK_METER``.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from suite.probes.nvml import Nvml
from suite.probes.rapl import Rapl

METER_VARIABLE = "HALLMARK_METER"
Counter = Callable[[], float]  # joules used so far


def counters() -> tuple[dict[str, Counter], str]:
    """The counters that can be read here, by source; and why there is none."""
    path = os.environ.get(METER_VARIABLE)
    if path:
        try:
            float(Path(path).read_text())
        except (OSError, ValueError) as error:
            return {}, f"{METER_VARIABLE} = {path} holds no number of joules: {error}"
        return {"meter": lambda: float(Path(path).read_text())}, ""
    rapl, nvml = Rapl(), Nvml()
    why = {"rapl": rapl.unavailable(), "nvml": nvml.unavailable()}
    found = {name: probe.joules for name, probe in (("rapl", rapl), ("nvml", nvml)) if why[name] is None}
    if found:
        return found, ""
    return {}, f"no energy counter: {why['rapl']}; {why['nvml']}; or name a meter's file in {METER_VARIABLE}"


def energy(call: Callable[[], Any], seconds: float) -> dict[str, Any]:
    """Joules of at least so many seconds of calls, and watts of as long a rest before; or only why not.

    Args:
        call: what is metered.
        seconds: window.
    """
    found, why = counters()
    if not found:
        return {"energy_source": "", "energy_reason": why}
    before, start = _joules(found), time.monotonic()
    time.sleep(seconds)
    idle_w = (_joules(found) - before) / (time.monotonic() - start)
    before, start, calls = _joules(found), time.monotonic(), 0
    while time.monotonic() - start < seconds:
        call()
        calls += 1
    used, took = _joules(found) - before, time.monotonic() - start
    return {"energy_j": used, "energy_s": took, "idle_w": idle_w, "energy_calls": calls,
            "energy_source": "+".join(found), "energy_reason": ""}  # fmt: skip


def _joules(found: dict[str, Counter]) -> float:
    return sum(read() for read in found.values())
