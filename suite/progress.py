"""A progress bar on standard error, with the rate and the time left; nothing when that is no terminal."""

from __future__ import annotations

from collections.abc import Callable

from tqdm import tqdm


class ProgressBar:
    """Used in a ``with`` statement, which gives the function to call with (items done, items in all)."""

    def __init__(self, title: str) -> None:
        self._title = title

    def __enter__(self) -> Callable[[int, int], None]:
        self._bar = tqdm(desc=self._title, unit=" items", disable=None, leave=False)
        return self._update

    def _update(self, done: int, total: int) -> None:
        self._bar.total = total
        self._bar.update(done - self._bar.n)

    def __exit__(self, *_: object) -> None:
        self._bar.close()
