"""Efficiency: a model against itself has ratio 1, one of half the speed 2; records say what they are not for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from support import REPOSITORY, Ran, one_line

from suite import measure, outcomes, submission
from suite.child import Child
from suite.entrants import collect
from suite.manifest import Inputs
from suite.metrics.base import Columns
from suite.outcomes import CLUSTER, ITEM
from suite.record import Measurement, Record
from suite.store import Store
from suite.task import Marks, Timed
from suite.timing import roofline
from suite.timing.fakes import Metronome
from suite.timing.scenario import BURST_S, PAIRED_S, PAIRS, PROCESSES
from tasks import TASKS, efficiency

Hallmark = Callable[..., Ran]
Fake = Callable[..., Path]
VISION = "efficiency-classification"
PEAKS = {"bandwidth_bytes_per_s": 1e10, "fp32_flops_per_s": 1e11}


def columns_of(child: Metronome, parent: Metronome | None, task: Any = efficiency.LANGUAGE_SPEED) -> Columns:
    model = Timed(child, parent, "" if parent else "it has no parent", PEAKS)
    rows = []
    for example in task.examples(model):
        (answer,) = task.ask(model, [example.input], Inputs())
        rows.append({ITEM: example.item, CLUSTER: example.cluster or example.item, **task.row(example, answer)})
    return outcomes.to_columns(outcomes.to_table(rows))


def measured(columns: Columns, name: str, task: Any = efficiency.LANGUAGE_SPEED) -> Measurement:
    (m,) = measure.scores([m for m in task.metrics if m.name == name], columns, seed=0)
    return m


def test_the_protocol_is_thirty_pairs_and_ten_seconds() -> None:
    assert PAIRS >= 30
    assert 2 * PAIRS * BURST_S >= PAIRED_S >= 10


@pytest.mark.parametrize(("parameters", "macs"), [(1000.0, 50.0), (600.0, None), (0.0, None)])
def test_operations_are_the_parents_only_for_as_many_parameters(parameters: float, macs: float | None) -> None:
    class Counting(Metronome):
        facts_of_it: ClassVar[dict[str, float]] = {}

        def timed(self, orders: Any) -> Any:
            counted = {name: np.array([value]) for name, value in self.facts_of_it.items()}
            return [{**answer, **counted} for answer in super().timed(orders)]

    child, parent = Counting(0.05), Counting(0.05)
    child.facts_of_it = {"parameters": parameters}  # type: ignore[misc]
    parent.facts_of_it = {"parameters": 1000.0, "flops": 100.0}  # type: ignore[misc]
    task = efficiency.CLASSIFICATION_SPEED
    m = measured(columns_of(child, parent, task), "macs[scenario=batch-1]", task)
    assert m.value == macs
    assert macs or "as many parameters" in (m.reason or "")


@pytest.mark.parametrize("sides", [1, 2])
def test_every_scenario_takes_ten_seconds_with_a_parent_or_without(sides: int) -> None:
    spent: dict[str, float] = {}

    class Spending(Metronome):
        def timed(self, orders: Any) -> Any:
            for order in orders:
                name = order["name"] if order["what"] == "burst" else order["what"]
                spent[name] = spent.get(name, 0.0) + order["seconds"]
            return super().timed(orders)

    columns_of(Spending(0.05), Spending(0.05) if sides == 2 else None, efficiency.CLASSIFICATION_SPEED)
    bursts = {name: took for name, took in spent.items() if name not in {"memory", "energy"}}
    assert bursts == pytest.approx(dict.fromkeys(["batch-1", "batch-8", "offline"], PAIRED_S))


def test_a_model_against_itself_has_ratio_1_within_its_interval() -> None:
    """As often as a 95 % interval should: in at least 17 of 20 seeded trials; six processes make widths vary."""
    name, widths, held = "latency_ratio[scenario=batch-1]", [], 0
    task = efficiency.CLASSIFICATION_SPEED
    for seed in range(20):
        columns = columns_of(Metronome(0.034, 2 * seed), Metronome(0.034, 2 * seed + 1), task)
        m = measured(columns, name, task)
        assert m.low is not None
        assert m.high is not None
        held += m.low <= 1.0 <= m.high
        widths.append(m.high / m.low)
    assert held >= 17
    assert np.median(widths) < 1.25


class Held:
    """A model in a process of its own, as `hallmark run` times it."""

    def __init__(self, child: Child) -> None:
        self.facts, self._child = child.facts, child

    def timed(self, orders: Any) -> Any:
        return self._child.ask("timed", list(orders))

    def restart(self) -> None:
        self._child.restart()

    def loaded(self) -> None:
        self._child.loaded()


def against_itself(task: Any, order: dict[str, Any]) -> Measurement:
    """The ratio of a real model to itself, by the whole protocol: two new processes for every share of the pairs."""
    with Child(order, 120.0) as one, Child(order, 120.0) as other:
        model, rows = Timed(Held(one), Held(other), "", PEAKS), []
        for e in task.examples(model):
            if e.input[0].name == "batch-1" and isinstance(e.input[1], int):
                (answer,) = task.ask(model, [e.input], Inputs())
                rows.append({ITEM: e.item, CLUSTER: e.cluster, **task.row(e, answer)})
    return measured(outcomes.to_columns(outcomes.to_table(rows)), "latency_ratio[scenario=batch-1]", task)


def test_a_real_model_against_itself_in_fresh_processes_has_ratio_1(monkeypatch: pytest.MonkeyPatch) -> None:
    """The interval, over pairs of processes, contains 1; a 95 % interval may miss it once, but not three times."""
    monkeypatch.setattr(efficiency, "BURST_S", 0.01)
    one = submission.load(REPOSITORY / "submissions" / "embedded-digits")
    order = {"format": "onnx", "weights": str(one.weights()), "kind": "classification", "device": "cpu", "threads": 1,
             "inputs": one.manifest.inputs.model_dump(mode="json")}  # fmt: skip
    tries = []
    for _ in range(3):
        m = against_itself(efficiency.CLASSIFICATION_SPEED, order)
        assert (m.n, m.n_clusters, m.method) == (PAIRS, PROCESSES, "bootstrap-cluster")
        assert m.low is not None
        assert m.high is not None
        tries.append((m.low, m.high))
        if m.low <= 1.0 <= m.high:
            return
    pytest.fail(f"never 1: {tries}")


def test_half_the_speed_is_ratio_2() -> None:
    columns = columns_of(Metronome(0.02, 1), Metronome(0.01, 2))
    for name in ("latency_ratio[scenario=prefill-128]", "time_per_token_ratio[scenario=decode-64]"):
        m = measured(columns, name)
        assert m.low is not None
        assert m.high is not None
        assert m.low < 2 < m.high, name
        assert m.low > 1.5
    slow = measured(columns, "throughput_ratio[scenario=offline]")
    assert slow.value == pytest.approx(0.5, rel=0.15)
    assert slow.higher_is_better
    assert measured(columns, "latency_p50_s[scenario=prefill-128]").value == pytest.approx(0.02, rel=0.1)


def test_pairs_take_turns_a_b_b_a() -> None:
    asked: list[str] = []

    class Told(Metronome):
        def __init__(self, name: str) -> None:
            super().__init__(0.01)
            self.name = name

        def timed(self, orders: Any) -> Any:
            asked.append(self.name)
            return super().timed(orders)

    columns_of(Told("A"), Told("B"), efficiency.CLASSIFICATION_SPEED)
    assert "".join(asked[1:9]) == "ABBAABBA"  # the first one is the memory of A
    assert asked.count("A") == asked.count("B") + 2  # memory and energy


@pytest.mark.parametrize("beside", [True, False])
def test_each_pair_of_processes_has_its_share_of_every_scenario(beside: bool) -> None:
    started: dict[str, int] = {"A": 0, "B": 0}

    class Told(Metronome):
        def __init__(self, name: str) -> None:
            self.name = name
            super().__init__(0.01)

        def restart(self) -> None:
            started[self.name] += 1
            super().restart()

    task = efficiency.CLASSIFICATION_SPEED
    columns = columns_of(Told("A"), Told("B") if beside else None, task)
    assert started == {"A": PROCESSES, "B": PROCESSES if beside else 0}
    for scenario in ("batch-1", "batch-8", "offline"):
        found = columns[CLUSTER][columns["scenario"] == scenario]
        assert np.unique(found, return_counts=True)[1].tolist() == [PAIRS // PROCESSES] * PROCESSES
    assert len(np.unique(columns[CLUSTER])) == PROCESSES + 2  # memory and energy


def test_the_interval_is_as_wide_as_processes_differ() -> None:
    """A process that keeps its own speed for life is one observation, however many bursts it has: no noise within."""
    name, task = "latency_ratio[scenario=batch-1]", efficiency.CLASSIFICATION_SPEED
    columns = dict(columns_of(Metronome(0.01), Metronome(0.01), task))
    own, shares = columns["call_seconds"].copy(), [0.98, 0.99, 1.0, 1.01, 1.02, 1.03]
    for i in np.flatnonzero(columns["scenario"] == "batch-1"):
        share = shares[int(columns[CLUSTER][i].removeprefix("processes-"))]
        own[i] = share * columns["parent_call_seconds"][i]
    m = measured(columns | {"call_seconds": own}, name, task)
    assert m.value == pytest.approx(1.005)
    assert m.low is not None
    assert m.high is not None
    assert m.low < 0.99
    assert m.high > 1.02


def test_a_short_context_leaves_scenarios_out_with_the_reason() -> None:
    child = Metronome(0.01)
    child.facts = child.facts.__class__("float32", context=200)
    m = measured(columns_of(child, None), "latency_p50_s[scenario=prefill-1024]")
    assert m.value is None
    assert "context" in (m.reason or "")


def test_a_busy_machine_is_marked_by_waiting_and_by_load() -> None:
    task = efficiency.CLASSIFICATION_SPEED
    assert task.marks(columns_of(Metronome(0.01), None, task)) == Marks()
    assert "processor time" in (task.marks(columns_of(Metronome(0.01, waiting=1.5), None, task)).contended or "")
    assert "load average" in (task.marks(columns_of(Metronome(0.01, load=5), None, task)).contended or "")


def test_weights_that_grow_in_memory_are_storage_only() -> None:
    task = efficiency.CLASSIFICATION_SPEED
    columns = dict(columns_of(Metronome(0.01), None, task))
    held = np.empty(len(columns["threads"]), dtype=object)
    held[:] = [np.array([8e6])] * len(held)
    stored = np.empty(len(held), dtype=object)
    stored[:] = [np.array([2e6])] * len(held)
    (note,) = task.marks(columns | {"held": held, "stored": stored}).notes
    assert note == "storage only: 2.00 MB of weights in the file are 8.00 MB in memory, this runtime expands them"
    assert task.marks(columns | {"held": stored, "stored": stored}).notes == ()


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bursts of a few milliseconds, and peaks that need no measuring."""
    monkeypatch.setattr(efficiency, "BURST_S", 0.004)
    monkeypatch.setattr(roofline, "peaks", lambda machine: PEAKS)


