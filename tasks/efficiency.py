"""Efficiency: speed, memory, energy and use of the machine, of the very process and callable that answer other tasks.

Protocol (MLPerf Inference's scenarios): synthetic seeded inputs of the model's declared shape, fixed threads; warm-up
until two medians of five calls differ by less than 5 %; then at least 30 pairs and 10 s of bursts, the model and its
parent in turns (first one, then the other first: A B B A), each in a process of its own in the same runtime; without a
parent as many bursts of twice the length. The pairs are shared by 6 fresh pairs of processes: where a process happens
to hold its memory makes it faster or slower by a percent or more for as long as it lives, which no number of turns
averages out. So intervals resample pairs of processes (Kalibera & Jones 2013, "Rigorous Benchmarking in Reasonable
Time").
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, ClassVar

import numpy as np

from suite.data import Dataset
from suite.errors import UnitError
from suite.manifest import Inputs, Kind, Manifest, canonical_json
from suite.metrics import contention, timing
from suite.metrics.base import Columns, Metric
from suite.model import Signature, common_context
from suite.task import Example, Marks, Row, Task, Timed
from suite.timing.scenario import (
    BURST_S,
    ENERGY_S,
    LANGUAGE,
    PAIRS,
    PROCESSES,
    VISION,
    Answer,
    Scenario,
    Stopwatch,
    input_shape,
)

MEMORY, ENERGY = "memory", "energy"
EXPANDED = 1.5  # bytes held over bytes stored, above which a format only saves space on disk
_MEGA = 1e6
_SIDES = 2  # of a pair: what `BURST_S` is of
_SAMPLES = ("seconds", "cpu_seconds", "first_seconds", "last_seconds")
_READ = ("load_peak", "load_anon", "load_file", "forward_peak", "forward_anon", "forward_file",
         "held", "stored", "cuda_allocated", "cuda_reserved", "energy_j", "energy_s", "idle_w")  # fmt: skip

Models = Timed[Stopwatch]


class Efficiency(Task[Models]):
    """One kind of model, timed in its scenarios; every item is one pair of bursts, or one reading of memory or energy.

    A parent in another runtime (another format) is not asked: the ratio would be of runtimes, and is null.
    """

    timed = True
    version = "2"
    batch_size = 1
    kind: ClassVar[Kind]

    def __init__(self, scenarios: Sequence[Scenario], unit: str) -> None:
        self.name, self.title = f"efficiency-{self.kind}", f"Speed, memory and energy of {self.kind} models"
        self._scenarios, first = tuple(scenarios), scenarios[0].name
        self.primary = f"latency_ratio[scenario={first}]"
        self.metrics = _metrics(self._scenarios, unit)
        facts = {
            "scenarios": [asdict(s) for s in self._scenarios],
            "pairs": PAIRS,
            "processes": PROCESSES,
            "burst_s": BURST_S,
        }
        self.dataset = Dataset(
            name=f"synthetic-{self.kind}",
            content_sha256=hashlib.sha256(canonical_json(facts)).hexdigest(),
            licence="Apache-2.0",
            source="random inputs, tasks/efficiency.py",
            generated=True,
            bundled=True,
        )

    def protocol(self, context: int | None, bos: bool = True) -> str:
        """The scenarios, and how often each is timed."""
        return f"{'+'.join(scenario.name for scenario in self._scenarios)}/{PAIRS}-pairs-abba/{PROCESSES}-processes"

    def examples(self, model: Models) -> Sequence[Example]:
        """Memory first, in a fresh process; then the pairs of every scenario that fits the context; then energy.

        Each pair of processes is a cluster: it takes its share of the pairs of every scenario. A run that was ended and
        goes on has one pair of processes more than clusters.
        """
        both = [model.child, *([model.parent] if model.parent else [])]
        context = common_context(*(one.facts.context for one in both))
        fitting = [s for s in self._scenarios if context is None or s.needed <= context]
        if not fitting:
            raise UnitError(f"its context of {context} tokens is too short for every scenario")
        pairs = [
            Example(
                f"{s.name}/{n:02d}", (s, n, (s, n) == (fitting[0], own[0]) and n > 0), cluster=f"processes-{number}"
            )
            for number, own in enumerate(np.array_split(range(PAIRS), PROCESSES))
            for s in fitting
            for n in own.tolist()
        ]
        return [Example(MEMORY, (fitting[0], MEMORY, False)), *pairs, Example(ENERGY, (fitting[0], ENERGY, False))]

    def ask(self, model: Models, inputs: Sequence[Any], spec: Inputs) -> Sequence[Any]:
        """The raw samples of both models."""
        return [self._asked(model, *order) for order in inputs]

    def row(self, example: Example, answer: Any) -> Row:
        """One pair of bursts, or one reading; see `suite.metrics.timing` for the columns."""
        (scenario, what, _), (own, other, alone, peaks) = example.input, answer
        pair, nothing = isinstance(what, int), np.zeros(0)
        burst, beside = (own if pair else {}, other if pair else {})
        columns: Row = {"scenario": scenario.name if pair else what, "alone": alone, "new": max(2, scenario.new)}
        for name in _SAMPLES:
            columns[f"call_{name}" if "cpu" in name or name == "seconds" else name] = burst.get(name, nothing)
            columns[f"parent_call_{name}" if name == "seconds" else f"parent_{name}"] = beside.get(name, nothing)
        columns |= {name: own.get(name, nothing) for name in _READ}
        columns |= {name: _number(burst, name) for name in ("batch", "warmups", "load", "threads", "cores", "stable")}
        columns["parent_batch"] = _number(beside, "batch")
        columns["units"] = float(scenario.tokens or 1)
        columns["energy_items"] = own.get("energy_calls", nothing) * _number(own, "batch")
        columns["read_bytes"] = burst.get("held", burst.get("stored", nothing))
        same = _number(burst, "parameters") == _number(beside, "parameters") > 0  # a smaller graph has another count
        columns["flops"] = burst.get("flops", beside.get("flops", nothing) if same else nothing)
        columns["peak_bandwidth"] = _list(peaks, "bandwidth_bytes_per_s")
        columns["peak_flops"] = _list(peaks, "fp32_flops_per_s")
        columns |= {name: str(next(iter(own.get(name, [""])))) for name in ("energy_source", "energy_reason")}
        return columns

    def marks(self, columns: Columns) -> Marks:
        """Contention by `suite.metrics.contention.contended`, the source of the energy, and whether weights expand."""
        metered = [str(source) for source in columns["energy_source"] if source]
        held, stored = (np.concatenate([np.ravel(part) for part in columns[name]]) for name in ("held", "stored"))
        notes = []
        if len(held) and len(stored) and np.median(held) > EXPANDED * np.median(stored):
            sizes = f"{np.median(stored) / _MEGA:.2f} MB of weights in the file are {np.median(held) / _MEGA:.2f} MB"
            notes.append(f"storage only: {sizes} in memory, this runtime expands them")
        unstable = sorted({str(s) for s, ok in zip(columns["scenario"], columns["stable"], strict=True) if not ok}
                          - {MEMORY, ENERGY})  # fmt: skip
        notes += [f"never stable while warming up: {', '.join(unstable)}"] if unstable else []
        return Marks(contention.contended(columns), metered[0] if metered else None, tuple(notes))

    def misfit(self, manifest: Manifest, signature: Signature | None) -> str | None:
        """Vision: some size of its input is fixed neither by manifest nor by file."""
        if self.kind != "language" and input_shape(manifest.inputs, signature) is None:
            return "its input has no fixed size to be timed at; state inputs.shape = [channels, ...] in its manifest"
        return None

    def _asked(
        self, model: Models, scenario: Scenario, what: int | str, fresh: bool
    ) -> tuple[Answer, Answer, str, Any]:
        if isinstance(what, str):
            return _samples(model.child, scenario, what, ENERGY_S), {}, model.alone, {}
        turns = [model.child, *([model.parent] if model.parent else [])]
        order = turns if what % 2 == 0 else turns[::-1]
        if fresh:
            for one in order:
                one.restart()
            for one in order:  # nothing is timed while the other still loads
                one.loaded()
        seconds = _SIDES * BURST_S / len(turns)  # alone, it takes the parent's time too
        found = {id(one): _samples(one, scenario, "burst", seconds) for one in order}
        return found[id(turns[0])], found[id(turns[-1])] if turns[1:] else {}, model.alone, model.peaks


class Language(Efficiency):
    """Causal language models."""

    kind: ClassVar[Kind] = "language"


class Classification(Efficiency):
    """Classifiers."""

    kind: ClassVar[Kind] = "classification"


class Segmentation(Efficiency):
    """Segmentation networks, at the size that they take at once."""

    kind: ClassVar[Kind] = "segmentation"


def _samples(one: Stopwatch, scenario: Scenario, what: str, seconds: float) -> Answer:
    return one.timed([{"what": what, "seconds": seconds, **asdict(scenario)}])[0]


def _number(answer: Mapping[str, Any], name: str) -> float:
    values = answer.get(name, ())
    return float(values[0]) if len(values) else 0.0


def _list(peaks: Mapping[str, float], name: str) -> Any:
    return np.array([peaks[name]] if name in peaks else [], dtype=np.float64)


def _metrics(scenarios: Sequence[Scenario], unit: str) -> tuple[Metric, ...]:
    found: list[Metric] = []
    for scenario in scenarios:
        if not scenario.batch:
            found += timing.offline(scenario.name, unit)
            continue
        found += timing.single_stream(scenario.name)
        found += [*timing.decoding(scenario.name), timing.bandwidth_used(scenario.name)] if scenario.new else []
        found += [] if scenario.new else [timing.peak_share(scenario.name)]
        found += [timing.macs(scenario.name)] if scenario.batch == 1 and not scenario.tokens else []
    return (*found, *timing.memory(), *timing.energy(), *contention.busy())


LANGUAGE_SPEED = Language(LANGUAGE, "tokens/s")
CLASSIFICATION_SPEED = Classification(VISION, "items/s")
SEGMENTATION_SPEED = Segmentation(VISION, "items/s")
ALL = (LANGUAGE_SPEED, CLASSIFICATION_SPEED, SEGMENTATION_SPEED)
