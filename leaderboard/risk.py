"""Risk-coverage curves: how often a model is wrong if it may stay silent where it is least sure. Pure."""

from __future__ import annotations

from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from leaderboard.reliability import top_of
from leaderboard.theme import PALETTE
from suite.metrics.base import Columns
from suite.metrics.selective import risk_coverage

POINTS = 300
HEIGHT = 320
READ_AT = (0.5, 0.8, 0.9, 0.95, 1.0)


def frame(columns: Columns, who: str) -> pd.DataFrame | None:
    """The curve: who, coverage, risk, at most `POINTS` points; None where the outcomes keep no confidence."""
    top = top_of(columns)
    if top is None or not len(top[0]):
        return None
    coverage_T, risk_T = risk_coverage(*top)
    kept = np.unique(np.linspace(0, len(coverage_T) - 1, POINTS).round().astype(np.int64))
    return pd.DataFrame({"who": who, "coverage": coverage_T[kept], "risk": risk_T[kept]})


def readings(curve: pd.DataFrame) -> pd.DataFrame:
    """The curve at some coverages: who, coverage (the least threshold that reaches it), risk."""
    rows = []
    for who, part in curve.groupby("who", sort=False):
        for wanted in READ_AT:
            reached = part[part["coverage"] >= wanted - 1e-12].iloc[0]
            rows.append({"who": who, "at least": wanted, "coverage": reached["coverage"], "risk": reached["risk"]})
    return pd.DataFrame(rows)


def describe(curve: pd.DataFrame) -> str:
    """The curve in words."""
    said = []
    for who, part in readings(curve).groupby("who", sort=False):
        at = [f"{100 * one['risk']:.3g} % wrong at {100 * one['coverage']:.3g} %" for _, one in part.iterrows()]
        said.append(f"{who}: {', '.join(at)} of the items answered, the surest first.")
    return " ".join(said)


def chart(curve: pd.DataFrame, title: str) -> alt.Chart:
    """Share of wrong answers among those that are given, over the share that is given."""
    names = list(dict.fromkeys(curve["who"]))
    colour: Any = alt.Color("who:N", sort=names, title=None, legend=alt.Legend(orient="bottom"))
    dash: Any = alt.StrokeDash("who:N", sort=names, title=None).scale(
        domain=names, range=[[1, 0], [6, 3]][: len(names)]
    )
    line: alt.Chart = alt.Chart(curve).mark_line(strokeWidth=2)
    return line.encode(
        x=alt.X("coverage:Q", title="coverage: share of items answered", scale=alt.Scale(domain=[0, 1])),
        y=alt.Y("risk:Q", title="risk: wrong among them"),
        color=colour.scale(domain=names, range=list(PALETTE[: len(names)])),
        strokeDash=dash,
        tooltip=["who:N", alt.Tooltip("coverage:Q", format=".3f"), alt.Tooltip("risk:Q", format=".4f")],
    ).properties(title=title, height=HEIGHT)
