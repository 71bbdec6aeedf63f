"""``hallmark run --until-decided``: decided early and rightly, never with more errors than asked for."""

from __future__ import annotations

import io
import json
import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from gate_records import digits_columns, put
from support import Ran, one_line, write_submission

import tasks
from suite import outcomes, policy, stopping, watch
from suite.data import Dataset
from suite.stopping import Rule
from suite.store import load
from suite.task import Example
from suite.verdict import Outcome
from tasks.labels import LabelsOnly
from tasks.metric_sets import Measured

N, K, SPLIT = 1200, 4, 60
DATA = Dataset(name="made-up", content_sha256="ab" * 32, bundled=True, generated=True)
POLICY = """
schema_version = 1
[[metric]]
task = "{task}"
name = "accuracy"
margin = {margin}
unit = "absolute"
primary = true
"""
NLL = '[[metric]]\ntask = "{task}"\nname = "nll"\nmargin = 0.2\nunit = "absolute"\n'
ECE = '[[metric]]\ntask = "{task}"\nname = "ece_15"\nmargin = 0.5\nunit = "absolute"\n'
BYTES = '[[metric]]\nname = "bytes"\nmargin = 0\nunit = "relative"\n'


def labels() -> np.ndarray[Any, Any]:
    return np.random.default_rng(0).integers(0, K, N + SPLIT)


def examples() -> Iterator[Example]:
    """Documents of four items, with the calibration split in the middle."""
    for i, y in enumerate(labels()):
        split = 500 <= i < 500 + SPLIT
        yield Example(f"i{i:04d}", None, int(y), cluster="" if split else f"d{i // 4}", calibration=split)


class ByNll(LabelsOnly):
    calibrates = "nll"
    batch_size = 100


@pytest.fixture(autouse=True)
def _task(monkeypatch: pytest.MonkeyPatch) -> None:
    made = ByNll(
        name="made-up", title="t", version="1", dataset=DATA, shape=(), measured=Measured(tuple("abcd")), load=examples
    )
    made.metrics = tuple(m for m in made.metrics if m.name in ("accuracy", "nll", "ece_15"))  # the others take time
    monkeypatch.setitem(tasks.TASKS._own, "made-up", made)


@pytest.fixture
def model(tmp_path: Path) -> Callable[..., Path]:
    """Predictions that are right on nine items of ten, but for a share of them that is spoilt at random."""

    def make(name: str, spoilt: float = 0.0, seed: int = 1, **fields: Any) -> Path:
        draw, truth = np.random.default_rng(1), labels()
        said = np.where(draw.random(len(truth)) < 0.9, truth, (truth + 1) % K)
        noise = draw.normal(scale=0.1, size=(len(truth), K))
        lost = np.random.default_rng(seed).random(len(truth)) < spoilt
        said = np.where(lost, (truth + 2) % K, said)
        z = 2 * np.eye(K)[said] + noise + np.random.default_rng(seed).normal(scale=0.01 * (seed > 1), size=noise.shape)
        buffer = io.BytesIO()
        np.savez(buffer, name=np.array([f"i{i:04d}" for i in range(len(truth))]), z=z)
        return write_submission(
            tmp_path / "subs", name, {"a.npz": buffer.getvalue()}, "a.npz", format="predictions",
            inputs={"classes": K, "scores": "z", "ids": "name"}, **fields,
        )  # fmt: skip

    return make


@pytest.fixture
def run(tmp_path: Path, hallmark: Callable[..., Ran], model: Callable[..., Path]) -> Callable[..., Ran]:
    """Score the parent whole, then a child until it is decided."""
    parent = model("parent")
    assert hallmark("run", parent, "-t", "made-up").code == 0

    def call(name: str, *more: str, spoilt: float = 0.0, margin: float = 0.04, extra: str = "", seed: int = 2) -> Ran:
        (tmp_path / "gate.toml").write_text(POLICY.format(task="made-up", margin=margin) + extra.format(task="made-up"))
        folder = tmp_path / "subs" / name
        if not folder.exists():
            model(name, spoilt, seed, parent="parent")
        return hallmark("run", folder, "--until-decided", *more)

    return call


