"""How often each of C clusters is in each resample: drawn block by block, by as many threads as ask.

Shape suffixes: C clusters, R resamples, B resamples of one block.
"""

from __future__ import annotations

from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt

from suite.stats import N_RESAMPLES, IntArray

_KEPT_BYTES = 2**26  # of the counts that are kept: those of 6,700 clusters
_MOST = np.iinfo(np.uint8).max

Counts = npt.NDArray[np.unsignedinteger[Any]]
_KEPT: dict[tuple[int, int], Counts] = {}  # (clusters, seed) -> counts of all resamples, the latest only


class Draws:
    """Blocks of counts from one stream of draws in row order: neither their size nor which thread asks changes any.

    Args:
        n_clusters: clusters C, of which as many are drawn.
        n_rows: resamples B of a block.
        seed: of the stream.
    """

    def __init__(self, n_clusters: int, n_rows: int, seed: int) -> None:
        self._key, self._n_rows, self._at, self._lock = (n_clusters, seed), n_rows, 0, Lock()
        self._rng = np.random.default_rng(seed)
        self._known = _KEPT.get(self._key)
        small = self._known is None and n_clusters * N_RESAMPLES <= _KEPT_BYTES
        self._new = np.empty((N_RESAMPLES, n_clusters), dtype=np.uint8) if small else None

    def block(self) -> tuple[int, Counts] | None:
        """The next block: its first resample, and its counts [B, C]; nothing after the last."""
        n_clusters = self._key[0]
        with self._lock:
            start, stop = self._at, min(self._at + self._n_rows, N_RESAMPLES)
            self._at = stop
            if self._known is None and start < stop:
                draws_BC = self._rng.integers(0, n_clusters, (stop - start, n_clusters))
        if start >= stop:
            return None
        if self._known is not None:
            return start, self._known[start:stop]
        counts_BC = _counted(draws_BC, n_clusters)
        new = self._new
        if new is not None:
            new[start:stop] = counts_BC
            if counts_BC.max() > _MOST:
                self._new = None
        return start, counts_BC

    def stop(self) -> None:
        """Give no further block: whoever draws one meanwhile gets it first."""
        with self._lock:
            self._at, self._new = N_RESAMPLES, None

    def keep(self) -> None:
        """Keep the counts of few clusters, for the next metric or task with as many."""
        if self._new is not None:
            _KEPT.clear()
            _KEPT[self._key] = self._new


def _counted(draws_BC: IntArray, n_clusters: int) -> Counts:
    """How often each cluster was drawn, [B, C]; row by row, which stays in the cache."""
    counts_BC = np.empty(draws_BC.shape, dtype=np.uint16)  # a cluster is drawn 65,536 times in no resample
    for draws_C, counts_C in zip(draws_BC, counts_BC, strict=True):
        counts_C[:] = np.bincount(draws_C, minlength=n_clusters)
    return counts_BC
