"""What an empty mask is worth: ours, the challenges', and every row of the table of what the peers say."""

from __future__ import annotations

import math

import numpy as np
import pytest
from mask_samples import cubes, monai_metrics, quiet

from suite.errors import InputError
from suite.masks import distance, overlap
from suite.masks.case import case_of
from suite.masks.policy import POLICIES, policy_of, settled, tally
from suite.masks.rows import overlap_row, surface_row

SPACING = (2.0, 1.0, 1.0)
DIAGONAL = math.sqrt(40**2 + 20**2 + 20**2)
MASK = cubes()[0]
EMPTY = np.zeros_like(MASK)
ROWS = {"both empty": (EMPTY, EMPTY), "made up": (EMPTY, MASK), "missed": (MASK, EMPTY)}
NA = math.nan
OURS = {  # policy, case -> Dice, HD95, NSD, ASSD
    ("exclude", "both empty"): (NA, NA, NA, NA),
    ("exclude", "made up"): (0, DIAGONAL, 0, DIAGONAL),
    ("exclude", "missed"): (0, DIAGONAL, 0, DIAGONAL),
    ("best", "both empty"): (1, 0, 1, 0),
    ("best", "made up"): (0, DIAGONAL, 0, DIAGONAL),
    ("best", "missed"): (0, DIAGONAL, 0, DIAGONAL),
    ("brats", "both empty"): (1, 0, 1, 0),
    ("brats", "made up"): (0, 374, 0, 374),
    ("brats", "missed"): (0, 374, 0, 374),
}


@pytest.mark.parametrize(("name", "row"), OURS)
@pytest.mark.parametrize("kind", ["voxel", "surfel"])
def test_every_row_of_the_table_by_every_policy(name, row, kind) -> None:
    case = case_of(*ROWS[row], 2, SPACING)
    counts = overlap.counts_of(overlap.confusion(case))
    (found,) = distance.distances(case, kind)
    policy = policy_of(name)
    penalty = policy.penalty_mm or case.diagonal_mm
    raw = (
        (overlap.dice(counts), 1.0, 0.0),
        (np.array([distance.hd95_max(found)]), 0.0, penalty),
        (np.array([distance.nsd(found, 2.0)]), 1.0, 0.0),
        (np.array([distance.assd(found)]), 0.0, penalty),
    )
    values = [settled(value, counts.predicted, counts.true, best, worst, policy)[0] for value, best, worst in raw]
    np.testing.assert_allclose(values, OURS[name, row])


MONAI = {  # measured: Dice, HD95, NSD, ASSD by its defaults
    "both empty": (NA, NA, NA, NA),
    "made up": (NA, NA, 0, math.inf),
    "missed": (0, NA, 0, math.inf),
}


@quiet
@pytest.mark.parametrize("row", ROWS)
def test_what_monai_says_of_the_same_masks(row) -> None:
    """The table's column: a missed structure has no HD95 there, a made-up one no Dice."""
    import torch

    metrics = monai_metrics()
    reference, prediction = (torch.from_numpy(mask[None, None].astype(np.float32)) for mask in ROWS[row])
    named = {"include_background": True, "spacing": SPACING}
    found = (
        metrics.compute_dice(prediction, reference),
        metrics.compute_hausdorff_distance(prediction, reference, percentile=95, **named),
        metrics.compute_surface_dice(prediction, reference, [2.0], **named),
        metrics.compute_average_surface_distance(prediction, reference, symmetric=True, **named),
    )
    np.testing.assert_allclose([float(value) for value in found], MONAI[row])


@quiet
@pytest.mark.parametrize("row", ROWS)
def test_what_surface_distance_says_of_the_same_masks(row, monkeypatch) -> None:
    """With the names that NumPy 2 dropped put back: no Dice for an empty pair, infinite distances for an empty side."""
    peer = pytest.importorskip("surface_distance")
    for name in ("Inf", "NaN"):  # another library may have put them back
        monkeypatch.delattr(np, name, raising=False)
    with pytest.raises(AttributeError):
        peer.compute_robust_hausdorff(peer.compute_surface_distances(*(m > 0 for m in ROWS[row]), SPACING), 95)
    monkeypatch.setattr(np, "Inf", np.inf, raising=False)
    monkeypatch.setattr(np, "NaN", np.nan, raising=False)
    masks = [mask > 0 for mask in ROWS[row]]
    found = peer.compute_surface_distances(*masks, SPACING)
    assert peer.compute_robust_hausdorff(found, 95) == math.inf
    dice, nsd = peer.compute_dice_coefficient(*masks), peer.compute_surface_dice_at_tolerance(found, 2.0)
    np.testing.assert_allclose([dice, nsd], (NA, NA) if row == "both empty" else (0, 0))


