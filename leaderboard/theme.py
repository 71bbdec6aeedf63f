"""What all pages share: colours that everybody can tell apart, and what to say when something is missing or broken."""

from __future__ import annotations

import streamlit as st

from leaderboard import data, text
from leaderboard.board import Board

# Okabe and Ito's colours that stand out on white and on black alike
PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9")
GREY = "#888888"
PROBLEMS_SHOWN = 20
# Streamlit writes a selected segment in the primary colour, which cannot be light enough for this on black and dark
# enough for the white words of buttons: WCAG AA wants 4.5 to 1 of both. A long formula is cut on a narrow screen
STYLE = """<style>
[data-testid="stButtonGroup"] [data-variant="segmented_control"][data-selected]:not([data-disabled]) {
    color: inherit;
}
.katex-display { overflow-x: auto; overflow-y: hidden; }
</style>"""


def ink() -> str:
    """Colour of words in a chart: no one grey has 4.5 to 1 on white and on black."""
    return "#B5B5B5" if st.context.theme.type == "dark" else "#666666"


def style() -> None:
    """What the theme's settings cannot say; nothing of a record or an address is in it."""
    st.html(STYLE)


def problems(board: Board) -> None:
    """Say which files cannot be read, and why; the rest is shown."""
    if not board.problems:
        return
    st.warning(f"{text.count(len(board.problems), 'file')} cannot be read; the rest is shown.")
    with st.expander("Which ones, and why"):
        for problem in board.problems[:PROBLEMS_SHOWN]:
            st.text(data.public(problem))
        if len(board.problems) > PROBLEMS_SHOWN:
            st.text(f"and {len(board.problems) - PROBLEMS_SHOWN} more: hallmark verify")


def head(name: str, title: str, main: str) -> Board | None:
    """The head of a page about models: its view restored, its title, what is broken; None where there is no record.

    Args:
        name: of the page, see `leaderboard.data.restore`.
        title: its heading.
        main: the parameter that every link to the page has.
    """
    data.restore(name, main)
    board = data.board()
    st.title(title)
    problems(board)
    if board.parents:
        return board
    nothing(board)
    return None


def nothing(board: Board) -> None:
    """Say that there is nothing to show, and what to type."""
    if data.indexing():
        st.info("The records are still being read; this page fills by itself.")
        return
    if not board.root.is_dir():
        st.info("There is no folder of results here yet. Score something first:")
    elif board.limited:
        st.info(f"Only parts of tasks were scored ({text.count(board.limited, 'record')} with --limit). Next:")
    else:
        st.info("The folder of results holds no records yet. Score something first:")
    st.code(text.NEXT_COMMAND, language=None)
