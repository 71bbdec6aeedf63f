"""``hallmark compare``: hand-worked pairs through the command line, and everything that cannot be compared."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from gate_records import FIXTURE, answers, digits_columns, put
from scipy.stats import norm
from support import Ran, one_line

from suite.changes import flips, recovery

N = 200


@pytest.fixture
def pair(tmp_path: Path) -> Path:
    """Parent 160 of 200 right; the child loses 20 of them, gains 5, and answers 10 of the wrong ones otherwise."""
    said, labels = answers(N, 160)
    put(tmp_path / "results", "old", digits_columns(said, labels), readings={"bytes": 1000.0, "peak_rss_bytes": 5e6})
    child = said.copy()
    child[:20] = (labels[:20] + 3) % 10
    child[160:165] = labels[160:165]
    child[165:175] = (labels[165:175] + 2) % 10
    put(tmp_path / "results", "new", digits_columns(child, labels), readings={"bytes": 250.0, "peak_rss_bytes": 6e6})
    return tmp_path


def compared(ran: Ran) -> dict:
    (one,) = ran.json["comparisons"]
    return one


def test_by_hand(pair: Path, hallmark: Callable[..., Ran]) -> None:
    ran = hallmark("compare", "old", "new", "--json", "-m", "nll")
    assert ran.code == 0, ran.err
    one = compared(ran)
    accuracy = one["metrics"][0]
    assert (accuracy["a"]["value"], accuracy["b"]["value"]) == (0.8, 0.725)
    assert accuracy["difference"]["value"] == pytest.approx(-0.075)
    # exact McNemar on 5 and 20: 2 P(X <= 5), X ~ Binomial(25, 1/2)
    assert accuracy["test"] == "exact McNemar"
    assert accuracy["p"] == pytest.approx(0.0040774, rel=1e-4)
    assert accuracy["p_holm"] == pytest.approx(accuracy["p"])  # one task
    assert accuracy["verdict"] == "worse"
    counts = {"right_to_wrong": 20, "wrong_to_right": 5, "wrong_to_other_wrong": 10, "n": 200}
    assert one["flips"] == {**counts, "volume": 0.125, "direction": 0.2}
    assert one["recovery"]["raw"] == pytest.approx(0.725 / 0.8)
    assert one["recovery"]["above_chance"] == pytest.approx((0.725 - 0.1) / (0.8 - 0.1))
    assert [row["metric"] for row in one["metrics"]] == ["accuracy", "nll"]
    assert one["metrics"][1]["test"] == "paired permutation"
    assert one["costs"]["bytes"] == {"a": 1000.0, "b": 250.0, "reason": None}


def test_the_table_says_it_in_words(pair: Path, hallmark: Callable[..., Ran]) -> None:
    ran = hallmark("compare", "old", "new", "--all")
    for word in ("exact McNemar", "right→wrong", "worse", "0.25×", "90.6%", "89.3%", "ece_15"):
        assert word in ran.out, word


def test_a_corpus_metric_takes_the_paired_bootstrap(pair: Path, hallmark: Callable[..., Ran]) -> None:
    rows = compared(hallmark("compare", "old", "new", "--json", "-m", "ece_15"))["metrics"]
    assert rows[1]["test"] == "paired bootstrap"
    assert 0 < rows[1]["p"] <= 1


def test_clusters_take_the_clustered_permutation(tmp_path: Path, hallmark: Callable[..., Ran]) -> None:
    said, labels = answers(N, 160)
    child = said.copy()
    child[:20] = (labels[:20] + 3) % 10  # all in one of ten clusters: no evidence that it happens elsewhere
    for name, one in (("old", said), ("new", child)):
        rows = [{**row, "cluster": f"c{i // 20}"} for i, row in enumerate(digits_columns(one, labels))]
        put(tmp_path / "results", name, rows)
    accuracy = compared(hallmark("compare", "old", "new", "--json"))["metrics"][0]
    assert accuracy["test"] == "paired permutation of clusters"
    assert accuracy["p"] == 1.0
    assert accuracy["difference"]["n_clusters"] == 10


def test_holm_counts_the_tasks(tmp_path: Path, hallmark: Callable[..., Ran]) -> None:
    said, labels = answers(N, 160)
    child = said.copy()
    child[:9] = (labels[:9] + 3) % 10
    for task in ("digits", "cifar10-100"):
        put(tmp_path / "results", "old", digits_columns(said, labels), task=task)
        put(tmp_path / "results", "new", digits_columns(child, labels), task=task)
    found = hallmark("compare", "old", "new", "--json").json["comparisons"]
    p = 2 * 0.5**9
    assert [(one["metrics"][0]["p"], one["metrics"][0]["p_holm"]) for one in found] == [
        (pytest.approx(p), pytest.approx(2 * p))
    ] * 2


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"task_version": "0"}, "task version"),
        ({"data_sha256": "f" * 64}, "another data"),
        ({"protocol": "q"}, "protocol"),
        ({"limit": 50}, "limit"),
    ],
)
def test_what_cannot_be_compared_is_listed(
    tmp_path: Path, hallmark: Callable[..., Ran], changes: dict, word: str
) -> None:
    said, labels = answers(N, 160)
    put(tmp_path / "results", "old", digits_columns(said, labels))
    put(tmp_path / "results", "new", digits_columns(said, labels), **changes)
    ran = hallmark("compare", "old", "new")
    assert ran.code == 4
    assert word in ran.out
    found = hallmark("compare", "old", "new", "--json")
    assert found.code == 4
    assert found.json["comparisons"] == []
    assert word in found.json["incomparable"][0]["reason"]


def test_a_task_of_one_side_is_listed_with_what_to_type(pair: Path, hallmark: Callable[..., Ran]) -> None:
    said, labels = answers(N, 160)
    put(pair / "results", "old", digits_columns(said, labels), task="cifar10-100")
    ran = hallmark("compare", "old", "new", "--json")
    assert ran.code == 0
    assert "hallmark run new -t cifar10-100" in ran.json["incomparable"][0]["reason"]


def test_speed_on_another_machine_is_not_compared(pair: Path, hallmark: Callable[..., Ran]) -> None:
    said, labels = answers(N, 160)
    machine = {**FIXTURE["machine"], "id": "another"}
    put(pair / "results", "far", digits_columns(said, labels), readings={"bytes": 9.0, "peak_rss_bytes": 1e6},
        machine=machine)  # fmt: skip
    costs = compared(hallmark("compare", "old", "far", "--json"))["costs"]
    assert costs["bytes"]["reason"] is None
    assert "machine" in costs["peak_rss_bytes"]["reason"]


def test_without_outcomes_it_is_unpaired_and_says_so(pair: Path, hallmark: Callable[..., Ran]) -> None:
    said, labels = answers(N, 160)
    path = put(pair / "elsewhere", "pin", digits_columns(said, labels))
    (pair / "pin.json").write_text(json.dumps({"records": [json.loads(path.read_text())]}))
    one = compared(hallmark("compare", "pin.json", "new", "--json"))
    assert not one["paired"]
    assert any("UNPAIRED" in note for note in one["notes"])
    paired = compared(hallmark("compare", "old", "new", "--json"))["metrics"][0]["difference"]
    unpaired = one["metrics"][0]["difference"]
    assert unpaired["value"] == pytest.approx(paired["value"])
    assert unpaired["high"] - unpaired["low"] > 1.5 * (paired["high"] - paired["low"])
    assert one["flips"] is None


def test_nondeterminism_is_told_with_its_size(pair: Path, hallmark: Callable[..., Ran]) -> None:
    said, labels = answers(N, 150)
    put(pair / "results", "old", digits_columns(said, labels),
        provenance={**FIXTURE["provenance"], "started": "2025-01-01T00:00:00Z"})  # fmt: skip
    notes = compared(hallmark("compare", "old", "new", "--json"))["notes"]
    assert any("scored twice" in n and "0.75 and 0.8" in n and "10 of 200 items differ" in n for n in notes), notes


def test_few_items_and_missing_clusters_are_told(tmp_path: Path, hallmark: Callable[..., Ran]) -> None:
    said, labels = answers(12, 10)
    for name in ("old", "new"):
        rows = [{k: v for k, v in row.items() if k != "cluster"} for row in digits_columns(said, labels)]
        put(tmp_path / "results", name, rows)
    notes = " ".join(compared(hallmark("compare", "old", "new", "--json"))["notes"])
    assert "12 items are too few" in notes
    assert "name no clusters" in notes


def test_fewer_than_twenty_items_get_no_verdict(tmp_path: Path, hallmark: Callable[..., Ran]) -> None:
    """As in the gate: 15 of 19 lost is p < 0.001, and still no verdict; nor does it count among those of Holm."""
    said, labels = answers(N, 160)
    for name, lost in (("old", 0), ("new", 15)):
        spoilt = said.copy()
        spoilt[:lost] = (labels[:lost] + 3) % 10
        put(tmp_path / "results", name, digits_columns(spoilt[:19], labels[:19]))
        put(tmp_path / "results", name, digits_columns(spoilt, labels), task="cifar10-100")
    large, few = hallmark("compare", "old", "new", "--json").json["comparisons"]
    row = few["metrics"][0]
    assert (row["verdict"], row["p_holm"], row["n_needed"]) == ("undecided", None, None)
    assert row["few"] == "19 items are too few to decide (at least 20)"
    assert large["metrics"][0]["p_holm"] == large["metrics"][0]["p"]
    assert large["metrics"][0]["verdict"] == "worse"
    said_all = hallmark("compare", "old", "new", "--markdown", "pair.md").out + (tmp_path / "pair.md").read_text()
    assert said_all.count("undecided: 19 items are too few") == 2


def test_how_many_items_would_decide_is_at_the_level_of_holm(tmp_path: Path, hallmark: Callable[..., Ran]) -> None:
    """Three tasks, none decided: each would need 5 % / 3, two-sided, with power 80 %."""
    said, labels = answers(N, 160)
    for task, lost in (("digits", 4), ("cifar10-100", 3), ("cifar10-labels", 2)):
        child = said.copy()
        child[:lost] = (labels[:lost] + 3) % 10
        put(tmp_path / "results", "old", digits_columns(said, labels), task=task)
        put(tmp_path / "results", "new", digits_columns(child, labels), task=task)
    found = hallmark("compare", "old", "new", "--json").json["comparisons"]
    alone = hallmark("compare", "old", "new", "--json", "-t", "digits").json["comparisons"]
    rows = {one["task"]: one["metrics"][0] for one in found}
    for row, level in ((rows["digits"], 0.05 / 3), (alone[0]["metrics"][0], 0.05)):
        wanted = norm.ppf(1 - level / 2) + norm.ppf(0.8)
        assert row["level"] == pytest.approx(level)
        assert row["n_needed"] == math.ceil(N * (wanted * row["se"] / 0.02) ** 2)
        assert row["detectable"] == pytest.approx(wanted * row["se"])


def test_wrong_names_are_one_line(pair: Path, hallmark: Callable[..., Ran]) -> None:
    one_line(hallmark("compare", "old", "new", "-t", "digit"), 2, "did you mean 'digits'")
    one_line(hallmark("compare", "old", "new", "-m", "acuracy"), 2, "did you mean 'accuracy'")
    one_line(hallmark("compare", "old", "nev"), 2, "nev")


def test_flips_of_answers_with_several_right_ones_and_of_ragged_choices() -> None:
    ragged = np.empty(3, dtype=object)
    ragged[:] = [np.array([0.1, 0.9]), np.array([0.2, 0.5, 0.3]), np.array([0.6, 0.4])]
    other = np.empty(3, dtype=object)
    other[:] = [np.array([0.1, 0.9]), np.array([0.2, 0.3, 0.5]), np.array([0.6, 0.4])]
    a = {"correct": np.array([0, 0, 1]), "probs": ragged, "label": np.array([0, 0, 0])}
    b = {"correct": np.array([0, 0, 0]), "probs": other, "label": np.array([0, 0, 0])}
    found = flips(a, b, "correct")
    assert (found.gains, found.losses, found.other) == (0, 1, 1)
    assert found.direction == 0.0
    without = flips({"correct": a["correct"]}, {"correct": b["correct"]}, "correct")
    assert without.other is None
    assert flips(a, a, "correct").direction is None


@pytest.mark.parametrize(
    ("parent", "child", "higher", "chance", "raw", "above"),
    [
        (0.75, 0.70, True, 0.25, 0.7 / 0.75, 0.9),
        (2.0, 2.5, False, None, 0.8, None),
        (0.2, 0.3, True, 0.25, 1.5, None),
        (0.0, 0.3, True, None, None, None),
        (1.0, 0.3, None, None, None, None),
    ],
)
def test_recovery(
    parent: float, child: float, higher: bool | None, chance: float | None, raw: float | None, above: float | None
) -> None:
    found = recovery(parent, child, higher, chance)
    assert found.raw == (None if raw is None else pytest.approx(raw))
    assert found.above_chance == (None if above is None else pytest.approx(above))
    assert found.above_chance is not None or found.reason


@pytest.fixture
def grouped(pair: Path) -> Path:
    """The pair again, with every second item of group f: of the 20 losses the first 20 items have, all fall on m."""
    said, labels = answers(N, 160)
    child = said.copy()
    child[1:41:2] = (labels[1:41:2] + 3) % 10
    for name, one in (("old", said), ("new", child)):
        shutil.rmtree(pair / "results" / name)
        rows = [{**row, "group.sex": "fm"[i % 2]} for i, row in enumerate(digits_columns(one, labels))]
        put(pair / "results", name, rows)
    return pair


def test_harm_to_groups_is_shown_where_it_is_asked_for(grouped: Path, hallmark: Callable[..., Ran]) -> None:
    """Both groups have 80 of 100 right before; m loses 20 of them and f none."""
    assert compared(hallmark("compare", "old", "new", "--json"))["harm"] is None
    harm = compared(hallmark("compare", "old", "new", "--json", "--groups"))["harm"]
    changes = {one["name"]: one for one in harm["changes"]}
    assert changes["accuracy[sex=m]"]["parent"] == 0.8
    assert changes["accuracy[sex=m]"]["child"] == 0.6
    assert changes["accuracy[sex=m]"]["change"]["value"] == pytest.approx(-0.2)
    assert changes["accuracy[sex=m]"]["change"]["high"] < 0
    assert changes["accuracy_gap[sex]"]["change"]["value"] == pytest.approx(0.2)
    assert changes["worst_group_accuracy[sex]"]["change"]["value"] == pytest.approx(-0.2)
    assert {m["name"]: m["value"] for m in harm["flips"]}["losses[sex=m]"] == 0.2
    assert not any("_null" in name for name in changes)
    (grouped / "out").mkdir()
    out = hallmark("compare", "old", "new", "--groups", "--markdown", "out/pair.md").out
    line = next(line for line in out.splitlines() if line.startswith("sex=m"))
    assert line.split()[:6] == ["sex=m", "accuracy", "↑", "100", "0.8", "0.6"]
    assert line.split()[-2:] == ["20.0%", "0.0%"]
    text = (grouped / "out" / "pair.md").read_text()
    assert "digits by group" in text
    assert any(row.startswith("| sex=m | accuracy ↑ | 100 | 0.8 | 0.6 |") for row in text.splitlines())
    tables = [block for block in text.split("\n\n") if block.startswith("|")]
    assert all(len({row.count("|") for row in block.splitlines()}) == 1 for block in tables)


def test_groups_that_are_not_there_are_said(pair: Path, hallmark: Callable[..., Ran]) -> None:
    ran = hallmark("compare", "old", "new", "--groups")
    assert ran.code == 0
    assert "no task here has groups" in ran.err
