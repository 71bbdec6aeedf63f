"""Charts of the board (Altair). Pure: rows of `leaderboard.table` in, a chart or plain facts out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import altair as alt
import pandas as pd

from leaderboard import text
from leaderboard.text import Place

# Okabe and Ito's colours that stand out on white and on black alike
PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9")
GREY = "#888888"
LABELLED = 12
HEIGHT = 380
# names beside points, pixels: the plot between the outermost points, a character, a line, places to try
PLOT, CHARACTER, LINE, OFFSETS = (560, 200), 6, 12, (-9, 11, -22, 24)


@dataclass(frozen=True)
class Points:
    """One task's models, ready to draw.

    Attributes:
        frame: one row a model: submission, family, format, bytes, value, low, high, on_line.
        metric: the primary metric's name.
        better: "higher", "lower", or None when it has no direction.
        incomplete: models left out because their value or their size is missing.
        incomparable: models left out because they were scored under another version, protocol or data of the task.
    """

    frame: pd.DataFrame
    metric: str
    better: str | None
    incomplete: tuple[str, ...]
    incomparable: tuple[str, ...]

    def places(self) -> list[Place]:
        """The models on the Pareto line, smallest first."""
        best = self.frame[self.frame["on_line"]].sort_values(["bytes", "submission"])
        return [Place(*row) for row in best[["submission", "bytes", "value"]].itertuples(index=False)]


def non_dominated(sizes: Sequence[float], values: Sequence[float], better: str | None) -> list[bool]:
    """Which models no other model dominates: none is as small and as good, and smaller or better.

    Two equal models do not dominate each other. Without a direction nothing is marked.

    >>> non_dominated([1, 2, 3], [0.8, 0.7, 0.9], "higher")
    [True, False, True]
    """
    if better not in ("higher", "lower"):
        return [False] * len(sizes)
    losses = [-v if better == "higher" else v for v in values]
    marked = [False] * len(sizes)
    best_before = float("inf")
    by_size: dict[float, list[int]] = {}
    for i, size in enumerate(sizes):
        by_size.setdefault(size, []).append(i)
    for size in sorted(by_size):
        best_here = min(losses[i] for i in by_size[size])
        if best_here < best_before:
            for i in by_size[size]:
                marked[i] = losses[i] == best_here
            best_before = best_here
    return marked


def points(rows: pd.DataFrame) -> Points:
    """The models of one task's rows (at least one): each model's newest record, comparable ones only."""
    newest = rows.sort_values("started", kind="stable").drop_duplicates("submission", keep="last")
    last = newest.iloc[-1]
    same = [key == last["comparable"] and metric == last["metric"] for key, metric in _keys(newest)]
    comparable = newest[same]
    whole = comparable["value"].notna() & comparable["bytes"].fillna(0).gt(0)
    frame = comparable.loc[whole, ["submission", "family", "format", "bytes", "value", "low", "high"]]
    frame = frame.sort_values("submission").reset_index(drop=True).astype({"bytes": "float64"})
    better = last["better"] if isinstance(last["better"], str) else None
    return Points(
        frame.assign(on_line=non_dominated(list(frame["bytes"]), list(frame["value"]), better)),
        str(last["metric"]),
        better,
        tuple(sorted(comparable.loc[~whole, "submission"])),
        tuple(sorted(newest["submission"][[not s for s in same]])),
    )


def describe(drawn: Points) -> str:
    """The chart in words: the Pareto members, and who is not drawn."""
    if drawn.frame.empty:
        said = ["Nothing to draw: no model here has both a value and a size."]
    else:
        best = drawn.places()
        said = [text.pareto(drawn.metric, best, len(drawn.frame) - len(best), drawn.better)]
    for names, why in (
        (drawn.incomplete, "value or size missing"),
        (drawn.incomparable, "scored under another version, protocol or data of the task"),
    ):
        if names:
            said.append(f"Not drawn ({why}): {', '.join(names)}.")
    return " ".join(said)


def quality_against_size(drawn: Points, title: str) -> alt.LayerChart | alt.FacetChart:
    """Points with their intervals over bytes on disk (log scale), and the Pareto step line."""
    frame = drawn.frame.assign(
        size_text=[text.size(b) for b in drawn.frame["bytes"]],
        interval_text=[text.interval(*pair) for pair in zip(drawn.frame["low"], drawn.frame["high"], strict=True)],
        place=["on the Pareto line" if on else "not on it" for on in drawn.frame["on_line"]],
    )
    ends = [*frame["value"], *frame["low"].dropna(), *frame["high"].dropna()]
    margin = 0.06 * (max(ends) - min(ends)) or 0.05 * abs(ends[0]) or 1.0
    arrow = text.direction(drawn.better)
    x = alt.X("bytes:Q", title="bytes on disk (log scale)").scale(type="log", domain=_around(frame["bytes"]))
    x = x.axis(labelExpr="replace(format(datum.value, '.3~s'), /([kMGT]?)$/, ' $1B')", tickCount=6, labelOverlap=True)
    y_scale = alt.Scale(domain=[min(ends) - margin, max(ends) + margin], zero=False, nice=False)
    y = alt.Y("value:Q", title=f"{drawn.metric} {arrow} is better" if arrow else drawn.metric, scale=y_scale)
    families = sorted(frame["family"].unique())
    colour = alt.Color("family:N", title="family", sort=families, legend=alt.Legend(symbolOpacity=1)).scale(
        domain=families, range=[PALETTE[i % len(PALETTE)] for i in range(len(families))]
    )
    base = alt.Chart(frame).encode(x=x)
    layers: list[alt.Chart] = [
        base.transform_filter("datum.on_line")
        .mark_line(interpolate="step-after", color=GREY)
        .encode(y=y, order="bytes"),
        base.transform_filter("isValid(datum.low) && isValid(datum.high)")
        .mark_rule(strokeWidth=2, opacity=0.6)
        .encode(y=alt.Y("low:Q", scale=y_scale), y2="high:Q", color=colour),
        base.mark_point(size=110, filled=True, opacity=1).encode(
            y=y,
            color=colour,
            shape=alt.Shape(
                "format:N", title="format", legend=alt.Legend(symbolFillColor=GREY, symbolStrokeColor=GREY)
            ),
            tooltip=[
                alt.Tooltip("submission:N"),
                alt.Tooltip("value:Q", title=drawn.metric, format=".4"),
                alt.Tooltip("interval_text:N", title="95 % interval"),
                alt.Tooltip("size_text:N", title="on disk"),
                alt.Tooltip("format:N"),
                alt.Tooltip("place:N", title="Pareto"),
            ],
        ),
    ]
    if len(frame) <= LABELLED:
        offsets = name_offsets(list(frame["submission"]), list(frame["bytes"]), list(frame["value"]))
        for dy in sorted(set(offsets)):
            here = alt.Chart(frame[[offset == dy for offset in offsets]]).encode(x=x, y=y, text="submission:N")
            layers.append(here.mark_text(align="left", color=GREY, dx=8, dy=dy))
    return alt.layer(*layers).properties(height=HEIGHT, title=title, description=describe(drawn))


def name_offsets(names: Sequence[str], sizes: Sequence[float], values: Sequence[float]) -> list[int]:
    """How far below its point (pixels, negative is above) each name stands, so that names rarely overlap.

    Greedy, from left to right; reckons with a plot of `PLOT` pixels, the browser's may be wider.

    >>> name_offsets(["a", "b", "c"], [1e3, 1.01e3, 9e5], [0.5, 0.5, 0.5])
    [-9, 11, -9]
    """
    span_x = math.log(max(sizes) / min(sizes)) or 1.0
    span_y = (max(values) - min(values)) or 1.0
    offsets = [OFFSETS[0]] * len(names)
    taken: list[tuple[float, float]] = []
    for i in sorted(range(len(names)), key=lambda i: sizes[i]):
        left = math.log(sizes[i] / min(sizes)) / span_x * PLOT[0]
        height = (max(values) - values[i]) / span_y * PLOT[1]
        right = left + CHARACTER * len(names[i])
        free = [dy for dy in OFFSETS if not any(left < r and abs(height + dy - y) < LINE for r, y in taken)]
        offsets[i] = (free or OFFSETS)[0]
        taken.append((right, height + offsets[i]))
    return offsets


def _keys(rows: pd.DataFrame) -> list[tuple[object, object]]:
    return list(zip(rows["comparable"], rows["metric"], strict=True))


def _around(sizes: pd.Series) -> list[float]:
    """Limits of the size axis: room for the points and for the names right of them."""
    return [float(sizes.min()) / 1.25, float(sizes.max()) * 2]
