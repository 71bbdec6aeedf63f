"""Advice as text for the terminal."""

from __future__ import annotations

from suite.advise import Advice
from suite.text import amount, number, table


def shown(kind: str, advice: Advice) -> str:
    """The choices, then who is none and why."""
    tasks = list(dict.fromkeys(task for choice in advice.choices for task in choice.values))
    header = ["submission", *tasks, "retention", "on disk", "latency", "sure"]
    rows = [
        [
            choice.submission,
            *(number(choice.values.get(task)) for task in tasks),
            number(choice.retention),
            amount(choice.bytes, "B"),
            amount(choice.latency_s, "s"),
            f"{choice.sure:.0%}",
        ]
        for choice in advice.choices
    ]
    body = table(header, rows, whole=True) if rows else "none meets the limits"
    note = (
        "sure: share of the resamples of the items in which it keeps enough and no other one beats it\n" if rows else ""
    )
    others = "".join(f"not chosen: {name}: {why}\n" for name, why in advice.excluded.items())
    where = f"latency: on machine {advice.machine}\n" if advice.machine else ""
    notes = "".join(f"to know: {line}\n" for line in advice.notes)
    return f"{kind}\n\n{body}\n\n{note}{where}{notes}{others}"
