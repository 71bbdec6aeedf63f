"""Probe: reads one aspect of a run's cost; Reading: how its raw samples become one number of a record.

A probe that cannot run here says why; its numbers are then null with that reason, never 0. Raw samples are kept beside
the record as named series, so that every number can be recomputed.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

Series = Mapping[str, Sequence[float]]


@dataclass(frozen=True)
class Batch:
    """What one batch cost, measured in the child.

    Attributes:
        items: examples answered.
        seconds: wall time inside the model's process.
        cpu_seconds: processor time of all its threads.
        peak_rss_bytes: its peak resident memory so far; None where the system does not tell.
    """

    items: int
    seconds: float
    cpu_seconds: float
    peak_rss_bytes: int | None


@dataclass(frozen=True)
class Observed:
    """What a run saw of its model's cost; the probes pick from it.

    Attributes:
        file_bytes: bytes of all files of the weights.
        tensor_bytes: bytes of all stored tensors, scales included.
        parameters: elements of all stored tensors.
        parent_parameters: the same of the parent, packed codes one by one; of the model itself if it has none.
        rss_before_load_bytes: resident memory of the child after imports, before the model.
        batches: cost of every batch, earlier processes of a resumed unit included.
        resumed: some batches were done by an earlier process, so windows around this one miss them.
        static: series that were counted from the files, by name.
        activations: series that the child counted on a sample, by name.
        instead: probe name -> why it does not read a task that times the model itself.
        computed: a model was run; not so for a file of predictions.
        alone: no other model computed in the meantime, so windows around the machine are this model's.
    """

    file_bytes: int
    tensor_bytes: int
    parameters: int
    parent_parameters: int
    rss_before_load_bytes: int | None
    batches: Sequence[Batch] = field(default=())
    resumed: bool = False
    alone: bool = True
    static: Series = field(default_factory=dict)
    activations: Series = field(default_factory=dict)
    instead: Mapping[str, str] = field(default_factory=dict)
    computed: bool = True


@dataclass(frozen=True)
class Reading:
    """One number made of raw series.

    Attributes:
        name: measurement name.
        unit: its unit.
        higher_is_better: direction; None for a description.
        series: the raw series that it needs; the first one's length is the reading's n.
        reduce: series -> value.
    """

    name: str
    unit: str
    higher_is_better: bool | None
    series: tuple[str, ...]
    reduce: Callable[[Series], float]


class Probe(abc.ABC):
    """Base of all probes: a context manager around the child's work, then `read`.

    Attributes:
        name: as ``hallmark machine`` lists it.
        title: what it reads, in one line.
        readings: the numbers that it gives.
    """

    name: str
    title: str
    readings: tuple[Reading, ...]

    def unavailable(self) -> str | None:
        """Why it cannot read here, and what would change that; None when it can."""
        return None

    def __enter__(self) -> Probe:
        return self

    def __exit__(self, *_: object) -> None:
        """Close the window; most probes have none."""
        return

    @abc.abstractmethod
    def read(self, observed: Observed) -> dict[str, list[float]]:
        """The raw series of this run."""
