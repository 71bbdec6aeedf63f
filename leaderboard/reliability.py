"""Reliability diagrams: how sure a model is against how often it is right, from a record's outcomes. Pure.

15 bins of equal width, bin b holds confidences in (b / 15, (b + 1) / 15], as `suite.metrics.calibration` has them, so a
diagram's bins are those of ``ece_15``. Of tokens and pixels the outcomes keep the sums by bin.

Shape suffixes: N items, B bins.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import altair as alt
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from leaderboard.theme import GREY, PALETTE
from suite.metrics.base import Columns
from suite.metrics.calibration import BINS, bin_totals, expected_gap

Floats = NDArray[np.float64]
_SCOPES = {
    "bins_band": "pixels near a border",
    "bins_either": "pixels in reference or prediction",
    "bins_foreground": "pixels of the foreground",
    "bins_all": "all pixels",
}
HEIGHT = 360


class Source(NamedTuple):
    """What a diagram is of.

    Attributes:
        noun: what was counted: items, tokens, pixels near a border, ...
        bins_B3: count, right ones and summed confidence of each bin.
    """

    noun: str
    bins_B3: Floats

    @property
    def ece(self) -> float:
        """The expected calibration error of these bins."""
        return float(expected_gap(self.bins_B3.reshape(-1)))


def sources(columns: Columns) -> dict[str, Source]:
    """Every diagram that these outcomes hold, by its noun; empty where no confidence was kept."""
    found = []
    top = top_of(columns)
    if top is not None:
        found.append(Source("items", bin_totals(*top).reshape(BINS, 3)))
    if "probs_norm" in columns and "correct_norm" in columns:
        likeliest = np.array([np.max(row) for row in columns["probs_norm"]], dtype=np.float64)
        right = np.asarray(columns["correct_norm"]).astype(bool)
        found.append(Source("items, normalised by length", bin_totals(likeliest, right).reshape(BINS, 3)))
    for name, noun in {"token_bins": "tokens", **_SCOPES}.items():
        if name in columns:
            found.append(Source(noun, np.sum(np.stack(list(columns[name])), axis=0).reshape(BINS, 3)))
    return {source.noun: source for source in found if source.bins_B3[:, 0].sum()}


def top_of(columns: Columns) -> tuple[Floats, NDArray[np.bool_]] | None:
    """Confidence of each item's answer and whether it is right, [N] each; None where the outcomes do not say."""
    if "correct" not in columns:
        return None
    right = np.asarray(columns["correct"]).astype(bool)
    if "confidence" in columns:
        return np.asarray(columns["confidence"], dtype=np.float64), right
    if "probs" not in columns:
        return None
    return np.array([np.max(row) for row in columns["probs"]], dtype=np.float64), right


def frame(source: Source, who: str) -> pd.DataFrame:
    """The occupied bins: who, bin (its range), n, confidence (mean), right (share), gap (right - confidence)."""
    n, right, confidence = source.bins_B3.T
    kept = n > 0
    edges = [f"{b / BINS:.2f}–{(b + 1) / BINS:.2f}" for b in range(BINS)]
    out = pd.DataFrame({"who": who, "bin": np.array(edges)[kept], "n": n[kept].astype(np.int64)})
    out["confidence"], out["right"] = confidence[kept] / n[kept], right[kept] / n[kept]
    return out.assign(gap=out["right"] - out["confidence"])


def describe(bins: pd.DataFrame, noun: str, ece: Mapping[str, float]) -> str:
    """The diagram in words."""
    said = []
    for who, part in bins.groupby("who", sort=False):
        sure, unsure = int((part["gap"] < 0).sum()), int((part["gap"] > 0).sum())
        fullest = part.loc[part["n"].idxmax()]
        said.append(
            f"{who}: expected calibration error {ece[str(who)]:.4g} over {int(part['n'].sum()):,} {noun}; surer than "
            f"right in {sure} of {len(part)} occupied bins, less sure in {unsure}; most {noun} at {fullest['bin']}, "
            f"where {100 * fullest['right']:.4g} % are right."
        )
    return " ".join(said)


def chart(bins: pd.DataFrame, title: str) -> alt.LayerChart | alt.FacetChart:
    """Share of right answers over confidence; on the dashed line the two agree, below it the model is too sure."""
    names = list(dict.fromkeys(bins["who"]))
    x = alt.X("confidence:Q", title="mean confidence of the bin", scale=alt.Scale(domain=[0, 1]))
    y = alt.Y("right:Q", title="share that is right", scale=alt.Scale(domain=[0, 1]))
    colour: Any = alt.Color("who:N", sort=names, title=None, legend=alt.Legend(orient="bottom"))
    colour = colour.scale(domain=names, range=list(PALETTE[: len(names)]))
    shape: Any = alt.Shape("who:N", sort=names, title=None).scale(
        domain=names, range=["circle", "square"][: len(names)]
    )
    diagonal = pd.DataFrame({"confidence": [0.0, 1.0], "right": [0.0, 1.0]})
    base = alt.Chart(bins)
    tooltip = ["who:N", "bin:N", "n:Q", alt.Tooltip("confidence:Q", format=".4f"), alt.Tooltip("right:Q", format=".4f")]
    return alt.layer(
        alt.Chart(diagonal).mark_line(color=GREY, strokeDash=[4, 4]).encode(x=x, y=y),
        base.mark_line(opacity=0.6).encode(x=x, y=y, color=colour),
        base.mark_point(filled=True, opacity=1).encode(
            x=x, y=y, color=colour, shape=shape, tooltip=tooltip, size=alt.Size("n:Q", title="count", legend=None),
        ),
    ).properties(title=title, height=HEIGHT)  # fmt: skip
