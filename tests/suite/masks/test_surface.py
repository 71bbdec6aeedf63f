from __future__ import annotations

import sys

import numpy as np
import pytest
from mask_samples import SPACINGS, blobs, cubes, monai_metrics, quiet
from scipy import ndimage
from scipy.spatial import cKDTree

from suite.errors import InputError
from suite.masks import distance
from suite.masks.case import case_of
from suite.masks.distance import distances
from suite.masks.grid import REACH, Grid
from suite.masks.nearest import nearest
from suite.masks.rows import overlap_row, surface_row
from suite.masks.surface import surfaces
from suite.masks.surfels import element_sizes

TOLERANCE = 2.0


@pytest.fixture(scope="module")
def peer():
    """surface-distance 0.1, which needs names that NumPy 2 dropped."""
    sd = pytest.importorskip("surface_distance")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(np, "Inf", np.inf, raising=False)
        patch.setattr(np, "NaN", np.nan, raising=False)
        yield sd


def test_two_plates_by_hand() -> None:
    """Slabs one voxel thick, 6 mm apart along the first axis, in a volume they fill: every distance is 6 mm."""
    reference, prediction = np.zeros((2, 9, 5, 4), dtype=np.uint8)
    reference[2], prediction[4] = 1, 1
    case = case_of(reference, prediction, 2, (3.0, 0.8, 0.8))
    (voxel,) = distances(case, "voxel")
    assert len(voxel.reference) == len(voxel.prediction) == 20
    assert {*voxel.reference, *voxel.prediction} == {6.0}
    assert (distance.hd(voxel), distance.hd95_max(voxel), distance.assd(voxel), distance.masd(voxel)) == (6, 6, 6, 6)
    assert distance.nsd(voxel, 6.0) == 1.0
    assert distance.nsd(voxel, 5.9) == 0.0


def test_a_line_of_distances_by_hand() -> None:
    """One pixel against a row of five: 0 to the row, and 0, 1, 2, 3, 4 back."""
    reference, prediction = np.zeros((2, 3, 8), dtype=np.uint8)
    reference[1, 1] = 1
    prediction[1, 1:6] = 1
    (found,) = distances(case_of(reference, prediction, 2, (1.0, 2.0)), "voxel")
    assert sorted(found.prediction) == [0, 2, 4, 6, 8]
    assert list(found.reference) == [0]
    assert distance.hd(found) == 8
    assert distance.hd95_max(found) == pytest.approx(7.6)  # 0.95 of four intervals: 3.8 of the way
    assert distance.hd95_pooled(found) == pytest.approx(np.percentile([0, 0, 2, 4, 6, 8], 95))
    assert distance.assd(found) == pytest.approx(20 / 6)
    assert distance.masd(found) == pytest.approx((0 + 4) / 2)
    assert distance.nsd(found, 4.0) == pytest.approx(4 / 6)


def test_a_cubes_surfels_by_hand() -> None:
    """An 8^3 cube: 6 x 49 flat places of 1 mm^2, 12 x 7 edges of sqrt(2)/2, 8 corners of sqrt(3)/8."""
    reference, _ = cubes()
    (surface,), _ = surfaces(case_of(reference, reference, 2, (1.0, 1.0, 1.0)), "surfel")
    edge, corner = np.sqrt(2) / 2, np.sqrt(3) / 8
    assert surface.sizes.sum() == pytest.approx(6 * 49 + 12 * 7 * edge + 8 * corner)
    assert sorted(np.unique(surface.sizes.round(6))) == pytest.approx(sorted([1, edge, corner]), abs=1e-6)
    (stretched,), _ = surfaces(case_of(reference, reference, 2, (3.0, 0.8, 0.8)), "surfel")
    faces = 2 * 49 * 0.64 + 4 * 49 * 2.4
    edges = 4 * 7 * 3 * np.hypot(0.4, 0.4) + 8 * 7 * 0.8 * np.hypot(1.5, 0.4)
    triangle = 0.5 * np.linalg.norm(np.cross([-1.5, 0.4, 0], [-1.5, 0, 0.4]))
    assert stretched.sizes.sum() == pytest.approx(faces + edges + 8 * triangle)


