"""Data of the pages: one shared board a process, fresh without a restart, and links that hold the state of a view.

The board is cached by the digest of the index, for all sessions. Before it is read the index is brought up to date from
the files: at once where that is quick, else in the background, so that a page never waits for a large folder.

The state of a view is in the URL. Streamlit drops a parameter that a widget of another page is bound to, on links and
on Back alike, so no two pages may use one name for different widgets: a page's bound keys must be its own.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable, Collection
from pathlib import Path
from urllib.parse import parse_qs, urlencode

import streamlit as st

from leaderboard import ahead
from leaderboard.board import Board
from suite import index
from suite import indexing as indexer
from suite.errors import HallmarkError
from suite.store import Store

RESULTS_VARIABLE = "HALLMARK_RESULTS"
PAGES = {
    name: f"pages/{name}.py"
    for name in ("leaderboard", "tradeoff", "model", "compare", "task", "history", "submit", "about")
}
MOST_COMPARED = 4
BACK, LONGEST_VIEW = "back", 2000
QUICK_S, PAUSE, LONGEST_PAUSE_S = 0.25, 20, 60
SMALL_INDEX, FEW = 1 << 20, 300


class Keeper:
    """Keeps the rows of the index of one folder in date."""

    def __init__(self, root: Path) -> None:
        self.store = Store(root)
        self._lock = threading.Lock()
        self._took: float | None = None
        self._ended = 0.0

    def freshen(self) -> None:
        """Bring the index up to date, now if it is quick, else in the background; errors of the disk are let pass."""
        if self._took is None:
            written = index.folder(self.store) / index.RECORDS
            large = written.stat().st_size > SMALL_INDEX if written.is_file() else index.unread(self.store) > FEW
            self._took = QUICK_S * 2 if large else 0.0
        if indexer.read(self.store) is not None:  # hallmark board is at it
            return
        pause = min(PAUSE * self._took, LONGEST_PAUSE_S)
        if time.monotonic() - self._ended < pause or not self._lock.acquire(blocking=False):
            return
        if self._took <= QUICK_S:
            self._sync()
        else:
            beside = threading.Thread(target=self._sync, args=(indexer.rows,), daemon=True)
            beside.start()
            if not (index.folder(self.store) / index.RECORDS).is_file():
                beside.join(QUICK_S)  # until it has said that it is reading

    def _sync(self, bring: Callable[[Store], object] = index.sync) -> None:
        started = time.monotonic()
        try:
            bring(self.store)
        except (HallmarkError, OSError):  # a full disk: the board shows what the index held before
            pass
        finally:
            self._ended = time.monotonic()
            self._took = self._ended - started
            self._lock.release()


@st.cache_resource(show_spinner=False)
def _keeper(root: str) -> Keeper:
    return Keeper(Path(root))


@st.cache_resource(max_entries=2, show_spinner="Reading the index of the records")
def _board(root: str, digest: str) -> Board:
    """The board of a folder in the state that the digest stands for."""
    return ahead.taken(Path(root), digest)


def root() -> Path:
    """The folder of records that the board shows: $HALLMARK_RESULTS, else ``results``."""
    return Path(os.environ.get(RESULTS_VARIABLE) or "results")


def indexing() -> bool:
    """Whether the index is being brought up to date by another process."""
    return indexer.read(Store(root())) is not None


def board() -> Board:
    """The board in its present state; the same object for all sessions until a record comes in. Do not change it."""
    folder = root()
    _keeper(str(folder)).freshen()
    return _board(str(folder), index.digest(Store(folder)))


def page(name: str) -> str:
    """What `st.page_link` and `st.switch_page` take for a page, by its short name in `PAGES`."""
    return PAGES[name]


def link(label: str, name: str, **query: str | Collection[str] | None) -> None:
    """A link to a page of the board, opened in the same tab; `query` is the view's state, None is left out.

    The label may come from a record: it is shown as plain text.
    """
    if not (Path(__file__).parent / page(name)).is_file():
        return
    given = {key: value if isinstance(value, str) else list(value) for key, value in query.items() if value is not None}
    st.page_link(page(name), label=escaped(label), query_params=given)


def parameter(name: str) -> str | None:
    """A parameter of the URL; None when it is absent or empty. Any text may come in: check it against what is known."""
    return st.query_params.get(name) or None


def parameters(name: str) -> list[str]:
    """All values of a parameter of the URL."""
    return [value for value in st.query_params.get_all(name) if value]


def say_unknown(noun: str, given: Collection[str], known: Collection[str]) -> None:
    """A plain message for names in the URL that are not (or no longer) here."""
    unknown = [name for name in given if name not in known]
    if unknown:
        article = "an" if noun[:1] in tuple("aeiou") else "a"
        st.info(f"The link names {article} {noun} that is not here; it is left out:")
        st.text("\n".join(unknown))


def public(words: str) -> str:
    """Words for strangers: without the folders of this machine, which messages about files name.

    The folder of results keeps its last name; the one that the board was started in becomes ``.``.
    """
    if os.sep not in words:
        return words
    here = root().absolute()
    mirror = os.environ.get("HALLMARK_DATA")
    folders = [(Path(mirror).absolute(), "$HALLMARK_DATA")] if mirror else []
    folders += [(here, here.name), (here.resolve(), here.name), (Path.cwd(), "."), (Path.home(), "~")]
    for folder, said in sorted(folders, key=lambda pair: -len(str(pair[0]))):
        if folder != Path(folder.anchor):
            words = re.sub(re.escape(str(folder)) + r"(?![\w.-])", said.replace("\\", r"\\"), words)
    return words


def remember(name: str) -> None:
    """Keep the present view of a page, for `back` and `restore` in this session."""
    st.session_state[f"view of {name}"] = {key: st.query_params.get_all(key) for key in st.query_params}


def entering(name: str) -> None:
    """Note which page is shown, so that `restore` knows when a reader comes to it. Called by the navigation only."""
    st.session_state["entered"] = st.session_state.get("shown", name) != name
    st.session_state["shown"] = name


def restore(name: str, main: str | None = None) -> None:
    """Show a page as it was last seen in this session when a reader comes to it without parameters.

    Before that, the navigation where it did not run: Streamlit takes a folder named pages for an app of an older kind
    until `st.navigation` was called once, so the first link that a fresh server is asked for starts a page alone.

    Back and the menu both do: Streamlit 1.67 drops the parameters of the page that is left, and puts an entry between
    two pages into the browser's history; parameters that no widget is bound to stay behind from the page before. Call
    this first on a page.

    Args:
        name: of the page.
        main: the parameter that every link to the page has; without it no link asked for this page.
    """
    if "shown" not in st.session_state:
        from leaderboard import app

        app.main()
        st.stop()
    query = st.session_state.get(f"view of {name}")
    if query and st.session_state.get("entered") and not (main in st.query_params if main else len(st.query_params)):
        st.switch_page(page(name), query_params=query)


def back(label: str, name: str) -> None:
    """A link back to a page as this session last saw it: filters, columns, sort order and selection.

    That view is kept in the URL too, so that the link survives a reload and works for whoever the address is sent to.
    """
    view = st.session_state.get(f"view of {name}")
    if view:
        kept = urlencode(view, doseq=True)
        if len(kept) <= LONGEST_VIEW and kept != parameter(BACK):
            st.query_params[BACK] = kept
    else:
        view = parse_qs(parameter(BACK) or "")
    link(label, name, **{key: given for key, given in view.items() if key not in ("label", "name", BACK)})


def escaped(words: str) -> str:
    r"""Text for a label that Streamlit reads as Markdown: every sign of it stands for itself.

    >>> escaped("a_b [x](y)")
    'a\\_b \\[x\\]\\(y\\)'
    """
    return "".join(f"\\{sign}" if sign in "\\`*_{}[]()<>#+-.!|:$~^&@" else sign for sign in words)
