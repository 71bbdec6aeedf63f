"""The fairness frame: groups as the data holds them, merged, missing and intersected."""

from __future__ import annotations

import numpy as np
import pytest
from metric_samples import labelled, multiclass, softmax

from suite import measure, outcomes
from suite.metrics import chance, classification, codes, decisions, fairness, frame
from suite.metrics.base import Columns, Metric
from suite.metrics.binary import DEFAULT
from suite.metrics.calibration import ECE_15
from suite.metrics.frame import Framed
from suite.metrics.ranking import ranking
from suite.record import Measurement

AUROC = ranking()[0]
BY_ROWS = Metric(
    name="accuracy",
    needs=("correct",),
    whole=lambda columns: float(columns["correct"].mean()),
    unit="",
    higher_is_better=True,
    bounds=(0.0, 1.0),
)


def one_attribute(correct: list[int], group: list[str]) -> Columns:
    return {"correct": np.array(correct), "group.x": np.array(group), "cluster": np.arange(len(correct))}


def people(n: int = 600, seed: int = 0) -> Columns:
    rng = np.random.default_rng(1000 + seed)
    c = multiclass(n, classes=2, seed=seed)
    sex, age = rng.choice(["f", "m"], n), rng.choice(["", "old", "young"], n, p=[0.2, 0.4, 0.4])
    weight = np.where(sex == "f", 1.0, 0.4)[:, None]
    return {**labelled(softmax(weight * np.log(c["probs"])), c["label"]), "group.sex": sex, "group.age": age}


def found(c: Columns, metric: object = classification.ACCURACY, by: object = "x") -> dict[str, Measurement]:
    return {m.name: m for m in measure.scores(frame.frame(metric, by, c), c, seed=0)}  # type: ignore[arg-type]


def test_small_groups_are_shown_and_merged_and_missing_values_are_a_group() -> None:
    """a 30 of 40, (missing) 10 of 20, b and c 15 items each: 30 with 27 right; d alone would be lost."""
    groups = ["a"] * 40 + [""] * 20 + ["b"] * 15 + ["c"] * 15
    right = [1] * 30 + [0] * 10 + [1] * 10 + [0] * 10 + [1] * 15 + [1] * 12 + [0] * 3
    got = found(one_attribute(right, groups))
    assert list(got) == [
        *("accuracy[x=(missing)]", "accuracy[x=a]", "accuracy[x=b]", "accuracy[x=c]", "accuracy[x=(small)]"),
        *("worst_group_accuracy[x]", "accuracy_gap[x]", "accuracy_gap_p[x]", "accuracy_gap_null[x]"),
        *("n_left_out_accuracy[x]", "accuracy_ratio[x]", "es_accuracy[x]", "es_std_accuracy[x]"),
    ]
    values = {name: m.value for name, m in got.items()}
    assert values["accuracy[x=(missing)]"] == 0.5
    assert values["accuracy[x=a]"] == 0.75
    assert values["accuracy[x=(small)]"] == 0.9
    assert values["accuracy[x=b]"] is None
    assert got["accuracy[x=b]"].reason == "15 items with group.x = b, at least 20 needed"
    assert [got[f"accuracy[x={g}]"].n for g in ("(missing)", "a", "b", "c", "(small)")] == [20, 40, 15, 15, 30]
    assert values["worst_group_accuracy[x]"] == 0.5
    assert values["accuracy_gap[x]"] == pytest.approx(0.4)
    assert values["accuracy_ratio[x]"] == pytest.approx(0.5 / 0.9)
    assert values["n_left_out_accuracy[x]"] == 0
    assert values["es_accuracy[x]"] is None  # one named group alone


