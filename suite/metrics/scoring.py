"""What of a segmentation is scored, and the row of outcomes of one case that follows from it.

The metrics that these columns feed are `suite.metrics.scored.metrics_of`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from suite.errors import AnswerError, InputError, unknown
from suite.masks.case import case_of
from suite.masks.distance import check_tolerance
from suite.masks.instances import components
from suite.masks.object_rows import candidate_row, lesion_row, rater_row
from suite.masks.policy import policy_of
from suite.masks.rows import object_row, overlap_row, reliability_row, surface_row, topology_row

Labels = NDArray[Any]
Row = dict[str, Any]
PERCENTS = (10, 50)  # thresholds of IoU at which objects match
CANDIDATE_PERCENT = 10  # and that of FROC
OBJECTS = "objects"  # prefix of the columns of `instances`


@dataclass(frozen=True, kw_only=True)
class Scoring:
    """What is scored. Names of classes and regions are free of commas and brackets.

    Attributes:
        classes: the labels' names without the background, label 1 first.
        dimensions: 2 or 3, of the images.
        tolerance: of NSD.
        unit: of all distances: ``mm``, or ``px`` where images have no spacing.
        regions: name -> classes whose union it is; where there are some, they are scored in the place of the classes.
        ignore_label: value of the reference where nobody labelled.
        tubular: classes or regions whose topology is scored.
        lesions: classes or regions of which each component is an object.
        lesion_dilation: steps by which neighbouring lesions merge in BraTS' lesion-wise scores.
        lesion_least_mm3: lesions up to this volume are dropped there (px: voxels).
        instances: the reference has an instance map of all foreground; the prediction's objects are its components.
        raters: several people labelled the images.
        failure_dice: a case below it counts as failed, per class.
        policy: what an empty mask is worth in a second set of Dice, IoU and distances; ``exclude``: no second set.
    """

    classes: tuple[str, ...]
    dimensions: int
    tolerance: float
    unit: Literal["mm", "px"] = "mm"
    regions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    ignore_label: int | None = None
    tubular: tuple[str, ...] = ()
    lesions: tuple[str, ...] = ()
    lesion_dilation: int = 1
    lesion_least_mm3: float = 50.0
    instances: bool = False
    raters: bool = False
    failure_dice: float | None = None
    policy: str = "exclude"

    def __post_init__(self) -> None:
        """Refuse what cannot be scored.

        Raises:
            InputError: says what is wrong and what is allowed.
        """
        names = [*self.classes, *self.regions]
        wrong = [name for name in names if not name or set(name) & set(",[]=")]
        if not self.classes or len(set(names)) < len(names) or wrong:
            raise InputError(f"classes and regions need distinct names without , [ ] =, not {names}")
        for parts in self.regions.values():
            _known("class of a region", parts, self.classes)
            if not parts:
                raise InputError("a region is the union of at least one class")
        _known("tubular class", self.tubular, self.names)
        _known("lesion class", self.lesions, self.names)
        policy_of(self.policy)
        if self.dimensions not in (2, 3):
            raise InputError(f"images have 2 or 3 spatial axes, not {self.dimensions}")
        if self.failure_dice is not None and not 0 < self.failure_dice <= 1:
            raise InputError(f"failure_dice lies in (0, 1], not at {self.failure_dice}")
        if self.ignore_label is not None and 0 <= self.ignore_label <= len(self.classes):
            raise InputError(f"ignore_label {self.ignore_label} is the label of a class")
        if not self.tolerance > 0:
            raise InputError(f"the tolerance of NSD is a positive number, not {self.tolerance}")
        if self.unit == "px":
            check_tolerance(self.tolerance, [1.0] * self.dimensions)

    @property
    def names(self) -> tuple[str, ...]:
        """What is scored: the regions if there are some, else the classes."""
        return tuple(self.regions) or self.classes

    @property
    def labels(self) -> list[list[int]]:
        """The labels of each of `names`."""
        parts = [self.regions[name] if self.regions else (name,) for name in self.names]
        return [[self.classes.index(one) + 1 for one in part] for part in parts]

    def spacing(self, spacing_mm: Sequence[float] | None) -> tuple[float, ...]:
        """The spacing that distances of an image are measured with.

        Raises:
            InputError: it has none and the unit is mm, or the tolerance is below it.
        """
        if self.unit == "px":
            return (1.0,) * self.dimensions
        if spacing_mm is None:
            raise InputError("the image states no spacing: give one, or a tolerance in pixels (tolerance_px)")
        check_tolerance(self.tolerance, spacing_mm)
        return tuple(spacing_mm)

    def description(self) -> dict[str, Any]:
        """Plain values, from which `restored` makes it again."""
        kept = asdict(self)
        return {name: list(value) if isinstance(value, tuple) else value for name, value in kept.items()}

    def row(
        self,
        probabilities: NDArray[Any],
        labels: Labels,
        *,
        spacing_mm: Sequence[float] | None = None,
        instances: Labels | None = None,
        raters: Sequence[Labels] = (),
    ) -> Row:
        """The outcome columns of one case; no mask is kept.

        Args:
            probabilities: [1 + classes, ...] of the background and each class.
            labels: [...] of the reference.
            spacing_mm: per axis.
            instances: [...] 0, or the number of the object; needed where `instances` is declared.
            raters: label maps of further people.

        Raises:
            AnswerError: the probabilities are of another shape or no probabilities.
            InputError: the reference is not what was declared.
        """
        if len(probabilities) != 1 + len(self.classes):
            raise AnswerError(f"the model answers {len(probabilities)} classes, the task has {1 + len(self.classes)}")
        if probabilities.shape[1:] != labels.shape:
            raise AnswerError(f"the answer's shape is {probabilities.shape[1:]}, the reference's {labels.shape}")
        row = reliability_row(probabilities, labels, self.ignore_label)
        prediction = probabilities.argmax(axis=0)
        spacing = self.spacing(spacing_mm)
        case = case_of(labels, prediction, 1 + len(self.classes), spacing, self.ignore_label)
        regions = self.labels if self.regions else None
        row |= overlap_row(case, regions)
        for kind in ("voxel", "surfel"):
            row |= surface_row(case, kind, self.tolerance, regions)
        if self.tubular:
            row |= topology_row(case, [self.labels[self.names.index(name)] for name in self.tubular])
        if self.ignore_label is not None:
            labels, prediction, raters = self._without_ignored(labels, prediction, raters)
        row |= self._objects(probabilities, labels, prediction, instances, spacing)
        if self.raters:
            row |= rater_row(prediction, [labels, *raters], 1 + len(self.classes))
        return row

    def _without_ignored(
        self, labels: Labels, prediction: Labels, raters: Sequence[Labels]
    ) -> tuple[Labels, Labels, list[Labels]]:
        """Ignored voxels as background everywhere: an object ends there on both sides."""
        ignored = labels == self.ignore_label
        maps = [np.where(ignored | (one == self.ignore_label), 0, one) for one in (labels, prediction, *raters)]
        return maps[0], maps[1], maps[2:]

    def _objects(
        self,
        probabilities: NDArray[Any],
        labels: Labels,
        prediction: Labels,
        instances: Labels | None,
        spacing: Sequence[float],
    ) -> Row:
        row: Row = {}
        if self.instances:
            if instances is None:
                raise InputError("the task scores instances and this image has no instance map")
            numbered = np.where(labels > 0, instances, 0)
            row |= _prefixed(OBJECTS, object_row(numbered, components(prediction > 0), spacing, PERCENTS))
        for name in self.lesions:
            mine = self.labels[self.names.index(name)]
            true, found = np.isin(labels, mine), np.isin(prediction, mine)
            reference = components(true) if instances is None else np.where(true, instances, 0)
            candidates = components(found)
            one = object_row(reference, candidates, spacing, PERCENTS)
            one |= candidate_row(reference, candidates, probabilities[mine].sum(axis=0), CANDIDATE_PERCENT / 100)
            one |= lesion_row(true, found, spacing, self.lesion_dilation, self.lesion_least_mm3)
            row |= _prefixed(name, one)
        return row


def restored(kept: Mapping[str, Any]) -> Scoring:
    """The `Scoring` whose `description` this is.

    Raises:
        InputError: it is no such thing.
    """
    values: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in kept.items()}
    values["regions"] = {name: tuple(parts) for name, parts in dict(values.get("regions", {})).items()}
    try:
        return Scoring(**values)
    except TypeError as error:
        raise InputError(f"this describes no scoring of a segmentation: {error}") from None


def _prefixed(prefix: str, row: Row) -> Row:
    return {f"{prefix}.{name}": value for name, value in row.items()}


def _known(what: str, names: Sequence[str], allowed: Sequence[str]) -> None:
    for name in names:
        if name not in allowed:
            raise unknown(what, name, allowed)
