"""Matrix: models by tasks, with means by a stated rule. Pure, no Streamlit."""

from __future__ import annotations

import json

import pandas as pd

from leaderboard import text

RULE = (
    "Mean retention: the plain mean of value / parent's value over the tasks where the model and its parent both have "
    "one; missing cells are left out, never counted as 0, and 'of tasks' says how many went in. Means over different "
    "tasks do not compare. A cell is the newest record on any machine that passes the filters."
)
FEWEST_TASKS, MOST_TASKS = 2, 40
MEAN, COUNTED = "mean retention", "of tasks"


def by_task(rows: pd.DataFrame) -> pd.DataFrame:
    """One row a model, in family order: submission, mean retention, of tasks ("2 of 3"), then a column a task.

    Args:
        rows: of the board, at least one.
    """
    newest = rows.sort_values("started", kind="stable").drop_duplicates(["submission", "task"], keep="last")
    newest = newest.assign(task=newest["task"].astype("str"))
    tasks = newest["task"].value_counts().index[:MOST_TASKS]
    newest = newest[newest["task"].isin(tasks)]
    values = newest.pivot(index="submission", columns="task", values="value")
    retained = newest.pivot(index="submission", columns="task", values="retention")
    counted = retained.notna().sum(axis=1)
    means = pd.DataFrame(
        {MEAN: retained.mean(axis=1), COUNTED: [f"{n} of {len(tasks)}" for n in counted]}, index=retained.index
    )
    out = means.join(values[sorted(tasks)])
    order = newest.drop_duplicates("submission").set_index("submission")["position"]
    return out.loc[order.sort_values().index].reset_index()


def describe(found: pd.DataFrame, rows: pd.DataFrame) -> str:
    """How much of the rows is in the matrix that `by_task` made of them."""
    tasks, all_tasks = len(found.columns) - len([MEAN, COUNTED]) - 1, rows["task"].nunique()
    said = f"{text.count(len(found), 'model')} by {text.count(tasks, 'task')}"
    if tasks == all_tasks:
        return said
    left = rows["submission"].nunique() - len(found)
    said += f", those with most models of {all_tasks:,}; filter by task to see others"
    return said + (f". Left out, scored on none of these: {text.count(left, 'model')}" if left else "")


def to_csv(found: pd.DataFrame) -> bytes:
    """The matrix as `by_task` made it; missing cells are empty."""
    return str(found.to_csv(index=False)).encode()


def to_json(found: pd.DataFrame) -> bytes:
    """The matrix as a list of objects, one a model; missing cells are null."""
    rows = found.astype(object).where(found.notna(), None).to_dict("records")
    return (json.dumps(rows, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()
