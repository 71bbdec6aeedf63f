"""Distributions: how the models of a task are spread over its primary metric. Pure."""

from __future__ import annotations

from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from leaderboard import text
from leaderboard.theme import GREY, PALETTE

FEWEST_BINS, MOST_BINS, HEIGHT = 10, 30, 340
PARENT, CHILD = "no parent here", "made from another model"


def bins(rows: pd.DataFrame) -> pd.DataFrame:
    """A row a bin and kind of model: low, high, who, models; bins by the Freedman-Diaconis rule, within 10 and 30.

    Args:
        rows: columns value and parent, a row a model.
    """
    values = rows["value"].dropna()
    if values.empty:
        return pd.DataFrame(columns=["low", "high", "who", "models"])
    edges = np.histogram_bin_edges(values.to_numpy(np.float64), bins="fd")
    wanted = min(max(len(edges) - 1, FEWEST_BINS), MOST_BINS)
    if wanted != len(edges) - 1:
        edges = np.histogram_bin_edges(values.to_numpy(np.float64), bins=wanted)
    made = []
    for who, mine in ((PARENT, rows["parent"].isna()), (CHILD, rows["parent"].notna())):
        counts, _ = np.histogram(values[mine.reindex(values.index)].to_numpy(np.float64), bins=edges)
        made.append(pd.DataFrame({"low": edges[:-1], "high": edges[1:], "who": who, "models": counts}))
    return pd.concat(made).reset_index(drop=True)


def describe(rows: pd.DataFrame, metric: str, chance: float | None) -> str:
    """The distribution in words."""
    values = rows["value"].dropna()
    if values.empty:
        return "No model has a value."
    low, first, middle, third, high = np.quantile(values.to_numpy(np.float64), [0, 0.25, 0.5, 0.75, 1])
    said = (
        f"{text.count(len(values), 'model')}, {metric}: from {text.number(low)} to {text.number(high)}, half of them "
        f"between {text.number(first)} and {text.number(third)}, median {text.number(middle)}."
    )
    missing = len(rows) - len(values)
    said += f" Without a value: {missing:,}." if missing else ""
    if chance is None:
        return said
    above = int((rows["low"] > chance).sum())
    return f"{said} Surely above chance ({text.number(chance)}): {above:,}."


def chart(found: pd.DataFrame, title: str, axis: str, chance: float | None) -> alt.LayerChart | alt.FacetChart:
    """A stacked histogram; the dashed line is the chance level, where it is not far from all models."""
    names = [who for who in (PARENT, CHILD) if found.loc[found["who"] == who, "models"].sum()]
    colour: Any = alt.Color("who:N", sort=names, title=None, legend=alt.Legend(orient="bottom"))
    bars = alt.Chart(found[found["models"] > 0]).mark_bar(binSpacing=1)
    tooltip = [alt.Tooltip("low:Q", format=".4g"), alt.Tooltip("high:Q", format=".4g"), "who:N", "models:Q"]
    layers: list[Any] = [
        bars.encode(
            x=alt.X("low:Q", bin="binned", title=axis, scale=alt.Scale(zero=False)),
            x2="high:Q",
            y=alt.Y("models:Q", title="models", stack=True, axis=alt.Axis(tickMinStep=1)),
            color=colour.scale(domain=names, range=list(PALETTE[: len(names)])),
            tooltip=tooltip,
        )
    ]
    low, high = float(found["low"].min()), float(found["high"].max())
    if chance is not None and low - (high - low) <= chance <= high + (high - low):  # else the bars would be lines
        at = pd.DataFrame({"low": [chance]})
        layers.append(alt.Chart(at).mark_rule(color=GREY, strokeDash=[4, 4], strokeWidth=2).encode(x="low:Q"))
    return alt.layer(*layers).properties(title=title, height=HEIGHT)
