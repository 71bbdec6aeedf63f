"""``hallmark worker``."""

from __future__ import annotations

import json
from pathlib import Path

import click

from suite.errors import UnitError
from suite.store import Store
from suite.verbs.common import AsJson, Device, Known, Results, Threads


@click.command(epilog="Example: hallmark worker --results results --suite embedded")
@click.option("--once", is_flag=True, help="End when the queue is empty, instead of waiting for more.")
@click.option(
    "--suite", "suite_name", help="Score on the tasks of this suite that fit, instead of the manifest's own tasks."
)
@Device
@Threads
@click.option(
    "--time-limit",
    "time_limit_s",
    type=click.FloatRange(min=0, min_open=True),
    default=3600.0,
    show_default=True,
    help="Seconds for one submission on one task.",
)
@Results
@AsJson
@click.pass_obj
def worker(  # noqa: PLR0913 - a declaration, always by keyword
    known: Known,
    /,
    *,
    once: bool,
    suite_name: str | None,
    device: str,
    threads: int | None,
    time_limit_s: float,
    results: Path,
    as_json: bool,
) -> None:
    """Score what was submitted through the board, one submission at a time, until interrupted.

    Start it in the folder that the board was started in. One worker at a time; killed at any moment, the next one goes
    on where it was. With --once, exit code 1: something failed.
    """
    from suite.queue import Queue
    from suite.queue_worker import Work, serve
    from suite.selection import suite_of
    from suite.unit import Options

    suite_of(suite_name, known.suites)
    store = Store(results)
    options = Options(device=device, threads=threads, time_limit_s=time_limit_s)
    say = (lambda line: None) if as_json else click.echo
    complain = lambda line: click.echo(f"hallmark: {line}", err=True)  # noqa: E731 - beside the one above
    work = Work(Queue(results), store, known.tasks_of(store), known.suites, options, suite_name, say, complain)
    ended = serve(work, once)
    if as_json:
        told = [{"id": entry.id, "name": entry.name, "failed": failed} for entry, failed in ended]
        click.echo(json.dumps({"entries": told}, indent=1))
    if any(failed for _, failed in ended):
        raise click.exceptions.Exit(UnitError.exit_code)
