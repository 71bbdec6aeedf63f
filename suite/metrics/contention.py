"""Contention: whether the machine was busy with something else while a model was timed.

The columns are those of `suite.metrics.timing`. A record whose timings were contended is marked and not ranked.
"""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np

from suite.errors import Undefined
from suite.metrics.base import Columns, Metric
from suite.metrics.timing import Floats, flat, some

WALL = 1.25  # wall time over processor time and the threads that the model keeps busy
LOAD = 0.5  # load average beyond the model's own threads, in cores
SHORT_S = 0.1  # the kernel books what other threads compute in ticks of up to 10 ms: shorter calls are taken together
_WAITING = ("call_seconds", "call_cpu_seconds", "threads")


def contention(columns: Columns) -> float:
    """Median wall time over (processor time / threads in use); about 1 on a quiet machine, 2 where half was waited.

    Threads in use: the most that any call kept busy (processor over wall time), at least 1, at most those given; a
    model that cannot use all its threads is not taken for one that waits. Calls of a burst that are shorter than 0.1 s
    count as one, for processor time comes in ticks.
    """
    some(flat(columns, "call_cpu_seconds"))
    sides = zip(columns["call_seconds"], columns["call_cpu_seconds"], strict=True)
    bursts = [_even(np.asarray(wall, dtype=np.float64), np.array(cpu, dtype=np.float64))
              for wall, cpu in sides if len(cpu)]  # fmt: skip
    wall, cpu = np.concatenate(bursts, axis=1)
    known = (wall > 0) & (cpu > 0)
    if not known.any():
        raise Undefined("calls too short for the processor's clock")
    busy = np.clip(np.max(cpu[known] / wall[known]), 1.0, float(np.max(columns["threads"])))
    return float(np.median(wall[known] * busy / cpu[known]))


def _even(wall: Floats, cpu: Floats) -> Floats:
    """Wall and processor seconds of a burst's calls [2, call]; the short ones' processor time shared by wall time."""
    short = wall < SHORT_S
    if wall[short].sum() > 0:
        cpu[short] = wall[short] * cpu[short].sum() / wall[short].sum()
    return np.stack([wall, cpu])


def contended(columns: Columns) -> str | None:
    """Why timings are not to be ranked: wall time above 1.25 x processor time / threads in use, or a load average of
    more than half the cores beyond the model's own threads. None on a quiet machine.
    """  # noqa: D205 - the rule in one sentence
    if not (columns["threads"] > 0).any():
        return None
    waited, load = 0.0, _load(columns)
    with contextlib.suppress(Undefined):  # calls too short for the processor's clock, or another device computed
        waited = _waited(columns)
    limit = float(np.max(columns["threads"]) + LOAD * np.max(columns["cores"]))
    if waited > WALL:
        return f"a call took {waited:.2f} x its processor time / threads in use, more than {WALL}"
    return f"the load average was {load:.1f}, more than {limit:.1f}" if load > limit else None


def _waited(columns: Columns) -> float:
    """`contention` of the scenario where it is largest."""
    found = []
    for scenario in np.unique(columns["scenario"][columns["threads"] > 0]):
        with contextlib.suppress(Undefined):
            here = columns["scenario"] == scenario
            found.append(contention({name: columns[name][here] for name in _WAITING}))
    return float(some(np.array(found)).max())


def _load(columns: Columns) -> float:
    return float(np.median(some(columns["load"][columns["threads"] > 0])))


def busy() -> tuple[Metric, ...]:
    """How far the machine was busy with something else, over all that was timed."""
    facts: dict[str, Any] = {"unit": "", "higher_is_better": False, "bounds": (0.0, None)}
    facts["no_interval"] = "a description of the run, not of the model"
    return (
        Metric(name="wall_over_cpu", needs=(*_WAITING, "scenario"), whole=_waited,
               reference="wall time x threads in use / processor time, where it is largest; 1 on a quiet machine",
               **facts),
        Metric(name="load_average", needs=("load", "threads"), whole=_load,
               reference="median of getloadavg(3), 1 minute", **facts),
    )  # fmt: skip
