"""Several raters over cases, from the columns of `suite.masks.object_rows.rater_row`.

Shape suffixes: N cases, K classes without the background.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from suite.masks import overlap
from suite.masks.overlap import Counts
from suite.metrics.base import Columns, Metric, ratio
from suite.metrics.masks import Measure, case_means
from suite.metrics.views import renamed

Floats = NDArray[np.float64]


def raters(names: Sequence[str]) -> list[Metric]:
    """Generalised energy distance in both statistics, Hungarian IoU, Dice to the majority.

    Args:
        names: the classes, class 1 first.
    """
    energy = "squared generalised energy distance, 2 E d(s, y) - E d(s, s') - E d(y, y'), d = 1 - IoU, mean over cases"
    return [
        _mean("ged_v", (0.0, 2.0), False, f"{energy}; V-statistic: pairs of a rater with itself count (PHiSeg)"),
        _mean("ged_u", (-1.0, 2.0), False, f"{energy}; U-statistic: they do not, so it may be below 0"),
        _mean("hungarian_iou", (0.0, 1.0), True, "best assignment of answers to raters, mean IoU, mean over cases"),
        *dice_to_majority(names),
    ]


def _mean(name: str, bounds: tuple[float, float], higher: bool, reference: str) -> Metric:
    def terms(columns: Columns) -> Floats:
        values = np.asarray(columns[name], dtype=np.float64)
        known = ~np.isnan(values)
        return np.stack([np.where(known, values, 0.0), known], axis=1).astype(np.float64)

    return Metric(
        name=name, needs=(name,), terms=terms, finish=ratio, unit="", higher_is_better=higher, bounds=bounds,
        undefined="no case has enough raters", reference=reference,
    )  # fmt: skip


def dice_to_majority(names: Sequence[str]) -> list[Metric]:
    """Dice against the label that most raters gave each voxel (a tie goes to the smaller label)."""

    def values(columns: Columns) -> Floats:
        return overlap.dice(Counts(columns["majority_both"], columns["predicted"], columns["true"], columns["true"]))

    measure = Measure(
        name="dice_majority", needs=("majority_both",), values=values,
        reference="2|P and M| / (|P| + |M|), M what most raters say",
    )  # fmt: skip
    return [
        renamed(metric, {"predicted": "majority_predicted", "true": "majority_true"})
        for metric in case_means(measure, names)
    ]
