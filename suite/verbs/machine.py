"""``hallmark machine``."""

from __future__ import annotations

import json

import click

from suite.verbs.common import AsJson


@click.command(epilog="Example: hallmark machine --json")
@AsJson
def machine(as_json: bool) -> None:
    """Show this machine, what the probes see here, and why the others cannot run."""
    from suite import machine as here
    from suite import text
    from suite.probes import PROBES

    found = here.observe()
    probes = {name: (make().title, make().unavailable()) for name, make in PROBES.items()}
    if as_json:
        rows = {name: {"title": title, "unavailable": why} for name, (title, why) in probes.items()}
        click.echo(json.dumps({"machine": found.model_dump(mode="json"), "probes": rows}, indent=1, ensure_ascii=False))
        return
    click.echo(text.facts({name: str(value) for name, value in found.model_dump().items()}) + "\n")
    body = [[name, title, why or "reads here"] for name, (title, why) in probes.items()]
    click.echo(text.table(["probe", "reads ", "state "], body))
