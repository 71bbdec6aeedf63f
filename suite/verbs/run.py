"""``hallmark run``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from suite import submission as submissions
from suite.errors import InputError, UnitError
from suite.selection import tasks_for
from suite.store import Store
from suite.verbs.common import AsJson, Known, Results, records_json, warn


@click.command(epilog="Example: hallmark run submissions/my-model -t cifar10-100 --results results")
@click.argument("submission", nargs=-1, required=True)
@click.option("-t", "--task", "task", multiple=True, help="Task to score on; several times for several.")
@click.option("--suite", "suite_name", help="Score on all tasks of this suite that fit the model's kind.")
@click.option("--device", type=click.Choice(["cpu", "cuda"]), default="cpu", show_default=True)
@click.option(
    "--threads",
    type=click.IntRange(1),
    help="CPU threads of the model's runtime [default: OMP_NUM_THREADS, else all cores].",
)
@click.option("--limit", type=click.IntRange(1), help="Only so many items, a seeded random sample; kept off the board.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the bootstrap and of sampling.")
@click.option(
    "--time-limit",
    "time_limit_s",
    type=click.FloatRange(min=0, min_open=True),
    default=3600.0,
    show_default=True,
    help="Seconds for one unit.",
)
@click.option("--again", is_flag=True, help="Run units once more that have a record already.")
@click.option(
    "--overlays/--no-overlays", default=True, show_default=True, help="Keep small pictures of the three worst cases."
)
@Results
@AsJson
@click.pass_obj
def run(
    known: Known,
    /,
    submission: tuple[str, ...],
    task: tuple[str, ...],
    suite_name: str | None,
    results: Path,
    as_json: bool,
    **options: Any,
) -> None:
    """Score submissions (folders, or names under submissions/) on tasks, each into one record."""
    from suite import index
    from suite.batch import run_all
    from suite.unit import Options, Unit, units

    how = Options(**options)
    work: list[Unit] = []
    for one in [submissions.find(name) for name in submission]:
        chosen, by_name = tasks_for(one.manifest, task, suite_name, known.tasks, known.suites)
        work += units([one], chosen, by_name, how, warn)
    if not work:
        raise InputError("nothing to do: no chosen task takes a model of this kind; see hallmark list tasks")
    say = (lambda line: None) if as_json else click.echo
    stored, failures = run_all(
        work, Store(results), known.tasks, say, lambda line: click.echo(f"hallmark: {line}", err=True)
    )
    index.refresh(Store(results), known.tasks)
    if as_json:
        click.echo(records_json(stored, failures=failures))
    if failures:
        raise click.exceptions.Exit(UnitError.exit_code)
