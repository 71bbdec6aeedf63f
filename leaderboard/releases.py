"""Releases: a model's records of one task over time, and what a gate says of each step. No Streamlit.

Every record is held against the one before it of the same model; the first of a model against its parent's record. Each
step is judged on its own, as ``hallmark gate`` judges one primary metric at alpha 5 %.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import altair as alt
import pandas as pd

from leaderboard import recovered, text
from leaderboard.theme import GREY, PALETTE
from suite import pairing
from suite.compared import ALPHA
from suite.entry import day
from suite.errors import HallmarkError
from suite.metrics.base import Columns
from suite.record import Measurement
from suite.stats import t_quantile
from suite.store import Stored
from suite.verdict import Outcome, Question, Verdict, judge

HEIGHT, LEGEND_PIXELS = 420, 20
DAYS_APART = 3
NO_BASELINE, NO_DATE = "no baseline", "an unknown day"
NO_ERROR = "the baseline has no interval, so no standard error; give a margin"
Open = Callable[[Stored], Columns | str]


@dataclass(frozen=True)
class Step:
    """A record and the one that it is held against.

    Attributes:
        after: the record.
        before: the baseline; None where there is none.
        why: why there is none.
    """

    after: Stored
    before: Stored | None
    why: str = ""


def steps(records: Sequence[Stored], parent: Callable[[Stored], Stored | str]) -> list[Step]:
    """Each record with its baseline, in the order given.

    Args:
        records: oldest first, of one task, perhaps of several models.
        parent: a record -> the record of its parent, or why there is none.
    """
    last: dict[str, Stored] = {}
    found = []
    for one in records:
        name = one.record.manifest.name
        before = last.get(name) or parent(one)
        found.append(Step(one, None, before) if isinstance(before, str) else Step(one, before))
        last[name] = one
    return found


def verdict(step: Step, metric: str, described: Mapping[str, Any], opened: Open, margin: float | None) -> Verdict:
    """What a gate says of a step.

    Args:
        step: the record and its baseline.
        metric: the one to judge.
        described: the task's description.
        opened: a record -> its outcomes, or why there are none.
        margin: what may be lost, in the metric's unit; None takes one standard error of the baseline.
    """
    b = step.after.record.measurement(metric)
    way = b.higher_is_better if b is not None else None
    blank = Verdict(step.after.record.task, metric, True, Outcome.INCOMPARABLE, None, "", way, b=b)
    if step.before is None:
        return replace(blank, reason=step.why)
    if b is None or way is None:
        return replace(blank, reason=f"neither more nor less of {metric} is better" if b else f"it has no {metric}")
    a = step.before.record.measurement(metric)
    allowed = _error(a) if margin is None else margin
    said = "1 standard error" if margin is None else f"{margin:g}"
    blank = replace(blank, a=a, unit=b.unit, margin=allowed, margin_given=said)
    try:
        estimate = _pair(step.before, step.after, metric, described, opened).estimates([metric])[metric]
    except HallmarkError as error:
        return replace(blank, reason=str(error))
    blank = replace(blank, difference=estimate.difference)
    if allowed is None and estimate.difference.value is not None:
        blank = replace(blank, outcome=Outcome.INCONCLUSIVE, reason=NO_ERROR)
    return judge([Question(blank, estimate)], ALPHA)[0]


def _pair(a: Stored, b: Stored, metric: str, described: Mapping[str, Any], opened: Open) -> pairing.Pair:
    both = [opened(one) for one in (a, b)]
    columns = None if any(isinstance(one, str) for one in both) else both[1]
    assert not isinstance(columns, str)
    return pairing.pair(a, b, recovered.task_of(described, b.record, metric, (), columns))


def _error(baseline: Measurement | None) -> float | None:
    """One standard error of the baseline, from its interval."""
    if baseline is None or baseline.low is None or baseline.high is None:
        return None
    return (baseline.high - baseline.low) / (2 * t_quantile(float("inf")))


def frame(found: Sequence[Step], judged: Sequence[Verdict], replaced: frozenset[str]) -> pd.DataFrame:
    """A row a record: model, started, value, low, high, against, change, low and high of the change, verdict, why.

    Args:
        found: the steps.
        judged: their verdicts.
        replaced: stems of records that a later one replaces.
    """
    rows = []
    for step, v in zip(found, judged, strict=True):
        record, d = step.after.record, v.difference
        rows.append(
            {
                **{
                    "model": record.manifest.name,
                    "started": record.provenance.started[:19] if day(record.provenance.started) else None,
                    **_of(v.b),
                },
                "against": _named(step),
                **{"change": d.value if d else None, "change low": d.low if d else None},
                **{"change high": d.high if d else None, "margin": v.margin, "verdict": _said(step, v)},
                "why": v.reason or (f"{_rounded(v.n_needed)} items would decide" if v.n_needed else None),
                "what changed": _changed(step),
                "replaced": step.after.path.stem in replaced,
                "record": step.after.path.name,
            }
        )
    out = pd.DataFrame(rows)
    numbers = ("value", "low", "high", "change", "change low", "change high", "margin")
    return out.astype(dict.fromkeys(numbers, "float64")) if len(out) else out


def describe(rows: pd.DataFrame, metric: str) -> str:
    """The chart in words."""
    counted = rows["verdict"].value_counts()
    said = ", ".join(f"{name}: {n}" for name, n in counted.items())
    known = rows[rows["value"].notna()]
    if known.empty:
        return f"No record has a value of {metric}. {said}."
    first, last = known.iloc[0], known.iloc[-1]
    verdicts = f"Verdicts: {said}." if len(rows) > 1 else f"Verdict: {said.partition(':')[0]}."
    many = f"{text.count(len(rows), 'record')} of {metric}"
    if len(known) == 1:
        return f"{many}, {'' if len(rows) == 1 else 'one with a value: '}{_at(first)}. {verdicts}"
    return f"{many}, from {_at(first)} to {_at(last)}. {verdicts}"


def _at(line: pd.Series) -> str:
    when = line["started"][:10] if isinstance(line["started"], str) else NO_DATE
    return f"{when} ({line['model']} {text.number(line['value'])})"


def chart(rows: pd.DataFrame, title: str, axis: str) -> alt.LayerChart | alt.FacetChart:
    """Values with their intervals over time, a line a model; the shape says the gate's verdict."""
    names = list(dict.fromkeys(rows["model"]))
    drawn = rows.rename(columns={"what changed": "changed"}).assign(when=pd.to_datetime(rows["started"], utc=True))
    drawn = drawn[["model", "when", "value", "low", "high", "verdict", "against"]]
    drawn = drawn[drawn["value"].notna() & drawn["when"].notna()]
    span = drawn["when"].max() - drawn["when"].min()
    form = "%m-%d %H:%M" if span < pd.Timedelta(days=DAYS_APART) else "%Y-%m-%d"
    x = alt.X("when:T", title="started", axis=alt.Axis(tickCount=8, labelOverlap=True, format=form))
    y = alt.Y("value:Q", title=axis, scale=alt.Scale(zero=False))
    colours = [PALETTE[i % len(PALETTE)] if i < len(PALETTE) else GREY for i in range(len(names))]
    legend = alt.Legend(orient="bottom", columns=1, labelLimit=300, symbolOpacity=1)
    colour: Any = alt.Color("model:N", sort=names, title=None, legend=legend)
    colour = colour.scale(domain=names, range=colours)
    outcomes = [*(str(one) for one in Outcome), NO_BASELINE]
    marks = alt.Legend(orient="bottom", columns=1, symbolFillColor=GREY, symbolStrokeColor=GREY)
    shape: Any = alt.Shape("verdict:N", sort=outcomes, title="gate", legend=marks)
    shape = shape.scale(domain=outcomes, range=["triangle-down", "cross", "diamond", "circle", "square"])
    base = alt.Chart(drawn)
    spans = base.transform_filter("isValid(datum.low) && isValid(datum.high)").mark_rule(strokeWidth=2)
    tooltip = ["model:N", "when:T", alt.Tooltip("value:Q", format=".4g"), "verdict:N", "against:N"]
    return alt.layer(
        base.mark_line(opacity=0.5).encode(x=x, y=y, color=colour),
        spans.encode(x=x, y=alt.Y("low:Q", title=axis, scale=alt.Scale(zero=False)), y2="high:Q", color=colour),
        base.mark_point(size=110, filled=True, opacity=1).encode(x=x, y=y, color=colour, shape=shape, tooltip=tooltip),
    ).properties(title=title, height=HEIGHT + LEGEND_PIXELS * len(names))


