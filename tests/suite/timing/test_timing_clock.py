"""Warm-up ends when it is stable, bursts last as long as asked, and tokens are timed from the start of their call."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from suite.timing import cuda
from suite.timing.clock import KEPT, WARM_CALLS, Clock, burst, warm


class Scripted:
    """A clock that stands still but for the calls, which take what a script says."""

    def __init__(self, durations: Iterator[float], tokens: int = 0) -> None:
        self.now, self.calls, self._durations, self._tokens = 0.0, 0, durations, tokens

    def clock(self) -> Clock:
        return Clock(wall=lambda: self.now, cpu=lambda: self.now / 2)

    def step(self) -> list[float]:
        took = next(self._durations)
        stamps = [self.now + took * (i + 1) / self._tokens for i in range(self._tokens)]
        self.now += took
        self.calls += 1
        return stamps


def test_a_steady_model_is_warm_after_two_fives() -> None:
    made = Scripted(itertools.repeat(0.01))
    assert warm(made.step, made.clock()) == (2 * WARM_CALLS, True)


def test_a_compiling_model_warms_until_two_medians_agree() -> None:
    slow = [1.0] * 5 + [0.5] * 5 + [0.2] * 5
    made = Scripted(itertools.chain(slow, itertools.repeat(0.1)))
    assert warm(made.step, made.clock()) == (25, True)  # 1, .5, .2, .1, .1


def test_one_that_never_settles_is_bounded_and_said_so() -> None:
    made = Scripted(0.01 * 1.2**n for n in itertools.count())
    calls, stable = warm(made.step, made.clock())
    assert not stable
    assert calls <= 200
    slow = Scripted(20.0 * 1.2**n for n in itertools.count())
    assert warm(slow.step, slow.clock())[0] == 10  # 100 s a five: two are more than two minutes


def test_a_burst_lasts_as_long_as_asked_and_its_first_call_is_not_timed() -> None:
    made = Scripted(itertools.chain([0.5], itertools.repeat(0.25)))
    calls = burst(made.step, 2.5, made.clock())
    assert [call.seconds for call in calls] == pytest.approx([0.25] * 8)
    assert [call.cpu_seconds for call in calls] == pytest.approx([0.125] * 8)


def test_a_call_longer_than_its_burst_is_timed_once() -> None:
    made = Scripted(itertools.repeat(3.0))
    assert [call.seconds for call in burst(made.step, 0.2, made.clock())] == [3.0]
    assert made.calls == 1


@pytest.mark.parametrize("cold", [0.3, 0.6, 0.9])
def test_the_first_call_is_left_out_however_long_it_was_if_there_is_another(cold: float) -> None:
    made = Scripted(itertools.chain([cold], itertools.repeat(0.25)))
    assert {round(call.seconds, 6) for call in burst(made.step, 1.0, made.clock())} == {0.25}


def test_of_many_calls_evenly_chosen_ones_are_kept() -> None:
    made = Scripted(0.001 * (1 + n % 3) for n in itertools.count())
    calls = burst(made.step, 1.5, made.clock())
    assert KEPT / 2 < len(calls) <= KEPT
    assert len({round(call.seconds, 6) for call in calls}) == 3


def test_processor_time_of_short_calls_is_shared_because_it_comes_in_ticks() -> None:
    made = Scripted(itertools.repeat(0.001))
    clock = Clock(wall=lambda: made.now, cpu=lambda: made.now + 0.004 * int(made.now / 0.004))  # of two busy threads
    calls = burst(made.step, 0.3, clock)
    assert [call.cpu_seconds for call in calls] == pytest.approx([0.002] * len(calls), rel=0.05)
    slow = Scripted(itertools.cycle([0.25, 0.5]))
    times = burst(slow.step, 2.0, Clock(wall=lambda: slow.now, cpu=lambda: slow.now * slow.now))
    assert len({round(call.cpu_seconds / call.seconds, 6) for call in times}) == len(times)


def test_tokens_are_timed_from_the_start_of_the_call() -> None:
    made = Scripted(itertools.repeat(0.64), tokens=64)
    call = made.clock().call(made.step)
    assert call.first_s == pytest.approx(0.01)
    assert call.last_s == pytest.approx(0.64)
    assert Scripted(itertools.repeat(1.0)).clock().call(lambda: []).first_s is None


def test_a_device_takes_the_time_of_a_call_by_its_own_clock() -> None:
    made, said = Scripted(itertools.repeat(0.5)), []

    def lap() -> Any:
        said.append("begin")
        return lambda: said.append("end") or 0.2

    clock = Clock(made.clock().wall, made.clock().cpu, lambda: said.append("settle"), lap)
    call = clock.call(lambda: said.append("call") or made.step())
    assert (call.seconds, call.cpu_seconds) == (0.2, 0.25)
    assert said == ["settle", "begin", "call", "end", "settle"]


def test_cuda_events_enclose_the_call_and_are_asked_after_the_device_passed_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    torch, said = pytest.importorskip("torch"), []

    class Event:
        def __init__(self, enable_timing: bool = False) -> None:
            assert enable_timing

        def record(self) -> None:
            said.append("record")

        def elapsed_time(self, end: Event) -> float:
            assert end is not self
            said.append("elapsed")
            return 250.0  # ms

    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: said.append("synchronize"))
    took = cuda.lap()
    said.append("call")
    assert took() == 0.25
    assert said == ["record", "call", "record", "synchronize", "elapsed"]


@pytest.mark.gpu
def test_cuda_events_agree_with_the_wall() -> None:
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device here")
    x = torch.ones((4096, 4096), device="cuda")

    def step() -> list[float]:
        x @ x
        return []

    wall, events = Clock(settle=cuda.settle), Clock(settle=cuda.settle, lap=cuda.lap)
    warm(step, wall)
    both = [(wall.call(step).seconds, events.call(step).seconds) for _ in range(20)]
    assert min(b for _, b in both) == pytest.approx(min(a for a, _ in both), rel=0.2)
