"""``hallmark rank``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from suite.errors import InputError
from suite.selection import named, suite_of
from suite.store import Store
from suite.task import AnyTask
from suite.verbs.common import AsJson, Known, Results, recorded_name

if TYPE_CHECKING:
    from suite.standing import Standing


@click.command(epilog="Example: hallmark rank --suite embedded  or: hallmark rank a b c -t digits")
@click.argument("submission", nargs=-1)
@click.option("-t", "--task", "task", multiple=True, help="Task to rank on; several times for several.")
@click.option("--suite", "suite_name", help="Rank on all tasks of this suite that have records.")
@Results
@AsJson
@click.pass_obj
def rank(
    known: Known,
    submission: tuple[str, ...],
    task: tuple[str, ...],
    suite_name: str | None,
    results: Path,
    as_json: bool,
) -> None:
    """Rank submissions with intervals and tie groups, from paired resamples of the items."""
    from suite import rank_table

    standings = standings_of(known, Store(results), submission, task, suite_name)
    if as_json:
        rankings = [{"kind": kind, **standing.summary()} for kind, standing in standings.items()]
        click.echo(json.dumps({"rankings": rankings}, indent=1, ensure_ascii=False))
        return
    click.echo("\n".join(rank_table.shown(kind, standing) for kind, standing in standings.items()))


def standings_of(
    known: Known, store: Store, given: Sequence[str], task: Sequence[str], suite_name: str | None
) -> dict[str, Standing]:
    """One ranking for each kind of model that the chosen tasks take.

    Raises:
        InputError: no task is chosen, or none has records.
    """
    from suite.standing import stand

    tasks = known.tasks_of(store)
    wanted = [named(name, tasks) for name in task or suite_of(suite_name, known.suites)]
    names = [recorded_name(one) for one in given]
    by_kind: dict[str, list[AnyTask]] = {}
    for one in wanted:
        if task or any(not names or s.record.manifest.name in names for s in store.scan(task=one.name)):
            by_kind.setdefault(one.kind, []).append(one)
    if not by_kind:
        raise InputError(f"name what to rank on, -t TASK or --suite NAME, of which {store.root} has records")
    return {kind: stand(store, names, chosen) for kind, chosen in by_kind.items()}
