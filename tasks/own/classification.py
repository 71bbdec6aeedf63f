"""A user's classification data set as a task: images in folders, rows of a table, arrays, or labels for predictions."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np

from suite.data import Dataset, check
from suite.errors import InputError
from suite.manifest import Inputs, Manifest
from suite.metrics.base import Metric
from suite.metrics.classification import MOST_CLASSES
from suite.metrics.shift import robust_accuracy
from suite.model import Classifier, Signature
from suite.task import AnyTask, Example, Row
from tasks.classification import PREDICTIONS, Classification
from tasks.metric_sets import Measured, classification_metrics, shifted
from tasks.own.by_group import chosen
from tasks.own.items import Items, classes_of, digest, listed, reader
from tasks.own.keys import Description
from tasks.own.table import Attributes
from tasks.own.variants import named, with_shift
from tasks.statistics import image_statistics

__all__ = ["Description", "Kept", "OwnClassification", "restored", "task"]


@dataclasses.dataclass(frozen=True)
class Kept:
    """What is written beside the records, so that they can be verified without the data.

    Attributes:
        classes: names, in the order of the model's outputs.
        data_sha256: of the data.
        variants: those that the items have, the reference first.
    """

    classes: tuple[str, ...]
    data_sha256: str
    variants: tuple[str, ...] = ()


class OwnClassification(Classification):
    """Classification of the items that a `Description` describes."""

    def __init__(
        self,
        description: Description,
        classes: Sequence[str],
        items: Callable[[], Items],
        digest: Callable[[], str],
        variants: tuple[str, ...] = (),
    ) -> None:
        self._own, self._items, self._digest, self._variants = description, items, digest, variants
        self.calibrates = "nll" if description.calibration or description.calibration_from else ""
        positive = classes.index(description.positive) if description.positive else 1
        measured = Measured(
            tuple(classes), positive=positive, early=description.ranking, novelty=description.novelty is not None
        )
        super().__init__(
            name=description.name,
            title=description.title or description.name,
            version=description.version,
            dataset=Dataset(
                name=description.name,
                content_sha256="",
                licence=description.licence or "not stated",
                source=description.source or "a user's own data",
                bundled=True,
            ),
            shape=(),
            measured=measured,
            load=self._examples,
            protocol=_protocol(description),
            read=reader(description),
        )
        self.framed = dataclasses.replace(
            self.framed, metrics=(*self.framed.metrics, *self._by_group()), least=description.least_group
        )

    def read(self, given: Any) -> Any:
        """An item's input as an array; an array as it is."""
        return self._read(given)

    def _by_group(self) -> list[Metric]:
        """The declared metrics that are to be taken by group too.

        Raises:
            InputError: one of them is not declared, has brackets, or is a reference without an interval.
        """
        already = {metric.name for metric in self.framed.metrics}
        names = [name for name in self._own.by_group if name not in already]
        offered = (metric for metric in self.metrics if "[" not in metric.name) if names else ()
        return chosen(names, offered, f"data set {self.name!r}")

    @cached_property
    def metrics(self) -> tuple[Metric, ...]:  # type: ignore[override]
        """The declared set, and what the variants of the data do to it."""
        said = self._own.variants
        declared = classification_metrics(self._measured)
        if said is None:
            return declared
        found = with_shift(declared, shifted(self._measured), said.column, self._variants)
        return (*found, robust_accuracy(said.column)) if self._paired else found

    @property
    def _paired(self) -> bool:
        """Whether rows say what they are variants of; items of no class are right in none."""
        said = self._own.variants
        return said is not None and said.origin is not None and not self._measured.novelty

    def row(self, example: Example, answer: Any) -> Row:
        """As of every classification task, what it is a variant of, and what slices may be described by."""
        known = self._known[example.item]
        about: Row = {f"metadata.{name}": value for name, value in known.metadata.items()}
        if self._own.images is not None:
            about |= image_statistics(self._read(example.input))
        origin = {"origin": known.origin} if self._paired else {}
        return {**super().row(example, answer), **origin, **about}

    @cached_property
    def _known(self) -> dict[str, Attributes]:
        return {one.item: one.known for one in self._items().items}

    def fetch(self) -> None:
        """Read every item once.

        Raises:
            InputError: an image cannot be read, or the items have different shapes.
        """
        found = self._items().items
        if found[0].input is None:
            return
        shapes = ((one.item, np.shape(self._read(one.input))) for one in found)
        first, shape = next(shapes)
        other = next(((item, its) for item, its in shapes if its != shape), None)
        if other is not None:
            raise InputError(
                f"data set {self.name!r}: {first!r} has shape {list(shape)}, {other[0]!r} {list(other[1])}; "
                "give resize and crop, or images of one size"
            )

    def data_sha256(self) -> str:
        """Digest of all files and of what the description says of them."""
        return self._digest()

    def ask(self, model: Classifier, inputs: Sequence[Any], spec: Inputs) -> Sequence[Any]:
        """As every classification task, with the description's normalisation where a manifest has none."""
        if spec.normalisation is None and self._own.normalisation is not None:
            spec = spec.model_copy(update={"normalisation": self._own.normalisation})
        return super().ask(model, inputs, spec)

    def misfit(self, manifest: Manifest, signature: Signature | None) -> str | None:
        """As every classification task; without inputs only predictions fit."""
        first = self._items().items[0].input
        if first is None and manifest.format != PREDICTIONS:
            return 'it has labels only; a submission with format = "predictions" can be scored on it'
        if first is not None:
            self._shape = np.shape(self._read(first))
        return super().misfit(manifest, signature)

    def description(self) -> dict[str, Any]:
        """With all that is needed to recompute its metrics."""
        own = {"description": self._own.model_dump(mode="json", exclude_defaults=True)}
        kept = Kept(self._measured.classes, self.data_sha256(), self._variants)
        return super().description() | {"own": own | dataclasses.asdict(kept)}

    def _examples(self) -> list[Example]:
        found = self._items()
        named = {name: k for k, name in enumerate(self._measured.classes)}
        numbers = {str(k): k for k in range(len(named))} if found.numbered and self._own.classes else named
        if self._own.novelty is not None:
            numbers = {**numbers, self._own.novelty: -1}
        stray = next((one for one in found.items if one.label not in numbers), None)
        if stray is not None:
            allowed = ", ".join(numbers)
            raise InputError(
                f"data set {self.name!r}: item {stray.item!r} has label {stray.label!r}; allowed: {allowed}"
            )
        return [
            Example(one.item, one.input, numbers[one.label], one.known.cluster, one.known.groups, one.calibration)
            for one in found.items
            if not (one.calibration and numbers[one.label] < 0)
        ]


