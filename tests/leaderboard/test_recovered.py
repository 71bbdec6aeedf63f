"""The board's comparison against `hallmark compare`, which knows the tasks, on the records that are committed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from support import REPOSITORY

from leaderboard import brackets, differences, recovered
from suite import comparison, outcomes
from suite.record import Measurement
from suite.sides import find
from suite.store import Stored
from tasks import TASKS

RESULTS = REPOSITORY / "results"
PAIRS = {
    "digits": ("embedded-digits", "embedded-digits-int2"),
    "generated-choices": ("embedded-lm-int8", "embedded-lm-half"),
    "generated-text": ("embedded-lm", "embedded-lm-int2-rtn"),
    "generated-volumes": ("embedded-volumes-int8", "embedded-volumes-int4"),
}


def columns_of(stored: Stored) -> outcomes.Mapping[str, np.ndarray] | str:  # type: ignore[type-arg]
    return outcomes.to_columns(stored.outcomes())


@pytest.mark.parametrize("task", PAIRS)
def test_the_same_numbers_as_the_command_line(task: str) -> None:
    a, b = (find(name, RESULTS) for name in PAIRS[task])
    a, b = (differences.side(one.name, {task: one.records[task]}) for one in (a, b))
    described = json.loads((RESULTS / "tasks" / f"{task}.json").read_text())
    primary = TASKS[task].primary
    ours = differences.against(a, b, {task: primary}, {task: described}, columns_of, {task: primary})
    rows = {row.metric: row for row in ours.tasks[0].rows}
    wanted = set(brackets.with_parts(b.records[task].record.measurements, primary))
    theirs = comparison.compare(a, b, {task: TASKS[task]}, (), sorted(wanted & set(rows)))
    assert {row.metric for row in theirs.tasks[0].rows} == set(rows)
    assert primary in rows
    assert wanted - set(rows) <= {name for name in wanted if "null" in name or "_p[" in name}
    for row in theirs.tasks[0].rows:
        mine = rows[row.metric]
        assert mine.test == row.test, row.metric
        for name in ("value", "low", "high"):
            expected, found = getattr(row.difference, name), getattr(mine.difference, name)
            assert found == (expected if expected is None else pytest.approx(expected, abs=1e-12)), row.metric
    assert ours.tasks[0].flips == theirs.tasks[0].flips
    assert ours.tasks[0].recovery == theirs.tasks[0].recovery


def test_a_task_of_the_harness_is_the_mean_of_its_column() -> None:
    columns = {
        "item": np.array(["a", "b", "c", "d"]),
        "lm_eval.acc": np.array([1.0, 0.0, 1.0, 1.0]),
        "lm_eval.exact_match@strict": np.array([0.0, 0.0, 1.0, 0.0]),
    }
    measured = {
        name: Measurement(name=name, value=value, unit="", higher_is_better=True, n=4)
        for name, value in (("accuracy", 0.75), ("exact_match[filter=strict]", 0.25))
    }
    found = {metric.name: metric for metric in recovered.recovered({}, columns, measured, "accuracy")}
    assert set(found) == set(measured)
    assert found["exact_match[filter=strict]"](columns) == 0.25


def test_a_description_of_another_version_recovers_nothing(tmp_path: Path) -> None:
    m = Measurement(name="dice", value=0.5, unit="", higher_is_better=True, n=4)
    columns = {"item": np.array(["a"]), "correct": np.array([1])}
    assert not list(recovered.recovered({"scoring": {"odd": 1}}, columns, {"dice": m}, "dice"))


def test_timings_are_compared_by_their_intervals() -> None:
    from board_records import TEMPLATE, measurement

    from suite.record import Record

    primary = "latency_ratio[scenario=one]"
    timed = [{**measurement(primary, 0.5, low=0.4, high=0.6, higher=False), "n_clusters": 30}]
    columns = {"item": np.array(["one/00"]), "call_seconds": np.ones((1, 3))}
    task = recovered.task_of({}, Record.model_validate({**TEMPLATE, "measurements": timed}), primary, (), columns)
    assert task is not None
    assert task.timed
    assert not task.beside_parent  # what is not recovered is as tasks have it
    assert [metric.name for metric in task.metrics] == [primary]
