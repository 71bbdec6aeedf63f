"""What a segmentation task declares, and the numbers that follow: by hand, and by other libraries' formulas."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from scipy import ndimage
from segmentation_samples import drawn

from suite import measure
from suite.derived import bits_score
from suite.errors import AnswerError, InputError
from suite.masks.froc import RATES, cpm, froc
from suite.masks.instances import components, recall_by_volume
from suite.masks.lesions import PENALTY_MM, lesion_dice, lesion_hd95, lesions
from suite.masks.raters import ged, hungarian_iou, majority
from suite.metrics.lesions import THRESHOLDS
from suite.metrics.scored import metrics_of
from suite.metrics.scoring import CANDIDATE_PERCENT, Scoring, restored
from suite.outcomes import to_columns, to_table

ALL = Scoring(
    classes=("a", "b"), dimensions=3, tolerance=2.0, tubular=("a",), lesions=("b",), lesion_least_mm3=2.0,
    instances=True, raters=True, failure_dice=0.5, policy="brats",
)  # fmt: skip
PLAIN = Scoring(classes=("a",), dimensions=2, tolerance=1.0, unit="px")
CASES = 8


def values(scoring, rows, by=None):
    ids = np.array([f"c{i}" for i in range(len(rows))])
    columns = {**to_columns(to_table(rows)), "item": ids, "cluster": ids}
    return {m.name: m for m in measure.scores(metrics_of(scoring, by), columns, 0)}


def sure(labels, classes, p=1.0):
    return np.where(np.arange(classes)[(...,) + (None,) * labels.ndim] == labels, p, (1 - p) / (classes - 1))


@pytest.fixture(scope="module")
def cases():
    return [drawn(ALL, seed) for seed in range(CASES)]


@pytest.fixture(scope="module")
def found(cases):
    return values(ALL, [ALL.row(**case) for case in cases])


def test_a_perfect_answer_has_the_best_value_of_everything(cases):
    case = {**cases[0], "probabilities": sure(cases[0]["labels"], 3)}
    case["instances"] = components(case["labels"] > 0)
    case["raters"] = [case["labels"]] * 2
    made = metrics_of(ALL)
    got = values(ALL, [ALL.row(**case)] * 2)
    for metric in made:
        value = got[metric.name].value
        if metric.higher_is_better is None or value is None:
            continue
        best = metric.bounds[1] if metric.higher_is_better else 0.0
        assert value == pytest.approx(best, abs=1e-9), metric.name


def test_names_carry_the_conventions(found):
    expected = {
        *("dice", "iou", "nsd_2mm_surfel", "nsd_2mm_voxel", "hd95_max_surfel", "hd95_pooled_voxel", "masd_surfel"),
        *("assd_pooled_surfel", "pooled_dice", "failure_rate_dice_0.5", "dice[policy=brats]", "cldice[class=a]"),
        *(
            "betti_matching_2_error",
            "pq_iou50",
            "f1_iou10[class=b]",
            "lesionwise_dice_brats[class=b]",
            "ged_v",
            "ged_u",
        ),
        *("cpm_iou10[class=b]", "recall_iou10[class=b,volume=q1]", "classwise_ece_15", "ece_15[scope=band]"),
        *("n_missed[class=a]", "n_spurious[class=a]", "n_na[class=a]", "dice_majority[class=b]"),
    }
    assert expected <= set(found)


def test_raters_agree_with_the_functions_of_all_pairs(cases, found):
    v, u, hungarian, by_class = [], [], [], [[], []]
    for case in cases:
        guess, people = case["probabilities"].argmax(axis=0), [case["labels"], *case["raters"]]
        v.append(ged([guess], people, 3))
        hungarian.append(hungarian_iou([guess], people, 3))
        within = [1 - iou3(a, b) for i, a in enumerate(people) for j, b in enumerate(people) if i != j]
        u.append(2 * np.mean([1 - iou3(guess, one) for one in people]) - np.mean(within))
        most = majority(people, 3)
        for k in (1, 2):
            total = (guess == k).sum() + (most == k).sum()
            if total:
                by_class[k - 1].append(2 * ((guess == k) & (most == k)).sum() / total)
    assert found["ged_v"].value == pytest.approx(np.mean(v))
    assert found["ged_u"].value == pytest.approx(np.mean(u))
    assert found["hungarian_iou"].value == pytest.approx(np.mean(hungarian))
    assert found["dice_majority"].value == pytest.approx(np.mean([np.mean(one) for one in by_class]))


def iou3(first, second):
    shares = []
    for k in (1, 2):
        union = ((first == k) | (second == k)).sum()
        shares.append(((first == k) & (second == k)).sum() / union if union else 1.0)
    return np.mean(shares)


def test_lesion_wise_scores_are_means_over_the_cases_that_have_any(cases, found):
    per_case = [
        lesions(
            case["labels"] == 2, case["probabilities"].argmax(axis=0) == 2, case["spacing_mm"], 1, 2.0, with_hd95=True
        )
        for case in cases
    ]
    assert found["lesionwise_dice_brats[class=b]"].value == pytest.approx(
        np.nanmean([lesion_dice(c) for c in per_case])
    )
    assert found["lesionwise_hd95_brats[class=b]"].value == pytest.approx(
        np.nanmean([lesion_hd95(c) for c in per_case])
    )


def test_lesion_wise_hd95_by_hand_and_by_surface_distance():
    reference = np.zeros((12, 30, 30), dtype=bool)
    reference[4:8, 4:10, 4:10] = True
    reference[4:8, 20:26, 4:10] = True  # missed
    prediction = np.zeros_like(reference)
    prediction[4:8, 4:10, 6:12] = True  # moved by two
    prediction[4:8, 20:26, 20:26] = True  # made up
    case = lesions(reference, prediction, (1.0, 1.0, 1.0), 1, 2.0, with_hd95=True)
    near, far = case.hd95_mm
    assert (near, far, case.false_positives) == (2.0, PENALTY_MM, 1)
    assert lesion_hd95(case) == pytest.approx((2.0 + 2 * PENALTY_MM) / 3)
    assert math.isnan(lesion_hd95(lesions(~reference & reference, reference & ~reference, (1.0,) * 3, with_hd95=True)))


def test_free_response_agrees_with_the_curve_of_all_candidates(cases, found):
    hits, false, n = [], [], 0
    for case in cases:
        true, guess = case["labels"] == 2, case["probabilities"].argmax(axis=0) == 2
        numbered, candidates = np.where(true, case["instances"], 0), components(guess)
        ids = [i for i in np.unique(numbered) if i]
        n += len(ids)
        scores = {q: case["probabilities"][2][candidates == q].max() for q in range(1, candidates.max() + 1)}
        pairs = [
            (((numbered == i) & (candidates == q)).sum() / ((numbered == i) | (candidates == q)).sum(), i, q)
            for i in ids for q in scores
        ]  # fmt: skip
        taken = best_pairs([p for p in pairs if p[0] > CANDIDATE_PERCENT / 100])
        hits += [scores[q] for _, _, q in taken]
        false += [score for q, score in scores.items() if q not in {q for _, _, q in taken}]
    hits, false = (np.array([THRESHOLDS[score >= THRESHOLDS][0] for score in scores]) for scores in (hits, false))
    x, y = froc(hits, false, n, CASES)
    assert found["cpm_iou10[class=b]"].value == pytest.approx(cpm(x, y))
    for rate in RATES:
        name = f"froc_sensitivity_iou10[class=b,fp={rate:g}]"
        assert found[name].value == pytest.approx(np.interp(rate, x, y))


def test_every_metric_can_be_compared_between_two_models_on_the_same_cases(cases):
    other = [{**case, "probabilities": sure(case["labels"], 3, 0.9)} for case in cases]
    ids = np.array([f"c{i}" for i in range(CASES)])
    a, b = (
        {**to_columns(to_table([ALL.row(**case) for case in some])), "item": ids, "cluster": ids}
        for some in (cases, other)
    )
    for metric in metrics_of(ALL):
        assert metric.terms(metric.rows(a)).shape == metric.terms(metric.rows(b)).shape, metric.name


def best_pairs(pairs):
    """The one-to-one choice of the largest sum, by trying all."""
    if not pairs:
        return []
    head, rest = pairs[0], pairs[1:]
    without = best_pairs(rest)
    using = [head, *best_pairs([p for p in rest if p[1] != head[1] and p[2] != head[2]])]
    return max(without, using, key=lambda chosen: sum(p[0] for p in chosen))


def test_recall_by_volume_agrees_with_the_function_of_all_objects(cases, found):
    rows = [ALL.row(**case) for case in cases]
    volumes = np.concatenate([row["b.object_mm3"] for row in rows])
    hits = np.concatenate([row["b.found_10"] for row in rows]).astype(bool)
    for k, recall in enumerate(recall_by_volume(volumes, hits)[1], start=1):
        value = found[f"recall_iou10[class=b,volume=q{k}]"].value
        assert value == pytest.approx(recall) if np.isfinite(recall) else value is None


def test_classwise_calibration_agrees_with_netcals_formula(cases, found):
    p = np.concatenate([case["probabilities"].reshape(3, -1) for case in cases], axis=1)
    y = np.concatenate([case["labels"].ravel() for case in cases])
    gaps = []
    for k in range(3):
        which = np.minimum(np.digitize(p[k], np.linspace(0, 1, 16), right=True).clip(1) - 1, 14)
        gaps.append(sum(abs((y == k)[which == b].sum() - p[k][which == b].sum()) for b in range(15)) / len(y))
    assert found["classwise_ece_15"].value == pytest.approx(np.mean(gaps))
    assert found["classwise_ece_15[class=b]"].value == pytest.approx(gaps[2])


def test_counts_stand_beside_every_mean(cases, found):
    truth = [(case["labels"] == 1).any() for case in cases]
    guess = [(case["probabilities"].argmax(axis=0) == 1).any() for case in cases]
    assert found["n_missed[class=a]"].value == sum(t and not g for t, g in zip(truth, guess, strict=True))
    assert found["n_spurious[class=a]"].value == sum(g and not t for t, g in zip(truth, guess, strict=True))
    assert found["n_na[class=a]"].value == sum(not t and not g for t, g in zip(truth, guess, strict=True))
    assert found["dice[class=a]"].n == CASES - found["n_na[class=a]"].value


def test_the_other_policy_scores_an_empty_pair_as_perfect_and_charges_374_mm():
    empty, full = np.zeros((4, 8, 8), dtype=int), np.ones((4, 8, 8), dtype=int)
    scoring = Scoring(classes=("a",), dimensions=3, tolerance=1.0, policy="brats")
    pairs = [(empty, empty), (full, empty)]  # reference, prediction
    got = values(scoring, [scoring.row(sure(p, 2), r, spacing_mm=(1.0,) * 3) for r, p in pairs])
    assert (got["dice"].value, got["dice"].n) == (0.0, 1)
    assert got["dice[policy=brats]"].value == 0.5
    assert got["hd95_max_surfel[policy=brats]"].value == 374.0 / 2
    assert got["hd95_max_surfel"].value == pytest.approx(math.hypot(4, 8, 8))


def test_regions_are_scored_in_the_place_of_classes():
    scoring = Scoring(
        classes=("edema", "core"), dimensions=2, tolerance=1.0, unit="px",
        regions={"whole": ("edema", "core"), "core*": ("core",)},
    )  # fmt: skip
    labels, guess = np.zeros((10, 10), dtype=int), np.zeros((10, 10), dtype=int)
    labels[2:8, 2:8], labels[4:6, 4:6] = 1, 2
    guess[2:8, 2:8] = 1
    got = values(scoring, [scoring.row(sure(guess, 3), labels)] * 2)
    assert got["dice[class=whole]"].value == 1.0
    assert got["dice[class=core*]"].value == 0.0
    assert got["n_missed[class=core*]"].value == 2


def test_ignored_voxels_count_nowhere():
    scoring = Scoring(
        classes=("a",), dimensions=2, tolerance=1.0, unit="px", ignore_label=255, lesions=("a",), raters=True
    )
    labels, guess = np.zeros((12, 12), dtype=int), np.zeros((12, 12), dtype=int)
    labels[2:5, 2:5], guess[2:5, 2:5] = 1, 1
    labels[8:, :], guess[8:, :6] = 255, 1
    got = values(scoring, [scoring.row(sure(guess, 2, 0.99), labels, raters=[labels])] * 2)
    assert [got[n].value for n in ("dice", "nsd_1px_surfel", "f1_iou50[class=a]", "hungarian_iou")] == [1, 1, 1, 1]
    assert got["fp_per_patient_iou50[class=a]"].value == 0


def test_groups_are_compared_on_dice_iou_and_nsd(cases):
    rows = [{**ALL.row(**case), "group.site": "AB"[i % 2]} for i, case in enumerate(cases)]
    got = values(ALL, rows, {"site": ("A", "B")})
    for head in ("dice", "iou", "nsd_2mm_surfel"):
        a, b, whole = (got[f"{head}{suffix}"].value for suffix in ("[site=A]", "[site=B]", ""))
        assert got[f"worst_group_{head}[site]"].value == min(a, b)
        assert got[f"{head}_gap[site]"].value == pytest.approx(abs(a - b))
        assert got[f"es_{head}[site]"].value == pytest.approx(whole / (1 + abs(a - whole) + abs(b - whole)))
        assert got[f"es_std_{head}[site]"].value == pytest.approx(whole / (1 + np.std([a, b], ddof=1)))
        assert 0 < got[f"{head}_gap_p[site]"].value <= 1


def test_what_is_declared_survives_text():
    scoring = Scoring(
        classes=("a", "b"), dimensions=2, tolerance=2.0, regions={"whole": ("a", "b")}, tubular=("whole",)
    )
    assert restored(json.loads(json.dumps(scoring.description()))) == scoring
    with pytest.raises(InputError, match="describes no scoring"):
        restored({"colour": 1})


@pytest.mark.parametrize(
    ("wrong", "line"),
    [
        ({"classes": ()}, "need distinct names"),
        ({"classes": ("a", "a")}, "need distinct names"),
        ({"classes": ("a,b",)}, "need distinct names"),
        ({"tubular": ("x",)}, "unknown tubular class"),
        ({"lesions": ("x",)}, "unknown lesion class"),
        ({"regions": {"w": ("x",)}}, "unknown class of a region"),
        ({"regions": {"w": ()}}, "at least one class"),
        ({"policy": "x"}, "unknown policy"),
        ({"dimensions": 4}, "2 or 3 spatial axes"),
        ({"failure_dice": 2}, "failure_dice"),
        ({"ignore_label": 1}, "ignore_label"),
        ({"tolerance": 0}, "positive"),
        ({"tolerance": 0.5}, "below the finest spacing"),
    ],
)
def test_what_cannot_be_scored_is_refused_in_one_line(wrong, line):
    with pytest.raises(InputError, match=line):
        Scoring(**{"classes": ("a",), "dimensions": 2, "tolerance": 1.0, "unit": "px", **wrong})


def test_bad_answers_and_references():
    labels = np.zeros((6, 6), dtype=int)
    labels[2:4, 2:4] = 1
    good = sure(labels, 2)
    with pytest.raises(AnswerError, match="answers 3 classes, the task has 2"):
        PLAIN.row(sure(labels, 3), labels)
    with pytest.raises(AnswerError, match="shape"):
        PLAIN.row(good[:, :5], labels)
    with pytest.raises(AnswerError, match="sum to"):
        PLAIN.row(good * 0.9, labels)
    with pytest.raises(AnswerError, match="no number"):
        PLAIN.row(good * np.nan, labels)
    with pytest.raises(InputError, match="label 7"):
        PLAIN.row(good, np.where(labels, 7, 0))
    millimetres = Scoring(classes=("a",), dimensions=2, tolerance=1.0)
    with pytest.raises(InputError, match="below the finest spacing"):
        millimetres.row(good, labels, spacing_mm=(2.0, 3.0))
    with pytest.raises(InputError, match="states no spacing"):
        millimetres.row(good, labels)
    with pytest.raises(InputError, match="no instance map"):
        Scoring(classes=("a",), dimensions=2, tolerance=1.0, unit="px", instances=True).row(good, labels)


def test_objects_of_the_task_are_components_of_its_foreground():
    scoring = Scoring(classes=("a", "b"), dimensions=2, tolerance=1.0, unit="px", instances=True)
    labels = np.zeros((12, 12), dtype=int)
    labels[1:5, 1:5], labels[1:5, 5:9] = 1, 2  # two objects that touch
    numbered = labels.copy()
    got = values(scoring, [scoring.row(sure(labels, 3), labels, instances=numbered)] * 2)
    joined = ndimage.label(labels > 0)[1]
    assert joined == 1
    assert got["f1_iou10"].value == pytest.approx(2 * 1 / (2 * 1 + 0 + 1))  # one component for two objects


def test_bits_score_by_hand():
    assert bits_score(0.95, 4.0) == pytest.approx(100 / (0.5 / 0.5 + 0.5 / 0.4))
    assert bits_score(1.2, 64.0) == 100.0
    assert bits_score(0.5, 64.0) == pytest.approx(100 / (0.5 / 0.05 + 0.5))
    for wrong in ((-1, 2), (1, 0), (math.nan, 2)):
        with pytest.raises(InputError):
            bits_score(*wrong)
