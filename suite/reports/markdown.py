"""Verdicts as Markdown, for a pull request's comment or a job's summary."""

from __future__ import annotations

from suite.gate import Gate
from suite.reports.wording import headline, margin, remark, signed, span
from suite.text import amount
from suite.verdict import Outcome, Verdict

_SIGN = {
    Outcome.NON_INFERIOR: "✅",
    Outcome.REGRESSED: "❌",
    Outcome.INCONCLUSIVE: "❔",
    Outcome.INCOMPARABLE: "⚠️",
}
_HEADER = ("", "task", "metric", "baseline", "candidate", "change [95 %]", "margin", "verdict", "")


def markdown(found: Gate) -> str:
    """The text: the verdict, a table with what decides first, and what to know."""
    rows = sorted(found.verdicts, key=lambda verdict: not verdict.decides)
    lines = [
        f"### {_SIGN[found.outcome]} Hallmark gate: {plain(headline(found))}",
        "",
        f"`{found.candidate}` against `{found.baseline}`",
        "",
        line(_HEADER),
        line(["---", "---", "---", "---:", "---:", "---:", "---:", "---", "---"]),
        *(line(_cells(verdict)) for verdict in rows),
        "",
        f"**bold**: the task's primary metric, which must be shown to hold; alpha {found.alpha:g}.",
    ]
    if found.notes:
        lines += ["", *(f"> {plain(note)}  " for note in found.notes)]
    return "\n".join(lines) + "\n"


def _cells(verdict: Verdict) -> list[str]:
    a, b = (amount(m.value, m.unit) if m else "—" for m in (verdict.a, verdict.b))
    change = signed(verdict.difference.value if verdict.difference else None, verdict.unit)
    name = f"`{verdict.metric}`"
    return [
        _SIGN[verdict.outcome],
        "" if verdict.task == "*" else verdict.task,
        f"**{name}**" if verdict.primary else name,
        *(a, b, f"{change} {span(verdict)}".rstrip(), margin(verdict)),
        str(verdict.outcome),
        plain(remark(verdict)),
    ]


def line(cells: list[str] | tuple[str, ...]) -> str:
    """A table's row."""
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def plain(text: str) -> str:
    """Text whose characters are not taken for markup."""
    for character in "\\`*_<>":
        text = text.replace(character, "\\" + character)
    return text
