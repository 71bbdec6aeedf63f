"""History: a model's or a family's metric over its records, superseded ones too, with a gate's verdict on each step."""

from __future__ import annotations

import json

import streamlit as st

from leaderboard import address, data, grid, lineage, opened, picker, releases, text, theme
from leaderboard.board import Board
from suite.store import Stored
from suite.verdict import Verdict

NAME = "history"
MOST = 100
RULE = (
    "A record is held against the one before it of the same model, the first of a model against its parent's, paired "
    "on the same items where both keep their outcomes. Regressed: its whole 95 % interval lies beyond the margin; "
    "non-inferior: shown at 5 % to lie within it; inconclusive: neither. Each step is judged on its own. Records of "
    "other versions, protocols or data are never compared."
)


def main() -> None:
    """The page."""
    board = theme.head(NAME, "History", "history")
    if board is None:
        return
    names = board.submissions()
    address.check({"kin": address.SWITCH, "margin": address.AMOUNT})
    with st.container(horizontal=True, vertical_alignment="bottom"):
        name = picker.one("model", "history", names)
        kin = st.toggle("Its whole family", key="kin", bind="query-params")
    if name is None:
        st.text("Choose a model.")
        return
    data.link("The model's page", "model", submission=name)
    members = lineage.family(name, board.parents).names if kin else (name,)
    _task(board, name, list(members))
    data.remember(NAME)


def _task(board: Board, name: str, members: list[str]) -> None:
    whole = opened.whole_ever(board, members)
    tasks = sorted(whole["task"].unique())
    if not tasks:
        st.text("Only parts of tasks were scored (--limit); there is no history of those.")
        return
    mine = [task for task in tasks if task in set(whole.loc[whole["submission"] == name, "task"])]
    task = picker.one("task", "released", tasks, default=opened.quality_first(mine or tasks)[0])
    if task is None:
        return
    rows = whole[whole["task"] == task]
    if len(rows) > MOST:
        st.caption(f"The newest {MOST} of {len(rows):,} records.")
    read = [opened.record(board, path) for path in rows["path"].tail(MOST)]
    for why in (one for one in read if isinstance(one, str)):
        st.text(why)
    records = [one for one in read if not isinstance(one, str)]
    if not records:
        return
    _metric(board, task, records, str(rows["metric"].iloc[-1]), frozenset(whole["supersedes"].dropna()))


def _metric(board: Board, task: str, records: list[Stored], primary: str, replaced: frozenset[str]) -> None:
    known = dict.fromkeys([primary, *(m.name for one in records for m in one.record.measurements)])
    with st.container(horizontal=True, vertical_alignment="bottom"):
        metric = picker.one("metric", "tracked", list(known), default=primary)
        margin = st.number_input(
            "Margin, in its unit", min_value=0.0, value=None, key="margin", bind="query-params", width=220,
            placeholder="1 standard error", format="%g",
        )  # fmt: skip
    if metric is None:
        return
    found = releases.steps(records, lambda one: opened.parent(board, one))
    described = json.dumps(board.tasks.get(task, {}), sort_keys=True, default=str)
    judged = [_verdict(_key(step), metric, described, margin, step) for step in found]
    rows = releases.frame(found, judged, replaced)
    about = next((v.b for v in reversed(judged) if v.b is not None), None)
    direction = {True: "higher", False: "lower", None: None}[about.higher_is_better if about else None]
    axis = text.metric(metric, about.unit if about else None, direction)
    words = releases.describe(rows, metric)
    undated = int(rows["started"].isna().sum())
    if undated:
        st.caption(f"{text.count(undated, 'record')} without a date, imported, in the table but not in the chart.")
    if (rows["value"].notna() & rows["started"].notna()).any():
        grid.figure(releases.chart(rows, f"{metric} on {task}", axis), words)
    else:
        st.text(words)
    signed = ("change", "change low", "change high")
    grid.plain(rows.iloc[::-1], "Every record with the gate's verdict, newest first", first="model", signed=signed)
    st.caption(RULE)


def _key(step: releases.Step) -> str:
    both = [one for one in (step.before, step.after) if one is not None]
    return "\0".join([step.why, *(f"{one.path}\0{one.outcomes_path.is_file()}" for one in both)])


@st.cache_resource(max_entries=512, show_spinner="Comparing item by item")
def _verdict(files: str, metric: str, described: str, margin: float | None, _step: releases.Step) -> Verdict:
    """The verdict on a step, kept: records never change. All but the step are the key."""
    return releases.verdict(_step, metric, json.loads(described), opened.columns, margin)


if __name__ == "__main__":
    main()
