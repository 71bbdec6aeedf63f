"""Topology per class and case, from the counts of `suite.masks.rows.topology_row`: clDice and Betti errors.

Shape suffixes: N cases, K classes without the background.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from suite.masks.overlap import divided
from suite.masks.policy import EXCLUDE, Policy
from suite.metrics.base import Columns, Metric
from suite.metrics.masks import Measure, case_means

Floats = NDArray[np.float64]
LINES = ("skeleton_P", "inside_P", "skeleton_G", "inside_G")


def topology(names: Sequence[str], dimensions: int, policy: Policy = EXCLUDE) -> list[Metric]:
    """clDice, Betti number errors of every dimension, Betti matching errors of dimension 0 and the top one.

    Args:
        names: the classes, class 1 first.
        dimensions: 2 or 3, of the images.
        policy: what an empty mask is worth to clDice; the errors count features and need none.
    """
    measures = [
        Measure(
            name="cldice", needs=LINES, values=_cldice, reference="harmonic mean of two shares of skeletons (Shit 2021)"
        )
    ]
    for d in range(dimensions):
        text = f"|b{d}(P) - b{d}(G)| of whole masks, foreground connected with corners"
        measures.append(_error(f"betti_{d}_error", "betti_error", d, dimensions, text))
    for place, d in enumerate((0, dimensions - 1)):
        text = "features of either mask without a partner (Stucki 2023)"
        measures.append(_error(f"betti_matching_{d}_error", "matching_error", place, 2, text))
    return [metric for measure in measures for metric in case_means(measure, names, policy)]


def _error(name: str, column: str, place: int, width: int, text: str) -> Measure:
    def values(columns: Columns) -> Floats:
        flat = np.asarray(columns[column], dtype=np.float64)
        return flat[:, place::width]

    return Measure(
        name=name, needs=(column,), values=values, unit="features", higher_is_better=False, bounds=(0.0, None),
        best=0.0, worst=None, reference=text,
    )  # fmt: skip


def _cldice(columns: Columns) -> Floats:
    precision = divided(columns["inside_P"], columns["skeleton_P"])
    sensitivity = divided(columns["inside_G"], columns["skeleton_G"])
    found = divided(2 * precision * sensitivity, precision + sensitivity)
    return np.where(precision + sensitivity == 0, 0.0, found)
