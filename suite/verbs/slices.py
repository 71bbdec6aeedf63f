"""``hallmark slices``."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import click

from suite.errors import InputError
from suite.selection import named
from suite.store import Store
from suite.verbs.common import AsJson, Known, Results, recorded_name

_HEADER = ("slice", "share", "value", "rest", "gap, interval", "found by ", "worst items ")


@click.command(epilog="Example: hallmark slices my-model -t cifar10-100-corrupted")
@click.argument("submission")
@click.option("-t", "--task", "task", required=True, help="Task whose newest record is searched.")
@click.option("--metric", help="A mean over items; default: the task's primary metric, else accuracy.")
@click.option("--by", multiple=True, help="Another outcome column that may describe slices; several times for several.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the halves and the resamples.")
@Results
@AsJson
@click.pass_obj
def slices(known: Known, /, submission: str, task: str, results: Path, as_json: bool, **how: Any) -> None:
    """Find groups of items on which a model does worse, on half of a record's items, tested on the other half."""
    from suite import outcomes, text
    from suite.slices import chosen_metric, search, shown

    chosen = named(task, known.tasks_of(Store(results)))
    name = recorded_name(submission)
    stored = Store(results).latest(name, task)
    if stored is None:
        raise InputError(
            f"no record of {name!r} on {task} under {results}; run it: hallmark run {submission} -t {task}"
        )
    columns = outcomes.to_columns(stored.outcomes())
    found = search(
        columns, chosen_metric(chosen.metrics, chosen.primary, columns, how["metric"]), how["seed"], how["by"]
    )
    if as_json:
        told = {"submission": name, "task": task, "record": stored.path.name, **dataclasses.asdict(found)}
        click.echo(json.dumps(told, indent=1, ensure_ascii=False))
        return
    looked = ", ".join(f"{count} of {method}" for method, count in found.candidates.items()) or "none: no column varies"
    click.echo(
        f"{name} on {task}: {found.metric}, {found.n} items, {found.n_clusters} independent; searched on one half, "
        f"{found.n_tested} slices tested on the other ({looked})"
    )
    if not found.slices:
        click.echo("no slice of at least 5 % of the items is surely worse than the rest")
        return
    click.echo(text.table(_HEADER, shown(found)))
