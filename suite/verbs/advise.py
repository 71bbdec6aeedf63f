"""``hallmark advise``."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from suite.errors import InputError
from suite.manifest import KINDS
from suite.selection import DEFAULT_SUITE
from suite.store import Store
from suite.verbs.common import AsJson, Known, Results
from suite.verbs.rank import standings_of


@click.command(epilog="Example: hallmark advise --max-bytes 2GB --max-latency 50ms --min-retention 0.98")
@click.option("--max-bytes", metavar="SIZE", help="Largest size on disk: 2GB, 500MiB, 100kB.")
@click.option("--max-latency", metavar="TIME", help="Longest median time of one call: 50ms, 0.1s.")
@click.option("--min-retention", type=click.FloatRange(min=0), help="Least share of the parent's quality: 0.98.")
@click.option(
    "--machine",
    metavar="ID",
    help="Machine of the latencies, by how its id begins [default: this one, else the only one].",
)
@click.option("--scenario", metavar="NAME", help="What one call is [default: batch-1; of language models decode-64].")
@click.option("--kind", type=click.Choice(KINDS), help="Only models of this kind.")
@click.option("-t", "--task", "task", multiple=True, help="Task whose primary metric is quality; several for several.")
@click.option("--suite", "suite_name", help=f"All tasks of this suite that have records [default: {DEFAULT_SUITE}].")
@Results
@AsJson
@click.pass_obj
def advise(
    known: Known, /, task: tuple[str, ...], suite_name: str | None, results: Path, as_json: bool, **wanted: Any
) -> None:
    """Pick submissions: those that meet the limits and that no other one beats, with how sure that is.

    Latencies of two machines are never compared, and those of a busy machine or of a limited run do not count.
    """
    from suite import advise as adviser
    from suite.advice_table import shown
    from suite.latencies import latencies, names_for
    from suite.machine import observe

    size, time, kind = wanted["max_bytes"], wanted["max_latency"], wanted["kind"]
    limits = adviser.Limits(
        max_bytes=None if size is None else adviser.size(size),
        max_latency_s=None if time is None else adviser.seconds(time),
        min_retention=wanted["min_retention"],
    )
    store = Store(results)
    standings = standings_of(known, store, (), task, None if task else suite_name or DEFAULT_SUITE)
    if kind is not None and kind not in standings:
        raise InputError(f"no records of a {kind} task to choose from; there are: {', '.join(standings)}")
    here, advice, refused = observe().id, {}, []
    for each, standing in standings.items():
        if kind not in (None, each):
            continue
        names, asked = names_for(each, wanted["scenario"]), [place.submission for place in standing.places]
        try:
            timed = latencies(store, asked, names, wanted["machine"], here, time is not None)
        except InputError as error:  # a machine may have latencies of one kind of models only
            refused.append(error)
            continue
        advice[each] = adviser.advise(standing, timed, limits)
    if refused and (not advice or wanted["machine"] is None):
        raise refused[0]
    if as_json:
        click.echo(json.dumps({"advice": {k: asdict(a) for k, a in advice.items()}}, indent=1, ensure_ascii=False))
        return
    click.echo("\n".join(shown(k, a) for k, a in advice.items()))
