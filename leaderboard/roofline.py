"""Rooflines: operations a second over operations a byte, under the limits that were measured of the machine. Pure.

    attainable(i) = min(peak FLOP/s, bandwidth x i),  i = operations of a call / bytes of the weights

The bytes are those of the weights as the runtime holds them; activations are left out, so a point lies further right
than with them. Source: Williams, Waterman & Patterson 2009.
"""

from __future__ import annotations

import altair as alt
import numpy as np
import pandas as pd

from leaderboard import text
from leaderboard.theme import GREY, PALETTE, ink
from suite.metrics.base import Columns
from suite.metrics.timing import flat

NEEDED = ("scenario", "call_seconds", "flops", "read_bytes", "peak_bandwidth", "peak_flops")
STEPS, HEIGHT = 60, 340


def points(columns: Columns) -> pd.DataFrame | str:
    """A row a scenario: scenario, intensity (FLOP/B), flops (FLOP/s), attainable, share, limit; or why there is none.

    Args:
        columns: outcomes of a task that times a model.
    """
    if any(name not in columns for name in NEEDED):
        return "the record times no calls"
    rows = []
    for scenario in dict.fromkeys(columns["scenario"].tolist()):
        part = {name: columns[name][columns["scenario"] == scenario] for name in NEEDED}
        known = {name: flat(part, name) for name in NEEDED[1:]}
        if all(len(values) for values in known.values()):
            middle = {name: float(np.median(values)) for name, values in known.items()}
            intensity = middle["flops"] / middle["read_bytes"]
            roof = min(middle["peak_flops"], middle["peak_bandwidth"] * intensity)
            reached = middle["flops"] / middle["call_seconds"]
            limit = "bandwidth" if roof < middle["peak_flops"] else "arithmetic"
            rows.append(
                {
                    **{"scenario": scenario, "intensity": intensity, "flops": reached, "attainable": roof},
                    **{"share": reached / roof, "limit": limit},
                    **{"peak_flops": middle["peak_flops"], "peak_bandwidth": middle["peak_bandwidth"]},
                }
            )
    if rows:
        return pd.DataFrame(rows)
    return "operations of a call or the machine's peaks are not known; hallmark machine --measure measures the peaks"


def describe(found: pd.DataFrame) -> str:
    """The chart in words."""
    first = found.iloc[0]
    said = (
        f"Measured of the machine: {text.number(first['peak_flops'] / 1e9)} GFLOP/s, "
        f"{text.number(first['peak_bandwidth'] / 1e9)} GB/s."
    )
    if (found["share"] > 1).any():
        said += (
            " Some calls are above the limits, which were measured in float32: integer arithmetic is faster, and a "
            "machine that was busy when it was measured reaches less."
        )
    return said + "".join(
        f" {one['scenario']}: {text.number(one['flops'] / 1e9)} GFLOP/s at {text.number(one['intensity'])} FLOP/B, "
        f"{100 * one['share']:.3g} % of what {one['limit']} lets it reach."
        for _, one in found.iterrows()
    )


def chart(found: pd.DataFrame, title: str) -> alt.LayerChart | alt.FacetChart:
    """Both axes logarithmic; the grey line is what the machine can reach at most."""
    peak, bandwidth = float(found["peak_flops"].iloc[0]), float(found["peak_bandwidth"].iloc[0])
    corner = peak / bandwidth
    low, high = min(found["intensity"].min(), corner) / 4, max(found["intensity"].max(), corner) * 4
    along = np.geomspace(low, high, STEPS)
    roof = pd.DataFrame({"intensity": along, "flops": np.minimum(peak, bandwidth * along)})
    x = alt.X("intensity:Q", title="operations a byte of weights (FLOP/B, log scale)", scale=alt.Scale(type="log"))
    axis = alt.Axis(format="~s")
    y = alt.Y("flops:Q", title="operations a second (FLOP/s, log scale)", scale=alt.Scale(type="log"), axis=axis)
    marks = alt.Chart(found).mark_point(size=110, filled=True, opacity=1, color=PALETTE[0])
    tooltip = [
        "scenario:N",
        alt.Tooltip("intensity:Q", format=".3~g"),
        alt.Tooltip("flops:Q", format=".3~s"),
        "limit:N",
    ]
    return alt.layer(
        alt.Chart(roof).mark_line(color=GREY, strokeWidth=2).encode(x=x, y=y),
        marks.encode(x=x, y=y, tooltip=tooltip),
        alt.Chart(found).mark_text(align="left", dx=9, color=ink()).encode(x=x, y=y, text="scenario:N"),
    ).properties(title=title, height=HEIGHT)
