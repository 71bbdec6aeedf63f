"""Two real runs of lm-eval with samples, imported and compared document by document."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import binomtest
from support import REPOSITORY, Ran, one_line

from suite.exchange import harness_json
from suite.metrics import harness

Hallmark = Callable[..., Ran]
RUNS = REPOSITORY / "tests" / "fixtures" / "lm_eval"
NAMES = ("stories260k", "stories260k-rtn3")


def run_of(name: str, folder: Path = RUNS) -> tuple[dict[str, Any], dict[str, list[dict[str, Any]]]]:
    """What lm-eval wrote for a model: its results, and its samples by task."""
    content = json.loads(next((folder / name).glob("results_*.json")).read_text())
    read = {
        task: [json.loads(line) for line in next((folder / name).glob(f"samples_{task}_*")).read_text().splitlines()]
        for task in content["n-samples"]
    }
    return content, read


@pytest.fixture
def compared(hallmark: Hallmark) -> dict[str, Any]:
    """The comparison's tasks by name."""
    assert "8 records of 2 submissions" in hallmark("import", RUNS).out
    ran = hallmark("compare", *NAMES, "--all", "--json")
    assert ran.code == 0, ran.err
    assert ran.json["incomparable"] == []
    return {one["task"].removeprefix("lm-eval:"): one for one in ran.json["comparisons"]}


def test_every_number_is_the_one_that_lm_eval_printed(hallmark: Hallmark) -> None:
    found = hallmark("import", RUNS, "--json").json["records"]
    of = {(r["manifest"]["name"], r["task"].removeprefix("lm-eval:")): r["measurements"] for r in found}
    assert len(of) == 8
    for name in NAMES:
        results = run_of(name)[0]["results"]
        for task, table in results.items():
            numbers = {key: value for key, value in table.items() if "," in key and "_stderr" not in key}
            assert {m["name"]: m["value"] for m in of[name, task]} == {
                harness.ours(*key.split(",")): value for key, value in numbers.items()
            }
    assert [m["n"] for m in of["stories260k", "stories"]] == [40]  # of 46: those that its accuracy is over
    assert of["stories260k", "story_endings"][0]["n"] == 40


def test_answers_are_paired_document_by_document(compared: dict[str, Any]) -> None:
    one = compared["story_endings"]
    before, after = ({s["doc_id"]: s for s in run_of(name)[1]["story_endings"]} for name in NAMES)
    lost = sum(before[i]["acc"] > after[i]["acc"] for i in before)
    won = sum(before[i]["acc"] < after[i]["acc"] for i in before)

    def said(sample: dict[str, Any]) -> int:
        return int(np.argmax([float(answer[0]) for answer in sample["filtered_resps"]]))

    other = sum(
        before[i]["acc"] == after[i]["acc"] == 0 and said(before[i]) != said(after[i]) for i in before
    )  # fmt: skip
    assert (one["paired"], one["n"]) == (True, 40)
    assert one["flips"]["right_to_wrong"] == lost > 0
    assert one["flips"]["wrong_to_right"] == won > 0
    assert one["flips"]["wrong_to_other_wrong"] == other > 0
    accuracy, normed = one["metrics"]
    assert (accuracy["metric"], accuracy["test"]) == ("accuracy", "exact McNemar")
    assert accuracy["p"] == pytest.approx(binomtest(lost, lost + won).pvalue)
    assert accuracy["difference"]["value"] == pytest.approx((won - lost) / 40)
    assert (normed["metric"], normed["test"]) == ("accuracy_norm", "exact McNemar")


def test_perplexities_are_paired_by_their_sums_over_documents(compared: dict[str, Any]) -> None:
    one = compared["story_rolling"]
    rows = {row["metric"]: row for row in one["metrics"]}
    assert one["paired"]
    assert one["n"] == 24
    sums = [np.sum([s["byte_perplexity"] for s in run_of(name)[1]["story_rolling"]], axis=0) for name in NAMES]
    bits = [-total / n_bytes / math.log(2) for total, n_bytes in sums]
    assert rows["bits_per_byte"]["difference"]["value"] == pytest.approx(bits[1] - bits[0])
    assert rows["bits_per_byte"]["unit"] == "bit/byte"
    assert {row["test"] for row in rows.values()} == {"paired permutation"}
    assert all(0 < row["p"] < 0.001 and row["verdict"] == "worse" for row in rows.values())
    assert rows["word_perplexity"]["difference"]["low"] > 0


def test_every_filter_is_paired(compared: dict[str, Any]) -> None:
    assert [row["metric"] for row in compared["story_last"]["metrics"]] == [
        "exact_match[filter=first-word]", "exact_match[filter=whole]",
    ]  # fmt: skip
    assert compared["story_last"]["paired"]


def test_a_group_is_paired_over_the_documents_behind_its_number(compared: dict[str, Any]) -> None:
    """Its accuracy is that of `story_endings` alone: `story_last` has none."""
    (row,) = compared["stories"]["metrics"]
    assert (compared["stories"]["n"], row["test"]) == (40, "exact McNemar")
    assert row["p"] == compared["story_endings"]["metrics"][0]["p"]
    assert compared["stories"]["flips"] == compared["story_endings"]["flips"]


