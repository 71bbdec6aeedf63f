"""Policy: what a gate lets pass. ``gate.toml`` is read here, and written here from a baseline's own noise.

How many losses are allowed is decided before the candidate is seen: one `primary` metric a task must be shown to be no
worse than its margin; the others must not be shown to be worse than theirs.
"""

from __future__ import annotations

import json
import math
import textwrap
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from suite import pairing
from suite.errors import InputError, unknown
from suite.explain import explain_one, first_problem
from suite.record import Measurement, Record
from suite.sides import Side
from suite.task import AnyTask
from suite.verdict import FEW_CLUSTERS, FEW_ITEMS

CLAIMS = "claim_mismatches"
ANY_TASK = "*"
UNITS = ("absolute", "relative", "se")
SENSIBLE, SENSIBLE_OTHER = 0.02, 0.1  # of the value: margins that need no comment
_Z = 1.959963984540054


class Gated(BaseModel):
    """One metric that is gated."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)

    task: str = ANY_TASK
    """Task; ``*``: every task that the two have and that has such a number."""
    name: str
    """Metric or reading as records spell it, or ``claim_mismatches``."""
    margin: float = Field(ge=0)
    """How much worse than the baseline still passes."""
    unit: Literal["absolute", "relative", "se"]
    """Of the margin: the metric's own unit, a share of the baseline's value, or standard errors of the baseline."""
    primary: bool = False
    """The task's one metric that must be shown to be within its margin."""