def test_a_squares_contour_by_hand() -> None:
    square = np.zeros((9, 9), dtype=np.uint8)
    square[2:6, 2:6] = 1
    (contour,), _ = surfaces(case_of(square, square, 2, (1.0, 2.0)), "surfel")
    assert contour.sizes.sum() == pytest.approx(2 * 3 * 1.0 + 2 * 3 * 2.0 + 4 * 0.5 * np.hypot(1, 2))


@pytest.mark.parametrize("spacing", SPACINGS)
def test_areas_are_those_of_the_published_table(peer, spacing) -> None:
    lookup = peer.lookup_tables
    table = lookup.create_table_neighbour_code_to_surface_area(spacing)
    # their bit of voxel k (C order) is 7 - k, ours k
    codes = np.arange(256)
    mirrored = sum(((codes >> k) & 1) << (7 - k) for k in range(8))
    np.testing.assert_allclose(element_sizes(spacing), table[mirrored], rtol=1e-12)
    plane = spacing[:2]
    lengths = lookup.create_table_neighbour_code_to_contour_length(plane)
    mirrored = sum(((codes[:16] >> k) & 1) << (3 - k) for k in range(4))
    np.testing.assert_allclose(element_sizes(plane), lengths[mirrored], rtol=1e-12)


@pytest.mark.parametrize("shape", [(30, 41), (18, 20, 22)])
@pytest.mark.parametrize("seed", range(4))
def test_voxel_borders_are_what_erosion_takes_away(shape, seed) -> None:
    reference, prediction = blobs(shape, 3, seed)
    case = case_of(reference, prediction, 4, (1.0,) * len(shape))
    for side, labels in zip(surfaces(case, "voxel"), (reference, prediction), strict=True):
        for k, surface in enumerate(side, 1):
            mask = np.pad(labels == k, 1)
            border = mask & ~ndimage.binary_erosion(mask)
            assert len(surface.points) == border.sum()
            values = np.zeros(case.reference.shape, dtype=bool)
            values[surface.points] = True
            found = np.argwhere(values.reshape(case.grid.shape))
            np.testing.assert_array_equal(
                found - found.min(axis=0), np.argwhere(border) - np.argwhere(border).min(axis=0)
            )


@pytest.mark.parametrize("spacing", [*SPACINGS, (0.5, 0.5), (4.0, 0.3)])
@pytest.mark.parametrize(("near", "seed"), [(True, 0), (True, 1), (False, 2)])
def test_nearest_is_the_nearest_by_a_tree(spacing, near, seed) -> None:
    rng = np.random.default_rng(seed)
    size = 40 if len(spacing) == 3 else 400
    grid = Grid((size + REACH,) * len(spacing), spacing)
    inside = np.flatnonzero(np.ones((size,) * len(spacing), dtype=bool))
    coordinates = np.unravel_index(inside, (size,) * len(spacing))
    places = np.ravel_multi_index(coordinates, grid.shape)
    one, other = rng.choice(places, 3000, replace=False), rng.choice(places, 2000 if near else 3, replace=False)
    for found, points, targets in zip(nearest(one, other, grid), (one, other), (other, one), strict=True):
        expected = cKDTree(grid.positions(targets)).query(grid.positions(points))[0]
        np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert not grid.taken.any()
    assert np.isinf(nearest(one, other[:0], grid)[0]).all()


def test_seventy_classes() -> None:
    """Seventy pixels in a row against the same row, one step further: every distance is 1."""
    reference = np.zeros((3, 90), dtype=np.uint8)
    prediction = np.zeros((3, 90), dtype=np.uint8)
    reference[1, 1:71] = prediction[1, 2:72] = np.arange(1, 71)
    found = distances(case_of(reference, prediction, 71, (1.0, 1.0)), "voxel")
    assert [(list(d.reference), list(d.prediction)) for d in found] == [([1.0], [1.0])] * 70