def record_of(name: str) -> dict[str, Any]:
    (path,) = Path(f"results/{name}/made-up").glob("*.json")
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def test_a_bad_child_is_stopped_early_and_fails(run: Callable[..., Ran], hallmark: Callable[..., Ran]) -> None:
    ran = run("bad", spoilt=0.3, extra=NLL)
    assert ran.code == 1, ran
    assert "FAIL: regressed (accuracy of made-up)" in ran.out
    record = record_of("bad")
    used = record["limit"]
    assert 50 <= used <= N // 2
    assert used % 4 == 0  # whole documents
    assert record["measurements"][0]["n"] == used
    (note,) = [line for line in record["provenance"]["notes"] if "--until-decided" in line]
    assert f"{used} of {N} items" in note
    assert "Lan-DeMets" in note
    again = run("bad", extra=NLL)
    assert (again.code, "already scored" in again.out) == (1, True)
    assert again.out.splitlines()[-1] == ran.out.splitlines()[-1]
    one_line(hallmark("gate", "subs/bad", "--baseline", "parent"), 2, "stopped as decided", f"after {used} items")
    assert hallmark("verify").code == 0
    ran = hallmark("compare", "parent", "bad")
    assert ran.code == 4
    assert f"limit None against {used}" in ran.out


def test_the_reports_are_those_of_the_gate(
    tmp_path: Path, run: Callable[..., Ran], hallmark: Callable[..., Ran]
) -> None:
    one_line(run("bad", "--junit", "out/gate.xml", spoilt=0.3), 2, "no folder out")
    assert not Path("results/bad").exists()  # nothing has been scored
    ran = run("bad", "--junit", "gate.xml", "--markdown", "gate.md", spoilt=0.3)
    assert ran.code == 1
    assert ET.parse(tmp_path / "gate.xml").getroot().get("failures") == "1"
    assert "Hallmark gate: FAIL: regressed" in (tmp_path / "gate.md").read_text()
    one_line(hallmark("run", "subs/bad", "--junit", "gate.xml"), 2, "--until-decided")


def test_an_equal_child_passes_with_part_of_the_items(run: Callable[..., Ran]) -> None:
    ran = run("good", "--json")
    assert ran.code == 0, ran
    gate = ran.json["gate"]
    assert (gate["verdict"], gate["exit_code"]) == ("non-inferior", 0)
    (verdict,) = gate["verdicts"]
    assert verdict["method"] == "repeated"
    assert verdict["low"] > -0.04
    assert verdict["n"] == ran.json["records"][0]["limit"] < N
    assert "spared" in " ".join(gate["notes"])


def test_what_nobody_can_tell_takes_all_items(run: Callable[..., Ran], hallmark: Callable[..., Ran]) -> None:
    """A loss about as large as the margin: every item is used, and then the record is one of the whole task."""
    ran = run("close", spoilt=0.05, margin=0.045)
    assert ran.code == 3, ran
    assert "UNDECIDED" in ran.out
    (wanted,) = re.findall(r"at all 1,200 items; n = ([\d,]+) would decide", " ".join(ran.out.split()))
    assert int(wanted.replace(",", "")) > N
    assert record_of("close")["limit"] is None
    assert "1200 of 1200" in " ".join(record_of("close")["provenance"]["notes"])
    assert hallmark("gate", "subs/close", "--baseline", "parent").code == 3
    whole = hallmark("run", "subs/close", "-t", "made-up", "--json", "--results", "other")
    mine = record_of("close")
    assert whole.json["records"][0]["unit_key"] != mine["unit_key"]
    assert whole.json["records"][0]["outcomes_sha256"] == mine["outcomes_sha256"]  # the same items, the same answers


def test_a_metric_that_is_no_mean_waits_for_the_end(run: Callable[..., Ran]) -> None:
    ran = run("waits", "--json", extra=ECE + BYTES)
    assert ran.code in (0, 4), ran
    assert "ece_15: no mean over items" in ran.err
    assert record_of("waits")["limit"] is None
    by_name = {v["metric"]: v for v in ran.json["gate"]["verdicts"]}
    assert by_name["ece_15"]["verdict"] == "non-inferior"
    assert by_name["ece_15"]["method"] == "bootstrap-cluster"
    assert "decided at" in by_name["accuracy"]["reason"]