def task(description: Description, folder: Path) -> AnyTask:
    """The task on the files under a folder.

    Raises:
        InputError: as of `tasks.own.items.listed`, a label outside the classes, too many classes for a temperature, or
            other data than pinned.
    """
    found = listed(description, folder)
    classes = classes_of((one.label for one in found.items), description, found.numbered)
    fitted = next((key for key in ("calibration", "calibration_from") if getattr(description, key)), None)
    if fitted and len(classes) > MOST_CLASSES:  # outcomes do not keep all their probabilities
        raise InputError(
            f"data set {description.name!r} has {len(classes)} classes, and a temperature is fitted with at most "
            f"{MOST_CLASSES}: remove {fitted}"
        )
    variants = named((one.known for one in found.items if not one.calibration), description)
    known_digest = cache(lambda: digest(found, folder, description))
    made = OwnClassification(description, classes, lambda: found, known_digest, variants)
    made.examples(None)  # type: ignore[arg-type]  # labels outside the classes are refused before anything runs
    pinned = getattr(description, "sha256", None)
    if pinned:
        check(made.data_sha256(), pinned, f"data set {description.name!r}")
    return _shown(made, description)


def _shown(made: OwnClassification, description: Description) -> AnyTask:
    from tasks.own.attacked import with_attacks  # which are tasks of this one
    from tasks.own.corrupted import with_corruptions

    return (with_attacks if description.attacks else with_corruptions)(made, description)


def restored(description: Description, facts: Mapping[str, Any]) -> AnyTask:
    """The task without its files, from what `OwnClassification.description` kept.

    Raises:
        InputError: something is missing from what was kept.
    """
    try:
        kept = Kept(tuple(facts["classes"]), facts["data_sha256"], tuple(facts.get("variants", ())))
    except KeyError as error:
        raise InputError(f"the kept description of {description.name!r} has no {error}") from None

    def absent() -> Items:
        raise InputError(f"the data of {description.name!r} are not at hand: give --data and its TOML file")

    made = OwnClassification(description, kept.classes, absent, lambda: kept.data_sha256, kept.variants)
    return _shown(made, description)


def _protocol(description: Description) -> str:
    resized = [f"{key}{value}" for key in ("resize", "crop") if (value := getattr(description, key)) is not None]
    fitted = ["temperature-nll"] if description.calibration or description.calibration_from else []
    return "/".join([*(resized or ["native"]), *fitted])