@quiet
@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("seed", range(3))
def test_surfel_values_are_those_of_surface_distance(peer, spacing, seed) -> None:
    reference, prediction = blobs((18, 24, 21), 3, seed, smooth=1.0 + seed)
    found = distances(case_of(reference, prediction, 4, spacing), "surfel")
    tolerance = max(TOLERANCE, min(spacing))
    for k, d in enumerate(found, 1):
        theirs = peer.compute_surface_distances(reference == k, prediction == k, spacing)
        assert distance.hd95_max(d) == pytest.approx(peer.compute_robust_hausdorff(theirs, 95), rel=1e-9)
        assert distance.hd(d) == pytest.approx(peer.compute_robust_hausdorff(theirs, 100), rel=1e-9)
        assert distance.nsd(d, tolerance) == pytest.approx(
            peer.compute_surface_dice_at_tolerance(theirs, tolerance), rel=1e-9
        )
        assert distance.masd(d) == pytest.approx(np.mean(peer.compute_average_surface_distance(theirs)), rel=1e-9)


@quiet
@pytest.mark.parametrize("spacing", [(1.0, 1.0), (0.8, 2.5)])
def test_contours_are_those_of_surface_distance(peer, spacing) -> None:
    reference, prediction = blobs((60, 50), 2, 7, smooth=2)
    for k, d in enumerate(distances(case_of(reference, prediction, 3, spacing), "surfel"), 1):
        theirs = peer.compute_surface_distances(reference == k, prediction == k, spacing)
        assert distance.hd95_max(d) == pytest.approx(peer.compute_robust_hausdorff(theirs, 95), rel=1e-9)
        assert distance.nsd(d, 1.0) == pytest.approx(peer.compute_surface_dice_at_tolerance(theirs, 1.0), rel=1e-9)


@quiet
@pytest.mark.parametrize(("shape", "spacing"), [((18, 24, 21), s) for s in SPACINGS] + [((60, 50), (0.8, 2.5))])
def test_voxel_values_are_those_of_monai(shape, spacing) -> None:
    import torch

    metrics = monai_metrics()
    reference, prediction = blobs(shape, 3, 11)
    found = distances(case_of(reference, prediction, 4, spacing), "voxel")
    y, y_pred = (
        torch.from_numpy(np.stack([labels == k for k in range(1, 4)])[None]) for labels in (reference, prediction)
    )
    named = {"include_background": True, "spacing": spacing}
    tau = TOLERANCE + 0.01  # no distance on these grids: float32 must not decide
    theirs = {
        "hd95_max": metrics.compute_hausdorff_distance(y_pred, y, percentile=95, **named)[0],
        "hd": metrics.compute_hausdorff_distance(y_pred, y, **named)[0],
        "assd": metrics.compute_average_surface_distance(y_pred, y, symmetric=True, **named)[0],
        "nsd": metrics.compute_surface_dice(y_pred, y, [tau] * 3, **named)[0],
    }
    for k, d in enumerate(found):
        # torch.quantile interpolates in float32: the place between two distances is known to 1e-5 only
        assert distance.hd95_max(d) == pytest.approx(float(theirs["hd95_max"][k]), rel=1e-5)
        sides = (np.percentile(d.reference, 95), np.percentile(d.prediction, 95))
        assert distance.hd95_max(d) == pytest.approx(max(sides), rel=1e-12)
        assert distance.hd(d) == pytest.approx(float(theirs["hd"][k]), rel=1e-6)
        assert distance.assd(d) == pytest.approx(float(theirs["assd"][k]), rel=1e-6)
        assert distance.nsd(d, tau) == pytest.approx(float(theirs["nsd"][k]), rel=1e-6)


def test_pooled_hd95_and_masd_by_distance_transforms() -> None:
    """medpy's formulas (hd95 of both lists, assd as the mean of two means) from distance transforms."""
    reference, prediction = blobs((16, 22, 19), 1, 3)
    spacing = (2.0, 0.9, 0.7)
    (d,) = distances(case_of(reference, prediction, 2, spacing), "voxel")
    sides = []
    padded = [np.pad(labels > 0, 1) for labels in (reference, prediction)]
    borders = [mask & ~ndimage.binary_erosion(mask) for mask in padded]
    for one, other in (borders, borders[::-1]):
        sides.append(ndimage.distance_transform_edt(~other, sampling=spacing)[one])
    assert distance.hd95_pooled(d) == pytest.approx(np.percentile(np.concatenate(sides), 95))
    assert distance.masd(d) == pytest.approx((sides[0].mean() + sides[1].mean()) / 2)


