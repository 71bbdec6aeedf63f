"""Metrics of segmentations: from rows of cases to numbers, against loops over the cases."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import ndimage

from suite.errors import Undefined
from suite.masks import distance, overlap
from suite.masks.calibration import SCOPES
from suite.masks.case import case_of
from suite.masks.instances import (
    components,
    false_positives_per_patient,
    match,
    overlaps,
    panoptic_quality,
    recall_per_patient,
)
from suite.masks.policy import policy_of
from suite.masks.rows import object_row, overlap_row, reliability_row, surface_row, topology_row
from suite.metrics.masks import OVERLAPS, case_means, failure_rate, pooled, surface_measures
from suite.metrics.objects import objects
from suite.metrics.pixels import pixel_calibration
from suite.metrics.tubes import topology
from suite.outcomes import to_columns, to_table

NAMES = ("liver", "spleen")
SHAPE, SPACING, TOLERANCE = (14, 15, 16), (3.0, 0.8, 0.8), 2.0
MEASURES = [*OVERLAPS, *surface_measures("voxel", TOLERANCE), *surface_measures("surfel", TOLERANCE)]


def drawn(seed):
    """Three labels of blobs, and a prediction that is off here and there."""
    rng = np.random.default_rng(seed)
    fields = np.stack([ndimage.gaussian_filter(rng.standard_normal(SHAPE), 2) for _ in range(3)])
    noise = np.stack([ndimage.gaussian_filter(rng.standard_normal(SHAPE), 2) for _ in range(3)])
    return fields.argmax(axis=0), (fields + 0.4 * noise).argmax(axis=0)


@pytest.fixture(scope="module")
def cases():
    """Six cases: spleen missed in one, made up in one, on neither side in one."""
    pairs = [drawn(seed) for seed in range(6)]
    pairs[1][1][pairs[1][1] == 2] = 0
    pairs[2][0][pairs[2][0] == 2] = 0
    for labels in pairs[3]:
        labels[labels == 2] = 0
    return [case_of(*pair, 3, SPACING) for pair in pairs]


@pytest.fixture(scope="module")
def columns(cases):
    """As a run stores and reads them."""
    rows = [
        overlap_row(case) | surface_row(case, "voxel", TOLERANCE) | surface_row(case, "surfel", TOLERANCE)
        | topology_row(case)
        for case in cases
    ]  # fmt: skip
    return to_columns(to_table(rows))


def of(metrics, name):
    (found,) = [metric for metric in metrics if metric.name == name]
    return found


def test_names_carry_the_convention() -> None:
    names = {metric.name for measure in MEASURES for metric in case_means(measure, NAMES)}
    assert {"dice", "dice[class=liver]", "hd95_max_surfel", "hd95_pooled_voxel", "nsd_2mm_surfel", "nsd_2mm_voxel",
            "assd_pooled_surfel", "masd_voxel", "hd_surfel"} <= names  # fmt: skip
    (px,) = [m.name for m in surface_measures("voxel", 2.5, "px") if m.name.startswith("nsd")]
    assert px == "nsd_2.5px_voxel"
    assert case_means(OVERLAPS[0], NAMES, policy_of("brats"))[1].name == "dice[class=liver,policy=brats]"


@pytest.mark.parametrize("name", ["exclude", "best", "brats"])
def test_means_are_those_of_a_loop_over_cases(cases, columns, name) -> None:
    policy = policy_of(name)
    diagonal = math.sqrt(42**2 + 12**2 + 12.8**2)
    worst = policy.penalty_mm or diagonal
    made = {m.name: m for measure in MEASURES for m in case_means(measure, NAMES, policy)}
    suffix = "" if name == "exclude" else f"policy={name}"
    values = {"dice": [[], []], "hd95_max_surfel": [[], []], "assd_pooled_voxel": [[], []], "nsd_2mm_surfel": [[], []]}
    for case in cases:
        for k in (0, 1):
            g, p = case.masks(k + 1)
            surfel, voxel = (distance.distances(case, kind)[k] for kind in ("surfel", "voxel"))
            if not g.any() and not p.any():
                row = (1, 0, 0, 1) if policy.empty_pair_is_best else (math.nan,) * 4
            elif not g.any() or not p.any():
                row = (0, worst, worst, 0)
            else:
                d = 2 * (g & p).sum() / (g.sum() + p.sum())
                row = (d, distance.hd95_max(surfel), distance.assd(voxel), distance.nsd(surfel, TOLERANCE))
            for stem, value in zip(values, row, strict=True):
                values[stem][k].append(value)
    for stem, per_class in values.items():
        means = [np.nanmean(v) for v in per_class]
        assert made[stem + (f"[{suffix}]" if suffix else "")](columns) == pytest.approx(np.mean(means), rel=1e-12)
        for k, of_class in enumerate(NAMES):
            inside = ",".join(filter(None, [f"class={of_class}", suffix]))
            assert made[f"{stem}[{inside}]"](columns) == pytest.approx(means[k], rel=1e-12)


def test_what_has_no_value_in_a_case_is_in_no_mean(columns) -> None:
    made = {m.name: m for measure in MEASURES for m in case_means(measure, NAMES)}
    assert made["dice[class=spleen]"].observations(columns) == 5
    assert made["dice[class=liver]"].observations(columns) == 6
    assert made["mcc[class=spleen]"].observations(columns) == 3
    assert made["volume_error[class=spleen]"].observations(columns) == 4
    nobody = {name: values[3:4] for name, values in columns.items()}
    with pytest.raises(Undefined, match="in no case"):
        made["dice[class=spleen]"](nobody)
    with pytest.raises(Undefined, match="in no case"):
        made["hd95_max_voxel"](nobody)


def test_every_value_is_within_its_bounds_and_independent_of_order(columns) -> None:
    turned = {name: values[::-1] for name, values in columns.items()}
    made = [m for measure in MEASURES for m in case_means(measure, NAMES)]
    for metric in [*made, *pooled(NAMES), *failure_rate(NAMES, 0.7), *topology(NAMES, 3)]:
        low, high = metric.bounds
        value = metric(columns)
        assert (low is None or value >= low) and (high is None or value <= high), metric.name
        assert metric(turned) == pytest.approx(value, rel=1e-12)
        assert metric.terms(columns).shape == (6, metric.width)
        assert metric.reference


def test_pooled_dice_sums_before_it_divides(columns) -> None:
    both, predicted, true = (columns[name].sum(axis=0) for name in ("intersection", "predicted", "true"))
    assert of(pooled(NAMES), "pooled_dice")(columns) == pytest.approx((2 * both / (predicted + true)).mean())
    assert of(pooled(NAMES), "pooled_iou")(columns) == pytest.approx((both / (predicted + true - both)).mean())


def test_failure_rate_counts_missed_and_made_up_classes(columns) -> None:
    counts = overlap.Counts(columns["intersection"], columns["predicted"], columns["true"], columns["voxels"][:, None])
    dice = overlap.dice(counts)[:, 1]
    expected = np.nanmean(np.where(np.isnan(dice), np.nan, dice < 0.7))
    found = of(failure_rate(NAMES, 0.7), "failure_rate_dice_0.7[class=spleen]")(columns)
    assert found == pytest.approx(expected)
    assert found >= 2 / 5


def test_regions_have_columns_of_their_own(cases) -> None:
    regions = [[1, 2], [2]]
    rows = [overlap_row(case, regions) | surface_row(case, "voxel", TOLERANCE, regions) for case in cases]
    columns = to_columns(to_table(rows))
    whole = case_means(OVERLAPS[0], ("both", "spleen"))[1](columns)
    expected = []
    for case in cases:
        g, p = (sum(case.masks(label)[side] for label in (1, 2)) > 0 for side in (0, 1))
        expected.append(2 * (g & p).sum() / (g.sum() + p.sum()))
    assert whole == pytest.approx(np.mean(expected))
    assert "hd95_max_voxel" in columns


def test_topology_is_a_mean_over_cases(cases, columns) -> None:
    from suite.masks.betti_matching import betti_matching_error
    from suite.masks.topology import betti_error, center_lines, cldice

    made = topology(NAMES, 3)
    pairs = [case.masks(1) for case in cases]
    assert of(made, "cldice[class=liver]")(columns) == pytest.approx(np.mean([cldice(center_lines(*p)) for p in pairs]))
    for d in range(3):
        expected = np.mean([betti_error(*pair)[d] for pair in pairs])
        assert of(made, f"betti_{d}_error[class=liver]")(columns) == pytest.approx(expected)
    for place, d in enumerate((0, 2)):
        expected = np.mean([betti_matching_error(*pair)[place] for pair in pairs])
        assert of(made, f"betti_matching_{d}_error[class=liver]")(columns) == pytest.approx(expected)


def test_a_patient_counts_once_with_all_cases() -> None:
    """p finds 3 of 4 objects in two scans, q none of 2 in one, r has none: recall (3/4 + 0)/2, false positives 6/3."""
    columns = {
        "tp_50": np.array([3, 0, 0, 0]),
        "fn_50": np.array([0, 1, 2, 0]),
        "fp_50": np.array([1, 2, 0, 3]),
        "cluster": np.array(["p", "p", "q", "r"]),
    }
    recall, false = (of(objects(50), f"{name}_per_patient_iou50") for name in ("recall", "fp"))
    assert recall(columns) == pytest.approx(3 / 8)
    assert false(columns) == pytest.approx(2.0)
    found, lesions = [3, 0, 0], [4, 2, 0]
    assert recall(columns) == pytest.approx(recall_per_patient(found, lesions))
    assert false(columns) == pytest.approx(false_positives_per_patient([3, 0, 3]))


def test_objects_over_cases(cases) -> None:
    maps = [[components(mask) for mask in case.masks(2)] for case in cases]
    columns = to_columns(to_table([object_row(*pair, SPACING, (10, 50)) for pair in maps]))
    outcomes = [match(overlaps(*pair), 0.5) for pair in maps]
    tp, fp, fn = np.array([one.counts for one in outcomes]).T
    made = objects(50)
    iou = sum(one.iou.sum() for one in outcomes)
    assert of(made, "pq_iou50")(columns) == pytest.approx(iou / (tp.sum() + fp.sum() / 2 + fn.sum() / 2))
    assert of(made, "sq_iou50")(columns) == pytest.approx(iou / tp.sum())
    assert of(made, "f1_iou50")(columns) == pytest.approx(2 * tp.sum() / (2 * tp.sum() + fp.sum() + fn.sum()))
    shares = [t / (t + n) for t, n in zip(tp, fn, strict=True) if t + n]
    alone = {**columns, "cluster": np.array([f"p{i}" for i in range(len(tp))])}
    assert of(made, "recall_per_patient_iou50")(alone) == pytest.approx(np.mean(shares))
    assert of(made, "fp_per_patient_iou50")(alone) == pytest.approx(fp.mean())
    volumes = np.concatenate([np.unique(g[g > 0], return_counts=True)[1] for g, _ in maps]) * math.prod(SPACING)
    hits = np.concatenate([one.found for one in outcomes])
    smallest = volumes <= np.quantile(volumes, 0.25)
    assert of(made, "recall_iou50[volume=q1]")(columns) == pytest.approx(hits[smallest].mean())
    one = to_columns(to_table([object_row(*maps[0], SPACING, (50,))]))
    assert of(made, "pq_iou50")(one) == pytest.approx(panoptic_quality(outcomes[0]))
    empty = np.zeros((3, 3, 3), dtype=np.int64)
    nothing = {f"{name}_50": np.array([0]) for name in ("tp", "fp", "fn", "iou_sum")}
    with pytest.raises(Undefined, match="no case has an object"):
        of(made, "f1_iou50")(nothing)
    assert object_row(empty, empty, SPACING, (50,))["tp_50"] == 0


def test_calibration_pools_voxels_and_averages_cases() -> None:
    rng = np.random.default_rng(0)
    rows, kept = [], []
    for seed in range(3):
        reference, _ = drawn(seed)
        logits = rng.standard_normal((3, *SHAPE)) + 2 * (np.arange(3)[:, None, None, None] == reference)
        p = np.exp(logits) / np.exp(logits).sum(axis=0)
        rows.append(reliability_row(p, reference))
        kept.append((p.reshape(3, -1).T, reference.ravel()))
    columns = to_columns(to_table(rows))
    made = pixel_calibration()
    assert {metric.name for metric in made} >= {f"ece_15[scope={scope}]" for scope in SCOPES}
    p, y = (np.concatenate(side) for side in zip(*kept, strict=True))
    assert of(made, "nll[scope=all]")(columns) == pytest.approx(-np.log(p[np.arange(len(y)), y]).mean())
    inside = y > 0
    expected = ((p[inside] - np.eye(3)[y[inside]]) ** 2).sum(axis=1).mean()
    assert of(made, "brier[scope=foreground]")(columns) == pytest.approx(expected)

    def ece(p, y):
        top, right = p.max(axis=1), p.argmax(axis=1) == y
        bins = np.digitize(top, np.linspace(0, 1, 16)[1:-1], right=True)
        return sum(abs(right[bins == b].sum() - top[bins == b].sum()) for b in range(15)) / len(y)

    assert of(made, "ece_15[scope=all]")(columns) == pytest.approx(ece(p, y))
    assert of(made, "ece_15_case[scope=all]")(columns) == pytest.approx(np.mean([ece(*one) for one in kept]))
    none = {name: np.zeros_like(values) for name, values in columns.items()}
    with pytest.raises(Undefined, match="no voxel in the scope band"):
        of(made, "ece_15[scope=band]")(none)