def test_a_merged_group_that_is_still_too_small_is_counted_as_left_out() -> None:
    got = found(one_attribute([1] * 30 + [0] * 30 + [1] * 9, ["a"] * 30 + ["b"] * 30 + ["c"] * 5 + ["d"] * 4))
    small = got["accuracy[x=(small)]"]
    assert (small.value, small.n, small.reason) == (None, 9, "9 items, at least 20 needed")
    assert got["n_left_out_accuracy[x]"].value == 9
    assert got["accuracy_gap[x]"].value == 1


@pytest.mark.parametrize("metric", (classification.ACCURACY, ECE_15, AUROC), ids=lambda m: m.name)
def test_intersections_agree_with_the_metric_on_the_parts(metric: object) -> None:
    c = people(360)
    got = found(c, metric, ("sex", "age"))
    values = []
    for sex in ("f", "m"):
        for age in ("", "old", "young"):
            part = {n: v[(c["group.sex"] == sex) & (c["group.age"] == age)] for n, v in c.items()}
            values.append(metric(part))  # type: ignore[operator]
            m = got[f"{metric.name}[age={age or '(missing)'},sex={sex}]"]  # type: ignore[attr-defined]
            assert (m.value, m.n) == (pytest.approx(values[-1]), len(part["label"]))
    name = metric.name  # type: ignore[attr-defined]
    assert got[f"{name}_gap[sex,age]"].value == pytest.approx(max(values) - min(values))
    assert not [one for one in got if "small" in one]


def test_a_group_without_positives_is_not_applicable() -> None:
    c = people()
    c["label"] = np.where(c["group.age"] == "old", 0, c["label"])
    got = found(c, decisions.tpr(), "age")
    assert got["tpr[age=old]"].value is None
    assert got["tpr[age=old]"].reason == "no positives with group.age = old"
    both = [got[f"tpr[age={g}]"].value or 0 for g in ("(missing)", "young")]
    assert got["tpr_gap[age]"].value == pytest.approx(abs(both[0] - both[1]))


def test_a_task_frames_every_group_column_and_every_pair_unless_it_says_which() -> None:
    c = {**people(), "group.site": np.array(["A", "B"] * 300)}
    every = [m.name for m in Framed(metrics=(classification.ACCURACY,), decisions=DEFAULT).of(c)]
    for by in ("age", "sex", "site", "age,sex", "age,site", "sex,site"):
        assert f"accuracy_gap[{by}]" in every
        assert f"equalized_odds_difference[{by}]" in every
    assert len(every) == len(set(every))
    named = Framed(metrics=(classification.ACCURACY, AUROC), attributes=("site", ("sex", "age", "site"), "absent")).of(
        c
    )
    assert {m.name.split("[")[1] for m in named if "_gap[" in m.name} == {"site]", "sex,age,site]"}
    assert {m.name for m in named if m.name.startswith("auroc[site=")} == {"auroc[site=A]", "auroc[site=B]"}
    assert Framed().of(c) == ()


def test_the_stored_outcomes_alone_give_every_number_again() -> None:
    c = {**people(150), "item": np.array([f"i{i:03d}" for i in range(150)])}
    c["cluster"] = np.array([f"c{i // 2:03d}" for i in range(150)])
    framed = Framed(metrics=(classification.ACCURACY, classification.NLL, ECE_15), decisions=DEFAULT)
    first = measure.scores(framed.of(c), c, seed=1)
    rows = [{name: values[i] for name, values in c.items()} for i in range(150)]
    stored = outcomes.to_columns(outcomes.from_parquet(outcomes.to_parquet(outcomes.to_table(rows)), "here"))
    again = measure.scores(framed.of(stored), stored, seed=1)
    assert [m.model_dump() for m in again] == [m.model_dump() for m in first]
    for metric, m in zip(framed.of(c), first, strict=True):
        assert metric.reference
        assert (m.value is not None and m.low is not None) or m.reason, m.name


