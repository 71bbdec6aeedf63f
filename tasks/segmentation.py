"""Segmentation: one image in, a label for every voxel out, scored on the image's own grid."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from suite.data import Dataset
from suite.errors import InputError
from suite.manifest import Inputs, Kind, Manifest
from suite.metrics.base import Metric
from suite.metrics.scored import metrics_of
from suite.metrics.scoring import Scoring
from suite.model import Segmenter, Signature
from suite.overlay import Picture
from suite.task import Example, Row, Task
from tasks.inference import misfit, segment
from tasks.pictures import sliced
from tasks.scans import Image, Reference


class Segmentation(Task[Segmenter]):
    """Images of two or three spatial axes, scored by every metric of what is declared of them.

    `tasks.inference` prepares, cuts and blends as the manifest says.

    An example's input is an `Image` or its pixels [C, (D,) H, W]; its label is a `Reference`.
    Protocol ``native/argmax``: the most probable class of each voxel, on the image's own grid.

    Args:
        name: as the command line spells it.
        title: one line for people.
        version: raised whenever a change could change a number.
        dataset: pinned data.
        load: the examples.
        classes: names of the labels without the background, label 1 first.
        shape: of an image [C, (D,) H, W]; ``None`` on an axis where images differ.
        tolerance_mm: of NSD; every image needs a spacing then.
        tolerance_px: of NSD where images have no spacing; one of the two is needed.
        regions: name -> classes whose union it is; scored in the place of the classes.
        ignore_label: value of the reference where nobody labelled.
        tubular: classes whose topology is scored.
        lesions: classes of which each component is an object.
        lesion_dilation: of BraTS' lesion-wise scores.
        lesion_least_mm3: lesions up to this volume are dropped there.
        instances: references have instance maps of all foreground, which are scored.
        raters: references have further raters.
        failure_dice: a case below it counts as failed.
        policy: what empty masks are worth in a second set of numbers: ``best`` or ``brats``.
        groups: attribute -> values, to compare Dice, IoU and NSD between.
        metrics: further ones, for columns that a subclass adds.

    Raises:
        InputError: something of this cannot be scored.
    """

    kind: ClassVar[Kind] = "segmentation"
    primary = "dice"
    batch_size = 2

    def __init__(  # noqa: PLR0913 - a declaration, always by keyword
        self,
        *,
        name: str,
        title: str,
        version: str,
        dataset: Dataset,
        load: Callable[[], Iterable[Example]],
        classes: Sequence[str],
        shape: tuple[int | None, ...],
        tolerance_mm: float | None = None,
        tolerance_px: float | None = None,
        regions: Mapping[str, Sequence[str]] | None = None,
        ignore_label: int | None = None,
        tubular: Sequence[str] = (),
        lesions: Sequence[str] = (),
        lesion_dilation: int = 1,
        lesion_least_mm3: float = 50.0,
        instances: bool = False,
        raters: bool = False,
        failure_dice: float | None = None,
        policy: str = "exclude",
        groups: Mapping[str, Iterable[str]] | None = None,
        metrics: Sequence[Metric] = (),
    ) -> None:
        if (tolerance_mm is None) == (tolerance_px is None):
            raise InputError(f"task {name!r}: give tolerance_mm, or tolerance_px where images have no spacing")
        self.name, self.title, self.version, self.dataset = name, title, version, dataset
        self._shape, self._load = shape, load
        self.scoring = Scoring(
            classes=tuple(classes),
            dimensions=len(shape) - 1,
            tolerance=float(tolerance_px if tolerance_mm is None else tolerance_mm),  # type: ignore[arg-type]
            unit="px" if tolerance_mm is None else "mm",
            regions={region: tuple(parts) for region, parts in (regions or {}).items()},
            ignore_label=ignore_label,
            tubular=tuple(tubular),
            lesions=tuple(lesions),
            lesion_dilation=lesion_dilation,
            lesion_least_mm3=lesion_least_mm3,
            instances=instances,
            raters=raters,
            failure_dice=failure_dice,
            policy=policy,
        )
        self.groups = {attribute: tuple(values) for attribute, values in (groups or {}).items()}
        self._further = tuple(metrics)

    @cached_property
    def metrics(self) -> tuple[Metric, ...]:  # type: ignore[override]
        """Every number of what is declared; made when asked for, because there may be hundreds."""
        return (*metrics_of(self.scoring, self.groups), *self._further)

    def protocol(self, context: int | None, bos: bool = True) -> str:
        """One way only."""
        return "native/argmax"

    def examples(self, model: Segmenter) -> Sequence[Example]:
        """All cases with their references."""
        return list(self._load())

    def ask(self, model: Segmenter, inputs: Sequence[Any], spec: Inputs) -> Sequence[Any]:
        """Probabilities of every voxel of each image."""
        return segment(model, inputs, spec)

    def row(self, example: Example, answer: Any) -> Row:
        """Counts and sums per class; no masks are kept."""
        drawn: Reference = example.label
        return self.scoring.row(
            np.asarray(answer),
            drawn.labels,
            spacing_mm=drawn.spacing_mm,
            instances=drawn.instances,
            raters=drawn.raters,
        )

    def case_score(self, row: Row) -> tuple[str, float] | None:
        """Mean Dice of the classes that are on either side; nothing where none is."""
        total = row["predicted"] + row["true"]
        there = total > 0
        return ("dice", float((2 * row["intersection"][there] / total[there]).mean())) if there.any() else None

    def picture(self, example: Example, answer: Any) -> Picture | None:
        """The image, or of a volume the slice with most errors, with reference and prediction."""
        pixels = example.input.pixels if isinstance(example.input, Image) else example.input
        return sliced(pixels, example.label, np.asarray(answer).argmax(axis=0), self.scoring.ignore_label)

    def misfit(self, manifest: Manifest, signature: Signature | None) -> str | None:
        """Shapes and classes, as the manifest declares them and as the file states them."""
        return misfit(manifest, signature, self._shape, 1 + len(self.scoring.classes))

    def description(self) -> dict[str, Any]:
        """With what is scored, so that the metrics can be made again from it."""
        return {**super().description(), "scoring": self.scoring.description(), "groups": self.groups}
