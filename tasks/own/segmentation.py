"""A user's segmentation data set as a task: cases are listed at once, checked before a run, and read one by one."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from suite.data import Dataset, check
from suite.errors import InputError
from suite.manifest import Inputs
from suite.metrics.base import Metric
from suite.metrics.codes import MISSING
from suite.metrics.frame import Framed
from suite.metrics.scored import heads
from suite.model import Segmenter
from suite.overlay import Picture
from suite.task import Example, Row
from tasks.own import cases, files, lazy, table
from tasks.own.by_group import chosen, of_cases_with_a_value
from tasks.own.cases import Case
from tasks.own.common import Local
from tasks.own.description import IGNORED, Description
from tasks.own.lazy import now
from tasks.own.table import Attributes
from tasks.own.variants import named, with_shift
from tasks.segmentation import Segmentation

_SHIFTED = ("dice", "nsd", "failure")  # first words of what is compared between variants

__all__ = ["Description", "Files", "FolderSegmentation", "restored", "task"]


@dataclass(frozen=True)
class Files:
    """What a data set has on this disk.

    Attributes:
        folder: what the paths are relative to.
        cases: in the order of their ids.
        known: of every case, what the table says.
        beside: further files that numbers depend on.
    """

    folder: Path
    cases: Sequence[Case]
    known: Sequence[Attributes]
    beside: Sequence[Path] = ()

    @cached_property
    def digest(self) -> str:
        """sha256 over all files and their places."""
        return files.digest(self.folder, [*self.beside, *(path for case in self.cases for path in case.paths)])

    @property
    def groups(self) -> dict[str, dict[str, int]]:
        """Attribute -> value -> number of cases."""
        return table.group_values(self.known)


@dataclass(frozen=True)
class Facts:
    """What a task without its files must know.

    Attributes:
        shape: of an image: channels, then ``None`` an axis, for sizes may differ.
        groups: attribute -> value -> number of cases.
        cases: how many there are.
        variants: those that the cases have, the reference first.
    """

    shape: tuple[int | None, ...]
    groups: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    cases: int = 0
    variants: tuple[str, ...] = ()


class FolderSegmentation(Segmentation):
    """Segmentation of the images of a folder that a `Description` describes."""

    batch_size = 1  # images may be large, and of different sizes

    def __init__(
        self,
        description: Description,
        found: Callable[[], Files],
        facts: Facts,
        dataset: Dataset,
    ) -> None:
        self._description, self._found, self._checked = description, found, False
        self.ubench = description.ubench
        super().__init__(**declared(description, facts), dataset=dataset, load=self._load)

    @cached_property
    def framed(self) -> Framed:  # type: ignore[override]
        """Dice, IoU, NSD and what `by_group` names, by every group that the outcomes hold and every pair.

        A group's size is the number of its cases in which the metric has a value.

        Raises:
            InputError: `by_group` names a metric that is not declared, or one without an interval.
        """
        if not self._description.groups:
            return Framed()
        names = dict.fromkeys((*heads(self.scoring), *self._description.by_group))
        found = chosen(list(names), self.metrics, f"data set {self.name!r}")
        return Framed(metrics=tuple(map(of_cases_with_a_value, found)), least=self._description.least_group)

    def fetch(self) -> None:
        """Read every case once, and compare the digest where one is pinned.

        Raises:
            InputError: the first thing that is wrong with the data.
        """
        if self._checked:
            return
        shapes: set[tuple[int, int]] = set()
        for case in self._found().cases:
            shapes.add(cases.check(case, self._description))
            if len(shapes) > 1:
                raise InputError(
                    f"{case.channels[0]}: {' and '.join(f'{c} channel(s) on {n} axes' for c, n in sorted(shapes))} "
                    "in one data set; pictures are brought together by colour = 'rgb' or 'gray'"
                )
        if self.dataset.content_sha256:
            check(self._digest(), self.dataset.content_sha256, f"data set {self.name!r}")
        self._checked = True

    def data_sha256(self) -> str:
        """The pinned digest, else that of the files and of what the description says of them."""
        return self.dataset.content_sha256 or self._digest()

    def ask(self, model: Segmenter, inputs: Sequence[Any], spec: Inputs) -> Sequence[Any]:
        """As every segmentation task, on images read now."""
        if spec.normalisation is None and self._description.normalisation is not None:
            spec = spec.model_copy(update={"normalisation": self._description.normalisation})
        return super().ask(model, [now(image) for image in inputs], spec)

    def row(self, example: Example, answer: Any) -> Row:
        """As every segmentation task, against the reference read now."""
        return super().row(replace(example, label=now(example.label)), answer)

    def picture(self, example: Example, answer: Any) -> Picture | None:
        """As of every segmentation task, of an image read again."""
        read = replace(example, input=now(example.input), label=now(example.label))
        return super().picture(read, answer)

    def _digest(self) -> str:
        return total_digest(self._found().digest, self._description)

    def _load(self) -> list[Example]:
        found = self._found()
        return [
            Example(case.item, *lazy.scan(case, self._description), self._cluster(case, known), known.groups)
            for case, known in zip(found.cases, found.known, strict=True)
        ]

    def _cluster(self, case: Case, known: Attributes) -> str:
        if self._description.cluster_from is None:
            return known.cluster
        match = re.search(self._description.cluster_from, case.item)
        if match is None:
            raise InputError(f"cluster_from = {self._description.cluster_from!r} finds nothing in {case.item!r}")
        return match[match.re.groups and 1]


class OwnSegmentation(FolderSegmentation):
    """The same for a user's data set, which records describe so that they can be verified without it."""

    def __init__(self, description: Description, found: Callable[[], Files], facts: Facts) -> None:
        self._facts = facts
        dataset = Local(description.name, description.sha256 or "", {}, description.licence, description.source)
        super().__init__(description, found, facts, dataset)

    @cached_property
    def metrics(self) -> tuple[Metric, ...]:  # type: ignore[override]
        """Every number of what is declared; Dice, NSD and failures by the variants of the data too."""
        declared, said = super().metrics, self._description.variants
        if said is None:
            return declared
        shifted = [metric for metric in declared if metric.name.split("_")[0] in _SHIFTED and "[" not in metric.name]
        return with_shift(declared, shifted, said.column, self._facts.variants)

    def description(self) -> dict[str, Any]:
        """With all that is needed to recompute its metrics."""
        kept = {"data_sha256": self.data_sha256(), **asdict(self._facts)}
        text = self._description.model_dump(mode="json", exclude_defaults=True, exclude={"sha256"})
        return {**super().description(), "own": {"description": text, **kept}}


