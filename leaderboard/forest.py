"""Forest plots (Altair): one line a row, its value and its interval, beside a line that they are held against. Pure."""

from __future__ import annotations

import altair as alt
import pandas as pd

from leaderboard import text
from leaderboard.theme import GREY, PALETTE

ROW_PIXELS, LINE_PIXELS, AROUND, LEGEND_PIXELS = 28, 15, 115, 22  # Streamlit fits title, axis and legend inside
SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down")
MOST = 60
LABEL_PIXELS = 260


def forest(rows: pd.DataFrame, title: str, x: str, at: float | None = None) -> alt.LayerChart | alt.FacetChart:
    """The chart.

    Args:
        rows: columns row, value, low, high, and who where several are told apart in one row; at most `MOST` are drawn.
            Missing ends have no interval; a missing value is not drawn.
        title: of the chart.
        x: words of the axis, unit and direction included.
        at: where the line to compare with stands; None draws none.
    """
    drawn = rows.assign(who=rows.get("who", "")).head(MOST)
    order, names = list(dict.fromkeys(drawn["row"])), list(dict.fromkeys(drawn["who"]))
    known = drawn[drawn["value"].notna()]
    known = known.assign(
        said=[text.number(v) for v in known["value"]],
        interval=[text.interval(low, high) for low, high in zip(known["low"], known["high"], strict=True)],
    )
    ends = pd.concat([known["value"], known["low"], known["high"]]).dropna().tolist() + ([] if at is None else [at])
    scale = alt.Scale(domain=_domain(ends), nice=False, zero=False)
    y = alt.Y("row:N", sort=order, title=None, axis=alt.Axis(labelLimit=LABEL_PIXELS, labelOverlap=False))
    offset = alt.YOffset("who:N", sort=names) if len(names) > 1 else alt.Undefined
    colour = alt.Color("who:N", sort=names, title=None, legend=_legend(names))
    colour = colour.scale(domain=names, range=[PALETTE[i % len(PALETTE)] for i in range(len(names))])
    shape = alt.Shape("who:N", sort=names, title=None, legend=alt.Undefined if len(names) > 1 else None)
    shape = shape.scale(domain=names, range=[SHAPES[i % len(SHAPES)] for i in range(len(names))])
    base = alt.Chart(known).encode(y=y, yOffset=offset)
    axis = alt.Axis(tickCount=8, labelOverlap=True)
    horizontal = alt.X("value:Q", title=x, scale=scale, axis=axis)
    spans = base.transform_filter("isValid(datum.low) && isValid(datum.high)").mark_rule(strokeWidth=2)
    tooltip = [alt.Tooltip("row:N"), alt.Tooltip("who:N"), alt.Tooltip("said:N", title="value")]
    tooltip.append(alt.Tooltip("interval:N", title="95 % interval"))
    layers = [
        spans.encode(x=alt.X("low:Q", title=x, scale=scale, axis=axis), x2="high:Q", color=colour),
        base.mark_point(size=80, filled=True, opacity=1).encode(
            x=horizontal, color=colour, shape=shape, tooltip=tooltip
        ),
    ]
    if at is not None:
        line = alt.Chart(pd.DataFrame({"value": [at]})).mark_rule(color=GREY, strokeDash=[4, 4])
        layers.insert(0, line.encode(x=horizontal))
    height = max(ROW_PIXELS, LINE_PIXELS * len(names) + 8) * len(order) + AROUND
    return alt.layer(*layers).properties(
        title=title, height=height + (LEGEND_PIXELS * (len(names) + 1) if len(names) > 1 else 0)
    )


def describe(rows: pd.DataFrame, at: float | None = None) -> str:
    """The chart in words: how many lie surely above or below the line, and the ends.

    >>> rows = pd.DataFrame({"row": ["a", "b"], "value": [0.1, 0.3], "low": [0.05, -0.1], "high": [0.2, 0.5]})
    >>> describe(rows, 0.0)
    'Lowest: a 0.1, highest: b 0.3. Interval above 0: 1, below: 0, across: 1.'
    """
    known = rows[rows["value"].notna()]
    if known.empty:
        return "No value to draw."
    low, high = known.loc[known["value"].idxmin()], known.loc[known["value"].idxmax()]
    said = f"Lowest: {_row(low)}, highest: {_row(high)}." if len(known) > 1 else f"{_row(low)}."
    missing = len(rows) - len(known)
    said += f" Without a value: {missing}." if missing else ""
    if len(rows) > MOST:
        said += f" Drawn: the first {MOST} of {len(rows)}."
    if at is None:
        return said
    if len(known) == 1:
        return f"{said} {_place(low, at)}"
    above, below = int((known["low"] > at).sum()), int((known["high"] < at).sum())
    across = int(((known["low"] <= at) & (known["high"] >= at)).sum())
    return f"{said} Interval above {text.number(at)}: {above}, below: {below}, across: {across}."


def _place(line: pd.Series, at: float) -> str:
    """Where the interval of a single row lies."""
    if pd.isna(line["low"]) or pd.isna(line["high"]):
        return "It has no interval."
    if line["low"] <= at <= line["high"]:
        return f"Its interval, {text.interval(line['low'], line['high'])}, holds {text.number(at)}."
    where = "above" if line["low"] > at else "below"
    return f"Its interval, {text.interval(line['low'], line['high'])}, lies {where} {text.number(at)}."


def _row(line: pd.Series) -> str:
    who = f" ({line['who']})" if isinstance(line.get("who"), str) and line["who"] else ""
    return f"{line['row']}{who} {text.number(line['value'])}"


def _legend(names: list[str]) -> alt.Legend | None:
    return alt.Legend(orient="bottom", columns=1, labelLimit=LABEL_PIXELS) if len(names) > 1 else None


def _domain(ends: list[float]) -> list[float]:
    low, high = (min(ends), max(ends)) if ends else (0.0, 1.0)
    margin = 0.05 * (high - low) or 0.05 * abs(low) or 1.0
    return [low - margin, high + margin]
