"""Points: one task's models on two columns, who is on the Pareto line, and what a chart of them says in words. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from numpy.typing import NDArray

from leaderboard import text
from leaderboard.columns import COLUMNS, NUMBERS

TERMS = ["task_version", "protocol", "data_sha256", "metric"]
MOST_DRAWN = 1500
FAMILIES, FORMATS, OTHER = 5, 6, "other"
NAMED = 12
SEED = 0


@dataclass(frozen=True)
class Points:
    """One task's models, ready to draw.

    Attributes:
        frame: one row a model: submission, family, format, parent, curve, x, y, x_low, x_high, y_low, y_high, on_line.
        x: column on the horizontal axis.
        y: column on the vertical axis.
        metric: the task's primary metric.
        better: direction of each axis: "higher", "lower" or None.
        incomplete: models left out because one of the two numbers is missing.
        incomparable: models left out because they were scored under another version, protocol or data of the task.
    """

    frame: pd.DataFrame
    x: str
    y: str
    metric: str
    better: tuple[str | None, str | None]
    incomplete: tuple[str, ...]
    incomparable: tuple[str, ...]

    def title(self, axis: str) -> str:
        """Words of an axis: the column, the metric if it depends on it, and which way is better."""
        name, better = (self.x, self.better[0]) if axis == "x" else (self.y, self.better[1])
        column = COLUMNS[name]
        said = self.metric if name == "value" else column.label
        said = f"{said} of {self.metric}" if column.better == "metric" and name != "value" else said
        arrow = text.direction(better)
        return f"{said} {arrow} is better" if arrow else said


def offered(rows: pd.DataFrame) -> list[str]:
    """The columns that can be an axis: numbers that some row has, without the ends of intervals."""
    ends = {end for column in COLUMNS.values() if column.ends for end in column.ends}
    return [name for name in NUMBERS if name not in ends and rows[name].notna().any()]


def points(rows: pd.DataFrame, x: str = "bytes", y: str = "value") -> Points:
    """The models of one task's rows (at least one): each model's newest record, comparable ones only."""
    newest = rows.sort_values("started", kind="stable").drop_duplicates("submission", keep="last")
    last = newest.iloc[-1]
    same = np.logical_and.reduce([newest[name].astype("str") == str(last[name]) for name in TERMS])
    comparable = newest[same]
    whole = comparable[x].notna() & comparable[y].notna()
    frame = comparable.loc[whole, ["submission", "family", "format", "parent"]].astype("str")
    for axis, name in (("x", x), ("y", y)):
        ends = COLUMNS[name].ends or (None, None)
        frame[axis] = comparable.loc[whole, name].astype("float64")
        for end, column in zip(("low", "high"), ends, strict=True):
            frame[f"{axis}_{end}"] = comparable.loc[whole, column].astype("float64") if column else np.nan
    frame["curve"] = _curves(comparable[whole])
    better = (_better(x, last["better"]), _better(y, last["better"]))
    frame["on_line"] = non_dominated(frame["x"], frame["y"], better)
    return Points(
        frame.sort_values("submission").reset_index(drop=True), x, y, str(last["metric"]), better,
        tuple(sorted(comparable.loc[~whole, "submission"])), tuple(sorted(newest.loc[~same, "submission"])),
    )  # fmt: skip


def non_dominated(x: npt.ArrayLike, y: npt.ArrayLike, better: tuple[str | None, str | None]) -> NDArray[np.bool_]:
    """Which points no other one dominates: none is at least as good on both axes and better on one.

    Equal points do not dominate each other. Without a direction of both axes nothing is marked.

    >>> non_dominated([1, 2, 3], [0.8, 0.7, 0.9], ("lower", "higher")).tolist()
    [True, False, True]
    """
    x, y = (np.asarray(one, dtype=np.float64) for one in (x, y))
    if None in better or not len(x):
        return np.zeros(len(x), dtype=np.bool_)
    loss_x, loss_y = (-one if way == "higher" else one for one, way in zip((x, y), better, strict=True))
    order = np.lexsort((loss_y, loss_x))
    loss_x, loss_y = loss_x[order], loss_y[order]
    first = np.searchsorted(loss_x, loss_x, side="left")  # the best one of the same x
    reached = np.minimum.accumulate(loss_y)
    before = np.where(first > 0, reached[np.maximum(first - 1, 0)], np.inf)
    marked = np.empty(len(x), dtype=np.bool_)
    marked[order] = (loss_y == loss_y[first]) & (loss_y < before)
    return marked


def thinned(drawn: Points, keep: Sequence[str] = ()) -> pd.DataFrame:
    """At most `MOST_DRAWN` of the points: the Pareto line, those to keep, and a seeded sample of the others."""
    frame = drawn.frame
    if len(frame) <= MOST_DRAWN:
        return frame
    must = frame["on_line"] | frame["submission"].isin(keep)
    room = max(MOST_DRAWN - int(must.sum()), 0)
    others = frame[~must]
    return pd.concat([frame[must], others.sample(min(room, len(others)), random_state=SEED)]).sort_index()


def few(values: pd.Series, most: int) -> pd.Series:
    """The most frequent values; the others, from the (most + 1)th on, are "other".

    Where there are too many, a value that stands once is "other" too: it would be an arbitrary one of many.

    >>> few(pd.Series(["a", "a", "b", "c"]), 2).tolist(), few(pd.Series(["a", "b"]), 2).tolist()
    (['a', 'a', 'other', 'other'], ['a', 'b'])
    """
    counts = values.value_counts()
    return values if len(counts) <= most else values.where(values.isin(counts[counts > 1].index[:most]), OTHER)


def describe(drawn: Points) -> str:
    """The chart in words: who is on the Pareto line, and who is not drawn."""
    return " ".join([_line(drawn), *_left_out(drawn)])


def _line(drawn: Points) -> str:
    if drawn.frame.empty:
        return "Nothing to draw: no model here has both numbers."
    axes = f"{text.count(len(drawn.frame), 'model')}, {drawn.title('y')}, over {drawn.title('x')}."
    best = drawn.frame[drawn.frame["on_line"]].sort_values(["x", "submission"])
    if best.empty:
        return f"{axes} No Pareto line: not both axes have a direction."
    named = [
        f"{name} ({written(drawn.x, x)}, {written(drawn.y, y)})"
        for name, x, y in best[["submission", "x", "y"]].head(NAMED).itertuples(index=False)
    ]
    rest = f" and {len(best) - NAMED} more" if len(best) > NAMED else ""
    return f"{axes} On the Pareto line, beaten by no other model on both: {', '.join(named)}{rest}."


def _left_out(drawn: Points) -> list[str]:
    said = []
    for names, why in (
        (drawn.incomplete, "one of the two numbers is missing"),
        (drawn.incomparable, "scored under another version, protocol or data of the task"),
    ):
        if names:
            rest = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
            said.append(f"Not drawn ({why}): {', '.join(names[:NAMED])}{rest}.")
    return said


def written(name: str, value: float) -> str:
    """A number as its column writes it."""
    if COLUMNS[name].look == "count":
        return f"{value:,.0f}"
    return text.size(value) if COLUMNS[name].look == "bytes" else text.number(value)


def _better(name: str, metric: object) -> str | None:
    way = COLUMNS[name].better
    if way == "metric":
        return metric if isinstance(metric, str) else None
    return way


def _curves(rows: pd.DataFrame) -> pd.Series:
    """What joins the operating points of one checkpoint: its series, else its weights; missing for all others."""
    key = rows["series"].astype("str").where(rows["series"].notna(), rows["weights_sha256"])
    key = key.where(rows["operating_point"].notna())
    several = key.map(key.value_counts()).fillna(0) > 1
    return key.where(several)
