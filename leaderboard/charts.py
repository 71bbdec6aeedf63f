"""The trade-off chart (Altair). Pure: `leaderboard.points` in, a chart out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import altair as alt
import pandas as pd

from leaderboard import points, text
from leaderboard.columns import COLUMNS
from leaderboard.points import OTHER, Points
from leaderboard.theme import GREY, PALETTE, ink

LABELLED = 12
HEIGHT = 460
CROWDED = 150
LOG_FROM = 5
SELECTION = "model"
SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "stroke")
# names beside points, pixels: the plot between the outermost points, a character, a line, places to try
PLOT, CHARACTER, LINE, OFFSETS = (280, 260), 6, 12, (-9, 11, -22, 24)
TO_THE_RIGHT = 0.6


def trade_off(drawn: Points, title: str, selected: Sequence[str] = ()) -> alt.LayerChart | alt.FacetChart:
    """Points with their intervals, the Pareto step line, lines from child to parent, curves of operating points.

    Args:
        drawn: at least one point.
        title: of the chart.
        selected: submissions that are selected at first.
    """
    frame = _frame(drawn, selected)
    x, y = _axis(drawn, "x", frame), _axis(drawn, "y", frame)
    layers = [
        *_lineage(frame, x, y),
        *_curves(frame, x, y),
        *_line(drawn, x, y),
        *_intervals(frame, x, y),
        _marks(drawn, frame, x, y, selected),
        *_names(drawn, frame, x, y, selected),
    ]
    return alt.layer(*layers).properties(height=HEIGHT, title=title, description=points.describe(drawn))


def is_log(values: pd.Series) -> bool:
    """Whether an axis is logarithmic: all above 0, and the largest at least `LOG_FROM` times the smallest."""
    return bool(values.min() > 0 and values.max() / values.min() >= LOG_FROM)


def _frame(drawn: Points, selected: Sequence[str]) -> pd.DataFrame:
    frame = points.thinned(drawn, selected)
    interval = [text.interval(*pair) for pair in zip(frame["y_low"], frame["y_high"], strict=True)]
    return frame.assign(
        family=points.few(frame["family"], points.FAMILIES),
        format=points.few(frame["format"], points.FORMATS),
        interval=interval,
        x_text=[points.written(drawn.x, value) for value in frame["x"]],
        y_text=[points.written(drawn.y, value) for value in frame["y"]],
        place=["on the Pareto line" if on else "not on it" for on in frame["on_line"]],
    )


def _axis(drawn: Points, axis: str, frame: pd.DataFrame) -> Any:
    ends = pd.concat([frame[axis], frame[f"{axis}_low"], frame[f"{axis}_high"]]).dropna()
    name = drawn.x if axis == "x" else drawn.y
    log = is_log(ends)
    low, high = float(ends.min()), float(ends.max())
    if log:
        scale = alt.Scale(type="log", domain=[low / 1.25, high * 1.25], nice=False)
    else:
        margin = 0.06 * (high - low) or 0.05 * abs(low) or 1.0
        scale = alt.Scale(domain=[low - margin, high + margin], zero=False, nice=False)
    words = drawn.title(axis) + (" (log scale)" if log else "")
    made = (alt.X if axis == "x" else alt.Y)(f"{axis}:Q", title=words, scale=scale)
    if COLUMNS[name].look == "bytes":
        expression = "replace(format(datum.value, '.3~s'), /([kMGT]?)$/, ' $1B')"
        made = made.axis(labelExpr=expression, tickCount=6, labelOverlap=True)
    elif COLUMNS[name].look == "count":
        made = made.axis(format="~s", tickCount=6, labelOverlap=True)
    return made


def _lineage(frame: pd.DataFrame, x: alt.X, y: alt.Y) -> list[alt.Chart]:
    """Thin lines from each child to its parent, where both are drawn."""
    parents = frame[["submission", "x", "y"]].rename(columns={"submission": "parent", "x": "parent_x", "y": "parent_y"})
    pairs = frame.merge(parents, on="parent")[["x", "y", "parent_x", "parent_y"]]
    if pairs.empty:
        return []
    rule = alt.Chart(pairs).mark_rule(color=GREY, opacity=0.5, strokeDash=[2, 3])
    return [rule.encode(x=x, y=y, x2="parent_x:Q", y2="parent_y:Q")]


def _curves(frame: pd.DataFrame, x: alt.X, y: alt.Y) -> list[alt.Chart]:
    of_curves = frame.loc[frame["curve"].notna(), ["curve", "family", "x", "y"]]
    if of_curves.empty:
        return []
    line = alt.Chart(of_curves).mark_line(opacity=0.7)
    return [line.encode(x=x, y=y, order="x:Q", detail="curve:N", color=_colour(frame))]


def _line(drawn: Points, x: alt.X, y: alt.Y) -> list[alt.Chart]:
    """The Pareto step line: what is reached at each cost, so the step goes across first when lower is better on x."""
    best = drawn.frame.loc[drawn.frame["on_line"], ["x", "y"]].drop_duplicates()
    if best.empty:
        return []
    step: Literal["step-after", "step-before"] = "step-after" if drawn.better[0] == "lower" else "step-before"
    return [alt.Chart(best).mark_line(interpolate=step, color=GREY, strokeWidth=2).encode(x=x, y=y, order="x:Q")]


def _intervals(frame: pd.DataFrame, x: alt.X, y: alt.Y) -> list[alt.Chart]:
    layers = []
    for axis in ("y", "x"):
        have = frame.loc[frame[f"{axis}_low"].notna() & frame[f"{axis}_high"].notna()]
        if have.empty:
            continue
        have = have[["family", "x", "y", f"{axis}_low", f"{axis}_high"]]
        rule = alt.Chart(have).mark_rule(strokeWidth=2, opacity=0.8)
        ends: dict[str, Any] = {axis: (y if axis == "y" else x).copy(), f"{axis}2": f"{axis}_high:Q"}
        ends[axis].shorthand = f"{axis}_low:Q"
        layers.append(rule.encode(**{"x": x, "y": y, "color": _colour(frame), **ends}))
    return layers


def _marks(drawn: Points, frame: pd.DataFrame, x: alt.X, y: alt.Y, selected: Sequence[str]) -> alt.Chart:
    click = alt.selection_point(
        name=SELECTION, fields=["submission"], value=[{"submission": name} for name in selected]
    )
    shape = alt.Shape(
        "format:N", title="format", legend=alt.Legend(symbolFillColor=GREY, symbolStrokeColor=GREY, orient="bottom")
    )
    formats = sorted(frame["format"].unique())
    columns = ["submission", "family", "format", "x", "y", "interval", "x_text", "y_text", "place"]
    crowd, faint = (110, 1.0) if len(frame) <= CROWDED else (25, 0.7)
    size = alt.condition("datum.place == 'on the Pareto line'", alt.value(110), alt.value(crowd))
    base: alt.Chart = alt.Chart(frame[columns]).mark_point(filled=True).add_params(click)
    return base.encode(
        x=x,
        y=y,
        color=_colour(frame),
        size=size,
        shape=shape.scale(domain=formats, range=list(SHAPES[: len(formats)])),
        opacity=alt.condition(click, alt.value(faint), alt.value(0.25)),
        tooltip=[
            alt.Tooltip("submission:N"),
            alt.Tooltip("y_text:N", title=COLUMNS[drawn.y].label),
            alt.Tooltip("interval:N", title="95 % interval"),
            alt.Tooltip("x_text:N", title=COLUMNS[drawn.x].label),
            alt.Tooltip("format:N"),
            alt.Tooltip("place:N", title="Pareto"),
        ],
    )


def _colour(frame: pd.DataFrame) -> alt.Color:
    families = sorted(set(frame["family"].unique()) - {OTHER})
    if not families:  # a legend of "other" alone would say nothing
        return alt.Color("family:N", legend=None).scale(domain=[OTHER], range=[PALETTE[0]])
    colours = [PALETTE[i % len(PALETTE)] for i in range(len(families))]
    if OTHER in set(frame["family"]):
        families, colours = [*families, OTHER], [*colours, GREY]
    return alt.Color(
        "family:N", title="family", sort=families, legend=alt.Legend(symbolOpacity=1, orient="bottom")
    ).scale(domain=families, range=colours)


def _names(drawn: Points, frame: pd.DataFrame, x: alt.X, y: alt.Y, selected: Sequence[str]) -> list[alt.Chart]:
    """Names beside the points, where there are few."""
    if len(frame) > LABELLED:
        frame = frame[frame["submission"].isin(selected)].head(LABELLED)
    if frame.empty:
        return []
    span = [math.log(v) if is_log(drawn.frame["x"]) else v for v in frame["x"]]
    offsets = name_offsets(list(frame["submission"]), span, list(frame["y"]))
    layers = []
    for side, dy in sorted(set(offsets)):
        here = alt.Chart(frame.loc[[offset == (side, dy) for offset in offsets], ["submission", "x", "y"]])
        align: Literal["left", "right"] = "left" if side > 0 else "right"
        layers.append(
            here.mark_text(align=align, color=ink(), dx=8 * side, dy=dy).encode(x=x, y=y, text="submission:N")
        )
    return layers


def name_offsets(names: Sequence[str], places: Sequence[float], values: Sequence[float]) -> list[tuple[int, int]]:
    """Where each name stands beside its point, so that names rarely overlap and none leaves the plot.

    The side (1: to the right, -1: to the left, for points on the right), and how far below its point (pixels, negative
    is above). Greedy, from left to right; reckons with a plot of `PLOT` pixels, a narrow screen's; most are wider.

    Args:
        names: to write.
        places: on the horizontal axis, in its scale: logarithms for a log axis.
        values: on the vertical axis.

    >>> name_offsets(["a", "b", "c"], [3.0, 3.01, 6.0], [0.5, 0.5, 0.5])
    [(1, -9), (1, 11), (-1, -9)]
    """
    span_x = (max(places) - min(places)) or 1.0
    span_y = (max(values) - min(values)) or 1.0
    offsets = [(1, OFFSETS[0])] * len(names)
    taken: list[tuple[float, float, float]] = []
    for i in sorted(range(len(names)), key=lambda i: places[i]):
        share = (places[i] - min(places)) / span_x
        side = 1 if share <= TO_THE_RIGHT else -1
        ends = sorted((share * PLOT[0], share * PLOT[0] + side * CHARACTER * len(names[i])))
        height = (max(values) - values[i]) / span_y * PLOT[1]
        crossed = [y for left, right, y in taken if left < ends[1] and ends[0] < right]
        free = [dy for dy in OFFSETS if not any(abs(height + dy - y) < LINE for y in crossed)]
        dy = (free or OFFSETS)[0]
        offsets[i] = (side, dy)
        taken.append((ends[0], ends[1], height + dy))
    return offsets
