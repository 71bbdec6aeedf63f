"""Ahead: what an iterator gives, made by another thread while what came before is used."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

T = TypeVar("T")


def ahead(items: Iterator[T], batch: int) -> Iterator[T]:
    """The same items in the same order, `batch` of them at a time; of use where making them frees Python's lock.

    >>> list(ahead(iter(range(5)), 2))
    [0, 1, 2, 3, 4]
    """
    with ThreadPoolExecutor(1) as worker:
        coming = worker.submit(lambda: list(islice(items, batch)))
        while found := coming.result():
            coming = worker.submit(lambda: list(islice(items, batch)))
            yield from found
