"""Bursts of timed calls: warm up until stable, then repeat for a while; wall and processor time of every call."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from statistics import median

from suite.timing.steps import Step

WARM_CALLS = 5
WARM_TOLERANCE = 0.05
_WARM_S = 120.0  # then it counts as unstable
_WARM_ROUNDS = 40
KEPT = 100  # calls of a burst whose times are kept, evenly chosen
SHORT_S = 0.1  # the kernel books what other threads compute in ticks of up to 10 ms


@dataclass(frozen=True)
class Call:
    """One timed call: wall and processor seconds, and seconds from its start to the first and to the last new token."""

    seconds: float
    cpu_seconds: float
    first_s: float | None = None
    last_s: float | None = None


@dataclass
class Clock:
    """What time is taken of; tests put a seeded clock in its place.

    Attributes:
        wall: seconds, wall time.
        cpu: seconds, processor time of all threads of this process.
        settle: waits until all work that was given to a device is done.
        lap: begins to take the seconds of a call by the device's own clock, and ends when what it gives is asked; None
            where the wall time is that of the call.
    """

    wall: Callable[[], float] = time.perf_counter
    cpu: Callable[[], float] = time.process_time
    settle: Callable[[], None] = field(default=lambda: None)
    lap: Callable[[], Callable[[], float]] | None = None

    def call(self, step: Step) -> Call:
        """Time one call."""
        self.settle()
        cpu, start = self.cpu(), self.wall()
        on_device = self.lap() if self.lap else None
        stamps = step()
        took = on_device() if on_device else None
        self.settle()
        took = self.wall() - start if took is None else took
        ends = (stamps[0] - start, stamps[-1] - start) if stamps else (None, None)
        return Call(took, self.cpu() - cpu, *ends)


def warm(step: Step, clock: Clock) -> tuple[int, bool]:
    """Call until the medians of two consecutive fives differ by less than 5 %: calls made, and whether they ever did.

    At least 10 calls, at most 200 or two minutes of them; one that never settles is timed all the same and said so.
    """
    start, last, calls = clock.wall(), 0.0, 0
    for round_ in range(_WARM_ROUNDS):
        now = median(clock.call(step).seconds for _ in range(WARM_CALLS))
        calls += WARM_CALLS
        if round_ and abs(now - last) < WARM_TOLERANCE * last:
            return calls, True
        if round_ and clock.wall() - start > _WARM_S:
            break
        last = now
    return calls, False


def burst(step: Step, seconds: float, clock: Clock) -> list[Call]:
    """Timed calls one after the other for so long, the first left out wherever there is a second.

    The first call finds the caches full of the other model's weights.
    """
    start = clock.wall()
    calls = [clock.call(step)]
    while clock.wall() - start < seconds:
        calls.append(clock.call(step))
    return _even(calls[1:] or calls)[:: -(-len(calls) // KEPT)]


def _even(calls: list[Call]) -> list[Call]:
    """The same calls; those shorter than 0.1 s share their processor time by wall time, before any is left out."""
    short = [call for call in calls if call.seconds < SHORT_S]
    wall = sum(call.seconds for call in short)
    if wall <= 0:
        return calls
    share = sum(call.cpu_seconds for call in short) / wall
    return [replace(c, cpu_seconds=c.seconds * share) if c.seconds < SHORT_S else c for c in calls]
