"""The fairness operator: by hand, against fairlearn where it agrees, and by stated cases where it does not."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from metric_samples import labelled, multiclass, softmax

from suite import compare, measure
from suite.errors import Undefined
from suite.metrics import (
    calibration,
    chance,
    classification,
    codes,
    decisions,
    enrichment,
    fairness,
    groups,
    ranking,
    reliability,
    selective,
)
from suite.metrics.base import Columns, Metric, not_additive
from suite.metrics.counted import ByCounts

SEX, AGE = "group.sex", "group.age"
AUROC = ranking.ranking()[0]


def people(n: int = 600, seed: int = 0) -> Columns:
    """Two classes; sex and age matter a little; one item in ten says no age."""
    rng = np.random.default_rng(1000 + seed)  # not the stream of the labels
    c = multiclass(n, classes=2, seed=seed)
    sex, age = rng.choice(["f", "m"], n), rng.choice(["", "old", "young", "middle"], n, p=[0.1, 0.3, 0.3, 0.3])
    weight = np.where(sex == "f", 1.0, 0.4)[:, None]
    return {**labelled(softmax(weight * np.log(c["probs"])), c["label"]), SEX: sex, AGE: age}


def one_attribute(correct: list[int], group: list[str]) -> Columns:
    return {"correct": np.array(correct), "group.x": np.array(group), "cluster": np.arange(len(correct))}


def values_of(metrics: tuple[Metric, ...], c: Columns) -> dict[str, float | None]:
    return {m.name: m.value for m in measure.scores(metrics, c, seed=0)}


# ---- values by group -------------------------------------------------------------------------------------------------


def test_every_spread_by_hand() -> None:
    """Values 0.75 (a), 0.5 (b), 0 (c, too small), overall 5 of 9 with one item of no group."""
    c = one_attribute([1, 1, 1, 0, 1, 0, 0, 0, 1], ["a"] * 4 + ["b"] * 2 + ["c"] * 2 + [""])
    c["group.x"][7] = ""  # c is left with one item
    m, whole = classification.ACCURACY, 5 / 9
    found = {make.__name__: make(m, "x", 2)(c) for make in (
        groups.worst_group, groups.gap, groups.ratio, groups.equity_scaled, groups.equity_scaled_std, groups.left_out
    )}  # fmt: skip
    assert found == pytest.approx({
        "worst_group": 0.5,
        "gap": 0.25,
        "ratio": 2 / 3,
        "equity_scaled": whole / (1 + abs(0.75 - whole) + abs(0.5 - whole)),
        "equity_scaled_std": whole / (1 + np.std([0.75, 0.5], ddof=1)),
        "left_out": 3,
    })  # fmt: skip
    assert groups.gap(m, "x")(c) == 0.75  # with least = 1 the one item of c makes all the difference


def test_a_small_group_is_shown_as_too_small_and_counted() -> None:
    c = one_attribute([1] * 30 + [0] * 30 + [1] * 19, ["a"] * 60 + ["b"] * 19)
    found = {m.name: m for m in measure.scores(fairness.by_group(classification.ACCURACY, "x", ["a", "b"]), c, seed=0)}
    assert (found["accuracy[x=b]"].value, found["accuracy[x=b]"].n) == (None, 19)
    assert found["accuracy[x=b]"].reason == "19 items with group.x = b, at least 20 needed"
    assert found["n_left_out_accuracy[x]"].value == 19
    assert found["accuracy_gap[x]"].value is None
    assert found["accuracy_gap[x]"].reason == "fewer than two groups of x have a value"
    assert (found["accuracy[x=a]"].value, found["accuracy[x=a]"].n) == (0.5, 60)


def test_the_names_of_a_frame() -> None:
    assert [m.name for m in fairness.by_group(classification.ACCURACY, "sex", ["f"])] == [
        *("accuracy[sex=f]", "worst_group_accuracy[sex]", "accuracy_gap[sex]", "accuracy_gap_p[sex]"),
        *("accuracy_gap_null[sex]", "n_left_out_accuracy[sex]", "accuracy_ratio[sex]", "es_accuracy[sex]"),
        "es_std_accuracy[sex]",
    ]
    names = [m.name for m in fairness.by_group(calibration.ECE_15, ("sex", "age"), [("f", "old")])]
    assert names[0] == "ece_15[age=old,sex=f]"
    assert "ece_15_gap[sex,age]" in names
    assert not [name for name in names if name.startswith("es_")]
    of_class = replace(selective.AURC, name="aurc[class=cat]")
    assert groups.gap(of_class, "sex").name == "aurc_gap[class=cat,sex]"


@pytest.mark.parametrize(
    "metric",
    (classification.ACCURACY, calibration.ECE_15, AUROC, reliability.ECE_EQUALMASS, decisions.MCC, decisions.f1()),
    ids=lambda m: m.name,
)  # fmt: skip
def test_any_metric_by_any_groups_agrees_with_its_values_on_the_parts(metric: Metric) -> None:
    c = people()
    parts = {
        (s, a): {n: v[(c[SEX] == s) & (c[AGE] == a)] for n, v in c.items()}
        for s in "fm"
        for a in ("old", "young", "middle")
    }
    each = {pair: metric(part) for pair, part in parts.items()}
    frame = fairness.by_group(metric, ("sex", "age"), list(each))
    found = values_of(frame, c)
    for (sex, age), value in each.items():
        assert found[f"{metric.name}[age={age},sex={sex}]"] == pytest.approx(value)
    assert found[f"{metric.name}_gap[sex,age]"] == pytest.approx(max(each.values()) - min(each.values()))
    worst = min(each.values()) if metric.higher_is_better else max(each.values())
    assert found[f"worst_group_{metric.name}[sex,age]"] == pytest.approx(worst)
    assert found[f"n_left_out_{metric.name}[sex,age]"] == (c[AGE] == "").sum()
    if metric.bounds[0] == 0:
        assert found[f"{metric.name}_ratio[sex,age]"] == pytest.approx(min(each.values()) / max(each.values()))
    if metric is AUROC:  # X over everything, the items without an age included
        spread = np.abs(np.array(list(each.values())) - AUROC(c)).sum()
        assert found["es_auroc[sex,age]"] == pytest.approx(AUROC(c) / (1 + spread))


@pytest.mark.parametrize("metric", (classification.ACCURACY, AUROC), ids=lambda m: m.name)
def test_intervals_hold_the_value_and_the_order_of_rows_changes_nothing(metric: Metric) -> None:
    c = people()
    order = np.random.default_rng(4).permutation(len(c["label"]))
    again = {name: values[order] for name, values in c.items()}
    metrics = fairness.by_group(metric, "sex", ["f", "m"])
    for m, found in zip(metrics, measure.scores(metrics, c, seed=0), strict=True):
        assert found.value == pytest.approx(m(again), rel=1e-12)
        if m.no_interval is None:
            assert found.low is not None
            assert found.high is not None
            assert found.low <= found.value <= found.high


def test_a_group_without_a_value_takes_no_part_in_a_metric_of_rows() -> None:
    """c has negatives only: no AUROC, so the gap is that of a and b."""
    c = {**people(300), "group.x": np.array(["a", "b", "c"])[np.arange(300) % 3]}
    c["label"] = np.where(c["group.x"] == "c", 0, c["label"])
    a, b = (AUROC({n: v[c["group.x"] == g] for n, v in c.items()}) for g in "ab")
    assert groups.gap(AUROC, "x")(c) == pytest.approx(abs(a - b))
    with pytest.raises(Undefined, match="nothing to rank"):
        groups.of_group(AUROC, "x", "c")(c)
    (m,) = measure.scores([groups.gap(AUROC, "x", 20)], c, seed=0)
    assert m.low is not None


def test_what_cannot_be_spread() -> None:
    with pytest.raises(ValueError, match="already"):
        groups.gap(groups.gap(classification.ACCURACY, "sex"), "age")
    with pytest.raises(ValueError, match="already"):
        groups.gap(groups.gap(AUROC, "sex"), "age")
    with pytest.raises(ValueError, match="never negative"):
        groups.ratio(decisions.MCC, "sex")
    for metric in (classification.NLL, decisions.MCC, calibration.ECE_15):
        with pytest.raises(ValueError, match="within"):
            groups.equity_scaled_std(metric, "sex")


# ---- against fairlearn -----------------------------------------------------------------------------------------------


def inputs(c: Columns) -> dict[str, Any]:
    return {"y_true": c["label"], "y_pred": c["probs"].argmax(axis=1), "sensitive_features": c[SEX]}


def test_parity_agrees_with_fairlearn() -> None:
    theirs = pytest.importorskip("fairlearn.metrics")
    c = people(400)
    c[SEX][:60] = "x"
    found = values_of(fairness.parity("sex"), c)
    given = inputs(c)
    expected = {
        "demographic_parity_difference[sex]": theirs.demographic_parity_difference(**given),
        "demographic_parity_ratio[sex]": theirs.demographic_parity_ratio(**given),
        "equal_opportunity_difference[sex]": theirs.equal_opportunity_difference(**given),
        "equal_opportunity_ratio[sex]": theirs.equal_opportunity_ratio(**given),
        "equalized_odds_difference[sex]": theirs.equalized_odds_difference(**given),
        "equalized_odds_difference_mean[sex]": theirs.equalized_odds_difference(**given, agg="mean"),
        "equalized_odds_ratio[sex]": theirs.equalized_odds_ratio(**given),
        "equalized_odds_ratio_mean[sex]": theirs.equalized_odds_ratio(**given, agg="mean"),
    }
    assert found == pytest.approx(expected)


def test_a_frame_agrees_with_fairlearn_and_its_bootstrap() -> None:
    theirs = pytest.importorskip("fairlearn.metrics")
    from sklearn.metrics import accuracy_score, roc_auc_score

    c = people(800)
    frame = theirs.MetricFrame(
        metrics=accuracy_score, **inputs(c), n_boot=300, ci_quantiles=[0.025, 0.975], random_state=0
    )
    (gap,) = measure.scores([groups.gap(classification.ACCURACY, "sex")], c, seed=0)
    assert gap.value == pytest.approx(frame.difference())
    assert groups.ratio(classification.ACCURACY, "sex")(c) == pytest.approx(frame.ratio())
    assert (gap.low, gap.high) == pytest.approx(tuple(frame.difference_ci()), abs=0.02)
    scores = {**inputs(c), "y_pred": c["probs"][:, 1]}
    assert groups.gap(AUROC, "sex")(c) == pytest.approx(
        theirs.MetricFrame(metrics=roc_auc_score, **scores).difference()
    )


def test_a_group_without_positives_is_not_zero_as_fairlearn_has_it() -> None:
    """TPR 2/3 in a and b, no positive in c: fairlearn takes TPR 0 there, and finds a difference of 2/3 in nothing."""
    predicted = np.array([1, 1, 0, 0, 1, 1, 0, 0, 0, 0, 0])
    c = labelled(np.eye(2)[predicted], np.array([1, 1, 1, 0, 1, 1, 1, 0, 0, 0, 0]))
    c[SEX] = np.array(["a"] * 4 + ["b"] * 4 + ["c"] * 3)
    found = values_of(fairness.parity("sex", least=1), c)
    assert found["equal_opportunity_difference[sex]"] == 0
    assert found["equalized_odds_difference[sex]"] == 0
    (m,) = measure.scores([groups.of_group(decisions.tpr(), "sex", "c")], c, seed=0)
    assert (m.value, m.n) == (None, 0)
    theirs = pytest.importorskip("fairlearn.metrics")
    assert theirs.equalized_odds_difference(**inputs(c)) == pytest.approx(2 / 3)


def test_three_positives_are_too_few_for_a_rate_that_needs_twenty() -> None:
    """TPR 0.5 in a, 0.75 in b; c has 37 negatives and 3 positives, none of them found. FPR 0, 0 and 10 of 37."""
    label = np.array([1] * 40 + [0] * 40 + [1] * 40 + [0] * 40 + [1] * 3 + [0] * 37)
    predicted = np.array([1] * 20 + [0] * 60 + [1] * 30 + [0] * 50 + [0] * 3 + [1] * 10 + [0] * 27)
    c = labelled(np.eye(2)[predicted], label)
    c[SEX] = np.array(["a"] * 80 + ["b"] * 80 + ["c"] * 40)
    found = {m.name: m for m in measure.scores(fairness.parity("sex", merged=True), c, seed=0)}
    assert found["equal_opportunity_difference[sex]"].value == 0.25
    assert found["equalized_odds_difference[sex]"].value == pytest.approx(10 / 37)  # of the FPR, for which c has enough
    assert found["equalized_odds_difference_mean[sex]"].value == pytest.approx((0.25 + 10 / 37) / 2)
    assert found["equalized_odds_difference[sex]"].low < 10 / 37 < found["equalized_odds_difference[sex]"].high
    one = {m.name: m.value for m in measure.scores(fairness.parity("sex", least=1), c, seed=0)}
    assert one["equalized_odds_difference[sex]"] == 0.75  # as fairlearn, which has no least number


def test_names_that_mean_something_else_elsewhere() -> None:
    """On one data set: ours 0.4; AIF360's signed half sum is 0, as errors cancel; torchmetrics' EO is a TPR ratio."""
    torch = pytest.importorskip("torch")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from torchmetrics.functional.classification import binary_fairness

    rates = {"a": (0.8, 0.2), "b": (0.4, 0.6)}  # TPR, FPR
    rows = [
        (g, y, i < round(10 * p))
        for g, pair in rates.items()
        for y, p in ((1, pair[0]), (0, pair[1]))
        for i in range(10)
    ]
    c = labelled(np.eye(2)[[int(yes) for _, _, yes in rows]], np.array([y for _, y, _ in rows]))
    c[SEX] = np.array([g for g, _, _ in rows])
    found = values_of(fairness.parity("sex", least=1), c)
    assert found["equalized_odds_difference[sex]"] == pytest.approx(0.4)
    assert found["equalized_odds_difference_mean[sex]"] == pytest.approx(0.4)
    signed_half_sum = ((rates["b"][0] - rates["a"][0]) + (rates["b"][1] - rates["a"][1])) / 2
    assert signed_half_sum == pytest.approx(0, abs=1e-12)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = binary_fairness(
            torch.from_numpy(c["probs"].argmax(axis=1)),
            torch.from_numpy(c["label"].copy()),
            torch.from_numpy((c[SEX] == "b").astype(int)),
            task="equal_opportunity",
        )
    assert next(iter(theirs.values())).item() == pytest.approx(found["equal_opportunity_ratio[sex]"])


def test_a_ratio_of_nothing_but_zeros_has_no_value() -> None:
    c = labelled(np.eye(2)[[0] * 40], np.array([0, 1] * 20))
    c[SEX] = np.array(["f"] * 20 + ["m"] * 20)
    found = {m.name: m for m in measure.scores(fairness.parity("sex", least=1), c, seed=0)}
    assert found["demographic_parity_difference[sex]"].value == 0
    assert found["demographic_parity_ratio[sex]"].value is None
    assert found["demographic_parity_ratio[sex]"].reason


# ---- chance ----------------------------------------------------------------------------------------------------------


def test_a_gap_of_pure_chance_is_shown_as_such() -> None:
    """Labels that have nothing to do with the answers: the gap of a group of 25 is large, and chance says so."""
    rng = np.random.default_rng(3)
    c = one_attribute((rng.random(525) < 0.8).astype(int).tolist(), ["a"] * 500 + ["b"] * 25)
    frame = values_of(fairness.by_group(classification.ACCURACY, "x", ["a", "b"]), c)
    assert (frame["accuracy_gap[x]"] or 0) < (frame["accuracy_gap_null[x]"] or 0)
    assert (frame["accuracy_gap_p[x]"] or 0) > 0.05
    assert 0.1 < (frame["accuracy_gap_null[x]"] or 0) < 0.2  # 1.96 sqrt(0.8 * 0.2 / 25) = 0.157
    real = one_attribute([1] * 450 + [0] * 50 + [1] * 10 + [0] * 15, ["a"] * 500 + ["b"] * 25)
    assert chance.gap_p(classification.ACCURACY, "x")(real) == pytest.approx(1 / 1001)


@pytest.mark.parametrize("metric", (classification.NLL, selective.AURC), ids=lambda m: m.name)
def test_the_p_value_agrees_with_scipy(metric: Metric) -> None:
    """Two groups: the permutation test of the absolute difference; within the error of 1,000 and of 200 draws."""
    from scipy.stats import permutation_test

    c = people(80, seed=8)
    columns = {name: c[name] for name in metric.needs}

    def statistic(first: Any, second: Any) -> float:
        a, b = (metric({n: v[rows.astype(int)] for n, v in columns.items()}) for rows in (first, second))
        return abs(a - b)

    rows = [np.flatnonzero(c[SEX] == s).astype(float) for s in "fm"]
    theirs = permutation_test(rows, statistic, n_resamples=1000, alternative="greater", rng=np.random.default_rng(0))
    error = 4 * np.sqrt(theirs.pvalue * (1 - theirs.pvalue) / (200 if metric.whole else 1000)) + 0.005
    assert chance.gap_p(metric, "sex")(c) == pytest.approx(theirs.pvalue, abs=error)


@pytest.mark.parametrize("metric", (classification.ACCURACY, AUROC), ids=lambda m: m.name)
def test_chance_within_one_group_of_another_column(metric: Metric) -> None:
    c = people()
    inside = {name: values[c[AGE] == "old"] for name, values in c.items()}
    old = groups.of_group(metric, "age", "old")
    for make in (chance.gap_p, chance.gap_null, groups.gap):
        assert make(old, "sex")(c) == pytest.approx(make(metric, "sex")(inside))


def test_whole_clusters_exchange_their_labels() -> None:
    """10 patients of 30 equal items each: item by item the gap cannot be chance, patient by patient it may well be."""
    right = np.repeat([1, 1, 1, 0, 1, 0, 1, 0, 1, 0], 30)
    c = one_attribute(right.tolist(), ["a"] * 150 + ["b"] * 150)
    assert chance.gap_p(classification.ACCURACY, "x")(c) < 0.01
    c["cluster"] = np.repeat(np.arange(10), 30)
    assert chance.gap_p(classification.ACCURACY, "x")(c) > 0.3


@pytest.mark.parametrize("metric", (classification.NLL, calibration.ECE_15), ids=lambda m: m.name)
def test_gaps_of_permutations_are_those_of_the_metric_on_the_dealt_groups(metric: Metric) -> None:
    c = {**people(400), "cluster": np.arange(400)}
    codes_N2 = codes.Grouping("sex").coded(c)
    deals = chance.Deals()
    found = chance.permuted(metric, c, codes_N2, 0.0, deals).gaps_P
    for gap, labels in zip(found[:40], deals.labels(codes_N2[:, 0], np.zeros(400, dtype=np.int64)), strict=False):
        values = [metric({name: values[labels == g] for name, values in c.items()}) for g in (0, 1)]
        assert gap == pytest.approx(abs(values[0] - values[1]), abs=1e-12)


@pytest.mark.parametrize("metric", (AUROC, ranking.ranking()[1], enrichment.early()[-1]), ids=lambda m: m.name)
@pytest.mark.parametrize("per_cluster", (1, 4))
def test_gaps_of_ranks_sorted_once_are_those_of_each_group_alone(metric: Metric, per_cluster: int) -> None:
    """Tied scores, clusters of one group and of several, a group of nine that lacks a class now and then."""
    c = {**people(120), "cluster": np.arange(120) // per_cluster}
    c["probs"] = c["probs"].round(1)
    codes_N2 = np.stack([np.where(np.arange(120) < 9, 2, c["cluster"] % 4 // 2), np.full(120, 3)], axis=1)
    codes_N2[40:43, 0] = [0, 1, -1]
    assert isinstance(metric.whole, ByCounts)
    plain = replace(metric, whole=metric.whole.whole)
    found, expected = (chance.permuted(m, c, codes_N2, 0.0, chance.Deals()).gaps_P for m in (metric, plain))
    assert len(found) >= 190
    assert found == pytest.approx(expected, rel=1e-12)


def test_permutations_that_threads_share_give_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    c = {**people(400), "cluster": np.arange(400)}
    codes_N2 = codes.Grouping("sex").coded(c)
    alone = chance.permuted(calibration.ECE_15, c, codes_N2, 0.0, chance.Deals()).gaps_P
    monkeypatch.setattr(chance, "_BATCH", 800)  # two labels a deal at a time, and sums by two threads
    shared = chance.permuted(calibration.ECE_15, c, codes_N2, 0.0, chance.Deals()).gaps_P
    assert np.array_equal(alone, shared)


def test_labels_that_differ_within_clusters_stay_in_them() -> None:
    """Every cluster has one item of each group and b is always the worse one: no deal within pairs gives as much."""
    rng = np.random.default_rng(0)
    base = rng.normal(size=12) * 10
    nll = np.stack([base, base + 1], axis=1).ravel()
    c = {"nll": nll + 100, "group.x": np.array(["a", "b"] * 12), "cluster": np.repeat(np.arange(12), 2)}
    assert chance.gap_p(classification.NLL, "x")(c) == pytest.approx(2 / 2**12, abs=0.002)
    order = rng.permutation(24)
    again = {name: values[order] for name, values in c.items()}
    assert chance.gap_null(classification.NLL, "x")(again) == pytest.approx(chance.gap_null(classification.NLL, "x")(c))
    c["cluster"] = np.arange(24)
    assert chance.gap_p(classification.NLL, "x")(c) > 0.5  # unpaired the noise hides it


BRIER_OF_ROWS = replace(
    classification.BRIER,
    terms=not_additive,
    finish=not_additive,
    whole=lambda columns: float(columns["brier"].mean()),
)


@pytest.mark.parametrize("metric", (classification.BRIER, BRIER_OF_ROWS), ids=("sums", "rows"))
@pytest.mark.parametrize("changed", (1, 20))
def test_a_few_clusters_of_several_groups_leave_the_others_exchangeable(metric: Metric, changed: int) -> None:
    """100 patients of 4 items and a gap of 0.3: one item relabelled, or 20 empty cells, hide nothing."""
    patient = np.repeat(np.arange(100), 4)
    noise = np.random.default_rng(0).normal(size=100)[patient] * 0.2
    c = {"brier": 1 + 0.3 * (patient >= 50) + noise, "group.x": np.where(patient < 50, "a", "b"), "cluster": patient}
    before = chance.gap_null(metric, "x")(c)
    c["group.x"][:: 400 // changed] = "b" if changed == 1 else ""
    assert groups.gap(metric, "x", merged=True)(c) > 0.27
    assert chance.gap_p(metric, "x", merged=True)(c) < 0.01
    assert chance.gap_null(metric, "x", merged=True)(c) < 2 * before < 0.25


def test_whole_clusters_exchange_labels_and_items_of_the_others_stay_in_theirs() -> None:
    """Clusters 0 and 2 have one group each, 1 and 3 have two: only 1's and 3's items are units of their own."""
    cluster_N, code_N = np.array([3, 0, 1, 2, 1, 0, 3, 3]), np.array([0, 1, 1, 0, 0, 1, 1, 0])
    unit_N, code_U, block_U = chance._units(cluster_N, code_N, [np.array([5, 0, 0, 0, 0, 0, 0, 4])])
    assert unit_N.tolist() == [5, 0, 3, 1, 2, 0, 6, 4]
    assert code_U.tolist() == [1, 0, 0, 1, 0, 0, 1]
    assert len(set(block_U[:2])) == len(set(block_U[2:4])) == len(set(block_U[4:])) == 1
    assert (np.diff(block_U)[[1, 3]] > 0).all()


@pytest.mark.parametrize("metric", (classification.ACCURACY, AUROC), ids=lambda m: m.name)
@pytest.mark.parametrize("mixed", (200, 120))
def test_within_clusters_the_order_of_rows_changes_nothing(metric: Metric, mixed: int) -> None:
    c = people(200)
    c["cluster"] = np.arange(200) // 4
    c[SEX][mixed:] = c[SEX][c["cluster"][mixed:] * 4]
    order = np.random.default_rng(9).permutation(200)
    again = {name: values[order] for name, values in c.items()}
    for make in (chance.gap_p, chance.gap_null):
        assert make(metric, "sex")(again) == pytest.approx(make(metric, "sex")(c), rel=1e-12)


# ---- harm by compression ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", (classification.ACCURACY, calibration.ECE_15, AUROC), ids=lambda m: m.name)
def test_the_change_of_every_group_value_and_of_the_gap_is_paired(metric: Metric) -> None:
    parent = people(600)
    noise = np.where(parent[SEX] == "m", np.random.default_rng(6).normal(size=600) * 2, 0)[:, None] * [1, -1]
    child = {**parent, **labelled(softmax(np.log(parent["probs"]) + noise), parent["label"])}
    metrics = fairness.by_group(metric, "sex", ["f", "m"])
    changes = compare.on_same_items(parent, child, metrics, seed=0)
    for m in metrics:
        change = changes[m.name]
        assert change.value == pytest.approx(m(child) - m(parent), abs=1e-12)
        if m.name.endswith("[sex=f]"):
            assert change.value == 0
        if m.name.endswith("_gap[sex]"):
            assert change.low is not None
            assert change.high is not None
            assert change.low <= change.value <= change.high


def test_parity_changes_are_paired_though_a_group_loses_its_value() -> None:
    """F1 of group c is undefined for the parent and 0 for the child: the widths of the terms stay the same."""
    label = np.array([0, 1, 1, 0, 0, 0] * 20)
    groups_x = np.array(["a", "a", "b", "b", "c", "c"] * 20)
    parent = {**labelled(np.eye(2)[label], label), "group.x": groups_x}
    child = {**labelled(np.eye(2)[np.where(groups_x == "c", 1, label)], label), "group.x": groups_x}
    gap = groups.gap(decisions.f1(), "x")
    assert gap(parent) == 0
    assert gap(child) == 1
    change = compare._difference(gap, parent, child, seed=0).difference
    assert change.value == 1
