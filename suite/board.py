"""Opens the leaderboard: brings the index up to date and hands over to Streamlit."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path

from suite import index, rankings
from suite.errors import InfrastructureError, InputError
from suite.store import Store
from suite.task import AnyTask

RESULTS_VARIABLE = "HALLMARK_RESULTS"
UPLOAD_MB = 500
HERE = "127.0.0.1"


def serve(
    store: Store,
    port: int,
    tasks: Mapping[str, AnyTask],
    announce: Callable[[str], None],
    upload_mb: int = UPLOAD_MB,
    host: str = HERE,
) -> None:
    """Serve the board on this machine until it is interrupted.

    Args:
        store: the records.
        port: where.
        tasks: to compute changes and ranks.
        announce: told of the address, and of what takes long.
        upload_mb: most megabytes of one upload to the page Submit; 0 closes that page.
        host: address that it listens on; only this machine's own by default, for whoever reaches it can submit.

    Raises:
        InputError: there is no such folder, or the extra is not installed.
        InfrastructureError: Streamlit ended with an error, for example because the port is taken.
    """
    if not store.root.is_dir():
        raise InputError(f"no folder {store.root}; score something first, or give --results DIR")
    if find_spec("streamlit") is None:
        raise InputError("the board needs an extra: pip install 'hallmark-bench[board]'")
    index.refresh(store, tasks)
    rankings.refresh(store, tasks, announce)
    spec = find_spec("leaderboard")
    if spec is None or spec.origin is None:
        raise InfrastructureError("the package leaderboard is not installed; install hallmark-bench again")
    app = Path(spec.origin).with_name("app.py")
    announce(f"http://{'localhost' if host == HERE else host}:{port}")
    options = {
        "server.port": port,
        "server.address": host,
        "server.headless": "true",
        "browser.gatherUsageStats": "false",
    }
    options["server.maxUploadSize"] = upload_mb
    arguments = [f"--{name}={value}" for name, value in options.items()]
    code = _run(
        [sys.executable, "-m", "streamlit", "run", str(app), *arguments],
        {**os.environ, RESULTS_VARIABLE: str(store.root.resolve())},
    )
    if code > 0:
        raise InfrastructureError(f"the board ended with exit code {code}; is port {port} taken? See above")


def _run(command: list[str], environment: Mapping[str, str]) -> int:
    """Run until it ends; who terminates this process terminates it too, so that no server is left on the port."""
    with subprocess.Popen(command, env=environment) as server:
        before = signal.signal(signal.SIGTERM, lambda *_: server.terminate())
        try:
            return server.wait()
        finally:
            signal.signal(signal.SIGTERM, before)
