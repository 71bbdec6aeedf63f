"""``hallmark import``."""

from __future__ import annotations

from pathlib import Path

import click

from suite.store import Store, load
from suite.verbs.common import AsJson, Results, records_json, warn


@click.command("import", epilog="Example: hallmark import lm-eval-output/  or: table.csv --map my-map.toml")
@click.argument("file", type=click.Path(path_type=Path), nargs=-1, required=True)
@click.option("--map", "mapping", help="How to read a foreign table: a TOML file, or a built-in one's name.")
@click.option("--name", help="Name of the submission, where a result of lm-eval does not name it well.")
@Results
@AsJson
def import_(file: tuple[Path, ...], mapping: str | None, name: str | None, results: Path, as_json: bool) -> None:
    """Import results of lm-eval (files, folders, archives), CSV or Markdown tables as records marked "imported".

    A folder that lm-eval wrote with --log_samples gives records with items, which are compared one by one; without
    samples they can only be compared unpaired. Imported records are shown and compared, never ranked or verified.
    All of FILE is read before anything is written: one bad file, and nothing is.
    """
    from suite.exchange import importing

    found = importing.read(file, mapping, name, warn)
    paths = importing.publish(found, Store(results))
    if as_json:
        click.echo(records_json([load(path) for path in paths]))
        return
    submissions = {one.record.manifest.name for one in found}
    items = sum(bool(one.rows) for one in found)
    click.echo(
        f"{len(paths)} records of {len(submissions)} submissions under {results}, imported and not measured here"
    )
    others = "; the others can only be compared unpaired" if items < len(found) else ""
    click.echo(f"{items} of them with items{others}")
