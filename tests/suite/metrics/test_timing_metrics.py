"""Ratios, percentiles, throughput, shares of the machine's peaks and waiting: by hand and by the standard library."""

from __future__ import annotations

import statistics
from typing import Any

import numpy as np
import pytest

from suite.errors import Undefined
from suite.metrics import contention, timing


def lists(*rows: list[float]) -> Any:
    found = np.empty(len(rows), dtype=object)
    for i, row in enumerate(rows):
        found[i] = np.array(row)
    return found


def columns(scenario: str = "s", **changes: Any) -> dict[str, Any]:
    made = {
        "scenario": np.array([scenario] * 3),
        "call_seconds": lists([1.0, 2.0, 3.0], [4.0], [1.0, 1.0]),
        "parent_call_seconds": lists([4.0], [4.0, 4.0], [1.0, 9.0, 4.0]),
        "call_cpu_seconds": lists([1.0, 2.0, 3.0], [4.0], [1.0, 1.0]),
        "first_seconds": lists([0.5, 0.5, 0.5], [1.0], [0.25, 0.25]),
        "last_seconds": lists([1.0, 2.0, 3.0], [4.0], [1.0, 1.0]),
        "parent_first_seconds": lists([1.0], [1.0, 1.0], [0.0, 0.0, 1.0]),
        "parent_last_seconds": lists([4.0], [4.0, 4.0], [1.0, 9.0, 4.0]),
        "new": np.full(3, 4),
        "batch": np.full(3, 8.0),
        "parent_batch": np.full(3, 4.0),
        "units": np.full(3, 2.0),
        "threads": np.ones(3),
        "cores": np.full(3, 2.0),
        "load": np.array([0.5, 1.0, 7.0]),
        "alone": np.array([""] * 3),
        "read_bytes": lists([300.0], [300.0], [300.0]),
        "flops": lists([100.0], [100.0], [100.0]),
        "peak_bandwidth": lists([1000.0], [1000.0], [1000.0]),
        "peak_flops": lists([200.0], [200.0], [200.0]),
    }
    return made | changes


def value(metrics: Any, name: str, **changes: Any) -> float:
    (found,) = [m for m in metrics if m.name.startswith(name)]
    return float(found(columns(**changes)))


def test_the_ratio_is_the_median_over_pairs_of_the_ratio_of_medians() -> None:
    assert value(timing.single_stream("s"), "latency_ratio") == 0.5  # 2/4, 4/4, 1/4


def test_without_a_parent_there_is_no_ratio_but_the_reason() -> None:
    with pytest.raises(Undefined, match="runs in another runtime"):
        value(timing.single_stream("s"), "latency_ratio", alone=np.array(["its parent runs in another runtime"] * 3))


def test_percentiles_are_of_all_calls() -> None:
    rng = np.random.default_rng(0)
    calls = lists(*rng.exponential(size=(3, 40)).tolist())
    flat = sorted(np.concatenate(list(calls)).tolist())
    found = timing.single_stream("s")
    assert value(found, "latency_p50_s", call_seconds=calls) == pytest.approx(statistics.median(flat))
    for p in (90, 99):  # the smallest that p percent do not exceed; the mean of two where both qualify
        place = len(flat) * p / 100
        expected = flat[int(np.ceil(place)) - 1] if place % 1 else (flat[int(place) - 1] + flat[int(place)]) / 2
        assert value(found, f"latency_p{p}_s", call_seconds=calls) == pytest.approx(expected)


def test_tokens() -> None:
    made = timing.decoding("s")
    assert value(made, "time_to_first_token_s") == 0.5  # of .25 .25 .5 .5 .5 1
    assert value(made, "time_per_token_s") == pytest.approx(0.5)  # medians of spans / 3: 1.5, 3, .75
    assert value(made, "time_per_token_ratio") == pytest.approx(0.5)  # 1.5/3, 3/3, .75/3
    with pytest.raises(Undefined, match="does not say when"):
        value(made, "time_per_token_s", first_seconds=lists([], [], []), last_seconds=lists([], [], []))


def test_throughput_counts_every_item_of_the_batch() -> None:
    made = timing.offline("s", "tokens/s")
    assert value(made, "throughput_per_s") == 8.0  # 16 units in 2 s, 4 s, 1 s
    assert value(made, "throughput_ratio") == 4.0  # 8/2, 4/2, 16/2
    assert value(made, "batch") == 8


