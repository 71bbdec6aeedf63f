"""Majority against minority: over many models, is who is better on one group better on the other too? Pure.

The line is fitted on the probit scale (`suite.metrics.probit`), so it applies to shares between 0 and 1.
"""

from __future__ import annotations

from collections.abc import Mapping

import altair as alt
import pandas as pd

from leaderboard import text
from leaderboard.theme import GREY, PALETTE
from suite.metrics.probit import Cloud

HEIGHT = 420
Parts = Mapping[str, Mapping[str, tuple[float | None, int]]]  # model -> group -> value, items


def attributes(names: Mapping[str, Parts]) -> list[str]:
    """Groupings in which at least one model has two groups, those of most models first, classes last."""
    counted = {by: sum(len(groups) > 1 for groups in parts.values()) for by, parts in names.items()}
    return sorted((by for by, n in counted.items() if n), key=lambda by: ("class" in by.split(", "), -counted[by], by))


def groups(parts: Parts) -> list[str]:
    """The groups, the largest first (by the items of the model that has most of them)."""
    size: dict[str, int] = {}
    for of_model in parts.values():
        for group, (_, n) in of_model.items():
            size[group] = max(size.get(group, 0), n)
    return sorted(size, key=lambda group: (-size[group], group))


def pairs(parts: Parts, majority: str, minority: str) -> dict[str, tuple[float | None, float | None]]:
    """Model -> its values on the two groups, None where it has none."""
    none: tuple[float | None, int] = (None, 0)
    return {name: (of.get(majority, none)[0], of.get(minority, none)[0]) for name, of in parts.items()}


def frame(found: Cloud, majority: str, minority: str) -> pd.DataFrame:
    """A row a model: model, its values across and up, and how far the second lies above the line."""
    above, heads = found.above(), [f"across: {majority}", f"up: {minority}"]
    rows = [(name, first, second, above.get(name)) for name, first, second in found.points]
    out = pd.DataFrame(rows, columns=["model", *heads, "above the line"])
    return out.astype(dict.fromkeys(out.columns[1:], "float64"))


def describe(found: Cloud, majority: str, minority: str) -> str:
    """The plot in words."""
    said = f"{text.count(len(found.points), 'model')} with a value on both {majority} and {minority}."
    below = sum(b < a for _, a, b in found.points)
    said += f" Worse on {minority}: {below}."
    line = found.line
    if line is None:
        return f"{said} No line: {found.reason}."
    said += (
        f" On the probit scale: slope {text.number(line.slope)} (1: a gain on one comes with as large a gain on the "
        f"other), intercept {text.number(line.intercept)}, correlation {text.number(line.pearson)}, over {line.n} "
        "models."
    )
    if line.quadratic is not None and line.quadratic_p is not None:
        said += f" A squared term is {text.number(line.quadratic)} (p = {line.quadratic_p:.2g})."
    return said


def chart(found: Cloud, title: str, majority: str, minority: str) -> alt.LayerChart | alt.FacetChart:
    """One point a model; grey dashes: equal on both groups; the line: what the others let expect."""
    points = pd.DataFrame(found.points, columns=["model", "first", "second"])
    ends = points[["first", "second"]].to_numpy(float)
    low, high = float(ends.min()), float(ends.max())
    margin = 0.05 * (high - low) or 0.02
    scale = alt.Scale(domain=[low - margin, high + margin], nice=False, zero=False)
    axis = alt.Axis(tickCount=8)
    x = alt.X("first:Q", title=majority, scale=scale, axis=axis)
    y = alt.Y("second:Q", title=minority, scale=scale, axis=axis)
    equal = pd.DataFrame({"first": [low - margin, high + margin], "second": [low - margin, high + margin]})
    layers = [alt.Chart(equal).mark_line(color=GREY, strokeDash=[4, 4]).encode(x=x, y=y)]
    drawn = pd.DataFrame(found.drawn(), columns=["first", "second"])
    if len(drawn):
        layers.append(alt.Chart(drawn).mark_line(color=PALETTE[1], strokeWidth=2).encode(x=x, y=y, order="first:Q"))
    marks = alt.Chart(points).mark_point(size=80, filled=True, opacity=0.85, color=PALETTE[0])
    numbers = [
        alt.Tooltip("first:Q", title=majority, format=".4f"),
        alt.Tooltip("second:Q", title=minority, format=".4f"),
    ]
    layers.append(marks.encode(x=x, y=y, tooltip=[alt.Tooltip("model:N"), *numbers]))
    return alt.layer(*layers).properties(title=title, height=HEIGHT)