def _of(m: Measurement | None) -> dict[str, float | None]:
    return {name: getattr(m, name) if m is not None else None for name in ("value", "low", "high")}


def _said(step: Step, found: Verdict) -> str:
    """The verdict in a word; a model that was made from none has nothing to be held against at first."""
    alone = step.before is None and step.after.record.manifest.parent is None
    return NO_BASELINE if alone else str(found.outcome)


def _rounded(n: float) -> str:
    """A number of items, three digits of which mean something."""
    return f"{float(f'{n:.3g}'):,.0f}"


def _named(step: Step) -> str | None:
    if step.before is None:
        return None
    about = step.before.record
    return f"{about.manifest.name}, {day(about.provenance.started) or NO_DATE}"


def _changed(step: Step) -> str | None:
    """What differs between the two records, in a word each."""
    if step.before is None:
        return None
    a, b = step.before.record, step.after.record
    pairs = {
        "weights": (a.manifest.sha256, b.manifest.sha256),
        "inputs": (a.manifest.inputs, b.manifest.inputs),
        "task version": (a.task_version, b.task_version),
        "protocol": (a.protocol, b.protocol),
        "data": (a.data_sha256, b.data_sha256),
        "seed": (a.seed, b.seed),
        "machine": tuple((m.id, m.device, m.threads) for m in (a.machine, b.machine)),  # older records tell no more
        "hallmark": (a.provenance.hallmark, b.provenance.hallmark),
        "packages": (a.provenance.packages, b.provenance.packages),
    }
    return ", ".join(name for name, (old, new) in pairs.items() if old != new) or "nothing"