def family(fake: Fake, child_s: float, parent_s: float) -> Path:
    inputs = {"shape": [1, 4, 4]}
    spec = {"fake": "constant", "probs": [0.7, 0.3]}
    fake("above", spec | {"delay_s": parent_s}, inputs=inputs)
    return fake("below", spec | {"delay_s": child_s}, inputs=inputs, parent="above")


def record_of(name: str, task: str = VISION) -> Record:
    found = Store(Path("results")).latest(name, task)
    assert found is not None
    return found.record


def value(record: Record, name: str) -> Measurement:
    found = record.measurement(name)
    assert found is not None, name
    return found


@pytest.mark.usefixtures("short")
def test_two_real_processes_end_to_end(hallmark: Hallmark, fake: Fake) -> None:
    folder = family(fake, 0.012, 0.004)
    ran = hallmark("run", folder, "--suite", "efficiency", "--threads", "1")
    assert ran.code == 0, ran
    record = record_of("below")
    ratio = value(record, "latency_ratio[scenario=batch-1]")
    assert ratio.value is not None
    assert ratio.value > 1.2  # a wait of 12 ms against 4 ms, however loaded the machine
    assert (ratio.n, ratio.n_clusters, ratio.method) == (PAIRS, PROCESSES, "bootstrap-cluster")
    assert (value(record, "latency_p50_s[scenario=batch-1]").value or 0) >= 0.012
    assert record.parent_sha256
    assert record.contended  # it slept: wall time without processor time
    assert "CONTENDED" in ran.out
    lines = hallmark("show", "below").out.splitlines()
    (header,) = [line for line in lines if line.startswith("scenario")]
    assert [word in header for word in ("ratio to parent", "p50", "p90", "p99", "throughput")] == [True] * 5
    (single,) = [line for line in lines if line.startswith("batch-1 ")]
    assert f"{ratio.value:.4g}" in single
    assert " ms" in single
    assert any(line.startswith("not here: ") and "energy_per_item_j" in line for line in lines) != bool(
        record.energy_source
    )
    assert value(record, "items_per_s").reason == "an item is a burst of calls here; see latency and throughput"
    assert hallmark("verify").code == 0
    assert "contended" in collect(Store(Path("results")), [], [TASKS[VISION]]).excluded["below"]


