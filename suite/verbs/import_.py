"""``hallmark import``."""

from __future__ import annotations

from pathlib import Path

import click

from suite.store import Store, load
from suite.verbs.common import AsJson, Results, records_json


@click.command("import", epilog="Example: hallmark import results_2026-01-01.json  or: table.csv --map my-map.toml")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--map", "mapping", help="How to read a foreign table: a TOML file, or a built-in one's name.")
@click.option("--name", help="Name of the submission, where a result of lm-eval does not name it well.")
@Results
@AsJson
def import_(file: Path, mapping: str | None, name: str | None, results: Path, as_json: bool) -> None:
    """Import results of lm-eval (file, folder or archive), a CSV or a Markdown table as records marked "imported"."""
    from suite.exchange import importing

    found = importing.read(file, mapping, name)
    paths = importing.publish(found, Store(results))
    if as_json:
        click.echo(records_json([load(path) for path in paths]))
        return
    submissions = {one.record.manifest.name for one in found}
    items = sum(bool(one.rows) for one in found)
    click.echo(
        f"{len(paths)} records of {len(submissions)} submissions under {results}, imported and not measured here"
    )
    click.echo(f"{items} of them with items; the others can only be compared unpaired")
