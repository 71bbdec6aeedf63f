"""What a class is worth in a case where the reference, the prediction or both have none of it.

Shape suffixes: K classes; `...` cases.

Ours, ``exclude``: absent from both sides, a class is not applicable there (NaN, counted in n_na, in no mean); absent
from one, it gets the worst value: 0 for Dice, IoU and NSD, the diagonal of the image in mm for a distance. Challenges
score an empty pair as perfect instead: ``best``. ``brats`` does so too and charges 374 mm for a distance (BraTS 2023).
MONAI drops a missed structure from HD95; the U-Bench and FairSeg code gives it 0 mm: means of those are not ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suite.errors import unknown

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Policy:
    """A named rule for empty masks.

    Attributes:
        name: what a task calls it.
        empty_pair_is_best: whether a class on neither side scores the best value, else it is not applicable.
        penalty_mm: the worst distance; ``None``: the diagonal of the case's image.
    """

    name: str
    empty_pair_is_best: bool
    penalty_mm: float | None = None


EXCLUDE = Policy("exclude", False)
POLICIES: Mapping[str, Policy] = {
    policy.name: policy for policy in (EXCLUDE, Policy("best", True), Policy("brats", True, 374.0))
}


def policy_of(name: str) -> Policy:
    """The policy of this name.

    Raises:
        InputError: there is none.
    """
    if name not in POLICIES:
        raise unknown("policy for empty masks", name, POLICIES)
    return POLICIES[name]


def settled(
    values: Floats, predicted: NDArray[Any], true: NDArray[Any], best: float, worst: Floats | float, policy: Policy
) -> Floats:
    """The values [..., K] with the policy's in place of the empty cases'; NaN is not applicable.

    Args:
        values: by the formula; whatever they are where a side is empty, and NaN where undefined for another reason.
        predicted: voxels of the class in the prediction.
        true: voxels in the reference.
        best: value of a perfect prediction.
        worst: value of a missed or made-up structure, broadcast against `values`.
        policy: which rule.
    """
    missing, absent = predicted == 0, true == 0
    out = np.where(missing ^ absent, worst, values)
    return np.asarray(np.where(missing & absent, best if policy.empty_pair_is_best else np.nan, out), dtype=np.float64)


@dataclass(frozen=True)
class Tally:
    """Cases behind a mean, [K] each; to be shown beside it.

    Attributes:
        n: with the class on either side.
        n_na: with the class on neither.
        n_missed: the prediction has none of a class that is there.
        n_spurious: the prediction has a class that is not there.
    """

    n: NDArray[np.int64]
    n_na: NDArray[np.int64]
    n_missed: NDArray[np.int64]
    n_spurious: NDArray[np.int64]


def tally(predicted: NDArray[Any], true: NDArray[Any]) -> Tally:
    """Count the cases [N, K] of each kind.

    >>> tally(np.array([[4], [0], [0]]), np.array([[0], [3], [0]]))
    Tally(n=array([2]), n_na=array([1]), n_missed=array([1]), n_spurious=array([1]))
    """
    missing, absent = predicted == 0, true == 0
    kinds = (~(missing & absent), missing & absent, missing & ~absent, absent & ~missing)
    return Tally(*(np.asarray(kind.sum(axis=0), dtype=np.int64) for kind in kinds))