def test_shares_of_the_peaks() -> None:
    assert timing.bandwidth_used("s")(columns()) == pytest.approx(300 / 0.5 / 1000)
    assert timing.peak_share("s")(columns()) == pytest.approx(100 / 2 / 200)
    with pytest.raises(Undefined, match="hallmark machine --measure"):
        timing.bandwidth_used("s")(columns(peak_bandwidth=lists([], [], [])))
    with pytest.raises(Undefined, match="how many operations"):
        timing.peak_share("s")(columns(flops=lists([], [], [])))


def test_macs_are_half_of_the_operations_of_one_item() -> None:
    made = timing.macs("s")
    assert made(columns(flops=lists([160.0], [160.0], [160.0]))) == 160 / 2 / 8
    with pytest.raises(Undefined, match="how many operations"):
        made(columns(flops=lists([], [], [])))


def test_a_scenario_that_was_left_out_says_why() -> None:
    with pytest.raises(Undefined, match="context"):
        timing.single_stream("prefill-1024")[0](columns())


def test_energy_is_above_idle_and_per_item() -> None:
    row = {"energy_j": lists([120.0]), "energy_s": lists([10.0]), "idle_w": lists([4.0]), "energy_items": lists([40.0])}
    here = {"scenario": np.array(["energy"]), "energy_reason": np.array([""]), **row}
    joules, watts = timing.energy()
    assert joules(here) == pytest.approx((120 - 40) / 40)
    assert watts(here) == 4
    with pytest.raises(Undefined, match="no counter"):
        joules(here | {"energy_reason": np.array(["no counter"])})


def test_a_quiet_machine_is_not_contended() -> None:
    assert contention.contended(columns()) is None
    assert contention.contention(columns()) == 1


def test_waiting_for_a_processor_is_contention() -> None:
    half = lists([0.5, 1.0, 1.5], [2.0], [0.5, 0.5])
    assert contention.contention(columns(call_cpu_seconds=half)) == pytest.approx(2.0)
    assert "2.00 x its processor time" in (contention.contended(columns(call_cpu_seconds=half)) or "")


def test_a_model_that_cannot_use_its_threads_does_not_wait() -> None:
    assert contention.contended(columns(threads=np.full(3, 2.0))) is None


def test_threads_that_were_busy_in_one_call_are_expected_in_all() -> None:
    cpu = lists([2.0, 4.0, 6.0], [4.0], [2.0, 1.0])  # two threads' worth, and in two calls one
    assert contention.contention(columns(call_cpu_seconds=cpu, threads=np.full(3, 2.0))) == 1
    assert contention.contention(columns(call_cpu_seconds=lists([2.0, 2.0, 3.0], [4.0], [1.0, 1.0]),
                                     threads=np.full(3, 2.0))) == 2  # fmt: skip


def ticking(calls: int, busy: float) -> tuple[Any, Any]:
    """Calls of 0.5 ms whose second thread computes that share of the time, booked in ticks of 4 ms."""
    wall = np.full(calls, 5e-4)
    ticks = np.floor(np.cumsum(wall) * busy / 4e-3) * 4e-3
    return wall, wall + np.diff(ticks, prepend=0.0)


@pytest.mark.parametrize("busy", [0.3, 1.0])
def test_a_second_thread_that_is_booked_in_ticks_does_not_wait(busy: float) -> None:
    wall, cpu = ticking(300, busy)
    quiet = columns(call_seconds=lists(*[wall] * 3), call_cpu_seconds=lists(*[cpu] * 3), threads=np.full(3, 2.0))
    assert contention.contention(quiet) == pytest.approx(1.0, abs=0.05)
    assert contention.contended(quiet) is None
    waited = quiet | {"call_seconds": lists(wall, wall * 2, wall * 2)}
    assert contention.contention(waited) == pytest.approx(2.0, abs=0.1)
    assert contention.contended(waited)


def test_a_high_load_is_contention() -> None:
    assert contention.contended(columns(load=np.full(3, 2.0))) is None  # 1 thread and half of 2 cores
    assert contention.contended(columns(load=np.full(3, 2.1))) == "the load average was 2.1, more than 2.0"


def test_where_nothing_was_timed_nothing_is_contended() -> None:
    assert contention.contended(columns(threads=np.zeros(3))) is None
