"""Words and units of the board: what each column is called, how numbers read, what the sentences say. Pure."""

from __future__ import annotations

import math

TITLE = "Hallmark"
SUBTITLE = "Compressed models beside the models that they were made from: every score with its 95 % interval."
NEXT_COMMAND = "hallmark run submissions/embedded-digits --suite embedded"
BOARD_COMMAND = "hallmark board --results"
NOT_INDEXED = "The changes from parent to child are not computed yet. Stop this page and open the board with:"
MISSING = "—"
LEGEND = (
    "In family order an indented model was made from the one above it. "
    "Change: child minus parent on the same items, paired; 'worse' or 'better' where its interval excludes 0, "
    "else 'unclear'. Rank: ranks that are not ruled out; models that share a letter are not surely different. "
    "Data: 'generated' comes from a generator in the package, not from the world. "
    f"{MISSING}: missing, never 0. Only whole runs are shown, the newest per model, task, machine and device. "
    "The files hold these rows and columns, numbers unrounded, sizes in bytes."
)

_ARROWS = {"higher": "↑ higher", "lower": "↓ lower"}
_PREFIXES = ("", "k", "M", "G", "T")
_KILO = 1000


def direction(better: str | None) -> str | None:
    """The mark of a direction.

    >>> direction("lower"), direction(None)
    ('↓ lower', None)
    """
    return _ARROWS.get(better or "")


def metric(name: str, unit: str | None, better: str | None) -> str:
    """A metric with its unit and its direction.

    >>> metric("nll", "nats", "lower"), metric("dice", "", "higher"), metric("ties", "", None)
    ('nll (nats) ↓', 'dice ↑', 'ties')
    """
    said = f"{name} ({unit})" if isinstance(unit, str) and unit else str(name)
    return f"{said} {_ARROWS[better][0]}" if better in _ARROWS else said


def indented(name: str, depth: int) -> str:
    """A name as it stands under its parent.

    >>> indented("a", 0), indented("b", 1)
    ('a', '└ b')
    """
    return "\u2003" * (depth - 1) + "└ " + name if depth else name


def verdict(low: float | None, high: float | None, better: str | None) -> str | None:
    """What a change's interval says; None without an interval or a direction.

    >>> verdict(-0.05, -0.02, "higher"), verdict(-0.05, -0.02, "lower"), verdict(-0.05, 0.02, "lower")
    ('worse', 'better', 'unclear')
    """
    if low is None or high is None or better not in _ARROWS:
        return None
    if low <= 0 <= high:
        return "unclear"
    return "better" if (low > 0) == (better == "higher") else "worse"


def number(value: float | None) -> str:
    """Four significant digits; a dash for a missing value.

    >>> number(0.94), number(2093.147), number(None), number(float("nan"))
    ('0.94', '2093', '—', '—')
    """
    return MISSING if value is None or math.isnan(value) else f"{value:.4g}"


def size(count: float | None) -> str:
    """Bytes in steps of 1000.

    >>> size(843589), size(12), size(None)
    ('843.6 kB', '12 B', '—')
    """
    if count is None or math.isnan(count):
        return MISSING
    power = min(max(int(math.log10(count) // 3), 0), len(_PREFIXES) - 1) if count > 0 else 0
    return f"{count / _KILO**power:.4g} {_PREFIXES[power]}B"


def interval(low: float, high: float) -> str:
    """An interval; says so when there is none.

    >>> interval(0.8, 0.9), interval(float("nan"), 0.9)
    ('[0.8, 0.9]', 'no interval')
    """
    return "no interval" if math.isnan(low) or math.isnan(high) else f"[{number(low)}, {number(high)}]"


def count(n: int, noun: str) -> str:
    """A number of things.

    >>> count(1, "task"), count(0, "task")
    ('1 task', '0 tasks')
    """
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def counted(n: int, of: int, noun: str, verbs: tuple[str, str]) -> str:
    """Some of the things, with the verb that agrees.

    >>> counted(1, 5, "model", ("has", "have")), counted(2, 5, "model", ("has", "have"))
    ('1 of 5 models has', '2 of 5 models have')
    """
    return f"{n:,} of {count(of, noun)} {verbs[0] if n == 1 else verbs[1]}"


def machine(identity: str, cpu: str, cores: int, gpu: str | None) -> str:
    """A machine in a line.

    >>> machine("4077", "AMD EPYC", 2, None)
    'AMD EPYC, 2 cores (4077)'
    """
    return ", ".join([cpu, count(cores, "core"), *([gpu] if gpu else [])]) + f" ({identity})"


def task(title: object, name: str, generated: bool) -> str:
    """A task in a line; generated data is labelled.

    >>> task("Digits", "digits", False), task(None, "volumes", True)
    ('Digits', 'volumes (generated data)')
    """
    return (title if isinstance(title, str) else name) + (" (generated data)" if generated else "")
