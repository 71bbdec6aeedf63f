"""Words and units of the board: what each column is called, how numbers read, what the sentences say. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

TITLE = "Hallmark"
SUBTITLE = "Compressed models beside the models that they were made from: every score with its 95 % interval."
NEXT_COMMAND = "hallmark run submissions/embedded-digits --suite embedded"
BOARD_COMMAND = "hallmark board --results"
NOT_INDEXED = "The changes from parent to child are not computed yet. Stop this page and open the board with:"
MISSING = "—"
LEGEND = (
    "An indented model was made from the one above it. "
    "↑ higher is better, ↓ lower is better. "
    "Change: child minus parent on the same items, paired; "
    "'worse' or 'better' where its interval excludes 0, else 'unclear'. "
    "Data: 'generated' comes from a generator in the package, not from the world. "
    f"{MISSING}: missing, never 0. Only whole runs are shown, the newest per model, task and machine. "
    "The files hold these rows and columns, numbers unrounded, sizes in bytes."
)

Look = Literal["text", "number", "signed", "bytes"]


class Column(NamedTuple):
    """How one column of the table is shown."""

    label: str
    look: Look
    help: str

    def length(self, value: Any) -> int:
        """Characters that a value takes on the screen."""
        written: dict[Look, Callable[[Any], str]] = {
            "text": str,
            "number": number,
            "signed": "{:+.3g}".format,
            "bytes": size,
        }
        return len(written[self.look](value))


COLUMNS: dict[str, Column] = {
    "submission": Column(
        "submission", "text", "The submission's name; indented under the model that it was made from."
    ),
    "task": Column("task", "text", "What it was scored on."),
    "data": Column("data", "text", "Generated data comes from a generator in the package, not from the world."),
    "metric": Column("metric", "text", "The task's primary metric."),
    "better": Column("better", "text", "Whether a higher or a lower value is better."),
    "value": Column("value", "number", "The primary metric."),
    "low": Column("low", "number", "Lower end of its 95 % interval."),
    "high": Column("high", "number", "Upper end of its 95 % interval."),
    "change": Column("change", "signed", "Child minus parent on the same items."),
    "change_low": Column("Δ low", "signed", "Lower end of the change's 95 % interval (paired)."),
    "change_high": Column("Δ high", "signed", "Upper end of the change's 95 % interval (paired)."),
    "verdict": Column("verdict", "text", "Worse or better where the change's interval excludes 0, else unclear."),
    "bytes": Column("on disk", "bytes", "Bytes of all the model's files."),
    "bits_per_weight": Column(
        "bits/parent weight", "number", "Bits of the stored tensors per weight of the parent; of a parent, its own."
    ),
    "items_per_s": Column("items/s", "number", "Items a second, on the machine of this row."),
    "peak_rss_bytes": Column("peak memory", "bytes", "Highest resident memory of the process that held the model."),
    "format": Column("format", "text", "File format of the weights."),
    "method": Column("method", "text", "How it was compressed, as its author names it."),
    "title": Column("title", "text", "The submission in its author's words."),
    "parent": Column("parent", "text", "The model that it was made from."),
    "task_version": Column("version", "text", "Records of different task versions are never compared."),
    "protocol": Column("protocol", "text", "How the task was scored."),
    "machine": Column("machine", "text", "Digest of processor, cores, memory and GPU."),
    "device": Column("device", "text", "Where the model computed."),
    "date": Column("date", "text", "Day of the run (UTC)."),
    "source": Column("source", "text", "Measured here, scored from a file of predictions, or imported."),
    "note": Column("note", "text", "Why something is missing."),
}

_ARROWS = {"higher": "↑ higher", "lower": "↓ lower"}
_PREFIXES = ("", "k", "M", "G", "T")
_KILO = 1000


def elsewhere(own: str, parents: str | None) -> str | None:
    """What to know of speed and memory of a model whose parent ran in another runtime.

    >>> elsewhere("onnx", "torch-export")
    "items/s and memory: onnx beside its parent's torch-export, so no change by compression"
    >>> elsewhere("onnx", "onnx"), elsewhere("onnx", None)
    (None, None)
    """
    if parents is None or own == parents:
        return None
    return f"items/s and memory: {own} beside its parent's {parents}, so no change by compression"


def direction(better: str | None) -> str | None:
    """The mark of a direction.

    >>> direction("lower"), direction(None)
    ('↓ lower', None)
    """
    return _ARROWS.get(better or "")


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


class Place(NamedTuple):
    """A model in the chart."""

    name: str
    bytes: float
    value: float


def pareto(metric: str, best: Sequence[Place], others: int, better: str | None) -> str:
    """The text alternative of the chart: which models are on the Pareto line, smallest first.

    >>> pareto("dice", [Place("a", 1000, 0.8)], 2, "higher")
    'On the Pareto line (no other model is both smaller and higher in dice): a (1 kB, 0.8). 2 models are not on it.'
    """
    if not best:
        return f"No Pareto line: {metric} has no direction."
    members = ", ".join(f"{p.name} ({size(p.bytes)}, {number(p.value)})" for p in best)
    rest = f" {count(others, 'model')} {'is' if others == 1 else 'are'} not on it." if others else ""
    return f"On the Pareto line (no other model is both smaller and {better} in {metric}): {members}.{rest}"
