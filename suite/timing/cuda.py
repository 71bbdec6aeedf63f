"""Time and memory of a CUDA device, by torch: seconds between two events, and what a call adds to its memory."""

from __future__ import annotations

import contextlib
import gc
import sys
from collections.abc import Callable, Iterator

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

    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
    start.record()

    def seconds() -> float:
        end.record()
        torch.cuda.synchronize()  # of all streams: only then may the times be asked for
        return float(start.elapsed_time(end)) * _MS

    return seconds


def grown() -> Callable[[], int]:
    """Asked later: how far torch's tensors on the device went above what they hold now, bytes."""
    import torch

    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = int(torch.cuda.memory_allocated())
    return lambda: int(torch.cuda.max_memory_allocated()) - before


@contextlib.contextmanager
def memory_ends() -> Iterator[None]:
    """Turn torch's error of a device whose memory ran out into Python's, and give back what the call had taken.

    Raises:
        MemoryError: it ran out.
    """
    torch = sys.modules.get("torch")
    ran_out = torch.OutOfMemoryError if torch else MemoryError
    try:
        yield
    except ran_out as error:
        short = str(error).partition("\n")[0]
    else:
        return
    gc.collect()  # the failed call's tensors, which its traceback held
    if torch:
        torch.cuda.empty_cache()
    raise MemoryError(short)
