"""Model: one submission, its family, all its tasks, and one record of it in every detail."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from leaderboard import data, forest, grid, lineage, opened, origins, parts, picker, table, text, theme
from leaderboard.board import Board
from leaderboard.parts import Detail
from suite.store import Stored

NAME = "model"
COLUMNS = (
    *("task", "rank", "tie", "metric", "value", "low", "high", "change", "change_low", "change_high", "verdict"),
    *("retention", "calibration", "worst_group", "gap", "latency_ratio", "n", "machine_label", "device", "date"),
    *("data", "note"),
)
FAMILY_COLUMNS = ("value", "low", "high", "change", "verdict", "bytes", "bits_per_weight", "method")
PARTS = {
    "Classes and groups": parts.groups,
    "Calibration": parts.calibration,
    "Flips": parts.flips,
    "Worst cases": parts.worst_cases,
    "Speed and size": origins.speed,
    "Files and claims": origins.files,
    "All measurements": origins.measurements,
    "Provenance": origins.origin,
}
MOST_LINKS = 8


def main() -> None:
    """The page."""
    board = theme.head(NAME, "Model", "submission")
    if board is None:
        return
    names = board.submissions()
    with st.container(horizontal=True, vertical_alignment="bottom"):
        name = picker.one("model", "submission", names)
        data.back("Back to the leaderboard", "leaderboard")
    if name is None:
        st.text("Choose a model, or select one on the leaderboard.")
        return
    _about(board, name)
    _tasks(board, name)
    _detail(board, name)
    data.remember(NAME)


def _about(board: Board, name: str) -> None:
    """Who it is: title, kind, format, method, licence; links to its family and to other views."""
    last = board.records(name).iloc[-1]
    facts = {"kind": "kind", "format": "format", "method": "made by", "licence": "licence", "series": "series"}
    said = [f"{label}: {last[column]}" for column, label in facts.items() if isinstance(last[column], str)]
    st.text("\n".join([str(last["title"]), ", ".join(said)]))
    parent, below = board.parents.get(name), lineage.children(name, board.parents)
    with st.container(horizontal=True, vertical_alignment="center"):
        if isinstance(parent, str) and parent in board.parents:
            data.link(f"Parent: {parent}", "model", submission=parent)
            data.link("Compare with its parent", "compare", models=[parent, name])
        for child in below[:MOST_LINKS]:
            data.link(f"Child: {child}", "model", submission=child)
        if len(below) > MOST_LINKS:
            st.caption(f"and {len(below) - MOST_LINKS} more children, see its family")
        data.link("Its history", "history", history=name)


def _tasks(board: Board, name: str) -> None:
    rows = board.rows[board.rows["submission"] == name]
    st.subheader("All tasks")
    if rows.empty:
        st.text("No whole, newest record: only parts of tasks were scored, or other records replaced these.")
        return
    shown = table.shown(rows, [column for column in COLUMNS if rows[_source(column)].notna().any()])
    grid.board_rows(shown, "Every task of this model, with intervals and the change from its parent")
    relative = _relative(rows)
    if len(relative):
        words = forest.describe(relative, 0.0)
        chart = forest.forest(relative, "Change from the parent, in percent of the parent's value", "better →", 0.0)
        grid.figure(chart, f"{words} To the right is better, whatever the metric's direction.", relative)


def _source(column: str) -> str:
    return "rank_low" if column == "rank" else column


def _relative(rows: pd.DataFrame) -> pd.DataFrame:
    """Paired changes as a share of the parent's value in percent, turned so that more is better; a row a task."""
    known = rows[rows["change"].notna() & rows["better"].notna() & rows["value"].notna()]
    before = (known["value"] - known["change"]).abs()
    known, before = known[before > 0], before[before > 0]
    sign = (known["better"] == "lower").map({True: -100.0, False: 100.0}).astype("float64")
    ends = pd.DataFrame({end: sign * known[f"change_{end}"] / before for end in ("low", "high")})
    row = known["task"].astype("str")
    where = row + ", " + known["machine"].astype("str") + " " + known["device"].astype("str")
    row = row.where(~row.duplicated(keep=False), where)
    return pd.DataFrame(
        {"row": row, "value": sign * known["change"] / before, "low": ends.min(axis=1), "high": ends.max(axis=1)}
    ).reset_index(drop=True)


def _detail(board: Board, name: str) -> None:
    """One task of the model: its family's values there, and the record in every detail."""
    records = opened.listed(board, name)
    names = opened.quality_first(records["task"])
    st.subheader("One task in detail")
    with st.container(horizontal=True, vertical_alignment="bottom"):
        task = picker.one("task", "detail", names, default=names[0])
        if task is None:
            return
        mine = records[records["task"] == task]
        row = _where(mine)
        data.link("About this task", "task", task=task)
    _family(board, name, task)
    if pd.notna(row["limit"]):
        st.info(f"This record is of {row['limit']:.0f} items only (--limit); it is kept off the leaderboard.")
    stored = opened.record(board, row["path"])
    if isinstance(stored, str):
        st.info("The record itself cannot be read here:")
        st.text(stored)
        return
    _record(Detail(board, stored, opened.parent(board, stored), str(row["metric"])))


def _where(rows: pd.DataFrame) -> pd.Series:
    """Which of several machines' records is looked at."""
    if len(rows) == 1:
        return rows.iloc[0]
    where = [f"{machine}, {device}" for machine, device in zip(rows["machine"], rows["device"], strict=True)]
    chosen = picker.one("machine", "where", where, default=where[-1])
    return rows.iloc[where.index(chosen) if chosen in where else -1]


def _record(detail: Detail) -> None:
    data.say_unknown("part", data.parameters("part"), list(PARTS))
    names = list(PARTS)
    part = st.segmented_control("Part", names, default=names[0], required=True, key="part", bind="query-params")
    if isinstance(detail.parent, Stored):
        st.caption("Beside its parent's record of the same task, version, protocol and data.")
    else:
        grid.note(f"no parent beside it: {detail.parent}")
    PARTS[part or names[0]](detail)


def _family(board: Board, name: str, task: str) -> None:
    """The lineage as a tree of lines, each with its value on the task."""
    found = lineage.family(name, board.parents)
    here = board.rows[(board.rows["task"] == task) & board.rows["submission"].isin(found.names)]
    here = here.sort_values("started", kind="stable").drop_duplicates("submission", keep="last")
    here = here.set_index("submission")[[*FAMILY_COLUMNS]].reindex(found.names)
    shown = here.astype({"method": "str"}).reset_index(drop=True)
    names = [text.indented(one, depth) for one, depth in zip(found.names, found.depths, strict=True)]
    shown.insert(0, "submission", [f"{said}  ◀ this" if one == name else said
                                   for said, one in zip(names, found.names, strict=True)])  # fmt: skip
    with st.expander(f"Its family ({text.count(len(found.names) + found.left_out, 'model')})", expanded=True):
        if found.missing:
            st.text(f"Made from {found.missing}, of which no record is here.")
        grid.board_rows(shown, "The family: every model under the one that it was made from")
        if found.left_out:
            st.caption(f"Left out: {text.count(found.left_out, 'further member')}.")


if __name__ == "__main__":
    main()