def test_the_null_is_calibrated_and_has_power() -> None:
    """60 data sets without a difference: p below 0.1 in about a tenth; with 0.9 against 0.6, nearly always."""
    rng = np.random.default_rng(0)
    groups = np.array(["a", "b", "c"])[np.arange(90) % 3]

    def p_value(rates: np.ndarray) -> float:
        c = {"correct": (rng.random(90) < rates).astype(int), "group.x": groups, "cluster": np.arange(90)}
        return chance.gap_p(classification.ACCURACY, "x")(c)

    null = np.array([p_value(np.full(90, 0.7)) for _ in range(60)])
    assert 0.35 < null.mean() < 0.75  # at least uniform; ties make it larger
    assert (null <= 0.1).mean() < 0.22
    planted = np.array([p_value(np.where(groups == "a", 0.95, 0.4)) for _ in range(10)])
    assert (planted < 0.05).all()


@pytest.mark.parametrize("attribute", ["sex", "age", ("age", "sex")])
def test_numbers_beside_group_columns_change_no_group(attribute: str | tuple[str, ...]) -> None:
    c = people()
    numbered = codes.with_numbers(c)
    assert codes.with_numbers(numbered).keys() == numbered.keys()
    some = np.flatnonzero(c["group.age"] != "old")
    for rows in (np.arange(len(c["label"])), some, some[:7], some[:0]):
        mine, fast = ({name: values[rows] for name, values in one.items()} for one in (c, numbered))
        for grouping in (codes.Grouping(attribute), codes.Grouping(attribute, 20, merged=True)):
            assert grouping.groups(fast) == grouping.groups(mine)
            assert np.array_equal(grouping.coded(fast), grouping.coded(mine))


@pytest.mark.parametrize("metric", (classification.ACCURACY, BY_ROWS), ids=("sums", "rows"))
def test_a_spread_at_a_bound_is_as_sure_as_its_smallest_group(metric: object) -> None:
    """20 of 20 right beside 1,000 of 1,000: at most 1 - 0.025^(1/20) = 0.168 wrong, whatever the large group says."""
    reach = 1 - 0.025 ** (1 / 20)
    groups = ["a"] * 1000 + ["c"] * 20
    got = found(one_attribute([1] * 1020, groups), metric)
    ends = {name: (m.low, m.high, m.method) for name, m in got.items()}
    assert ends["worst_group_accuracy[x]"] == (pytest.approx(1 - reach), 1, "exact-bound")
    assert ends["accuracy_gap[x]"] == (0, pytest.approx(reach), "exact-bound")
    assert ends["accuracy_ratio[x]"] == (pytest.approx(1 - reach), 1, "exact-bound")
    got = found(one_attribute([1] * 280 + [0] * 20, ["a"] * 280 + ["c"] * 20), metric)
    assert (got["worst_group_accuracy[x]"].low, got["worst_group_accuracy[x]"].high) == (0, pytest.approx(reach))
    assert (got["accuracy_gap[x]"].low, got["accuracy_gap[x]"].high) == (pytest.approx(1 - reach), 1)


def test_at_a_bound_clusters_count_and_only_what_the_metric_is_about() -> None:
    """c has 40 items of 10 patients; positives are those of 5 of them."""
    c = one_attribute([1] * 340, ["a"] * 300 + ["c"] * 40)
    c["cluster"] = np.concatenate([np.arange(300), 1000 + np.arange(40) // 4])
    assert found(c)["accuracy_gap[x]"].high == pytest.approx(1 - 0.025 ** (1 / 10))
    label = np.array([1] * 150 + [0] * 150 + [1] * 20 + [0] * 20)
    c = {**labelled(np.eye(2)[label], label), "group.x": c["group.x"], "cluster": c["cluster"]}
    parity = {m.name: m for m in measure.scores(fairness.parity("x", least=1), c, seed=0)}
    for name in ("equal_opportunity_difference[x]", "equalized_odds_difference[x]"):
        assert (parity[name].value, parity[name].high) == (0, pytest.approx(1 - 0.025 ** (1 / 5)))
