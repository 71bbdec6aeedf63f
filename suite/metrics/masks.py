"""Segmentation per class and case: overlap and surfaces, by a policy for empty masks.

Outcome columns of a case are those of `suite.masks.rows`. The convention is part of a metric's name:
``hd95_max_surfel``, ``nsd_2mm_surfel``, ``assd_pooled_voxel``, ``masd_voxel``; another policy than ``exclude`` too:
``dice[policy=brats]``.

A metric is the mean over cases, then over classes; one metric per class says it of that class. What is undefined in a
case is in no mean: a class that is on neither side, a volume error without a reference, an MCC with an empty margin, a
surface that ignored voxels took away.

Shape suffixes: N cases, K classes without the background.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from suite.masks import overlap
from suite.masks.overlap import Counts
from suite.masks.policy import EXCLUDE, Policy, settled
from suite.metrics.base import Columns, Metric

Floats = NDArray[np.float64]
COUNTS = ("intersection", "predicted", "true", "voxels")
Values = Callable[[Columns], Floats]


@dataclass(frozen=True, kw_only=True)
class Measure:
    """What a case is worth in each class.

    Attributes:
        name: of the metric, without brackets.
        needs: columns that `values` reads.
        values: columns -> [N, K] by the formula, NaN where undefined.
        unit: of the values.
        higher_is_better: direction; ``None`` for a description.
        bounds: smallest and largest value.
        best: value of an empty pair by a policy that has one; ``None``: not applicable by any.
        worst: of a missed or made-up class; ``"mm"``: the worst distance; ``None``: what the formula says.
        reference: formula, and who agrees.
    """

    name: str
    needs: tuple[str, ...] = COUNTS
    values: Values
    unit: str = ""
    higher_is_better: bool | None = True
    bounds: tuple[float | None, float | None] = (0.0, 1.0)
    best: float | None = 1.0
    worst: float | Literal["mm"] | None = 0.0
    reference: str


@dataclass(frozen=True, kw_only=True)
class _CaseMean(Metric):
    """A mean over cases, then over classes, observed in the cases where some class has a value."""

    def observations(self, columns: Columns) -> int:
        """The cases that have a value; of a spread over groups, the items."""
        if self.whole is not None or not self.width:
            return super().observations(columns)
        applicable = self.terms(self.rows(columns))[:, 1::2]
        return int((applicable.sum(axis=1) > 0).sum())


def counts(columns: Columns) -> Counts:
    """The voxel counts of all cases: [N, K]."""
    return Counts(columns["intersection"], columns["predicted"], columns["true"], columns["voxels"][:, None])


def _of(function: Callable[[Counts], Floats]) -> Values:
    return lambda columns: function(counts(columns))


OVERLAPS = (
    Measure(name="dice", values=_of(overlap.dice), reference="2 TP / (2 TP + FP + FN)"),
    Measure(name="iou", values=_of(overlap.iou), reference="TP / (TP + FP + FN)"),
    Measure(name="precision", values=_of(overlap.precision), reference="TP / (TP + FP)"),
    Measure(name="recall", values=_of(overlap.recall), reference="TP / (TP + FN), sensitivity"),
    Measure(
        name="specificity", values=_of(overlap.specificity), worst=None,
        reference="TN / (TN + FP); dominated by background, never rank on it",
    ),
    Measure(
        name="accuracy", values=_of(overlap.accuracy), worst=None,
        reference="(TP + TN) / voxels; dominated by background, never rank on it",
    ),
    Measure(
        name="balanced_accuracy", values=_of(overlap.balanced_accuracy), worst=None,
        reference="(recall + specificity) / 2",
    ),
    Measure(
        name="mcc", values=_of(overlap.mcc), worst=None, bounds=(-1.0, 1.0),
        reference="Matthews correlation; no value where a margin is empty",
    ),
    Measure(
        name="volume_error", values=_of(overlap.volume_error), worst=None, best=0.0, higher_is_better=None,
        bounds=(-1.0, None), reference="(|P| - |G|) / |G|, signed: 0 is right; no value without a reference",
    ),
    Measure(
        name="absolute_volume_error", values=_of(overlap.absolute_volume_error), worst=None, best=0.0,
        higher_is_better=False, bounds=(0.0, None), reference="| |P| - |G| | / |G|; no value without a reference",
    ),
)  # fmt: skip


def surface_measures(kind: Literal["voxel", "surfel"], tolerance: float, unit: str = "mm") -> list[Measure]:
    """HD, HD95 in both conventions, ASSD, MASD and NSD on voxel borders or on surfels.

    Args:
        kind: which surface.
        tolerance: of NSD, the one that the columns were made with.
        unit: ``mm``, or ``px`` where images have no spacing.
    """

    def column(name: str, text: str) -> Measure:
        stored = name if name.endswith(kind) else f"{name}_{kind}"
        return _distance(stored, (stored,), lambda columns: columns[stored], text)

    def quotient(top: str) -> Values:
        return lambda columns: overlap.divided(columns[f"{top}_{kind}"], columns[f"area_{kind}"])

    def _distance(name: str, needs: tuple[str, ...], values: Values, text: str) -> Measure:
        return Measure(
            name=name, needs=("predicted", "true", "diagonal_mm", *needs), values=values, unit=unit,
            higher_is_better=False, bounds=(0.0, None), best=0.0, worst="mm", reference=text,
        )  # fmt: skip

    area = (f"distance_{kind}", f"area_{kind}")
    return [
        Measure(
            name=f"nsd_{tolerance:g}{unit}_{kind}", needs=("predicted", "true", f"within_{kind}", f"area_{kind}"),
            values=quotient("within"), reference=f"share of both surfaces within {tolerance:g} {unit} of the other",
        ),
        column("hd95_max", "the larger of the two directed 95th percentiles (MONAI, surface-distance)"),
        column("hd95_pooled", "95th percentile of both directions together (medpy, nnU-Net v1)"),
        column("hd", "largest distance between the surfaces"),
        _distance(f"assd_pooled_{kind}", area, quotient("distance"), "sum of all distances / sum of both surfaces"),
        column("masd", "mean of the two directed averages (medpy calls it assd)"),
    ]  # fmt: skip


def case_means(measure: Measure, names: Sequence[str], policy: Policy = EXCLUDE) -> list[Metric]:
    """A measure's mean over cases and classes, and one metric a class.

    Args:
        measure: one of `OVERLAPS`, or of `surface_measures`.
        names: the classes, class 1 first.
        policy: what an empty mask is worth.
    """
    brackets = [] if policy == EXCLUDE else [f"policy={policy.name}"]
    chosen = [(brackets, list(range(len(names))))]
    chosen += [([f"class={name}", *brackets], [k]) for k, name in enumerate(names)]
    return [
        _CaseMean(
            name=measure.name + (f"[{','.join(inside)}]" if inside else ""),
            needs=tuple(dict.fromkeys((*measure.needs, "predicted", "true"))),
            terms=_terms(measure, classes, policy),
            finish=_mean_of_means,
            unit=measure.unit,
            higher_is_better=measure.higher_is_better,
            bounds=measure.bounds,
            undefined="a class has a value in no case",
            width=2 * len(classes),
            reference=f"{measure.reference}; per case, mean over cases, then over classes",
        )
        for inside, classes in chosen
    ]


def pooled(names: Sequence[str]) -> list[Metric]:
    """Dice and IoU of the sums over cases, mean over classes and of each: large structures decide."""
    kinds: tuple[tuple[str, Callable[[Counts], Floats]], ...] = (("dice", overlap.dice), ("iou", overlap.iou))
    chosen: list[tuple[str, slice]] = [("", slice(None))]
    chosen += [(f"[class={name}]", slice(k, k + 1)) for k, name in enumerate(names)]

    def terms(which: slice) -> Callable[[Columns], Floats]:
        def of(columns: Columns) -> Floats:
            parts = [columns[name][:, which] for name in COUNTS[:3]]
            return np.concatenate(parts, axis=1).astype(np.float64)

        return of

    def finish(function: Callable[[Counts], Floats]) -> Callable[[Floats], Floats]:
        def finished(sums: Floats) -> Floats:
            both, predicted, true = np.split(sums, 3, axis=-1)
            return np.asarray(function(Counts(both, predicted, true, true)).mean(axis=-1))  # type: ignore[arg-type]

        return finished

    return [
        Metric(
            name=f"pooled_{name}{brackets}", needs=COUNTS[:3], terms=terms(which), finish=finish(function), unit="",
            higher_is_better=True, bounds=(0.0, 1.0), undefined="a class is on neither side of every case",
            width=3 * len(names[which]), reference=f"{name} of the voxel counts summed over cases, mean over classes",
        )
        for name, function in kinds
        for brackets, which in chosen
    ]  # fmt: skip


def failure_rate(names: Sequence[str], least_dice: float) -> list[Metric]:
    """Share of the cases whose Dice is below a declared one; a missed or made-up class fails."""

    def failed(columns: Columns) -> Floats:
        dice = overlap.dice(counts(columns))
        return np.where(np.isnan(dice), np.nan, dice < least_dice)

    measure = Measure(
        name=f"failure_rate_dice_{least_dice:g}", values=failed, higher_is_better=False, best=0.0, worst=1.0,
        reference=f"share of cases with Dice below {least_dice:g}",
    )  # fmt: skip
    return case_means(measure, names)


def _terms(measure: Measure, classes: Sequence[int], policy: Policy) -> Callable[[Columns], Floats]:
    """Per case and class: (value or 0, 1 if there is one)."""

    def terms(columns: Columns) -> Floats:
        predicted, true = columns["predicted"], columns["true"]
        values = np.asarray(measure.values(columns), dtype=np.float64)
        worst: Floats | float = values
        if measure.worst == "mm":
            worst = columns["diagonal_mm"][:, None] if policy.penalty_mm is None else policy.penalty_mm
        elif measure.worst is not None:
            worst = measure.worst
        best = np.nan if measure.best is None else measure.best
        values = settled(values, predicted, true, best, worst, policy)[:, list(classes)]
        known = ~np.isnan(values)
        return np.stack([np.where(known, values, 0.0), known], axis=2).reshape(len(values), 2 * len(classes))

    return terms


def _mean_of_means(sums: Floats) -> Floats:
    """Mean over cases, then over classes; NaN if a class has a value in no case."""
    pairs = sums.reshape(*sums.shape[:-1], -1, 2)
    return np.asarray(overlap.divided(pairs[..., 0], pairs[..., 1]).mean(axis=-1))
