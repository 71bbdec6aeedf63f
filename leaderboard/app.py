"""Navigation only. ``hallmark board`` opens it; the folder of records is in $HALLMARK_RESULTS.

What comes from a record or from the URL is shown as plain text, in the data grid or in a chart, never as HTML.
"""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from leaderboard import text, theme, waiting
from leaderboard.data import PAGES, entering

TITLES = {
    "leaderboard": "Leaderboard",
    "tradeoff": "Trade-off",
    "model": "Model",
    "compare": "Compare",
    "task": "Task",
    "history": "History",
    "submit": "Submit",
    "about": "About",
}


def main() -> None:
    """Show the page that the address names."""
    st.set_page_config(page_title=f"{text.TITLE} leaderboard", page_icon="🏷️", layout="wide")
    here = Path(__file__).parent
    pages = [
        st.Page(here / file, title=TITLES[name], url_path=name, default=name == "leaderboard")
        for name, file in PAGES.items()
        if (here / file).is_file()
    ]
    page = st.navigation(pages, position="top")
    entering(page.title)
    theme.style()
    waiting.said()
    page.run()


if __name__ == "__main__":
    main()