@quiet
@pytest.mark.parametrize(("row", "dice", "iou"), [("both empty", NA, -1), ("made up", 0, 0), ("missed", 0, 0)])
def test_what_torchmetrics_says_of_the_same_masks(row, dice, iou) -> None:
    import torch
    from torchmetrics.functional.segmentation import dice_score, mean_iou

    reference, prediction = (torch.from_numpy(mask[None, None].astype(np.int64)) for mask in ROWS[row])
    named = {"num_classes": 1, "include_background": True}
    np.testing.assert_allclose(float(dice_score(prediction, reference, **named)), dice)
    np.testing.assert_allclose(float(mean_iou(prediction, reference, per_class=True, **named)), iou)


def test_the_formula_of_nnunet_and_medpy_for_dice() -> None:
    """nnU-Net: NaN for an empty pair, else 2 TP / (2 TP + FP + FN); medpy and MetricsReloaded: 1 for an empty pair."""
    for row, (reference, prediction) in ROWS.items():
        counts = overlap.counts_of(overlap.confusion(case_of(reference, prediction, 2, SPACING)))
        raw = overlap.dice(counts)[0]
        assert np.isnan(raw) if row == "both empty" else raw == 0
        best = settled(overlap.dice(counts), counts.predicted, counts.true, 1.0, 0.0, policy_of("best"))[0]
        assert best == (1.0 if row == "both empty" else 0.0)


def per_case_of_ubench(reference, prediction) -> tuple[float, float]:
    """Dice and HD95 of U-Bench, FairSeg and TransUNet where a side is empty (``calculate_metric_percase``)."""
    if prediction.any() and reference.any():
        raise AssertionError("the rule is about empty sides only")
    return (1, 0) if prediction.any() else (0, 0)


def test_no_policy_pays_for_an_empty_side_as_ubench_does() -> None:
    """There a made-up organ is perfect, a missed one has no distance, and an empty pair is a failure."""
    for row, masks in ROWS.items():
        theirs = per_case_of_ubench(*masks)
        ours = {name: OURS[name, row][:2] for name in POLICIES}
        assert theirs not in ours.values(), row
    assert per_case_of_ubench(*ROWS["made up"]) == (1, 0)  # ours: Dice 0 and the worst distance
    assert per_case_of_ubench(*ROWS["missed"])[1] == 0


def test_a_case_that_is_not_empty_is_left_alone_and_all_are_counted() -> None:
    rows = [overlap_row(case_of(*pair, 2, SPACING)) for pair in [*ROWS.values(), cubes()]]
    predicted, true = (np.stack([row[name] for row in rows]) for name in ("predicted", "true"))
    found = tally(predicted, true)
    assert (found.n[0], found.n_na[0], found.n_missed[0], found.n_spurious[0]) == (3, 1, 1, 1)
    hd95 = np.array([[surface_row(case_of(*cubes(), 2, SPACING), "voxel", 2.0)["hd95_max_voxel"][0]]])
    assert settled(hd95, predicted[3:], true[3:], 0.0, DIAGONAL, POLICIES["exclude"])[0, 0] == hd95[0, 0]


def test_a_missed_case_cannot_be_forgotten() -> None:
    """Ten cases, five of them missed: MONAI's mean HD95 skips them; ours takes the diagonal for each."""
    values = np.array([[2.0]] * 5 + [[NA]] * 5)
    true, predicted = np.full((10, 1), 9), np.array([[9]] * 5 + [[0]] * 5)
    assert np.nanmean(values) == 2.0
    assert settled(values, predicted, true, 0.0, 50.0, POLICIES["exclude"]).mean() == 26.0


def test_an_unknown_policy_names_the_known_ones() -> None:
    with pytest.raises(InputError, match="'brat'; did you mean 'brats'"):
        policy_of("brat")
