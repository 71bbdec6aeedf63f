"""``hallmark show``."""

from __future__ import annotations

from pathlib import Path

import click

from suite.errors import InputError, unknown
from suite.selection import named, suite_of
from suite.store import Store
from suite.verbs.common import AsJson, Known, Results, recorded_name, records_json, warn


@click.command(epilog="Example: hallmark show my-model -t cifar10-100")
@click.argument("submission", required=False)
@click.option("-t", "--task", "task", multiple=True, help="Only this task; several times for several.")
@click.option("--suite", "suite_name", help="Only this suite's tasks, and their mean where the suite has one.")
@click.option("--all", "every", is_flag=True, help="Every class and group, also where there are very many.")
@Results
@AsJson
@click.pass_obj
def show(  # noqa: PLR0913, PLR0917 - the options
    known: Known,
    submission: str | None,
    task: tuple[str, ...],
    suite_name: str | None,
    every: bool,
    results: Path,
    as_json: bool,
) -> None:
    """Show a submission's measurements with intervals, beside its parent's; every family without an argument."""
    store = Store(results)
    tasks = known.tasks_of(store)
    if submission is None:
        from suite import family, text

        lines = family.lines(store, {name: named(name, tasks) for name in task} or tasks, on_problem=warn)
        click.echo(records_json([line.stored for line in lines]) if as_json else family.tables(lines, text.columns()))
        return
    name = recorded_name(submission)
    names = sorted({s.record.task for s in store.scan(name, on_problem=warn)})
    if not names:
        raise InputError(f"no record of {name!r} under {results}; run it first: hallmark run {submission}")
    for wanted in task:
        if wanted not in names:
            raise unknown(f"task in the records of {name}", wanted, names)
    members = suite_of(suite_name, known.suites)
    chosen = task or ([one for one in members if one in names] if suite_name else names)
    latest = [found for one in chosen if (found := store.latest(name, one))]
    from suite import summary

    means = (
        [summary.mean_of(store, name, known.means[suite_name], tasks)]
        if suite_name and suite_name in known.means
        else []
    )
    if as_json:
        click.echo(records_json(latest, **({"means": [mean.summary() for mean in means]} if means else {})))
        return
    from suite.text import shown

    click.echo(
        "\n\n".join([*(shown(stored, store, tasks, every) for stored in latest), *map(summary.shown, means)]) + "\n"
    )
