"""Overlap metrics of segmentation, per class and case, from voxel counts.

Outcome columns of one case, one entry a foreground class (class 1 first): ``intersection``, ``predicted``, ``true``
voxels. Policy at the edges: a class that is absent from reference and prediction is not applicable in that case and
left out; absent from one of the two, the worst value, 0. ``missed`` and ``spurious`` count those cases.

Shape suffixes: N cases, K foreground classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suite.metrics.base import Columns, Metric, Terms

Floats = NDArray[np.float64]
NEEDS = ("intersection", "predicted", "true")


def voxel_counts(predicted: NDArray[Any], true: NDArray[Any], classes: int) -> dict[str, NDArray[np.int64]]:
    """The outcome columns of one case from two label maps of equal shape; `classes` counts the background.

    >>> voxel_counts(np.array([1, 1, 0]), np.array([1, 0, 2]), 3)["intersection"]
    array([1, 0])
    """
    pairs = np.bincount(true.ravel().astype(np.int64) * classes + predicted.ravel(), minlength=classes**2)
    confusion = pairs.reshape(classes, classes)
    return {
        "intersection": np.diag(confusion)[1:].copy(),
        "predicted": confusion.sum(axis=0)[1:],
        "true": confusion.sum(axis=1)[1:],
    }


@dataclass(frozen=True, kw_only=True)
class _OfClass(Metric):
    """A metric of one class, observed in the cases where the class is in the reference or in the prediction.

    Attributes:
        of: the class's place among the foreground classes.
    """

    of: int

    def observations(self, columns: Columns) -> int:
        """The cases that have a value; those without one are `n_na`."""
        mine = self.rows(columns)
        return int(((mine["predicted"] + mine["true"])[:, self.of] > 0).sum())


def dice(names: Sequence[str]) -> list[Metric]:
    """Mean-case Dice: the mean over `names` and one metric a class.

    Args:
        names: the foreground classes' names, class 1 first.
    """
    whole = Metric(
        name="dice",
        needs=NEEDS,
        terms=_dice_terms(range(len(names))),
        finish=_mean_of_means,
        unit="",
        higher_is_better=True,
        bounds=(0.0, 1.0),
        undefined="some class is absent from every reference and prediction",
        width=2 * len(names),
        reference="2|P and G| / (|P| + |G|) per case, mean over cases, then over classes; MONAI drops more cases",
    )
    each = [
        _OfClass(
            of=k,
            name=f"dice[class={name}]",
            needs=NEEDS,
            terms=_dice_terms([k]),
            finish=_mean_of_means,
            unit="",
            higher_is_better=True,
            bounds=(0.0, 1.0),
            undefined=f"{name} is absent from every reference and prediction",
            reference="mean over cases where the class is in the reference or the prediction",
        )
        for k, name in enumerate(names)
    ]
    return [whole, *each]


def misses(names: Sequence[str]) -> list[Metric]:
    """Cases where a class was missed, made up, or absent on both sides (not applicable): three counts a class."""
    made = []
    for k, name in enumerate(names):
        for what, lacks, has, text in (
            ("missed", "predicted", "true", "cases whose reference has the class and whose prediction lacks it"),
            ("spurious", "true", "predicted", "cases whose prediction has the class and whose reference lacks it"),
        ):
            made.append(_count(f"n_{what}[class={name}]", _absent_present(k, lacks, has), text, False))
        made.append(_count(f"n_na[class={name}]", _absent_both(k), "cases where the class is on neither side", None))
    return made


def _count(name: str, terms: Terms, text: str, higher_is_better: bool | None) -> Metric:
    return Metric(
        name=name,
        needs=NEEDS,
        terms=terms,
        finish=lambda sums: sums[..., 0],
        unit="cases",
        higher_is_better=higher_is_better,
        bounds=(0.0, None),
        width=1,
        reference=text,
    )


def _dice_terms(classes: Sequence[int]) -> Terms:
    """Per case and class: (Dice or 0, 1 if applicable)."""

    def terms(columns: Columns) -> Floats:
        blocks = []
        for k in classes:
            both, total = columns["intersection"][:, k], columns["predicted"][:, k] + columns["true"][:, k]
            value = np.divide(2.0 * both, total, out=np.zeros(len(total)), where=total > 0)
            blocks += [value, (total > 0).astype(np.float64)]
        return np.stack(blocks, axis=1)

    return terms


def _mean_of_means(sums: Floats) -> Floats:
    """Mean over cases, then over classes; NaN if a class was never applicable."""
    pairs = sums.reshape(*sums.shape[:-1], -1, 2)
    means: Floats = np.full(pairs.shape[:-1], np.nan)
    np.divide(pairs[..., 0], pairs[..., 1], out=means, where=pairs[..., 1] > 0)
    return np.asarray(means.mean(axis=-1))


def _absent_present(k: int, lacks: str, has: str) -> Terms:
    def terms(columns: Columns) -> Floats:
        hit = (columns[lacks][:, k] == 0) & (columns[has][:, k] > 0)
        return np.asarray(hit, dtype=np.float64)[:, None]

    return terms


def _absent_both(k: int) -> Terms:
    def terms(columns: Columns) -> Floats:
        neither = (columns["predicted"][:, k] == 0) & (columns["true"][:, k] == 0)
        return np.asarray(neither, dtype=np.float64)[:, None]

    return terms
