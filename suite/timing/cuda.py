"""Time and memory of a CUDA device, by torch: seconds between two events, and what a call adds to its memory."""

from __future__ import annotations

from collections.abc import Callable

_MS = 1e-3


def settle() -> None:
    """Wait until all work that was given to the device is done."""
    import torch

    torch.cuda.synchronize()


def lap() -> Callable[[], float]:
    """Record an event; asked later, the seconds from it to a second one, once the device has passed both.

    Both lie on the current stream, so that the host's work between two kernels counts, and the wait for the host to be
    told of the end does not. Source: torch.cuda.Event, whose elapsed_time is in milliseconds.
    """
    import torch

    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()

    def seconds() -> float:
        end.record()
        torch.cuda.synchronize()  # of all streams: only then may the times be asked for
        return float(start.elapsed_time(end)) * _MS

    return seconds
