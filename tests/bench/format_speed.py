"""Timing of the bench of formats: pairs of processes in turns, by the protocol and code of ``--suite efficiency``."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from suite import measure, outcomes
from suite.manifest import Inputs, Kind
from suite.metrics.base import Columns
from suite.outcomes import CLUSTER, ITEM
from suite.task import Timed
from suite.timing.scenario import PAIRED_S, PAIRS, PROCESSES, Scenario, Stopwatch
from tasks import efficiency
from tasks.efficiency import ENERGY, Classification, Efficiency, Language, Segmentation

KINDS: dict[str, type[Efficiency]] = {
    "language": Language, "classification": Classification, "segmentation": Segmentation
}  # fmt: skip
_QUANTILES = (50, 90, 99)
_MEMORY = ("peak", "anon", "file")


@dataclass(frozen=True)
class Settings:
    """How thoroughly a row is measured.

    Attributes:
        pairs: of bursts a scenario; 0: no timing.
        processes: fresh pairs of processes that share them; two at least for an interval.
        seconds: that all bursts of a scenario take at least, both sides together.
        items: stories or volumes, as a share of the model's own.
    """

    pairs: int = PAIRS
    processes: int = PROCESSES
    seconds: float = PAIRED_S
    items: float = 1.0


QUICKLY = Settings(4, 2, 0.4, 0.2)


@dataclass
class Timings:
    """What a row and another one took in turns.

    Attributes:
        speed: by scenario, the other's time over the row's with its interval: above 1, the row is faster.
        milliseconds: by scenario, the 50th, 90th and 99th percentile of the row's calls.
        memory: resident memory above that before the load, after two forwards: its peak, what is then anonymous and
            what is file-backed; without what cannot be read.
        contended: why the machine was not quiet enough; None if it was.
        notes: that weights are expanded, that a scenario was never stable.
    """

    speed: dict[str, list[float]] = field(default_factory=dict)
    milliseconds: dict[str, list[float]] = field(default_factory=dict)
    memory: dict[str, float] = field(default_factory=dict)
    contended: str | None = None
    notes: list[str] = field(default_factory=list)


class Paced:
    """A model in a process of its own; bursts shorter than the protocol's where the settings say so."""

    def __init__(self, child: Any, share: float = 1.0) -> None:
        self.facts, self._child, self._share = child.facts, child, share

    def timed(self, orders: Sequence[Mapping[str, Any]]) -> Any:
        """The child's answers."""
        return self._child.ask("timed", [{**order, "seconds": self._share * order["seconds"]} for order in orders])

    def restart(self) -> None:
        """Begin a fresh process."""
        self._child.restart()

    def loaded(self) -> None:
        """Wait for it."""
        self._child.loaded()


def timings(
    child: Stopwatch, other: Stopwatch, kind: Kind, scenarios: Sequence[Scenario], settings: Settings
) -> Timings:
    """Time one model beside another; with no pairs, its memory alone, for whose reading its process must be fresh."""
    task = KINDS[kind](scenarios, "items/s")
    pairs = settings.pairs
    columns = _columns(task, Timed(child, other, "", {}), settings)
    read = {part: np.concatenate([np.ravel(one) for one in columns[f"forward_{part}"]]) for part in _MEMORY}
    found = Timings(memory={part: float(values[0]) for part, values in read.items() if len(values)})
    found.notes = [note for note in task.marks(columns).notes if pairs or "stable" not in note]
    if not pairs:
        return found
    found.contended = task.marks(columns).contended
    metrics = {metric.name: metric for metric in task.metrics}
    for scenario in scenarios:
        where = f"[scenario={scenario.name}]"
        ratio = metrics[f"{'time_per_token' if scenario.new else 'latency'}_ratio{where}"]
        (m,) = measure.scores([ratio], columns, seed=0)
        if m.value and m.low and m.high:
            found.speed[scenario.name] = [1 / m.value, 1 / m.high, 1 / m.low]
        times = [metrics[f"latency_p{level}_s{where}"] for level in _QUANTILES]
        found.milliseconds[scenario.name] = [1e3 * float(metric(metric.rows(columns))) for metric in times]
    return found


def share(settings: Settings) -> float:
    """Of the protocol's burst, so that so many pairs take the settings' seconds."""
    return settings.seconds / max(1, settings.pairs) / (2 * efficiency.BURST_S)


def _columns(task: Efficiency, models: Timed[Stopwatch], settings: Settings) -> Columns:
    rows, rounds = [], np.array_split(range(PAIRS), PROCESSES)[: settings.processes]
    wanted = [n for own in rounds for n in own[: settings.pairs // settings.processes].tolist()]
    if wanted and models.parent is not None:
        models.parent.restart()  # it has worked for another row
        models.parent.loaded()
    for example in task.examples(models):
        what = example.input[1]
        if what == ENERGY or (isinstance(what, int) and what not in wanted):
            continue
        (answer,) = task.ask(models, [example.input], Inputs())
        rows.append({ITEM: example.item, CLUSTER: example.cluster or example.item, **task.row(example, answer)})
    return outcomes.to_columns(outcomes.to_table(rows))


def chained(first: Mapping[str, list[float]], second: Mapping[str, list[float]]) -> dict[str, list[float]]:
    """Speed against C from that against B and B's against C: the product, by scenario.

    The two were measured apart, so that their errors are independent: in logarithms, the distances of the ends of the
    intervals from the values add in quadrature.

    >>> chained({"a": [2.0, 1.0, 4.0]}, {"a": [3.0, 3.0, 3.0]})
    {'a': [6.0, 3.0, 12.0]}
    """
    found = {}
    for name in first.keys() & second.keys():
        (a, *ends_a), (b, *ends_b) = first[name], second[name]
        widths = [math.hypot(math.log(x / a), math.log(y / b)) for x, y in zip(ends_a, ends_b, strict=True)]
        found[name] = [round(end, 12) for end in (a * b, a * b / math.exp(widths[0]), a * b * math.exp(widths[1]))]
    return {name: found[name] for name in first if name in found}
