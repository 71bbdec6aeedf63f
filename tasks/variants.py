"""Variants: a task made of another, every item shown several times, each time changed in one way.

One row is one (item, variant): its id is ``<item>@<variant>``, its column ``group.variant`` says which one it is, and
all rows of an item share its cluster, so that intervals of drops are those of paired items. What is random about a
change is seeded by the row's id alone, whatever the batch or the order.

    Varied(DIGITS, [CLEAN, *corruptions()], name="digits-corrupted", ..., metrics=shift_metrics(...))

A task whose data already holds the variants (sites, scanners, a TOML with ``[variants]``) needs no wrapper: give its
examples a group, e.g. ``site``, and a cluster where items are paired, and add
``shift_metrics(ACCURACY, "site", "internal", ["external"])`` to its metrics.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np

from suite.manifest import Inputs, Kind, Manifest
from suite.metrics import groups, shift
from suite.metrics.base import Metric
from suite.model import Signature
from suite.task import AnyTask, Example, Row, Task

Change = Callable[[Any, np.random.Generator], Any]
Describe = Callable[[Any], Row]
ATTRIBUTE = "variant"


@dataclass(frozen=True)
class Variant:
    """One way to change an item's input.

    Attributes:
        name: value of ``group.variant``.
        change: input and generator to the changed input.
        groups: further group columns of its rows, e.g. the kind of corruption; empty where another variant has some.
    """

    name: str
    change: Change
    groups: Mapping[str, str] = field(default_factory=dict)


CLEAN = Variant("clean", lambda shown, rng: shown)


@dataclass(frozen=True)
class Shown:
    """An input that is changed when it is asked for, so that a task's variants are never all in memory."""

    original: Any
    variant: Variant
    item: str

    def changed(self) -> Any:
        """What the model sees; always the same."""
        seed = hashlib.sha256(f"{self.item}@{self.variant.name}".encode()).digest()[:8]
        return self.variant.change(self.original, np.random.default_rng(int.from_bytes(seed)))


class Varied(Task[Any]):
    """Another task, in variants; ``--limit`` counts rows and keeps all variants of an item together.

    Protocol ``<the other's>/<id of the changes>``. Rows have the other task's columns, ``origin`` (the item's id there)
    and what `describe` says of the changed input.
    """

    primary = "accuracy"

    def __init__(  # noqa: PLR0913 - a declaration, always by keyword
        self,
        task: AnyTask,
        variants: Sequence[Variant],
        *,
        name: str,
        title: str,
        version: str,
        changes: str,
        metrics: Iterable[Metric],
        primary: str,
        describe: Describe = lambda shown: {},
        packages: tuple[str, ...] = (),
    ) -> None:
        self.name, self.title, self.version = name, title, f"{task.version}.{version}"
        self.dataset, self.chance, self.calibrates, self.batch_size = (
            *(task.dataset, task.chance),
            *(task.calibrates, task.batch_size),
        )
        self.metrics, self.primary = tuple(metrics), primary
        self.variants = tuple(variants)
        self._task, self._changes, self._describe = task, changes, describe
        self.packages = packages or self.packages
        self._extra = {name: "" for variant in self.variants for name in variant.groups}

    def fetch(self) -> None:
        """The other task's data."""
        self._task.fetch()

    def data_sha256(self) -> str:
        """The other task's data."""
        return self._task.data_sha256()

    def misfit(self, manifest: Manifest, signature: Signature | None) -> str | None:
        """As the other task."""
        return self._task.misfit(manifest, signature)

    def protocol(self, context: int | None, bos: bool = True) -> str:
        """The other's, and the id of the changes."""
        return f"{self._task.protocol(context, bos)}/{self._changes}"

    def examples(self, model: Any) -> Sequence[Example]:
        """Every item in every variant; a calibration split is left as it is."""
        found: list[Example] = []
        for example in self._task.examples(model):
            if example.calibration:
                found.append(self._shown(example, CLEAN))
            else:
                found += [self._shown(example, variant) for variant in self.variants]
        return found

    def _shown(self, example: Example, variant: Variant) -> Example:
        return replace(
            example,
            item=f"{example.item}@{variant.name}",
            input=Shown(example.input, variant, example.item),
            cluster=example.cluster or example.item,
            groups={**example.groups, **self._extra, **variant.groups, ATTRIBUTE: variant.name},
        )

    def ask(self, model: Any, inputs: Sequence[Any], spec: Inputs) -> Sequence[Any]:
        """As the other task asks, of the changed inputs."""
        return self._task.ask(model, [shown.changed() for shown in inputs], spec)

    def row(self, example: Example, answer: Any) -> Row:
        """The other task's columns, the item's id there, and what is said of the changed input."""
        shown: Shown = example.input
        scored = self._task.row(replace(example, item=shown.item, input=shown.original), answer)
        return {**scored, "origin": shown.item, **self._describe(shown.changed())}


class VariedImages(Varied):
    """A classification task in variants."""

    kind: ClassVar[Kind] = "classification"


class VariedTexts(Varied):
    """A task of causal language models in variants."""

    kind: ClassVar[Kind] = "language"


def shift_metrics(metric: Metric, attribute: str, reference: str, others: Iterable[str]) -> tuple[Metric, ...]:
    """What a shift does to a metric: its value in every variant, their mean, and how much of the reference's is lost.

    A metric that is no function of sums (AUROC) has no mean over variants; one without a direction, or that may be
    negative (MCC), no drop.

    Args:
        metric: any metric of the task.
        attribute: group that holds the variants, e.g. ``variant`` or ``site``.
        reference: the variant that the others are compared with, e.g. ``clean`` or ``internal``.
        others: the other variants' names.

    Returns:
        ``accuracy[site=internal]``, ``accuracy[site=external]``, ``mean_accuracy[site]`` over all but the reference,
        ``mean_accuracy_drop[site]`` and ``accuracy_drop[site=external]`` as shares of the reference's value.
    """
    names = tuple(others)
    made = [groups.of_group(metric, attribute, name) for name in (reference, *names)]
    summed = metric.whole is None and bool(names)
    dropping = metric.higher_is_better is not None and metric.bounds[0] is not None and metric.bounds[0] >= 0
    if summed:
        made.append(shift.mean_over(metric, attribute, names))
    if summed and dropping:
        made.append(shift.mean_drop(metric, attribute, reference, names))
    if dropping:
        made += [shift.relative_drop(metric, attribute, reference, name) for name in names]
    return tuple(made)
