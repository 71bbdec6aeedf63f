"""Latencies: how long one call of each submission takes, on one machine only, and why others have no such number.

A record counts if it is whole, was made on a quiet machine, and on the machine that is asked for; the newest of them
decides. Numbers of two machines are never put side by side: without a machine, this one is taken where it has some,
else the only one that has; of several others one must be chosen.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from suite.errors import InputError, unknown
from suite.record import Record
from suite.store import Store
from suite.timing.scenario import LANGUAGE, VISION

LATENCY = "latency_p50_s"
SCENARIOS = {"language": "decode-64"}  # what one call is; of networks:
_NETWORK = "batch-1"


@dataclass(frozen=True)
class Latencies:
    """Median seconds of one call.

    Attributes:
        of: submission -> seconds.
        why: submission -> why it has none.
        machine: where all of them were measured; None where none was.
        notes: what a reader must know.
    """

    of: Mapping[str, float]
    why: Mapping[str, str]
    machine: str | None = None
    notes: tuple[str, ...] = ()


@dataclass
class _Timed:
    """What the store holds of one submission: usable records, oldest first, and why others are not."""

    usable: list[Record] = field(default_factory=list)
    passed_over: list[tuple[Record, str]] = field(default_factory=list)


def latencies(
    store: Store, submissions: Iterable[str], names: Sequence[str], asked: str | None, here: str, needed: bool
) -> Latencies:
    """The newest usable latency of each submission, all of one machine.

    Args:
        store: where the records are.
        submissions: whose.
        names: of the measurement; the first that a record has a value of.
        asked: how the id of a machine begins; None: any one.
        here: id of this machine.
        needed: whether a limit is put to them.

    Raises:
        InputError: no latency on the machine that was asked for, or several machines and none chosen although a limit
            is put to them.
    """
    found = {name: _timed(store, name, names) for name in submissions}
    machines = _machines(record for timed in found.values() for record in timed.usable)
    known = _machines(
        record for timed in found.values() for record in (*timed.usable, *(one for one, _ in timed.passed_over))
    )
    machine, note = _chosen(machines, known, asked, here, needed)
    of, why, settings = {}, {}, {}
    for name, timed in found.items():
        mine = [record for record in timed.usable if record.machine.id == machine]
        if mine:
            of[name] = value(mine[-1], names) or 0.0
            settings[name] = _setting(mine[-1])
        else:
            why[name] = _absent(name, timed, machine)
    notes = [note] if note else []
    if len(set(settings.values())) > 1:
        notes.append(f"latencies are of several settings: {_listed(settings)}")
    return Latencies(of, why, machine if of else None, tuple(notes))


def _setting(record: Record) -> str:
    machine = record.machine
    return f"{machine.device}, {machine.threads} threads, version {record.task_version} of {record.task}"


def names_for(kind: str, scenario: str | None) -> tuple[str, ...]:
    """How records spell the latency of one call: with the scenario, or, of other tools, without.

    Raises:
        InputError: there is no such scenario for any kind.
    """
    if scenario is not None and scenario not in (known := [one.name for one in (*VISION, *LANGUAGE)]):
        raise unknown("scenario", scenario, set(known))
    return (f"{LATENCY}[scenario={scenario or SCENARIOS.get(kind, _NETWORK)}]", *(() if scenario else (LATENCY,)))


def value(record: Record, names: Sequence[str]) -> float | None:
    """The first of these measurements that has a value."""
    found = (record.measurement(name) for name in names)
    return next((m.value for m in found if m is not None and m.value is not None), None)


def _timed(store: Store, submission: str, names: Sequence[str]) -> _Timed:
    timed = _Timed()
    for stored in sorted(store.scan(submission), key=lambda s: s.record.provenance.started):
        record = stored.record
        if value(record, names) is None:
            continue
        if record.contended:
            timed.passed_over.append((record, f"timed on a busy machine: {record.contended}"))
        elif record.limit is not None:
            timed.passed_over.append((record, f"timed in a limited run (--limit {record.limit})"))
        else:
            timed.usable.append(record)
    return timed


def _machines(records: Iterable[Record]) -> list[str]:
    return sorted({record.machine.id for record in records})


def _chosen(
    machines: Sequence[str], known: Sequence[str], asked: str | None, here: str, needed: bool
) -> tuple[str | None, str | None]:
    """The one machine whose latencies count, and what to say of the choice."""
    if asked is not None:
        fit = [asked] if asked in known else [one for one in known if one.startswith(asked)]
        if len(fit) == 1:
            return fit[0], None
        there = f"machines with latencies here: {', '.join(known)}" if known else "no record here has one"
        what = f"{asked!r} begins the ids of {len(fit)} machines" if fit else f"no latency was measured on {asked!r}"
        raise InputError(f"{what}; {there}")
    if here in machines:
        others = len(machines) - 1
        return here, f"latencies of this machine ({here}); --machine chooses among {others} more" if others else None
    if len(machines) <= 1:
        return (machines[0] if machines else None), None
    if needed:
        raise InputError(f"latencies of {len(machines)} machines do not compare: --machine {' or '.join(machines)}")
    return None, f"latencies are left out: they are of several machines; --machine {' or '.join(machines)}"


def _absent(submission: str, timed: _Timed, machine: str | None) -> str:
    run = f"hallmark run {submission} --suite efficiency"
    mine = [why for record, why in timed.passed_over if machine in (None, record.machine.id)]
    if mine:
        return f"{mine[-1]}; again, whole and on a quiet machine: {run} --again"
    return f"no latency measured{f' on machine {machine}' if machine else ''}: {run}"


def _listed(settings: Mapping[str, str]) -> str:
    return "; ".join(f"{name}: {what}" for name, what in settings.items())