def task(description: Description, folder: Path) -> OwnSegmentation:
    """The task on the files of a folder; reads the table and the first image.

    Raises:
        InputError: no case, an image without labels or without a row of the table, a wrong table.
    """
    found = listed(description, folder)
    first = found.cases[0]
    settled = description.settled(first.channels[0])
    shape = cases.image(first, settled).pixels.shape
    variants = named(found.known, description)
    facts = Facts((shape[0], *(None for _ in shape[1:])), found.groups, len(found.cases), variants)
    made = OwnSegmentation(settled, lambda: found, facts)
    made.framed.of({})  # a wrong name in by_group is refused before anything runs
    return made


def restored(description: Description, facts: Mapping[str, Any]) -> OwnSegmentation:
    """The task without its files, from what `OwnSegmentation.description` kept.

    Raises:
        InputError: something is missing from what was kept.
    """
    try:
        variants = tuple(facts.get("variants", ()))
        digest, kept = facts["data_sha256"], Facts(tuple(facts["shape"]), facts["groups"], facts["cases"], variants)
    except KeyError as error:
        raise InputError(f"the kept description of {description.name!r} has no {error}") from None

    def absent() -> Files:
        raise InputError(f"the data of {description.name!r} are not at hand: give --data and its TOML file")

    return OwnSegmentation(description.model_copy(update={"sha256": digest}), absent, kept)


def listed(description: Description, folder: Path, table_optional: bool = False) -> Files:
    """The cases of a folder with what the table says of each; reads nothing but the table.

    Raises:
        InputError: as of `tasks.own.cases.listed` and `tasks.own.table.attributes`.
    """
    path = None if description.table is None else folder / description.table
    if path is not None and table_optional and not path.is_file():
        blank = dict.fromkeys(description.groups, MISSING)
        every = cases.listed(description, folder)
        return Files(folder, every, [Attributes(case.item, blank) for case in every])
    every = cases.listed(description, folder)
    if path is None:
        return Files(folder, every, [Attributes(case.item, {}) for case in every])
    rows = table.read(path)
    known = table.attributes(rows, description)
    every = _let_in(every, description, known, rows)
    return Files(folder, every, table.of_items([case.item for case in every], known, path), [path])


def total_digest(files_digest: str, description: Description) -> str:
    """sha256 over the digest of all files and the description's meaning: what records state as the data's."""
    lines = f"{files_digest}  files\n{description.meaning_sha256()}  description\n"
    return hashlib.sha256(lines.encode()).hexdigest()


def declared(description: Description, facts: Facts) -> dict[str, Any]:
    """What `Segmentation` is told of a data set, but for the data themselves."""
    tolerance = "tolerance_px" if description.tolerance_px is not None else "tolerance_mm"
    return {
        "name": description.name,
        "title": description.title or description.name,
        "version": description.version,
        "shape": facts.shape,
        "classes": description.classes,
        tolerance: description.tolerance,
        "regions": description.regions,
        "ignore_label": IGNORED if description.ignores else None,
        "tubular": description.tubular,
        "lesions": description.lesions,
        "instances": description.instances,
        "raters": bool(description.raters),
        "failure_dice": description.failure_dice,
        "policy": description.policy,
        "lesion_dilation": description.lesion_dilation,
        "lesion_least_mm3": description.lesion_least_mm3,
    }


def _let_in(
    every: list[Case], description: Description, known: Mapping[str, Attributes], rows: table.Table
) -> list[Case]:
    """The cases that `where` lets in; those without any row stay, to be refused."""
    if not description.where:
        return every
    others = set(rows.text(description.id)) - set(known)
    return [case for case in every if case.item not in others]
