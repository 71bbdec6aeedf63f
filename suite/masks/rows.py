"""Outcome columns of one case: counts and sums from which every overlap and surface metric is computed again.

Shape suffixes: K classes without the background, or regions.

    intersection predicted true   [K] voxels;  voxels   looked at
    hd_S hd95_max_S hd95_pooled_S masd_S   [K] mm, NaN where a side has no surface
    distance_S area_S within_S    [K] sum of distance times size, size, size within the tolerance; both sides together
    diagonal_mm                   of the image: the worst distance
    skeleton_P inside_P skeleton_G inside_G   [K] voxels of the skeletons, and of those inside the other mask
    betti_error [K, d] flat, matching_error [K, 2] flat
    tp_T fp_T fn_T iou_sum_T      objects matched at an IoU above T percent, and the sum of their IoU
    object_mm3 found_T            of each reference object: its volume, 1 if it was found
    lesions_dice lesions_hd95 lesions_n lesions_fp   BraTS: sums over lesions, lesions that count, false positives
    found_score false_score       score of each lesion's partner, and of each candidate without a lesion; n_lesions
    ged_v ged_u hungarian_iou     against several raters;  majority_both majority_predicted majority_true   [K] voxels
    bins_C brier_C nll_C voxels_C of each calibration scope C: 15 x (voxels, hits, confidence) flat, and sums
    bins_class                    [K + 1, 15, 3] flat: of each class against the rest, background first

S is ``voxel`` or ``surfel``. ASSD is distance / area and NSD is within / area.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suite.masks import calibration, distance, instances, topology
from suite.masks.betti_matching import betti_matching_error
from suite.masks.case import Case
from suite.masks.distance import Distances
from suite.masks.overlap import confusion, counts_of
from suite.masks.surface import Kind

Row = dict[str, Any]


def overlap_row(case: Case, regions: Sequence[Sequence[int]] | None = None) -> Row:
    """Voxel counts of each label, or of each region (a union of labels)."""
    counts = counts_of(confusion(case), regions)
    return {
        "intersection": counts.both,
        "predicted": counts.predicted,
        "true": counts.true,
        "voxels": int(counts.voxels[0]),
    }


def surface_row(
    case: Case, kind: Kind, tolerance_mm: float, regions: Sequence[Sequence[int]] | None = None
) -> dict[str, Any]:
    """Summaries of the distances between the surfaces of each label, or of each region.

    Raises:
        InputError: the tolerance is below the spacing.
    """
    distance.check_tolerance(tolerance_mm, case.spacing_mm)
    if regions is None:
        found = distance.distances(case, kind)
    else:
        found = [distance.distances(case.region(labels), kind)[0] for labels in regions]
    columns = {
        "hd": _each(found, distance.hd),
        "hd95_max": _each(found, distance.hd95_max),
        "hd95_pooled": _each(found, distance.hd95_pooled),
        "masd": _each(found, distance.masd),
        "distance": np.array([np.nan if d.empty else sum(d.sums) for d in found]),
        "area": np.array([sum(d.areas) for d in found]),
        "within": np.array([sum(distance.within(d, tolerance_mm)) for d in found]),
    }
    return {f"{name}_{kind}": values for name, values in columns.items()} | {"diagonal_mm": case.diagonal_mm}


def _each(found: Sequence[Distances], measure: Any) -> NDArray[np.float64]:
    return np.array([measure(d) for d in found], dtype=np.float64)


def topology_row(case: Case, regions: Sequence[Sequence[int]] | None = None) -> Row:
    """Centre lines, Betti number errors and Betti matching errors of each label, or of each region.

    Ignored voxels are background here.
    """
    pairs = [union(case, labels) for labels in regions or [[k] for k in range(1, case.classes)]]
    lines = [topology.center_lines(*pair) for pair in pairs]
    return {
        "skeleton_P": np.array([one.predicted for one in lines]),
        "inside_P": np.array([one.predicted_inside for one in lines]),
        "skeleton_G": np.array([one.true for one in lines]),
        "inside_G": np.array([one.true_inside for one in lines]),
        "betti_error": np.array([topology.betti_error(*pair) for pair in pairs]).ravel(),
        "matching_error": np.array([betti_matching_error(*pair) for pair in pairs]).ravel(),
    }


def union(case: Case, labels: Sequence[int]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Reference and prediction of a union of labels, cropped to where either is, with a voxel of background around."""
    from scipy.ndimage import find_objects

    one, two = case.masks(labels[0])
    for label in labels[1:]:
        more = case.masks(label)
        one, two = one | more[0], two | more[1]
    boxes = find_objects((one | two).view(np.uint8))
    box = boxes[0] if boxes else tuple(slice(0, 1) for _ in range(one.ndim))
    return np.pad(one[box], 1), np.pad(two[box], 1)


def object_row(
    reference: NDArray[Any], prediction: NDArray[Any], spacing_mm: Sequence[float], percents: Sequence[int]
) -> Row:
    """Matches of two instance maps at each threshold of IoU, in percent."""
    pairs = instances.overlaps(reference, prediction)
    row: Row = {"object_mm3": pairs.true * math.prod(spacing_mm)}
    for percent in percents:
        outcome = instances.match(pairs, percent / 100)
        counted = zip(("tp", "fp", "fn"), outcome.counts, strict=True)
        row |= {f"{name}_{percent}": n for name, n in counted}
        row |= {f"iou_sum_{percent}": float(outcome.iou.sum()), f"found_{percent}": outcome.found.astype(np.int64)}
    return row


def reliability_row(probabilities: NDArray[Any], reference: NDArray[Any], ignore_label: int | None = None) -> Row:
    """Calibration sums of every scope; see `calibration.reliability`."""
    row: Row = {}
    for scope, sums in calibration.reliability(probabilities, reference, ignore_label).items():
        row |= {f"bins_{scope}": sums.bins.ravel(), f"brier_{scope}": sums.brier}
        row |= {f"nll_{scope}": sums.nll, f"voxels_{scope}": int(sums.voxels)}
    return row | {"bins_class": calibration.classwise_bins(probabilities, reference, ignore_label).ravel()}
