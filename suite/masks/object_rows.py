"""Outcome columns of one case's lesions and raters; `suite.masks.rows` says what each holds.

Shape suffixes: K classes without the background.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suite.errors import AnswerError
from suite.masks import instances, lesions
from suite.masks.raters import iou_table, majority

Row = dict[str, Any]
Labels = NDArray[Any]


def lesion_row(
    reference: NDArray[np.bool_],
    prediction: NDArray[np.bool_],
    spacing_mm: Sequence[float],
    dilation: int,
    least_mm3: float,
) -> Row:
    """Sums of BraTS' lesion-wise Dice and HD95 over the lesions of a case."""
    found = lesions.lesions(reference, prediction, spacing_mm, dilation, least_mm3, with_hd95=True)
    return {
        "lesions_dice": float(found.dice.sum()),
        "lesions_hd95": float(found.hd95_mm.sum()),
        "lesions_n": len(found.dice),
        "lesions_fp": found.false_positives,
    }


def candidate_row(reference: Labels, prediction: Labels, score: NDArray[Any], least_iou: float) -> Row:
    """Scores of the candidates that found a lesion and of those that did not, for FROC.

    Args:
        reference: instance map.
        prediction: instance map of the candidates.
        score: probability of the class in each voxel; a candidate scores the largest in it.
        least_iou: a candidate finds a lesion when they are partners (`instances.partners`) above this IoU.

    Raises:
        AnswerError: the scores are on another grid.
    """
    from scipy import ndimage

    if score.shape != prediction.shape:
        raise AnswerError(f"the scores' shape is {score.shape}, the prediction's {prediction.shape}")
    pairs = instances.overlaps(reference, prediction)
    partner = instances.partners(pairs, least_iou)
    ids = np.unique(prediction[prediction > 0])
    scores = np.asarray(ndimage.maximum(score, prediction, ids) if len(ids) else [], dtype=np.float64)
    hit = partner[partner >= 0]
    return {
        "found_score": scores[hit],
        "false_score": np.delete(scores, hit),
        "n_lesions": len(pairs.true),
    }


def rater_row(prediction: Labels, raters: Sequence[Labels], classes: int) -> Row:
    """The prediction against all raters, and against what most of them say.

    The model answers once, so the distance between its samples is 0 in both statistics; ``ged_v`` counts the pairs of
    a rater with itself, ``ged_u`` does not (NaN for one rater). The best assignment repeats the one answer for every
    rater, so the Hungarian IoU is the mean IoU with them.
    """
    count = len(raters)
    maps = [prediction, *raters]
    distance = 1 - iou_table(maps, maps, classes)
    across, within = distance[0, 1:].mean(), distance[1:, 1:]
    pairs = float(within.sum() - np.trace(within))
    most = majority(raters, classes)
    both = np.bincount(most[most == prediction].ravel(), minlength=classes)
    return {
        "ged_v": float(2 * across - within.mean()),
        "ged_u": float(2 * across - pairs / (count * (count - 1))) if count > 1 else float("nan"),
        "hungarian_iou": float(1 - across),
        "majority_both": both[1:],
        "majority_predicted": np.bincount(prediction.ravel(), minlength=classes)[1:],
        "majority_true": np.bincount(most.ravel(), minlength=classes)[1:],
    }
