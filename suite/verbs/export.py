"""``hallmark export``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import click

from suite.errors import InputError
from suite.record import Record
from suite.store import Store
from suite.verbs.common import AsJson, Report, Results, recorded_name, records_json, warn, write

FORMATS = ("csv", "parquet", "every-eval-ever", "model-index")


@click.command(epilog="Example: hallmark export --format every-eval-ever --out evals.json my-model")
@click.argument("submission", nargs=-1)
@click.option("--format", "form", type=click.Choice(FORMATS), default="csv", show_default=True)
@click.option("-t", "--task", "task", multiple=True, help="Only this task; several times for several.")
@click.option("--out", type=Report(), help="File to write [default: standard output].")
@click.option("--every", is_flag=True, help="Superseded and limited records too, not only the newest complete ones.")
@Results
@AsJson
def export(  # noqa: PLR0913, PLR0917 - one argument an option
    submission: tuple[str, ...],
    form: str,
    task: tuple[str, ...],
    out: Path | None,
    every: bool,
    results: Path,
    as_json: bool,
) -> None:
    """Write records as CSV, Parquet, Every Eval Ever JSON, or a model card's model-index; all without an argument.

    With --json the records themselves are printed, and the file is written if there is --out.
    """
    names = [recorded_name(one) for one in submission]
    stored = list(Store(results).scan(on_problem=warn))
    found = [s.record for s in stored]
    for what, asked, there in (
        ("record of submission", names, {r.manifest.name for r in found}),
        ("record of task", task, {r.task for r in found}),
    ):
        absent = [name for name in asked if name not in there]
        if absent:
            raise InputError(f"no {what} {absent[0]!r} under {results}")
    found = [r for r in found if (not names or r.manifest.name in names) and (not task or r.task in task)]
    found = found if every else newest(found)
    if not found:
        raise InputError(f"no records under {results} to export")
    if as_json:
        chosen = {record.unit_key for record in found}
        click.echo(records_json([s for s in stored if s.record.unit_key in chosen and s.record in found]))
    if as_json and out is None:
        return
    content = rendered(found, form)
    if out is None and isinstance(content, bytes):
        raise InputError("Parquet is no text; give --out FILE")
    if out is None:
        click.echo(content, nl=False)
        return
    write(out, content if isinstance(content, bytes) else content.encode())


def newest(records: Sequence[Record]) -> list[Record]:
    """The newest complete record of every submission and task."""
    best: dict[tuple[str, str], Record] = {}
    for record in sorted(records, key=lambda r: r.provenance.started):
        if record.limit is None:
            best[record.manifest.name, record.task] = record
    return list(best.values())


def rendered(records: Sequence[Record], form: str) -> str | bytes:
    """The records in one of `FORMATS`."""
    from suite.exchange import every_eval_ever, flat, model_card

    if form == "parquet":
        return flat.to_parquet(records)
    if form == "csv":
        return flat.to_csv(records)
    if form == "model-index":
        return model_card.model_index(records)
    return json.dumps(every_eval_ever.evaluations(records), indent=1, ensure_ascii=False) + "\n"
