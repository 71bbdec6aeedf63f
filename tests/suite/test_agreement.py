"""A record beside a fresh run: a flipped answer passes, another model does not, and no unit goes unseen."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import Ran, one_line

from suite import measure, submission
from suite.agreement import agreement, allowed, one_answer, unrecorded
from suite.files import digest
from suite.metrics import groups
from suite.metrics.base import Columns, Metric
from suite.metrics.classification import ACCURACY, NLL
from suite.metrics.segmentation import misses
from suite.record import Measurement
from suite.store import Store
from tasks import TASKS

Hallmark = Callable[..., Ran]
Fake = Callable[..., Path]


def answers(n: int = 600, wrong: int = 81) -> dict[str, Any]:
    """Outcome columns of the decisions on two groups of equal size, the first `wrong` of them wrong."""
    return {"correct": np.array([0] * wrong + [1] * (n - wrong)), "group.site": np.array(["a", "b"] * (n // 2))}


def flipped(columns: dict[str, Any], i: int) -> dict[str, Any]:
    correct = columns["correct"].copy()
    correct[i] = 1 - correct[i]
    return {**columns, "correct": correct}


@pytest.mark.parametrize(
    "metric", [ACCURACY, groups.gap(ACCURACY, "site"), groups.worst_group(ACCURACY, "site")], ids=lambda m: m.name
)
def test_one_answer_is_the_largest_move_of_all_flips_one_by_one(metric: Metric) -> None:
    columns = answers(n=60, wrong=9)
    moves = [abs(metric(flipped(columns, i)) - metric(columns)) for i in range(60)]
    assert one_answer(metric, columns) == pytest.approx(max(moves), abs=1e-15)


def test_one_answer_by_hand() -> None:
    everything = {"correct": np.ones(120, dtype=np.int64)}
    assert one_answer(ACCURACY, everything) == pytest.approx(1 / 120)
    of_a = groups.of_group(ACCURACY, "site", "a")
    assert one_answer(of_a, answers(n=30, wrong=4)) == pytest.approx(1 / 15)
    assert one_answer(NLL, {"nll": np.array([0.1, 7.0])}) == 0
    counts = {name: np.zeros((4, 1), dtype=np.int64) for name in ("intersection", "predicted", "true")}
    assert one_answer(misses(["a"])[0], counts) == 1


def agrees(metric: Metric, columns: Columns, other: Columns, tolerance: float = 0.005) -> bool:
    (m,) = measure.scores([metric], {**columns, "cluster": np.arange(600).astype(str)}, seed=0)
    value = metric(other)
    assert m.value is not None
    return abs(m.value - value) <= allowed(m, metric, columns, tolerance, value) + 1e-12


def test_a_flipped_item_of_a_small_gap_passes_and_another_model_does_not() -> None:
    gap = groups.gap(ACCURACY, "site")
    columns = answers()
    assert gap(columns) == pytest.approx(1 / 300)  # 41 and 40 wrong of 300: a flip makes it 0 or doubles it
    for i in (0, 1, 598, 599):
        assert agrees(gap, columns, flipped(columns, i))
        assert agrees(ACCURACY, columns, flipped(columns, i))
    assert not agrees(ACCURACY, columns, answers(wrong=85))
    one_sided = (columns["group.site"] == "b") | (np.arange(600) >= 160)
    assert not agrees(gap, columns, {**columns, "correct": one_sided.astype(np.int64)})


def test_the_limit_by_hand() -> None:
    m = Measurement(name="x", value=10.0, low=8.0, high=14.0, unit="", higher_is_better=True, n=5)
    assert allowed(m, None, {}, 0.005, 9.0) == pytest.approx(0.3)  # a tenth of half of 14 - 8
    assert allowed(m, None, {}, 0.05, 12.0) == pytest.approx(0.6)  # 5 % of the larger value
    size = m.model_copy(update={"name": "bytes"})
    assert allowed(size, None, {}, 0.005, 9.0) == pytest.approx(0.05)


def change_weights(folder: Path, spec: str) -> None:
    """Another state of a submission of a fake: other weights, another digest in the manifest."""
    old = submission.load(folder).manifest.sha256
    (folder / "fake.json").write_text(spec)
    path = folder / "submission.toml"
    path.write_text(path.read_text().replace(old, digest(folder / "fake.json")))


def test_an_update_passes_though_records_of_the_older_state_stay(hallmark: Hallmark, fake: Fake) -> None:
    folder = fake("m", {"fake": "constant", "probs": [0.1] * 10})
    assert hallmark("run", folder, "-t", "digits").code == 0
    change_weights(folder, '{"fake": "oracle"}')
    assert hallmark("run", folder, "-t", "digits", "--results", "fresh").code == 0
    ran = hallmark("verify", "m", "--against", "fresh")
    assert ran.code == 1
    assert "other weights" in ran.err
    assert hallmark("run", folder, "-t", "digits").code == 0
    ran = hallmark("verify", "m", "--against", "fresh")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.count("measurements hold") == 2
    assert ran.out.count("not compared: it is of an older state") == 1


def test_records_of_other_tasks_are_verified_and_not_compared(
    hallmark: Hallmark, fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = fake("m", {"fake": "constant", "probs": [0.1] * 10})
    assert hallmark("run", folder, "-t", "digits").code == 0
    assert hallmark("run", folder, "-t", "digits", "--results", "fresh").code == 0
    (stored,) = Store(Path("results")).scan()
    elsewhere = type(stored)(stored.path, stored.record.model_copy(update={"task": "another"}))
    found = agreement(elsewhere, Store(Path("fresh")), TASKS, 0.005)
    assert (found.problems, found.note) == ((), "not compared: fresh has m on other tasks only")
    assert "no record of m to compare with" in agreement(stored, Store(Path("none")), TASKS, 0.005).problems[0]


def test_a_unit_without_a_record_is_told(hallmark: Hallmark, fake: Fake) -> None:
    """What a pull request forgets, or deletes."""
    for name in ("m", "other"):
        folder = fake(name, {"fake": "constant", "probs": [0.1] * 10})
        assert hallmark("run", folder, "-t", "digits", "--results", "fresh").code == 0
    fresh = Store(Path("fresh"))
    (line,) = unrecorded([], fresh, ["m"])
    assert line.startswith("no record of m on digits, which the fresh run scored; make it: hallmark run m -t digits")
    assert unrecorded([], fresh, []) == []
    assert len(unrecorded([], fresh, None)) == 2
    shutil.copytree("fresh/m", "results/m")
    one_line(hallmark("verify", "--against", "fresh"), 1, "no record of other on digits")
    assert hallmark("verify", "m", "--against", "fresh").code == 0
    one_line(hallmark("verify", "other", "--against", "fresh"), 2, "no record of 'other' under results")


def test_another_model_under_the_same_name_disagrees(hallmark: Hallmark, fake: Fake) -> None:
    folder = fake("m", {"fake": "constant", "probs": [0.1] * 10})
    hallmark("run", folder, "-t", "digits")
    hallmark("run", folder, "-t", "digits", "--results", "fresh")
    (stored,) = Store(Path("results")).scan()
    (again,) = Store(Path("fresh")).scan()
    worse = [
        m.model_copy(update={"value": m.value * 1.02}) if m.name == "nll" and m.value else m
        for m in again.record.measurements
    ]
    forged = again.record.model_copy(update={"measurements": tuple(worse)})
    again.path.write_text(forged.model_dump_json())
    (line,) = agreement(stored, Store(Path("fresh")), TASKS, 0.005).problems
    assert line.startswith("nll is 2.30259, a fresh run gives 2.34864 (allowed: ")