def test_a_run_that_is_broken_off_goes_on_where_it_was(
    run: Callable[..., Ran], hallmark: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = watch.Watch.enough, []

    def breaks(self: watch.Watch, columns: Any) -> bool:
        calls.append(len(columns["item"]))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(self, columns)

    monkeypatch.setattr(watch.Watch, "enough", breaks)
    with pytest.raises((KeyboardInterrupt, AssertionError)):
        assert run("good").code == 0
    monkeypatch.setattr(watch.Watch, "enough", real)
    assert run("good").code == 0
    resumed = record_of("good")
    (pinned,) = Path("results/parent/made-up").glob("*.json")
    calm = run("good", "--results", "calm", "--baseline", str(pinned))
    assert calm.code == 0, calm
    (path,) = Path("calm/good/made-up").glob("*.json")
    assert json.loads(path.read_text())["outcomes_sha256"] == resumed["outcomes_sha256"]
    assert len(calls) == 3


def test_two_runs_of_one_model_pass(run: Callable[..., Ran]) -> None:
    ran = run("twin", seed=1, margin=0.0, extra=NLL)
    assert ran.code == 0, ran
    assert record_of("twin")["limit"] is None  # without a flip, nothing tells earlier that none will come


def test_bad_input_is_one_line(
    tmp_path: Path, run: Callable[..., Ran], hallmark: Callable[..., Ran], model: Callable[..., Path]
) -> None:
    run("good")
    child, parent = tmp_path / "subs" / "good", tmp_path / "subs" / "parent"
    until = ("--until-decided", "--policy", "gate.toml")
    one_line(hallmark("run", child, "--policy", "gate.toml"), 2, "--policy belongs to --until-decided")
    one_line(hallmark("run", child, "--until-decided", "--policy", "none.toml"), 2, "none.toml")
    one_line(hallmark("run", child, parent, *until), 2, "one submission")
    one_line(hallmark("run", child, *until, "--limit", "100"), 2, "exclude each other")
    one_line(hallmark("run", parent, *until), 2, "no parent", "--baseline")
    one_line(hallmark("run", parent, *until, "--baseline", str(parent)), 2, "its own baseline")
    fresh = model("fresh")
    one_line(hallmark("run", child, *until, "--baseline", str(fresh)), 2, "hallmark run", "fresh")
    hallmark("run", fresh, "-t", "made-up", "--limit", "300")
    one_line(hallmark("run", child, *until, "--baseline", str(fresh)), 2, "limited run")
    one_line(hallmark("run", child, *until, "-t", "cifar10-labels"), 2, "cifar10-labels")
    pinned = json.loads(next(Path("results/parent/made-up").glob("*.json")).read_text())
    (tmp_path / "pin.json").write_text(json.dumps({"records": [pinned]}))
    one_line(hallmark("run", child, *until, "--baseline", "pin.json"), 2, "keeps no outcomes")
    (tmp_path / "gate.toml").write_text(POLICY.format(task="made-up", margin=0.1).replace("primary = true", ""))
    one_line(hallmark("run", child, *until), 2, "none is primary")
    (tmp_path / "gate.toml").write_text(POLICY.format(task="made-up", margin=0.1).replace("accuracy", "acuracy"))
    one_line(hallmark("run", child, *until), 2, "did you mean 'accuracy'")
    (tmp_path / "gate.toml").write_text(POLICY.format(task="generated-text", margin=0.1).replace("accuracy", "nll"))
    one_line(hallmark("run", child, *until), 2, "no task for a classification model")


# --- the rule itself, on arrays

SIZE = 1000


def rule(root: Path, margin: float, extra: str = "", seed: int = 0, size: int = SIZE) -> tuple[Rule, np.ndarray]:
    """The rule of a baseline that is right on 80 % of the items of ``digits``."""
    truth = np.random.default_rng(5).integers(0, 10, size)
    said = np.where(np.random.default_rng(6).random(size) < 0.8, truth, (truth + 1) % 10)
    path = put(root, "base", digits_columns(said, truth))
    (root / "gate.toml").write_text(POLICY.format(task="digits", margin=margin) + extra.format(task="digits"))
    return Rule(load(path), tasks.TASKS["digits"], policy.read(root / "gate.toml"), seed), said


def child_of(one: Rule, gains: float, losses: float, seed: int) -> dict[str, Any]:
    """The baseline's outcomes with random flips."""
    draw = np.random.default_rng([seed, 77]).random(len(one.columns["item"]))
    right = np.asarray(one.columns["correct"]).astype(bool)
    flip_up, flip_down = ~right & (draw < gains / (1 - right.mean())), right & (draw > 1 - losses / right.mean())
    return {**one.columns, "correct": (right | flip_up) & ~flip_down}


def judged(one: Rule, child: dict[str, Any]) -> tuple[Outcome, int]:
    seen = watch.Watch(one)
    for n in one.looks:
        rows = np.sort(one.order[:n])
        if seen.enough({name: values[rows] for name, values in child.items()}):
            break
    return seen.verdicts["accuracy"].outcome, seen.used


def test_the_order_is_one_permutation_of_whole_clusters(tmp_path: Path) -> None:
    one, _ = rule(tmp_path, 0.02)
    assert sorted(one.order.tolist()) == list(range(SIZE))
    assert not np.array_equal(one.order, np.arange(SIZE))
    other, _ = rule(tmp_path, 0.02)
    assert np.array_equal(one.order, other.order)
    assert one.key == other.key
    assert one.key != rule(tmp_path, 0.03)[0].key
    moved = rule(tmp_path, 0.03, seed=1)[0]
    assert not np.array_equal(one.order, moved.order)


def test_neither_error_is_made_more_often_than_alpha_in_spite_of_the_looks(tmp_path: Path) -> None:
    """200 models at a loss of exactly the margin, through the code that decides."""
    one, _ = rule(tmp_path, 0.03)
    tries = 200
    found = [judged(one, child_of(one, 0.02, 0.05, seed))[0] for seed in range(tries)]
    slack = 3 * math.sqrt(0.05 * 0.95 / tries)
    assert found.count(Outcome.NON_INFERIOR) / tries <= 0.05 + slack
    assert found.count(Outcome.REGRESSED) / tries <= 0.025 + slack
    naive = watch.Watch(one)
    assert naive.rule.gauges[0].bound(0, 0.05) > 3  # the first look hardly decides


def test_equal_and_bad_models_are_decided_with_fewer_items(tmp_path: Path) -> None:
    one, _ = rule(tmp_path, 0.03)
    equal = [judged(one, child_of(one, 0.01, 0.01, seed)) for seed in range(60)]
    assert np.mean([outcome is Outcome.NON_INFERIOR for outcome, _ in equal]) > 0.9
    assert np.mean([used for _, used in equal]) < 0.75 * SIZE
    bad = [judged(one, child_of(one, 0.01, 0.16, seed)) for seed in range(60)]
    assert all(outcome is Outcome.REGRESSED for outcome, _ in bad)
    assert np.mean([used for _, used in bad]) < 0.5 * SIZE


def test_real_values_are_not_decided_before_half_of_the_items(tmp_path: Path) -> None:
    one, _ = rule(tmp_path, 0.03, extra=NLL)
    accuracy, nll = one.gauges
    assert accuracy.shares[0] == 0.05
    assert next(share for share in nll.shares if share) >= stopping.VALUES_FROM
    assert nll.shares[-1] == 1


def test_the_levels_are_shared_out(tmp_path: Path) -> None:
    one, _ = rule(tmp_path, 0.03, extra=NLL + ECE + BYTES)
    assert [gauge.level for gauge in one.gauges] == pytest.approx([0.025, 0.025 / 3, 0.025 / 3])


def test_too_few_items_decide_nothing(tmp_path: Path) -> None:
    one, _ = rule(tmp_path, 0.03, size=19)
    outcome, used = judged(one, child_of(one, 0.0, 0.6, 1))
    assert (outcome, used) == (Outcome.INCONCLUSIVE, 19)


def test_replaying_a_record_gives_the_verdicts_of_the_run(tmp_path: Path) -> None:
    one, said = rule(tmp_path, 0.03)
    truth = np.random.default_rng(5).integers(0, 10, SIZE)
    lost = np.random.default_rng(9).random(SIZE) < 0.2
    rows = digits_columns(np.where(lost, (truth + 3) % 10, said), truth)
    child = outcomes.to_columns(outcomes.to_table(rows))
    outcome, used = judged(one, child)
    kept = [rows[i] for i in np.sort(one.order[:used])]
    (verdict,) = watch.replay(one, load(put(tmp_path, "child", kept, limit=used)))
    assert (verdict.outcome, verdict.difference.n) == (outcome, used) == (Outcome.REGRESSED, used)  # type: ignore[union-attr]
