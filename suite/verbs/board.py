"""``hallmark board``."""

from __future__ import annotations

from pathlib import Path

import click

from suite.store import Store
from suite.verbs.common import AsJson, Known, Results, announce


@click.command(epilog="Example: hallmark board --results results --port 8501")
@click.option("--port", type=click.IntRange(1, 65535), default=8501, show_default=True)
@click.option(
    "--host", default="127.0.0.1", show_default=True, help="Address to listen on; 0.0.0.0 opens it to others."
)
@click.option(
    "--max-upload-mb",
    "upload_mb",
    type=click.IntRange(0),
    default=500,
    show_default=True,
    help="Most megabytes of one upload to the page Submit; 0 closes the page.",
)
@Results
@AsJson
@click.pass_obj
def board(known: Known, /, *, port: int, host: str, upload_mb: int, results: Path, as_json: bool) -> None:
    """Open the leaderboard of a folder of records in the browser; --json prints its address and ends with it."""
    from suite import board as opened

    store = Store(results)
    say = announce if as_json else click.echo
    opened.serve(store, port, known.tasks_of(store), say, upload_mb, host)
