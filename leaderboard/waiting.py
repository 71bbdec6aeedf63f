"""Waiting: while ``hallmark board`` still indexes, every page says what is being done and fills by itself."""

from __future__ import annotations

import streamlit as st

from leaderboard import data
from suite import index, indexing
from suite.store import Store

LOOK_EVERY_S = 1.5


def said() -> None:
    """Say what is being done; nothing when the index is left alone."""
    store = Store(data.root())
    if indexing.read(store) is not None:
        _watch(index.digest(store))


@st.fragment(run_every=LOOK_EVERY_S)
def _watch(shown: str) -> None:
    """Look again and again; once there is more to show than when the page was made, make it again."""
    store = Store(data.root())
    step = indexing.read(store)
    if step is None or index.digest(store) != shown:
        st.rerun()
    share = step.done / step.total if step.total else 0.0
    words = f"{step.words[:1].upper()}{step.words[1:]}. What is there is shown; the page fills by itself."
    st.progress(min(share, 1.0), text=data.escaped(words))