def test_swapping_the_sides_changes_nothing() -> None:
    reference, prediction = blobs((14, 15, 16), 2, 9)
    for kind in ("voxel", "surfel"):
        one = distances(case_of(reference, prediction, 3, (1.0, 2.0, 3.0)), kind)
        two = distances(case_of(prediction, reference, 3, (1.0, 2.0, 3.0)), kind)
        for a, b in zip(one, two, strict=True):
            for measure in (distance.hd, distance.hd95_max, distance.hd95_pooled, distance.assd, distance.masd):
                assert measure(a) == pytest.approx(measure(b), rel=1e-12)


@pytest.mark.parametrize("kind", ["voxel", "surfel"])
def test_an_ignored_region_makes_no_walls_that_agree(kind) -> None:
    """A column that enters an ignored half: its wall there is on neither side, and does not raise NSD."""
    reference, prediction = np.zeros((2, 12, 12, 12), dtype=np.uint8)
    reference[2:10, 4:8, 4:8], prediction[2:10, 4:8, 4:7] = 1, 1
    ignored = np.zeros(reference.shape, dtype=bool)
    ignored[6:] = True
    (kept,) = distances(case_of(np.where(ignored, 9, reference), prediction, 2, (1.0,) * 3, ignore_label=9), kind)
    zeroed = [np.where(ignored, 0, labels) for labels in (reference, prediction)]
    (walled,) = distances(case_of(*zeroed, 2, (1.0,) * 3), kind)
    assert sum(kept.areas) < sum(walled.areas)
    if kind == "voxel":  # layers 2 to 5, the top one whole: 16 + 3 x 12 and 12 + 3 x 10 voxels
        assert kept.areas == (52, 42)
    shares = []
    for d in (kept, walled):
        both = np.concatenate([d.reference, d.prediction])
        shares.append((both > 0).mean())
    assert shares[0] > shares[1]


def test_what_the_prediction_says_of_ignored_voxels_does_not_matter() -> None:
    reference, prediction = blobs((14, 15, 16), 2, 4)
    marked = reference.copy()
    marked[5:9] = 200
    other = prediction.copy()
    other[5:9] = 2
    for kind in ("voxel", "surfel"):
        one, two = (distances(case_of(marked, p, 3, (1.0,) * 3, ignore_label=200), kind) for p in (prediction, other))
        for a, b in zip(one, two, strict=True):
            np.testing.assert_array_equal(a.reference, b.reference)
            np.testing.assert_array_equal(a.prediction, b.prediction)


def test_a_tolerance_below_the_spacing_is_refused() -> None:
    case = case_of(*cubes(), 2, (3.0, 0.8, 0.8))
    with pytest.raises(InputError, match=r"0.7 mm is below the finest spacing, 0.8 mm"):
        surface_row(case, "surfel", 0.7)
    with pytest.raises(InputError, match="nan"):
        surface_row(case, "surfel", float("nan"))
    assert surface_row(case, "surfel", 0.8)["within_surfel"][0] > 0


def test_a_row_holds_what_the_values_are_made_of() -> None:
    reference, prediction = blobs((14, 15, 16), 2, 2)
    reference[reference == 2] = 0  # class 2 is made up
    case = case_of(reference, prediction, 4, (1.0, 2.0, 3.0))
    row = overlap_row(case) | surface_row(case, "voxel", TOLERANCE)
    first = distances(case, "voxel")[0]
    assert row["distance_voxel"][0] / row["area_voxel"][0] == pytest.approx(distance.assd(first))
    assert row["within_voxel"][0] / row["area_voxel"][0] == pytest.approx(distance.nsd(first, TOLERANCE))
    assert row["hd95_max_voxel"][0] == distance.hd95_max(first)
    assert np.isnan(row["hd_voxel"][1:]).all()  # one side empty, both empty
    assert row["true"].tolist()[1:] == [0, 0]
    assert row["diagonal_mm"] == pytest.approx(np.sqrt(14**2 + 30**2 + 48**2))
    regions = surface_row(case, "voxel", TOLERANCE, [[1], [1, 2]])
    assert regions["hd_voxel"][0] == row["hd_voxel"][0]
    assert np.isfinite(regions["hd_voxel"][1])


def test_scoring_imports_no_torch() -> None:
    import subprocess

    code = "import sys, suite.masks.rows, suite.masks.surfels; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