def test_groups_of_groups_and_what_cannot_be_paired() -> None:
    content = {
        "results": {"all": {"acc,none": 0.5}},
        "group_subtasks": {"all": ["one", "inner", "c"], "inner": ["b", "c"], "one": []},
    }
    rows = [{"item": "0", "lm_eval.acc": 1.0, "doc_hash": "x", "choice_logprobs": [0.0, -1.0], "lm_eval.f1": 0.0}]
    read = {"one": rows, "b": [{"item": "0", "lm_eval.acc": 0.0, "doc_hash": "y"}], "c": [{"item": "0", "f1": 0.1}]}
    assert harness_json.rows_of(content, "all", read) == [
        {"item": "one/0", "cluster": "one/0", "lm_eval.acc": 1.0, "doc_hash": "x"},
        {"item": "b/0", "cluster": "b/0", "lm_eval.acc": 0.0, "doc_hash": "y"},
    ]
    assert harness_json.rows_of(content, "all", {"one": rows, "b": rows}) == []  # the documents of c are missing
    assert harness_json.rows_of(content, "b", {"one": rows}) == []
    assert harness_json.rows_of(content, "one", read) is rows
    loop = {"results": {"a": {}}, "group_subtasks": {"a": ["b"], "b": ["a"]}}
    assert harness_json.rows_of(loop, "a", {}) == []


def test_a_group_of_means_of_tasks_stays_unpaired(hallmark: Hallmark, tmp_path: Path) -> None:
    """As where a group does not weigh its tasks by size: no mean over its documents gives its number."""
    edited(tmp_path, lambda content: content["results"]["stories"].update({"acc,none": 0.3}))
    assert hallmark("import", "runs").out.endswith("8 of them with items\n")
    (one,) = hallmark("compare", *NAMES, "-t", "lm-eval:stories", "--json").json["comparisons"]
    assert not one["paired"]
    assert [row["test"] for row in one["metrics"]] == ["unpaired z"]


def edited(tmp_path: Path, change: Callable[[dict[str, Any]], None], task: str = "", line: int = 0) -> None:
    """Both runs under ``runs``, with a change of the candidate's result, or of a line of its samples of a task."""
    shutil.copytree(RUNS, tmp_path / "runs")
    file = next((tmp_path / "runs" / NAMES[1]).glob(f"samples_{task}_*" if task else "results_*.json"))
    lines = file.read_text().splitlines() if task else [file.read_text()]
    content = json.loads(lines[line])
    change(content)
    lines[line] = json.dumps(content)
    file.write_text("\n".join(lines))


def test_other_documents_under_the_same_numbers_are_not_paired(hallmark: Hallmark, tmp_path: Path) -> None:
    edited(tmp_path, lambda sample: sample.update(doc_hash="0" * 64), "story_endings", 3)
    assert hallmark("import", "runs").code == 0
    left_out = hallmark("compare", *NAMES, "--json").json["incomparable"]
    assert [one["task"] for one in left_out] == ["lm-eval:stories", "lm-eval:story_endings"]  # the group holds it, too
    assert "other documents under the same numbers" in left_out[0]["reason"]


def test_choices_that_do_not_explain_the_accuracy_are_not_taken_for_answers(hallmark: Hallmark, tmp_path: Path) -> None:
    """As where a task normalises by itself: the most likely choice is the target, and it did not count."""
    edited(tmp_path, lambda sample: sample.update(target="1"), "story_endings", 0)
    assert hallmark("import", "runs").code == 0
    found = hallmark("compare", *NAMES, "-t", "lm-eval:story_endings", "--json").json["comparisons"][0]
    assert found["paired"]
    assert found["flips"]["wrong_to_other_wrong"] is None


def test_a_run_with_limit_decides_nothing(hallmark: Hallmark, tmp_path: Path) -> None:
    def limit(content: dict[str, Any]) -> None:
        content["n-samples"]["story_endings"]["original"] = 664
        content["config"]["limit"] = 40.0

    edited(tmp_path, limit)
    records = {
        (r["manifest"]["name"], r["task"]): r["limit"] for r in hallmark("import", "runs", "--json").json["records"]
    }
    assert records[NAMES[1], "lm-eval:story_endings"] == 40
    assert records[NAMES[1], "lm-eval:stories"] == 40
    assert records[NAMES[1], "lm-eval:story_rolling"] is None  # it has no more than these
    assert records[NAMES[0], "lm-eval:story_endings"] is None
    left_out = {one["task"]: one["reason"] for one in hallmark("compare", *NAMES, "--json").json["incomparable"]}
    assert left_out["lm-eval:story_endings"] == "another limit None against 40"
    assert hallmark("gate", "--init", "--baseline", NAMES[0]).code == 0
    one_line(hallmark("gate", NAMES[1]), 2, "--limit 40", "decides nothing", "evaluate it whole and import that")


def test_a_models_folder_of_the_same_name_is_not_in_the_way(hallmark: Hallmark, tmp_path: Path) -> None:
    """As one has it after `lm_eval --model_args pretrained=./stories260k`: the folder holds no records."""
    (tmp_path / "runs").mkdir()
    written = tmp_path / NAMES[0]
    written.mkdir()
    (written / "config.json").write_text("{}")
    one_line(hallmark("compare", *NAMES), 2, "holds neither a submission.toml nor records")
    hallmark("import", RUNS)
    assert hallmark("compare", *NAMES).code == 0
    assert "lm-eval:story_endings" in hallmark("show", NAMES[0]).out
    assert "lm-eval:story_endings" in hallmark("export", NAMES[0]).out
    one_line(hallmark("show", "runs"), 2, "no record of 'runs' under results")
    one_line(hallmark("compare", f"{NAMES[0]}/", f"{tmp_path}/{NAMES[0]}"), 2, "holds neither")
