"""Topology of a binary mask in 2-D or 3-D: clDice, Betti numbers and their error.

Connectivity: foreground with corners (8 in 2-D, 26 in 3-D), background with faces (4, 6). Outside of the image is
background, so a structure that is cut off by the edge encloses nothing there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class CenterLines:
    """Voxels on the skeletons of both masks.

    Attributes:
        predicted: on the skeleton of the prediction.
        predicted_inside: of those, in the reference.
        true: on the skeleton of the reference.
        true_inside: of those, in the prediction.
    """

    predicted: int
    predicted_inside: int
    true: int
    true_inside: int


def center_lines(reference: Mask, prediction: Mask) -> CenterLines:
    """Count on the skeletons (Zhang and Suen in 2-D, Lee in 3-D: scikit-image)."""
    from skimage.morphology import skeletonize

    thin = [skeletonize(mask) if mask.any() else mask for mask in (prediction, reference)]
    inside = (thin[0] & reference, thin[1] & prediction)
    return CenterLines(*(int(mask.sum()) for pair in zip(thin, inside, strict=True) for mask in pair))


def cldice(lines: CenterLines) -> float:
    """Centre-line Dice 2 T_prec T_sens / (T_prec + T_sens), 0..1, higher is better (Shit 2021, arXiv 2003.07311).

    T_prec is the share of the prediction's skeleton inside the reference, T_sens that of the reference's skeleton
    inside the prediction. NaN when either mask is empty: `policy` decides what that is worth.
    """
    if not lines.predicted or not lines.true:
        return math.nan
    precision, sensitivity = lines.predicted_inside / lines.predicted, lines.true_inside / lines.true
    return 2 * precision * sensitivity / (precision + sensitivity) if precision + sensitivity else 0.0


def betti_numbers(mask: Mask) -> tuple[int, ...]:
    """Pieces, tunnels, cavities: (b0, b1) in 2-D, (b0, b1, b2) in 3-D.

    b0 is the number of foreground components; the last one that of background components without the outer one. In 3-D
    b1 = b0 + b2 - Euler characteristic (scikit-image).

    >>> betti_numbers(np.array([[1, 1, 1], [1, 0, 1], [1, 1, 1]], dtype=bool))
    (1, 1)
    """
    from scipy import ndimage

    padded = np.pad(mask, 1)
    pieces = int(ndimage.label(padded, np.ones((3,) * mask.ndim))[1])
    enclosed = int(ndimage.label(~padded)[1]) - 1
    if mask.ndim == 2:  # noqa: PLR2004 - the plane
        return pieces, enclosed
    from skimage.measure import euler_number

    return pieces, pieces + enclosed - int(euler_number(padded, connectivity=3)), enclosed


def betti_error(reference: Mask, prediction: Mask) -> tuple[int, ...]:
    """|b_d(P) - b_d(G)| of every dimension; their sum is the Betti number error, lower is better.

    Of whole masks: papers that average over random patches (TopoLoss, clDice: 64 x 64) print other numbers.
    """
    pairs = zip(betti_numbers(reference), betti_numbers(prediction), strict=True)
    return tuple(abs(true - predicted) for true, predicted in pairs)
