"""Slabs of an array's rows or columns, for several threads: numpy lets go of the lock while it computes."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

_WORKERS = 4  # at most: between numpy's calls only one thread runs


def by_slabs(work: Callable[[slice], None], n: int, size: int) -> None:
    """Call ``work`` for slices of `size` (the last one may be shorter) that cover ``range(n)``.

    Args:
        work: must write to its own slice only; what it raises comes out here.
        n: rows or columns in all.
        size: of a slab.
    """
    slabs = [slice(start, min(start + size, n)) for start in range(0, n, size)]
    n_workers = min(_WORKERS, os.cpu_count() or 1, len(slabs))
    if n_workers <= 1:
        for slab in slabs:
            work(slab)
        return
    with ThreadPoolExecutor(n_workers) as workers:
        list(workers.map(work, slabs))
