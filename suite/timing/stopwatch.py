"""The child's side of timing: orders in, raw samples out. It knows which scenarios are warm in this process."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from suite.errors import HallmarkError, Undefined
from suite.formats import ordered
from suite.formats._activations import Sites, watched
from suite.formats.base import Description
from suite.manifest import Inputs
from suite.model import Array, Facts
from suite.probes.memory import reset_peak, resident
from suite.timing import cuda, held, meter
from suite.timing.clock import Call, Clock, burst, warm
from suite.timing.scenario import CAP_BYTES, CAP_S, MOST, Scenario, input_shape
from suite.timing.steps import Step, step_of

_SEEN = 0.4  # of the stored bytes, at least, are live tensors where torch holds the weights (tied ones once)
_FORWARDS = 2  # before memory is read: weights that are mapped from a file come in with the first


@dataclass
class _Ready:
    step: Step
    batch: int
    warmups: int
    stable: bool
    weights: dict[str, float]


@dataclass
class Watch:
    """Times one loaded model.

    Attributes:
        model: loaded.
        order: what the child was told to load.
        before: resident memory after imports, before the model; empty where the system does not tell.
        loaded: the same after the load, with the peak since; without it where no peak can begin anew.
    """

    model: Any
    order: Mapping[str, Any]
    before: Mapping[str, int] = field(default_factory=dict)
    loaded: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Nothing is warm yet."""
        self.facts: Facts = self.model.facts
        self._ready: dict[Scenario, _Ready] = {}
        self._watching, self._sites = ExitStack(), Sites()
        self._described: Description | None = None
        self._clock = Clock(settle=cuda.settle, lap=cuda.lap) if self.order["device"] == "cuda" else Clock()

    def answer(self, order: Mapping[str, Any]) -> dict[str, Array]:
        """Raw samples of one order, all as float64 arrays.

        Raises:
            HallmarkError: no such order.
        """
        scenario = Scenario(order["name"], order["batch"], order["tokens"], order["new"])
        what = order["what"]
        if what == "memory":
            return _arrays(self._memory(scenario))
        if what == "energy":
            ready = self._warm(scenario)
            self._clock.settle()  # what is queued still is neither rest nor one of the calls
            return _arrays(
                meter.energy(lambda: self._clock.call(ready.step), order["seconds"]) | {"batch": ready.batch}
            )
        if what != "burst":
            raise HallmarkError(f"nothing is timed under the name {what!r}")
        return _arrays(self._burst(scenario, order["seconds"]))

    def observe(self, begin: bool) -> dict[str, Array]:
        """Begin to watch the activations of all that this process computes; or end, with what was counted."""
        if begin:
            self._sites = Sites()
            self._watching.enter_context(watched(self._sites))
            return {}
        self._watching.close()
        return _arrays(self._sites.series())

    def _burst(self, scenario: Scenario, seconds: float) -> dict[str, Any]:
        ready = self._warm(scenario)
        calls: list[Call] = burst(ready.step, seconds, self._clock)
        return {
            "seconds": [call.seconds for call in calls],
            "cpu_seconds": [call.cpu_seconds for call in calls if self.order["device"] == "cpu"],
            "first_seconds": [call.first_s for call in calls if call.first_s is not None],
            "last_seconds": [call.last_s for call in calls if call.last_s is not None],
            **ready.weights,
            "batch": ready.batch,
            "parameters": self._parameters,
            "warmups": ready.warmups,
            "stable": ready.stable,
            "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else [],
            "threads": self.order["threads"],
            "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        }

    def _warm(self, scenario: Scenario) -> _Ready:
        if scenario not in self._ready:
            batch = scenario.batch or self._largest(scenario)
            step = self._step(scenario, batch)
            self._ready[scenario] = _Ready(step, batch, *warm(step, self._clock), self._weights(scenario, batch, step))
        return self._ready[scenario]

    def _largest(self, scenario: Scenario) -> int:
        """The largest power of two within the caps; 1 if none is."""
        batch, best = 1, 1
        while batch <= MOST and self._fits(self._step(scenario, batch)):
            best, batch = batch, 2 * batch
        return best

    def _fits(self, step: Step) -> bool:
        """Whether a call is within the caps: of seconds the second one, as the first may compile or fill caches."""
        try:
            with cuda.memory_ends():
                grown = (cuda.grown if self.order["device"] == "cuda" else _grown)()
                self._clock.call(step)
                took = self._clock.call(step).seconds
                return grown() <= CAP_BYTES and took <= CAP_S
        except MemoryError:
            return False

    def _memory(self, scenario: Scenario) -> dict[str, Any]:
        """Bytes above what the process took before the model, after the load and after two forwards."""
        step = self._step(scenario, scenario.batch)
        if self.order["device"] == "cuda":
            held.reset_cuda()
        for _ in range(_FORWARDS):
            step()
        now, found = resident(), {}
        for stage, seen in (("load", self.loaded), ("forward", now)):
            for part, against in (("peak", "rss"), ("anon", "anon"), ("file", "file")):
                if part in seen and part in self.loaded and against in self.before:
                    found[f"{stage}_{part}"] = float(max(0, seen[part] - self.before[against]))
        found |= held.cuda_bytes() if self.order["device"] == "cuda" else {}
        return found | self._weights(scenario, scenario.batch, step)

    def _weights(self, scenario: Scenario, batch: int, step: Step) -> dict[str, float]:
        """Bytes of the weights as stored and as held, and the operations of a call, as far as they can be had."""
        stored = self._description.tensor_bytes
        bytes_held = held.tensor_bytes() if "torch" in sys.modules else 0.0
        seen = bytes_held >= _SEEN * max(stored, 1)  # else another runtime holds them
        counted = held.flops(step) if seen else self._graph_flops(scenario, batch)
        found = {"stored": float(stored), "held": bytes_held if seen else 0.0, "flops": counted}
        return {name: value for name, value in found.items() if value}

    def _graph_flops(self, scenario: Scenario, batch: int) -> float:
        """Operations of a call by the file's graph, 2 a multiply-add; 0 where they cannot be told."""
        if scenario.new or self.order["inputs"].get("ensemble"):
            return 0.0
        from suite.static import macs

        inner = (scenario.tokens,) if scenario.tokens else self._shape or ()
        try:
            found, uncounted = macs.of_file(self.order["format"], Path(self.order["weights"]), (1, *inner))
        except (Undefined, HallmarkError):
            return 0.0
        return 0.0 if uncounted else 2.0 * batch * sum(product.macs for product in found)

    @cached_property
    def _parameters(self) -> float:
        """Weights in their original shapes, codes unpacked; 0 where the files' tensors are not read."""
        from suite.static.report import layers

        order = self.order
        try:
            found = layers(Path(order["weights"]), order["format"], order["inputs"].get("ensemble") or ())
            return float(sum(one.elements for one in found if one.is_parameter))
        except (HallmarkError, ValueError, LookupError, TypeError, AttributeError, OSError):
            return 0.0

    @property
    def _shape(self) -> tuple[int, ...] | None:
        """Vision: of one input."""
        return input_shape(Inputs.model_validate(self.order["inputs"]), self._description.signature)

    @property
    def _description(self) -> Description:
        if self._described is None:
            self._described = ordered(self.order).describe(Path(self.order["weights"]))
        return self._described

    def _step(self, scenario: Scenario, batch: int) -> Step:
        return step_of(self.model, scenario, batch, None if scenario.tokens else self._shape)


def _grown() -> Callable[[], int]:
    """Asked later: how far this process' resident memory went above what it is now."""
    seen = "peak" if reset_peak() else "rss"  # an old peak, of the imports say, is none of this call
    before = resident().get("rss", 0)
    return lambda: resident().get(seen, before) - before


def _arrays(found: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers as float64 arrays; texts, which no array can carry, as lists of one."""
    return {name: [value] if isinstance(value, str) else _floats(value) for name, value in found.items()}


def _floats(value: Any) -> Array:
    return np.atleast_1d(np.asarray(value, dtype=np.float64))
