"""``hallmark verify``."""

from __future__ import annotations

from pathlib import Path

import click

from suite.errors import InputError
from suite.store import Store
from suite.verbs.common import AsJson, Known, Results, records_json


@click.command(epilog="Example: hallmark verify my-model")
@click.argument("what", nargs=-1, metavar="[SUBMISSION | RECORD.json]...")
@click.option(
    "--against", type=click.Path(file_okay=False, path_type=Path), help="Compare with a fresh run in this folder."
)
@click.option(
    "--tolerance",
    default=0.005,
    show_default=True,
    help="Relative difference from the fresh run that passes; what one flipped answer moves does too.",
)
@Results
@AsJson
@click.pass_obj
def verify(
    known: Known, what: tuple[str, ...], against: Path | None, tolerance: float, results: Path, as_json: bool
) -> None:
    """Recompute every number of records from their outcomes and check every digest; all records without an argument."""
    from suite.agreement import agreement, unrecorded
    from suite.verify import selected
    from suite.verify import verify as verify_one

    problems: list[dict[str, str]] = []

    def report(where: str, line: str) -> None:
        problems.append({"record": where, "problem": line})
        click.echo(f"hallmark: {where}: {line.removeprefix(where + ': ')}", err=True)

    tasks = known.tasks_of(Store(results))
    stored, names = selected(what, Store(results), report)
    for one in stored:
        fresh = agreement(one, Store(against), tasks, tolerance) if against else None
        lines = verify_one(one, tasks) + list(fresh.problems if fresh else ())
        for line in lines:
            report(str(one.path), line)
        if not lines and not as_json:
            note = f"; {fresh.note}" if fresh and fresh.note else ""
            click.echo(f"{one.path}: every digest and all {len(one.record.measurements)} measurements hold{note}")
    for line in unrecorded(stored, Store(against), names) if against else ():
        report(str(results), line)
    if as_json:
        click.echo(records_json(stored, problems=problems))
    if problems:
        raise click.exceptions.Exit(1)
    if not stored:
        raise InputError(f"no records under {results}; name some, or give --results DIR")
