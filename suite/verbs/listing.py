"""``hallmark list``."""

from __future__ import annotations

import json

import click

from suite.errors import unknown
from suite.verbs.common import AsJson, Known


@click.command("list", epilog="Example: hallmark list tasks")
@click.argument("what", required=False)
@AsJson
@click.pass_obj
def list_(known: Known, what: str | None, as_json: bool) -> None:
    """List tasks, suites, submissions, formats, probes or metrics; all of them without an argument."""
    from suite import catalogue, text

    sections = catalogue.sections(known.tasks, known.suites)
    if what is not None and what not in sections:
        raise unknown("list", what, sections)
    chosen = {what: sections[what]} if what else sections
    listed = {name: make() for name, make in chosen.items()}
    if as_json:
        click.echo(json.dumps(listed, indent=1, ensure_ascii=False))
        return
    for name, rows in listed.items():
        header = list(rows[0]) if rows else ["name"]
        body = [[str(value) for value in row.values()] for row in rows] or [["(none)"]]
        click.echo(("" if what else f"\n{name}\n") + text.table([f"{column} " for column in header], body))
