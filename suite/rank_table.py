"""A standing as text for the terminal."""

from __future__ import annotations

from suite.standing import Place, Standing
from suite.text import amount, interval, number, table

_HEADER = ("submission", "rank", "95 %", "tied ", "best", "retention", "95 % of\nretention", "on disk", "on front")
FOOTNOTE = (
    "rank 95 %: ranks that are not ruled out. tied: same letter, not surely different. best: share of the resamples\n"
    "in which it is first. on front: share in which no other is at once as small and as good."
)


def shown(kind: str, standing: Standing) -> str:
    """The table, what was ranked on, and who was left out."""
    on = ", ".join(f"{task} ({metric})" for task, metric in standing.tasks.items())
    several = len(standing.tasks) > 1
    header = [*_HEADER, *(["mean rank", "95 % of\nmean rank"] if several else [next(iter(standing.tasks.values()))])]
    body = [[*_row(place), *(_means(place) if several else _value(place))] for place in standing.places]
    left_out = [f"not ranked: {name}: {why}" for name, why in standing.excluded.items()]
    return "\n".join([f"{kind}: ranked on {on}\n", table(header, body, whole=True), "", FOOTNOTE, *left_out]) + "\n"


def letters(groups: tuple[int, ...]) -> str:
    """Tie groups as letters, a the best; numbers after the 26th.

    >>> letters((1, 2)), letters((27,)), letters(())
    ('ab', '27', '')
    """
    few = len("abcdefghijklmnopqrstuvwxyz")
    if not groups or max(groups) <= few:
        return "".join(chr(ord("a") + number - 1) for number in groups)
    return ",".join(map(str, groups))


def _row(place: Place) -> list[str]:
    return [
        place.submission,
        number(place.rank),
        f"{place.rank_low}–{place.rank_high}",
        letters(place.groups),
        f"{place.p_best:.0%}",
        number(place.retention),
        interval(place.retention_low, place.retention_high),
        amount(place.bytes, "B"),
        "—" if place.front is None else f"{place.front:.0%}",
    ]


def _means(place: Place) -> list[str]:
    return [number(place.mean_rank), interval(place.mean_rank_low, place.mean_rank_high)]


def _value(place: Place) -> list[str]:
    return [number(next(iter(place.values.values())))]
