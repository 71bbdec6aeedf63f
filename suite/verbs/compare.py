"""``hallmark compare``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from suite.errors import IncomparableError
from suite.store import Store
from suite.verbs.common import AsJson, Known, Report, Results, write


@click.command(epilog="Example: hallmark compare my-model my-model-int8 -t digits")
@click.argument("a")
@click.argument("b")
@click.option("-t", "--task", "task", multiple=True, help="Only this task; several times for several.")
@click.option("-m", "--metric", "metric", multiple=True, help="A metric beside the primary one; several times.")
@click.option("--all", "every", is_flag=True, help="Every metric of every task.")
@click.option("--groups", is_flag=True, help="What changed for groups of items, where a task declares them.")
@click.option("--markdown", type=Report(), help="Write it as Markdown as well.")
@Results
@AsJson
@click.pass_obj
def compare(known: Known, /, a: str, b: str, results: Path, as_json: bool, **options: Any) -> None:
    """Compare B with A (names, folders of records or files) item by item: changes, flips, tests, what is left.

    Exit code 4 if there is no task that both have with the same version, protocol and data.
    """
    from suite import comparison, sides
    from suite.reports import compared, terminal

    first = sides.find(a, results)
    second = sides.find(b, results, beside=first)
    metrics = None if options["every"] else options["metric"]
    tasks = known.tasks_of(Store(results))
    found = comparison.compare(first, second, tasks, options["task"], metrics, options["groups"])
    if options["groups"] and found.tasks and not any(one.harm for one in found.tasks):
        click.echo("hallmark: --groups: no task here has groups on both sides", err=True)
    write(options["markdown"], compared.markdown(found).encode())
    if as_json:
        comparisons = [one.summary() for one in found.tasks]
        left_out = [{"task": name, "reason": why} for name, why in found.left_out.items()]
        names = {"a": found.a.name, "b": found.b.name}
        click.echo(json.dumps({**names, "comparisons": comparisons, "incomparable": left_out}, indent=1))
    else:
        click.echo(terminal.comparison(found))
    if not found.tasks:
        raise click.exceptions.Exit(IncomparableError.exit_code)
