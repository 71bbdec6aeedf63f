"""Ahead: the board of a folder, read in a thread while the server starts, for the visitor who comes first.

The thread imports nothing of Streamlit's, so that the two never wait for one another's modules.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING

from suite import index
from suite.store import Store

if TYPE_CHECKING:
    from leaderboard.board import Board

_BEGUN: dict[tuple[Path, str], Future[Board]] = {}


def begin(root: Path) -> Future[Board]:
    """Begin to read the board of a folder in its present state; returns at once."""
    begun: Future[Board] = Future()
    _BEGUN[root, index.digest(Store(root))] = begun
    threading.Thread(target=_read, args=(root, begun), daemon=True).start()
    return begun


def taken(root: Path, digest: str) -> Board:
    """The board of a folder in the state of that digest: as begun, once it is read, else read now.

    What was begun is given once and forgotten, in whatever state: keeping boards is the caller's part.
    """
    from leaderboard.board import open_board

    begun = _BEGUN.pop((root, digest), None)
    _BEGUN.clear()
    return open_board(root) if begun is None else begun.result()


def _read(root: Path, begun: Future[Board]) -> None:
    try:
        from leaderboard.board import open_board

        begun.set_result(open_board(root))
    except BaseException as error:  # raised again where the board is wanted
        begun.set_exception(error)
