"""Task: turns (model, example) into one row of outcomes; metrics turn columns of outcomes into numbers.

Nothing in a task knows a model's format, and nothing in the harness knows a task's data. Labels live in
`Example.label` and meet the model's answer only in `Task.row`, in the parent process.
"""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, TypeVar

from suite.data import Dataset
from suite.manifest import Inputs, Kind, Manifest
from suite.metrics.base import Columns, Metric
from suite.metrics.frame import Framed
from suite.model import Signature
from suite.overlay import Picture

Row = dict[str, Any]
ModelT = TypeVar("ModelT")


@dataclass(frozen=True)
class Example:
    """One item of a task.

    Attributes:
        item: stable id, unique within the task and its version.
        input: what the model may see.
        label: what it may not.
        cluster: items that share it are correlated (windows of one text, slices of one patient).
        groups: attribute to value, for fairness and shift; stored as columns ``group.<attribute>``.
        calibration: it belongs to the calibration split: a temperature is fitted on it, and it is not scored.
    """

    item: str
    input: Any
    label: Any = None
    cluster: str = ""
    groups: Mapping[str, str] = field(default_factory=dict)
    calibration: bool = False


@dataclass(frozen=True)
class Beside(Generic[ModelT]):
    """What a task is given to ask that compares a model with its parent.

    Attributes:
        child: the submission.
        parent: the model that it was made from.
    """

    child: ModelT
    parent: ModelT


@dataclass(frozen=True)
class Timed(Generic[ModelT]):
    """What a task is given that times a model.

    Attributes:
        child: the submission.
        parent: the model that it was made from, where both run in the same runtime.
        alone: why there is no parent beside it; empty if there is one.
        peaks: measured limits of the machine, see `suite.timing.roofline`; empty where they could not be had.
    """

    child: ModelT
    parent: ModelT | None
    alone: str
    peaks: Mapping[str, float]


@dataclass(frozen=True)
class Marks:
    """What a record says of its timings besides the numbers.

    Attributes:
        contended: why they are not to be ranked; None if the machine was quiet.
        energy_source: counters that the energy was read from; None without one.
        notes: for people.
    """

    contended: str | None = None
    energy_source: str | None = None
    notes: tuple[str, ...] = ()


class Task(abc.ABC, Generic[ModelT]):
    """One benchmark task. Subclasses are declared in ``tasks/``, one file a task or family.

    Attributes:
        name: as the command line spells it.
        version: raised whenever a change could change a number; records of other versions are not compared.
        title: one line for people.
        kind: which models it takes.
        metrics: every number that it reports; `primary` names the one to rank on.
        framed: which of them it reports by groups too, and by which; the groups are those that the outcomes hold.
        dataset: pinned data.
        masked: it takes masked language models instead of causal ones.
        attacks: it asks for adversarial examples, so it takes only formats that give gradients.
        packages: distributions, beyond those that every score needs, that can change its numbers.
        extra: the optional dependency group that brings them; empty for the core install.
        timed: it times the model, beside its parent where both run in one runtime; its model is a `Timed`, and its
            items are asked in their own order.
        calibrates: how a temperature is fitted on those examples that are a calibration split: ``nll`` (the least NLL)
            or ``ece-grid`` (Mukhoti 2020, see `suite.metrics.temperature`); empty without such a split.
        beside_parent: it asks the submission and its parent together, so its model is a `Beside` of the two.
        batch_size: items asked at once, part of the protocol, so that records do not depend on the machine.
        chance: value of the primary metric by guessing; ``None`` if there is no such value.
        known_issues: what a reader should know of its data before believing a number, one line each, with the source.
        ubench: name of its data set in U-Bench, by whose percentiles U-Score is shown; ``None`` if it has none.
    """

    name: str
    version: str
    title: str
    kind: ClassVar[Kind]
    metrics: tuple[Metric, ...]
    primary: str
    dataset: Dataset
    framed: Framed = Framed()
    masked: ClassVar[bool] = False
    beside_parent: ClassVar[bool] = False
    attacks: ClassVar[bool] = False
    packages: tuple[str, ...] = ()
    extra: ClassVar[str] = ""
    timed: ClassVar[bool] = False
    calibrates: str = ""
    batch_size: int = 32
    chance: float | None = None
    ubench: str | None = None
    known_issues: tuple[str, ...] = ()

    @abc.abstractmethod
    def protocol(self, context: int | None, bos: bool = True) -> str:
        """Id of how it is scored; `context`: tokens that the model takes; `bos`: whether it has a BOS token."""

    @abc.abstractmethod
    def examples(self, model: ModelT) -> Sequence[Example]:
        """All items, always in the same order. May ask the model's tokenizer, nothing else of it."""

    @abc.abstractmethod
    def ask(self, model: ModelT, inputs: Sequence[Any], spec: Inputs) -> Sequence[Any]:
        """Put a batch of inputs to the model; one answer an input."""

    @abc.abstractmethod
    def row(self, example: Example, answer: Any) -> Row:
        """The outcome columns of one item: scalars and one-dimensional arrays, enough to recompute every metric."""

    def case_score(self, row: Row) -> tuple[str, float] | None:
        """Name and value of what a case is worth, lower is worse; ``None`` where no case is shown to people."""
        return None

    def picture(self, example: Example, answer: Any) -> Picture | None:
        """A small picture of a case, which was among the worst; ``None`` without one."""
        return None

    def fetch(self) -> None:
        """Get the data where the mirror lacks it and verify its content; called before any unit starts.

        Raises:
            InputError: it cannot be had; says where it was looked for.
        """
        return

    def data_sha256(self) -> str:
        """Digest of the data as records state it: the pinned one, else that of what was found."""
        return self.dataset.content_sha256

    def scored(self, columns: Columns) -> tuple[Metric, ...]:
        """Every metric on these outcomes: `metrics`, then those by group that are not among them already."""
        named = {metric.name for metric in self.metrics}
        return (*self.metrics, *(metric for metric in self.framed.of(columns) if metric.name not in named))

    def marks(self, columns: Columns) -> Marks:
        """What these outcomes say of the record's timings; nothing, where nothing was timed."""
        return Marks()

    def misfit(self, manifest: Manifest, signature: Signature | None) -> str | None:
        """Why this model cannot take this task, or ``None``; asked before any unit starts.

        Args:
            manifest: what the submission declares.
            signature: what its file states of its shapes, if it does.
        """
        return None

    def description(self) -> dict[str, Any]:
        """What readers of a record should know of the task without this package: goes to ``results/tasks/``."""
        return {
            "name": self.name,
            "version": self.version,
            "title": self.title,
            "kind": self.kind,
            "primary": self.primary,
            "chance": self.chance,
            "data": {
                "name": self.dataset.name,
                "licence": self.dataset.licence,
                "source": self.dataset.source,
                "sha256": self.data_sha256(),
                "generated": self.dataset.generated,
            },
            "metrics": {
                m.name: {"unit": m.unit, "higher_is_better": m.higher_is_better, "reference": m.reference}
                for m in self.metrics
            },
            **({"known_issues": list(self.known_issues)} if self.known_issues else {}),
            **({"framed": self.framed.description()} if self.framed != Framed() else {}),
        }


AnyTask = Task[Any]
