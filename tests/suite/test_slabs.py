from __future__ import annotations

import threading

import numpy as np
import pytest

from suite.slabs import by_slabs


@pytest.mark.parametrize(("n", "size"), [(0, 4), (1, 4), (4, 4), (9, 4), (1000, 1)])
def test_every_index_is_worked_on_once(n: int, size: int) -> None:
    seen = np.zeros(n, dtype=int)

    def work(slab: slice) -> None:
        seen[slab] += 1
        assert 0 < len(seen[slab]) <= size

    by_slabs(work, n, size)
    assert (seen == 1).all()


def test_more_than_one_thread_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    both = threading.Barrier(2, timeout=30)  # breaks if one thread has to do both
    by_slabs(lambda _: both.wait() and None, 2, 1)


def test_what_a_slab_raises_comes_out() -> None:
    def work(slab: slice) -> None:
        if slab.start == 6:
            raise ValueError("seventh")

    with pytest.raises(ValueError, match="seventh"):
        by_slabs(work, 9, 2)