class Policy(BaseModel):
    """A gate's policy."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    schema_version: Literal[1]
    """Version of this file format; 1."""
    baseline: str | None = None
    """What is compared with where ``--baseline`` is absent: a submission, a folder of records, or a file."""
    alpha: float = Field(default=0.05, gt=0, lt=0.5)
    """Chance of a false alarm, and of letting pass what is worse than a margin."""
    metric: tuple[Gated, ...] = Field(min_length=1)
    """What is gated."""


def read(path: Path) -> Policy:
    """The policy in a file.

    Raises:
        InputError: no such file, not TOML, an unknown key, a margin without unit, two primaries of one task.
    """
    try:
        fields = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(
            f"no policy at {path} ({error.strerror}); write one: hallmark gate --init --baseline NAME --policy {path}"
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not valid TOML: {error}") from None
    try:
        policy = Policy.model_validate(fields)
    except ValidationError as error:
        raise InputError(f"{path}: {_explain(error, fields)}") from None
    _check_once(policy, path)
    return policy


def check_names(policy: Policy, known: Mapping[str, set[str]]) -> None:
    """Refuse a task or metric that does not exist.

    Args:
        policy: the policy.
        known: task -> names of its metrics and readings.

    Raises:
        InputError: an unknown one, with the nearest names.
    """
    for gated in policy.metric:
        if gated.name == CLAIMS:
            continue
        if gated.task != ANY_TASK and gated.task not in known:
            raise unknown("task in the policy", gated.task, known)
        names = set().union(*known.values()) if gated.task == ANY_TASK else known[gated.task]
        if gated.name not in names:
            where = "" if gated.task == ANY_TASK else f" of task {gated.task!r}"
            raise unknown(f"metric{where} in the policy", gated.name, names)


def suggested(baseline: Side, tasks: Mapping[str, AnyTask]) -> str:
    """The text of a commented policy with margins from the baseline's own noise.

    Primary metrics get one standard error of the baseline: a loss that the choice of items alone could explain, and
    that a paired comparison can tell from none (it sees about a third of that error). Others get two. A margin that
    this cannot justify (few items, much noise) says so in a comment.

    Raises:
        InputError: none of the baseline's records has a value to gate.
    """
    parts = [_HEAD.format(baseline=json.dumps(baseline.where))]
    for name in sorted(baseline.records):
        record = baseline.records[name].record
        task = pairing.known([record], tasks)
        primary = task.primary if task else _first(record)
        ranked = record.measurement(primary or "")
        if primary is None or ranked is None or ranked.value is None:
            continue
        title = f": {task.title}" if task else ""
        parts.append(f"# --- {name}{title}\n" + _entry(name, ranked, 1.0, primary=True))
        others = (m for m in record.measurements if _worth(m.name, primary))
        parts += [_entry(name, m, 2.0) for m in others if m.value is not None and m.low is not None]
    if len(parts) == 1:
        raise InputError(f"no record of {baseline.name} has a value of a known task's primary metric")
    weighed = any(one.record.measurement("bytes") for one in baseline.records.values())
    return "\n".join([*parts, *([_BYTES] if weighed else []), _TAIL])


def _first(record: Record) -> str | None:
    """The number to gate of a record of a task that is not known here: its first one that has a direction."""
    if record.source != "imported":
        return None
    return next((m.name for m in record.measurements if m.higher_is_better is not None), None)


def _worth(name: str, primary: str) -> bool:
    """Which others a first policy gates: calibration, and what happens to groups."""
    if name == "nll":
        return primary != "perplexity"  # exp of the same
    return name == "ece_15" or name.startswith("worst_group_") or "_gap[" in name


def _entry(task: str, m: Measurement, errors: float, primary: bool = False) -> str:
    assert m.value is not None
    better = "higher" if m.higher_is_better else "lower"
    noted = f"# {m.name} {m.value:.4g}, {better} is better"
    if m.low is None or m.high is None or m.high <= m.low:
        margin, unit, why, error = 0.01, "relative", f"{noted}; no interval, so 1 % of the value", None
    else:
        margin, unit = errors, "se"
        error = errors * (m.high - m.low) / (2 * _Z)
        what = "1 standard error" if errors == 1 else f"{errors:g} standard errors"
        clustered = m.n_clusters is not None and m.n_clusters < m.n
        on = f"{m.n_clusters} clusters" if clustered else f"{m.n} items" if m.n else "items that are not counted"
        why = f"{noted}; {what} = {_short(error)} on {on}"
    lines = [
        why,
        *_doubts(m, error, primary),
        "[[metric]]",
        f"task = {json.dumps(task)}",
        f"name = {json.dumps(m.name)}",
    ]
    lines += [f"margin = {margin:g}", f'unit = "{unit}"']
    return "\n".join([*lines, *(["primary = true"] if primary else []), ""])


def _doubts(m: Measurement, allowed: float | None, primary: bool) -> list[str]:
    """Comments on a margin that the baseline's noise cannot justify; `allowed`: the margin in the metric's unit.

    Sensible is at most 2 % of the value for a primary metric and 10 % for another (our convention).
    """
    assert m.value is not None
    sensible = SENSIBLE if primary else SENSIBLE_OTHER
    found = []
    if 0 < m.n < FEW_ITEMS:
        found.append(f"{m.n} items: with fewer than {FEW_ITEMS} the gate decides nothing")
    elif m.n_clusters is not None and m.n_clusters < FEW_CLUSTERS:
        found.append(f"{m.n_clusters} clusters say little of their own noise; this margin is a guess")
    if allowed is None:
        found.append("this margin does not come from the noise, which is not known; set it by hand")
    elif allowed > sensible * abs(m.value):
        share = f"{allowed / abs(m.value):.0%} of the value" if m.value else "more than the value itself"
        found.append(
            f"this lets pass a loss of {share}, more than a sensible {sensible:.0%}: these items are too noisy to "
            'justify less. Score more of them, or set a margin by hand and expect "inconclusive"'
        )
    return [part for line in found for part in textwrap.wrap(f"CAREFUL: {line}", 116, initial_indent="# ",
                                                             subsequent_indent="#   ")]  # fmt: skip


def _short(value: float) -> str:
    return f"{value:.{max(0, 1 - math.floor(math.log10(value)))}f}" if 0 < value < 1 else f"{value:.3g}"


def _check_once(policy: Policy, path: Path) -> None:
    seen: set[tuple[str, str]] = set()
    primaries: dict[str, str] = {}
    for gated in policy.metric:
        if (gated.task, gated.name) in seen:
            raise InputError(f"{path}: {gated.name} of task {gated.task!r} is gated twice; keep one of the two")
        seen.add((gated.task, gated.name))
        if gated.primary and gated.task == ANY_TASK:
            raise InputError(f"{path}: {gated.name}: a primary metric belongs to one task; write task = NAME")
        if gated.primary and gated.task in primaries:
            both = f"{primaries[gated.task]} and {gated.name}"
            raise InputError(f"{path}: task {gated.task!r} has two primary metrics, {both}; choose one beforehand")
        if gated.primary:
            primaries[gated.task] = gated.name


def _explain(error: ValidationError, fields: Mapping[str, Any]) -> str:
    """The first problem, in one line; says which metric it is about."""
    first = first_problem(error)
    place, entry = first["loc"], ""
    model: type[BaseModel] = Policy
    if len(place) > 1 and place[0] == "metric":
        given = fields["metric"][place[1]]
        named = given.get("name") if isinstance(given, dict) else None
        entry, place, model = f"metric {int(place[1]) + 1} ({named or 'without name'}): ", place[2:], Gated
    if first["type"] == "missing" and place == ("unit",):
        return f"{entry}its margin has no unit; add unit = one of {', '.join(UNITS)}"
    return entry + explain_one(first, model, place)


_HEAD = """\
# What `hallmark gate CANDIDATE --policy THIS` lets pass.
#
# Every metric gets one of three verdicts, from the interval of its paired change:
#   regressed      worse than the margin, beyond doubt            -> exit code 1
#   non-inferior   not worse than the margin, beyond doubt
#   inconclusive   these items cannot tell                        -> exit code 3 where `primary = true`
# The gate passes when every primary metric is non-inferior and no metric has regressed. Choose the margins before you
# see the candidate: how much may be lost? A margin is
#   absolute   in the metric's own unit: 0.01 is one point of accuracy
#   relative   a share of the baseline's value: 0.05 is 5 %
#   se         standard errors of the baseline: 1 is what the choice of items alone could explain

schema_version = 1
baseline = {baseline}
alpha = 0.05                 # chance of a false alarm, and of passing what is worse than its margin
"""

_BYTES = """\
# --- every task. Numbers without sampling error are compared by value.
# Files do not grow.
[[metric]]
name = "bytes"
margin = 0
unit = "relative"
"""

_TAIL = """\
# Memory is read from one run and varies by some per cent; it is compared on equal machines only.
# [[metric]]
# name = "peak_rss_bytes"
# margin = 0.10
# unit = "relative"

# Speed beside the baseline, which must be its parent: hallmark run CANDIDATE --suite efficiency
# [[metric]]
# task = "efficiency-classification"
# name = "latency_ratio[scenario=batch-1]"
# margin = 0.10              # at most 10 % slower
# unit = "absolute"
# primary = true

# What the manifest claims of the files, and the files contradict.
[[metric]]
name = "claim_mismatches"
margin = 0
unit = "absolute"
"""
