"""Parts of a model's page that look at one record: quality by part, calibration, flips, worst cases. Streamlit."""

from __future__ import annotations

from typing import NamedTuple

import pandas as pd
import streamlit as st

from leaderboard import brackets, data, flipped, forest, grid, opened, reliability, risk, text, worst
from leaderboard.board import Board
from suite.metrics.base import Columns
from suite.record import Measurement
from suite.store import Stored

THIS, PARENT = "this model", "its parent"


class Detail(NamedTuple):
    """A record to look at.

    Attributes:
        board: the board.
        stored: the record.
        parent: the record that it is compared with, or why there is none.
        primary: the task's primary metric.
    """

    board: Board
    stored: Stored
    parent: Stored | str
    primary: str

    @property
    def parents(self) -> tuple[Measurement, ...]:
        """The parent's measurements, none without it."""
        return self.parent.record.measurements if isinstance(self.parent, Stored) else ()

    def columns(self) -> tuple[Columns | str, Columns | str]:
        """Outcomes of the model and of its parent, or why they cannot be had."""
        theirs = opened.columns(self.parent) if isinstance(self.parent, Stored) else self.parent
        return opened.columns(self.stored), theirs


def groups(detail: Detail) -> None:
    """A metric in every class and group, beside the parent's."""
    measured = detail.stored.record.measurements
    known = brackets.stems(measured, detail.primary)
    if not known:
        grid.note("this record has no numbers by class or group")
        return
    data.say_unknown("metric", data.parameters("measure"), known)
    stem = st.selectbox("Metric", known, key="measure", bind="query-params", width=300)
    mine, theirs = brackets.parts(measured, stem), brackets.parts(detail.parents, stem)
    about = next(m for m in measured if m.name == mine["name"].iloc[0])
    whole = detail.stored.record.measurement(stem)
    at = whole.value if whole is not None else None
    for by, part in mine.groupby("by", sort=False):
        beside = theirs[theirs["by"] == by]
        drawn = pd.concat([part.assign(who=THIS), *([beside.assign(who=PARENT)] if len(beside) else [])])
        drawn = drawn.rename(columns={"part": "row"})
        direction = {True: "higher", False: "lower", None: None}[about.higher_is_better]
        words = forest.describe(part.rename(columns={"part": "row"}), at)
        words += f" Dashed: all items, {text.number(at)}." if at is not None else ""
        axis = text.metric(stem, about.unit, direction)
        shown = drawn[["row", "who", "value", "low", "high", "n", "reason"]].rename(columns={"row": f"by {by}"})
        grid.figure(forest.forest(drawn, f"{stem} by {by}", axis, at), words, shown)
    _spreads(detail, stem)


def _spreads(detail: Detail, stem: str) -> None:
    found = brackets.spreads(detail.stored.record.measurements, stem)
    if not found:
        return
    before = {m.name: m for m in detail.parents}
    rows = [
        {
            **{"number": m.name, "value": m.value, "low": m.low, "high": m.high},
            **{"parent's": before[m.name].value if m.name in before else None, "n": m.n, "reason": m.reason},
        }
        for m in found
    ]
    st.caption("Over the groups: the worst one's value, the gap between best and worst, and what chance would give.")
    grid.plain(pd.DataFrame(rows).astype({"value": float, "low": float, "high": float}), "Spreads over groups")


def calibration(detail: Detail) -> None:
    """Reliability diagram and risk-coverage curve, beside the parent's."""
    mine, theirs = detail.columns()
    if isinstance(mine, str):
        grid.note(mine)
        return
    parents = {} if isinstance(theirs, str) else reliability.sources(theirs)
    found = reliability.sources(mine)
    if not found:
        grid.note("the outcomes of this task keep no confidences, so nothing can be said of calibration")
        return
    for noun, source in found.items():
        both = {THIS: source, **({PARENT: parents[noun]} if noun in parents else {})}
        bins = pd.concat([reliability.frame(one, who) for who, one in both.items()])
        words = reliability.describe(bins, noun, {who: one.ece for who, one in both.items()})
        grid.figure(reliability.chart(bins, f"Reliability: {noun}"), words, bins)
    _risk(mine, theirs)


def _risk(mine: Columns, theirs: Columns | str) -> None:
    curve = risk.frame(mine, THIS)
    if curve is None:
        grid.note("no risk-coverage curve: the outcomes keep no confidence of single items")
        return
    other = None if isinstance(theirs, str) else risk.frame(theirs, PARENT)
    both = curve if other is None else pd.concat([curve, other])
    grid.figure(risk.chart(both, "Risk and coverage"), risk.describe(both), risk.readings(both))


def flips(detail: Detail) -> None:
    """What became of each answer of the parent."""
    mine, theirs = detail.columns()
    for why in (theirs, mine):
        if isinstance(why, str):
            grid.note(f"no flips: {why}")
            return
    assert not isinstance(mine, str)
    assert not isinstance(theirs, str)
    found = flipped.flips(theirs, mine)
    if isinstance(found, str):
        grid.note(f"no flips: {found}")
        return
    st.text(flipped.describe(found))
    grid.plain(flipped.confusion(found, int(theirs["correct"].sum())), "What became of the parent's answers")
    rows = flipped.items(theirs, mine)
    if len(rows):
        more = found.gains + found.losses - len(rows)
        st.caption("The flipped items" + (f", the first {len(rows)}; {more} more" if more else ""))
        grid.plain(rows, "Items whose answer flipped", first="item")


def worst_cases(detail: Detail) -> None:
    """Pictures of the worst cases, the worst items, and those that lost most against the parent."""
    pictures = worst.overlays(detail.stored.path)
    if pictures:
        st.caption(
            "Outlines of reference and prediction; the difference: red missed, blue made up, yellow another class."
        )
    for picture in pictures:
        st.image(picture.png, alt=f"Reference, prediction and difference of {picture.words}")
        st.text(picture.words)
    mine, theirs = detail.columns()
    if isinstance(mine, str):
        grid.note(mine)
        return
    parent = None if isinstance(theirs, str) else theirs
    rows = worst.items(mine, parent)
    if rows is None:
        grid.note("the outcomes of this task hold no score of single items")
        return
    if not worst.texts(mine) and detail.stored.record.manifest.kind == "language":
        st.caption("The outcomes keep no texts, only the ids of the items.")
    st.caption("The worst items")
    grid.plain(rows, "The worst items", first="item", signed=("change",))
    lost = worst.items(mine, parent, lost=True)
    if lost is not None:
        st.caption("The items that lost most against the parent" if len(lost) else "No item lost against the parent.")
        if len(lost):
            grid.plain(lost, "Items that lost most", first="item", signed=("change",))