@pytest.mark.usefixtures("short")
def test_a_language_model_alone(hallmark: Hallmark, fake: Fake) -> None:
    folder = fake("alone", {"fake": "uniform", "context": 400}, kind="language")
    assert hallmark("run", folder, "-t", "efficiency-language", "--threads", "1").code == 0
    record = record_of("alone", "efficiency-language")
    assert value(record, "latency_ratio[scenario=prefill-128]").reason == "it has no parent"
    assert value(record, "latency_p99_s[scenario=decode-64]").value
    assert "context" in (value(record, "latency_p50_s[scenario=prefill-1024]").reason or "")
    assert "does not say when" in (value(record, "time_per_token_s[scenario=decode-64]").reason or "")
    assert value(record, "energy_per_item_j").value is None or record.energy_source
    assert hallmark("verify").code == 0


@pytest.mark.usefixtures("short")
def test_a_parent_in_another_runtime_gives_no_ratio_but_a_hint(hallmark: Hallmark, fake: Fake, tmp_path: Path) -> None:
    folder = family(fake, 0.002, 0.002)
    text = (folder.parent / "above" / "submission.toml").read_text()
    (folder.parent / "above" / "submission.toml").write_text(text.replace('format = "fake"', 'format = "torch-export"'))
    from suite import fit
    from suite.submission import load
    from suite.unit import Prepared

    child = load(folder)
    prepared = Prepared(child, child.verified_weights(), None, None, 0, 0)  # type: ignore[arg-type]
    said = fit.alone(prepared)
    assert "another runtime (torch-export against fake)" in said
    assert "give the parent in the format fake" in said
    m = measured(columns_of(Metronome(0.01), None), "latency_ratio[scenario=prefill-128]")
    assert (m.value, m.reason) == (None, "it has no parent")


def test_a_limit_is_refused(hallmark: Hallmark, fake: Fake) -> None:
    """A few of its bursts are no shorter test: they would be without an interval."""
    folder = family(fake, 0.002, 0.002)
    one_line(hallmark("run", folder, "-t", VISION, "--limit", "10"), 2, VISION, "leave --limit out")


def test_the_batch_is_one_that_ran() -> None:
    """Processes may find different largest batches; half of them 8 and half 16 is not 12."""
    columns = dict(columns_of(Metronome(0.01), None, efficiency.CLASSIFICATION_SPEED))
    numbers = np.array([int(name.rpartition("-")[2]) if "-" in name else 0 for name in columns[CLUSTER]])
    columns["batch"] = np.where(numbers % 2, 16.0, 8.0)
    m = measured(columns, "batch[scenario=offline]", efficiency.CLASSIFICATION_SPEED)
    assert (m.value, m.low, m.high) == (8, 8, 16)


def test_an_input_of_no_fixed_size_is_one_line(hallmark: Hallmark, fake: Fake) -> None:
    folder = fake("open", {"fake": "constant", "probs": [0.7, 0.3]})
    one_line(hallmark("run", folder, "-t", VISION), 2, "open", "no fixed size", "inputs.shape")
