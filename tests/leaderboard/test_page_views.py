"""The pure views of the pages, by hand and against other libraries."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from board_records import TEMPLATE, measurement
from page_records import PLAIN, rows
from sklearn.calibration import calibration_curve

from leaderboard import brackets, costs, distribution, forest, lineage, provenance, reliability, risk, roofline, worst
from suite import outcomes
from suite.metrics.calibration import ECE_15
from suite.metrics.selective import risk_coverage
from suite.record import Measurement, Record
from suite.store import Stored


def record(*measurements: dict[str, object], **fields: object) -> Record:
    return Record.model_validate({**TEMPLATE, "measurements": list(measurements), **fields})


def test_a_family_in_a_circle_or_with_an_unknown_parent() -> None:
    found = lineage.family("b", {"a": "b", "b": "a"})
    assert set(found.names) == {"a", "b"}
    found = lineage.family("b", {"b": "gone", "c": "b"})
    assert (found.names, found.depths, found.missing) == (("b", "c"), (0, 1), "gone")
    assert lineage.family("b", {"b": "b"}).names == ("b",)


def test_of_a_large_family_the_near_ones_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lineage, "MOST", 4)
    parents = {"root": None, **{f"a{i}": "root" for i in range(9)}, "z": "root", "zz": "z"}
    found = lineage.family("z", parents)
    assert {"root", "z", "zz"} <= set(found.names)
    assert (len(found.names), found.left_out) == (4, 8)


def test_parts_of_names_with_commas_and_equals() -> None:
    assert brackets.part("accuracy[town=York, Old,year=1999]") == ("accuracy", "town, year", "York, Old, 1999")
    assert brackets.part("accuracy") is None
    assert brackets.part("latency_p50_s[scenario=batch-1]") is None
    names = ["dice", "dice[class=a]", "dice[site=x]", "dice_gap[site]", "dice_gap_p[site]", "worst_group_dice[site]"]
    found = [Measurement.model_validate(measurement(name, 0.5)) for name in [*names, "iou[class=a]"]]
    assert brackets.with_parts(found, "dice") == [*names[:3], "dice_gap[site]", "worst_group_dice[site]"]
    assert brackets.stems(found, "iou") == ["iou", "dice"]


def test_bins_of_the_diagram_are_those_of_ece_and_of_another_library() -> None:
    rng = np.random.default_rng(1)
    probs = rng.dirichlet(np.ones(3), 400)
    label = rng.integers(0, 3, 400)
    columns = {"probs": probs, "label": label, "correct": (probs.argmax(axis=1) == label).astype(int)}
    source = reliability.sources(columns)["items"]
    assert source.ece == pytest.approx(ECE_15(columns), abs=1e-12)
    bins = reliability.frame(source, "it")
    share, confidence = calibration_curve(columns["correct"], probs.max(axis=1), n_bins=15)
    assert bins["right"].tolist() == pytest.approx(share.tolist())
    assert bins["confidence"].tolist() == pytest.approx(confidence.tolist())
    assert bins["n"].sum() == 400


def test_sums_by_bin_of_tokens_make_a_diagram_too() -> None:
    bins = np.zeros((2, 15, 3))
    bins[0, 14], bins[1, 14] = (3, 2, 2.9), (1, 1, 0.95)
    found = reliability.sources({"token_bins": bins.reshape(2, 45)})
    assert reliability.frame(found["tokens"], "it")[["n", "right", "confidence"]].to_numpy().tolist() == [
        [4, 0.75, pytest.approx(0.9625)]
    ]
    assert reliability.sources({"item": np.array(["a"])}) == {}


def test_a_thinned_curve_keeps_both_ends() -> None:
    rng = np.random.default_rng(2)
    columns = {"confidence": rng.random(5000), "correct": rng.integers(0, 2, 5000)}
    curve = risk.frame(columns, "it")
    assert curve is not None
    coverage, at = risk_coverage(columns["confidence"], columns["correct"].astype(bool))
    assert len(curve) == risk.POINTS
    assert curve.iloc[[0, -1]][["coverage", "risk"]].to_numpy().tolist() == [
        [coverage[0], at[0]],
        [1.0, 1 - columns["correct"].mean()],
    ]
    assert risk.frame({"nll": np.ones(3)}, "it") is None


def test_the_roof_by_hand() -> None:
    columns = {
        "scenario": np.array(["slow", "slow", "fast", "memory"]),
        "call_seconds": np.array([[2.0, 2.0], [2.0, 2.0], [1.0, 1.0], [np.nan, np.nan]]),
        "flops": np.array([[40.0], [40.0], [4000.0], [1.0]]),
        "read_bytes": np.array([[20.0], [20.0], [20.0], [1.0]]),
        "peak_bandwidth": np.full((4, 1), 50.0),
        "peak_flops": np.full((4, 1), 5000.0),
    }
    columns = {name: values[:3] for name, values in columns.items()}
    found = roofline.points(columns)
    assert isinstance(found, pd.DataFrame)
    slow, fast = (found.iloc[i] for i in (0, 1))
    assert (slow["intensity"], slow["flops"], slow["attainable"], slow["limit"]) == (2.0, 20.0, 100.0, "bandwidth")
    assert (fast["intensity"], fast["attainable"], fast["share"], fast["limit"]) == (200.0, 5000.0, 0.8, "arithmetic")
    assert "20 % of what bandwidth lets it reach" in roofline.describe(found)
    assert "above the limits" in roofline.describe(found.assign(share=2.0))
    roofline.chart(found, "it").to_dict()
    assert "times no calls" in str(roofline.points({"item": np.array(["a"])}))
    empty = {**columns, "peak_flops": np.zeros((3, 0))}
    assert "--measure" in str(roofline.points(empty))


def test_timings_by_scenario_and_what_is_missing() -> None:
    timed = record(
        measurement("latency_ratio[scenario=one]", 0.5, low=0.4, high=0.6, higher=False),
        measurement("latency_p50_s[scenario=one]", 0.1, "s", higher=False),
        measurement("mbu[scenario=one]", None, reason="no peaks"),
        measurement("bytes", 5.0, "B", higher=False),
    )
    assert costs.scenarios(timed).to_dict("records") == [
        {
            **{"scenario": "one", "latency_ratio": 0.5, "latency_ratio: low": 0.4, "latency_ratio: high": 0.6},
            "latency_p50_s (s)": 0.1,
        }
    ]
    assert costs.missing(timed) == ["mbu[scenario=one]: no peaks"]
    assert costs.readings(timed, None)["number"].tolist() == ["bytes"]


def test_the_worst_cases_of_a_segmentation_by_hand() -> None:
    columns = {
        "item": np.array(["a", "b", "empty"]),
        "cluster": np.array(["p", "p", "q"]),
        "intersection": np.array([[4, 0], [1, 1], [0, 0]]),
        "predicted": np.array([[4, 0], [2, 1], [0, 0]]),
        "true": np.array([[4, 2], [2, 1], [0, 0]]),
    }
    found = worst.items(columns, None)
    assert found is not None
    assert found["item"].tolist() == ["a", "b"]  # mean of 1 and 0; of 0.5 and 1
    assert found["dice"].tolist() == [0.5, 0.75]
    better = {**columns, "intersection": np.array([[4, 0], [0, 0], [0, 0]])}
    lost = worst.items(better, columns, lost=True)
    assert lost is not None
    assert lost[["item", "dice", "parent's", "change"]].to_numpy().tolist() == [["b", 0.0, 0.75, -0.75]]
    assert worst.items({"item": np.array(["a"])}, None) is None


def test_the_forest_says_what_it_draws() -> None:
    drawn = pd.DataFrame({"row": ["a", "b"], "value": [0.1, None], "low": [0.05, None], "high": [0.2, None]})
    assert forest.describe(drawn, 0.0) == "a 0.1. Without a value: 1. Its interval, [0.05, 0.2], lies above 0."
    assert forest.describe(drawn.assign(low=None), 0.0).endswith("It has no interval.")
    two = drawn.assign(value=[0.1, -0.2], low=[0.05, -0.3], high=[0.2, 0.1])
    assert forest.describe(two, 0.0) == ("Lowest: b -0.2, highest: a 0.1. Interval above 0: 1, below: 0, across: 1.")
    assert forest.describe(drawn.assign(value=np.nan)) == "No value to draw."
    spec = forest.forest(drawn, "it", "x", 0.0).to_dict()
    assert len(spec["layer"]) == 3


def test_a_far_chance_level_does_not_squeeze_the_bars() -> None:
    rows = pd.DataFrame({"value": [0.94, 0.96, 0.98], "low": 0.9, "parent": [None, "a", "a"]})
    found = distribution.bins(rows)
    assert len(distribution.chart(found, "it", "accuracy", 0.93).to_dict()["layer"]) == 2
    assert len(distribution.chart(found, "it", "accuracy", 0.1).to_dict()["layer"]) == 1
    assert "above chance (0.1): 3" in distribution.describe(rows, "accuracy", 0.1)


def test_the_command_quotes_what_a_shell_would_read(tmp_path: Path) -> None:
    odd = record(measurement("accuracy", 1.0), task="lm-eval:a b;rm", limit=5)
    stored = Stored(tmp_path / "r.json", odd)
    assert provenance.command(stored) == (
        "hallmark run stories260k -t 'lm-eval:a b;rm' --seed 0 --device cpu --threads 2 --limit 5"
    )
    assert provenance.command(Stored(tmp_path / "r.json", odd.model_copy(update={"source": "imported"}))) is None
    assert "record file" not in provenance.digests(stored)["what"].tolist()


def test_groups_need_no_columns_of_their_own() -> None:
    columns = outcomes.to_columns(outcomes.to_table(rows([1, 2])))
    found = worst.items(columns, None)
    assert found is not None
    assert found["right"].tolist()[:3] == [False, False, True]
    assert "group.site" in found
    assert PLAIN[0](columns) == pytest.approx(58 / 60)
