"""The words that every form of a report shares."""

from __future__ import annotations

from suite.gate import Gate
from suite.text import amount
from suite.verdict import Outcome, Verdict

HEADLINE = {
    Outcome.NON_INFERIOR: "PASS",
    Outcome.REGRESSED: "FAIL: regressed",
    Outcome.INCONCLUSIVE: "UNDECIDED: inconclusive",
    Outcome.INCOMPARABLE: "NO COMPARISON: incomparable",
}


def headline(found: Gate) -> str:
    """The gate's verdict in one line."""
    deciding = [v for v in found.verdicts if v.decides and v.outcome is found.outcome]
    about = ", ".join(f"{v.metric} of {v.task}" if v.task != "*" else v.metric for v in deciding[:3])
    more = f" and {len(deciding) - 3} more" if len(deciding) > 3 else ""  # noqa: PLR2004
    said = HEADLINE[found.outcome] + (f" ({about}{more})" if about else "")
    open_ = sum(v.outcome is Outcome.INCONCLUSIVE for v in found.verdicts)
    passed = found.outcome is Outcome.NON_INFERIOR and open_
    return f"{said}; {open_} of {len(found.verdicts)} metrics undecided, none of them primary" if passed else said


def change(value: float | None) -> str:
    """A signed number of three digits; a dash for none."""
    return "—" if value is None else f"{value:+.3g}"


def change_interval(low: float | None, high: float | None) -> str:
    """The interval of a change."""
    return "" if low is None or high is None else f"[{low:+.3g}, {high:+.3g}]"


def signed(value: float | None, unit: str) -> str:
    """A change with its sign, in the metric's unit."""
    if value is None:
        return "—"
    if unit in ("B",):
        return ("+" if value >= 0 else "-") + amount(abs(value), unit)
    return f"{value:+.3g}"


def span(verdict: Verdict) -> str:
    """The interval of the change, where it has length."""
    d = verdict.difference
    if d is None or d.low is None or d.high is None or d.method == "exact":
        return ""
    return f"[{signed(d.low, verdict.unit)}, {signed(d.high, verdict.unit)}]"


def margin(verdict: Verdict) -> str:
    """What may be lost, with the sign of a loss, and how the policy spells it."""
    if verdict.margin is None:
        return verdict.margin_given
    if verdict.margin == 0:
        return "none"
    sign = {True: "-", False: "+", None: "±"}[verdict.higher_is_better]
    size = amount(verdict.margin, verdict.unit) if verdict.unit == "B" else f"{verdict.margin:.3g}"
    given = verdict.margin_given.removesuffix(" absolute")
    return sign + size + ("" if given == verdict.margin_given.split()[0] else f" ({given})")


def remark(verdict: Verdict) -> str:
    """What else there is to say of a verdict: the reason, the findings, the items needed."""
    if verdict.findings:
        return "; ".join(verdict.findings)
    if verdict.reason:
        return verdict.reason
    if verdict.outcome is Outcome.INCONCLUSIVE:
        return _undecided(verdict)
    if verdict.difference is not None and verdict.difference.method == "identical":
        return "identical answers"
    return ""


def _undecided(verdict: Verdict) -> str:
    """How many items would decide what the change points to; and what the other metrics have to do with it."""
    d = verdict.difference
    if d is not None and not d.n:
        return "more items would decide; how many it has is not known"
    if not verdict.n_needed:
        return "right on the margin"
    has = f", it has {d.n:,}" if d else ""
    said = f"n = {verdict.n_needed:,} would decide (power 80 %){has}"
    if verdict.level is None or (verdict.family or 1) == 1:
        return said
    return f"points beyond its margin; Holm over {verdict.family} metrics wants p <= {verdict.level:.2g}: {said}"


def sentence(verdict: Verdict) -> str:
    """The whole verdict in one line, for reports without a table."""
    a, b = (amount(m.value, m.unit) if m else "—" for m in (verdict.a, verdict.b))
    change = signed(verdict.difference.value if verdict.difference else None, verdict.unit)
    name = verdict.metric if verdict.task == "*" else f"{verdict.metric} of {verdict.task}"
    values = "" if verdict.findings or verdict.a is None else f": {a} -> {b}, change {change} {span(verdict)}".rstrip()
    said = f", margin {margin(verdict)}" if values else ""
    note = remark(verdict)
    return f"{name} {verdict.outcome}{values}{said}" + (f"; {note}" if note else "")
