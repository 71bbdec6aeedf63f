"""How ``hallmark show`` prints an efficiency record: a line a scenario, then the rest, then what could not be had."""

from __future__ import annotations

from collections.abc import Sequence

from suite.record import Measurement, Record
from suite.text import amount, interval, measurement_row, number, table

_MARK = "[scenario="
_COLUMNS = {  # stem -> header
    "latency_p50_s": "p50",
    "latency_p90_s": "p90",
    "latency_p99_s": "p99",
    "cpu_s": "CPU",
    "time_to_first_token_s": "first token",
    "time_per_token_s": "per token",
    "throughput_per_s": "throughput",
    "batch": "batch",
    "peak_share": "of peak FLOP/s",
    "mbu": "of bandwidth",
    "macs": "MACs",
}
_RATIOS = ("latency_ratio", "throughput_ratio", "time_per_token_ratio")
_REST = ("measurement", "value", "n")
_PERCENT = ("peak_share", "mbu")
_UNITS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "us"))


def is_timed(record: Record) -> bool:
    """Whether a record holds timings by scenario."""
    return any(_MARK in m.name for m in record.measurements)


def why_alone(record: Record) -> str | None:
    """Why no parent took turns with it, where timings say so."""
    return next((m.reason for m in record.measurements if m.name.startswith(f"{_RATIOS[0]}{_MARK}")), None)


def speed(record: Record) -> str:
    """The whole record as text.

    Ratios are to the parent in the same runtime: a latency ratio below 1 and a throughput ratio above 1 are faster.
    """
    timed = [m for m in record.measurements if _MARK in m.name]
    others = [m for m in record.measurements if _MARK not in m.name]
    parts = [_by_scenario(timed), _rest([m for m in others if m.value is not None])]
    return "\n".join([*parts, *_missing([m for m in record.measurements if m.value is None])])


def _by_scenario(measurements: Sequence[Measurement]) -> str:
    found = {m.name: m for m in measurements if m.value is not None}
    scenarios = dict.fromkeys(name.partition(_MARK)[2][:-1] for name in found)
    stems = [stem for stem in _COLUMNS if any(f"{stem}{_MARK}{s}]" in found for s in scenarios)]
    rows = []
    for scenario in scenarios:
        of = {stem: found.get(f"{stem}{_MARK}{scenario}]") for stem in (*_RATIOS, *stems)}
        ratio = next((m for stem in _RATIOS[:2] if (m := of[stem])), None)
        beside = [number(ratio.value), interval(ratio.low, ratio.high)] if ratio else ["", ""]
        rows.append([scenario, *beside, *(_cell(stem, of[stem]) for stem in stems)])
    return table(("scenario", "ratio to parent", "95 %", *(_COLUMNS[stem] for stem in stems)), rows)


def _cell(stem: str, m: Measurement | None) -> str:
    if m is None or m.value is None:
        return ""
    if stem in _PERCENT:
        return f"{100 * m.value:.3g} %"
    return duration(m.value) if m.unit == "s" else amount(m.value, m.unit)


def duration(seconds: float) -> str:
    """A time in s, ms or us.

    >>> duration(1.309), duration(0.0197), duration(0.00005047)
    ('1.309 s', '19.7 ms', '50.47 us')
    """
    size, unit = next(((size, unit) for size, unit in _UNITS if seconds >= size), _UNITS[-1])
    return f"{number(seconds / size)} {unit}"


def _rest(measurements: Sequence[Measurement]) -> str:
    return table(_REST, [[row[0], row[1], row[6]] for row in (measurement_row(m, None, None) for m in measurements)])


def _missing(measurements: Sequence[Measurement]) -> list[str]:
    """One line a reason, with the names that it is the reason of."""
    by_reason: dict[str, list[str]] = {}
    for m in measurements:
        by_reason.setdefault(m.reason or "no reason", []).append(m.name)
    return [f"not here: {', '.join(names)}: {reason}" for reason, names in by_reason.items()]
