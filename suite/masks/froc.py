"""Free-response ROC: sensitivity against false positives per scan, over the threshold on a candidate's score.

A lesion is found at the largest score of its candidates. Between two thresholds sensitivity is interpolated linearly,
as LUNA16 and MONAI do; beyond the last false positive it stays. CPM is its mean at 1/8, 1/4, 1/2, 1, 2, 4, 8.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from suite.errors import AnswerError

Floats = NDArray[np.float64]
RATES = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)


def froc(found_scores: Floats, false_scores: Floats, lesions: int, scans: int) -> tuple[Floats, Floats]:
    """False positives per scan and sensitivity at every threshold, ascending.

    Args:
        found_scores: score of each lesion that some candidate hit: the largest of its candidates'.
        false_scores: score of each candidate that hit no lesion.
        lesions: all lesions, found or not.
        scans: all scans, with lesions or without.

    Raises:
        AnswerError: a score is no number, or more lesions were found than there are.
    """
    if not (np.isfinite(found_scores).all() and np.isfinite(false_scores).all()):
        raise AnswerError("a candidate's score is no number (NaN or infinite)")
    if len(found_scores) > lesions:
        raise AnswerError(f"{len(found_scores)} lesions found of {lesions}")
    thresholds = np.unique(np.concatenate([found_scores, false_scores]))[::-1]
    counts = [
        len(scores) - np.searchsorted(np.sort(scores), thresholds, side="left")
        for scores in (false_scores, found_scores)
    ]
    false, hits = (np.concatenate([[0], count]).astype(np.float64) for count in counts)
    return false / scans if scans else np.full(len(false), np.nan), hits / lesions if lesions else np.full(
        len(hits), np.nan
    )


def cpm(false_per_scan: Floats, sensitivity: Floats, rates: tuple[float, ...] = RATES) -> float:
    """Competition performance metric: mean sensitivity at the given false positives per scan, 0..1, higher is better.

    NaN without lesions or scans.
    """
    return float(np.mean(np.interp(rates, false_per_scan, sensitivity)))
