"""``hallmark board``."""

from __future__ import annotations

from pathlib import Path

import click

from suite.store import Store
from suite.verbs.common import AsJson, Known, Results, announce


@click.command(epilog="Example: hallmark board --results results --port 8501")
@click.option("--port", type=click.IntRange(1, 65535), default=8501, show_default=True)
@Results
@AsJson
@click.pass_obj
def board(known: Known, port: int, results: Path, as_json: bool) -> None:
    """Open the leaderboard of a folder of records in the browser; --json prints its address and ends with it."""
    from suite import board as opened

    store = Store(results)
    opened.serve(store, port, known.tasks_of(store), announce=announce if as_json else click.echo)
