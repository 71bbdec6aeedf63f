"""Opens the leaderboard: hands over to Streamlit at once, and brings the index up to date while pages are looked at."""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec

from suite import indexing
from suite.errors import HallmarkError, InfrastructureError, InputError
from suite.store import Store
from suite.task import AnyTask

RESULTS_VARIABLE = "HALLMARK_RESULTS"
UPLOAD_MB = 500
HERE = "127.0.0.1"
ANYWHERE = "0.0.0.0"
PATIENCE_S, LOOK_EVERY_S, FIRST_PAGE_S = 5.0, 0.2, 60.0
FIRST_PAGE = "/_stcore/script-health-check"


def serve(
    store: Store,
    port: int,
    tasks: Mapping[str, AnyTask],
    announce: Callable[[str], None],
    upload_mb: int = UPLOAD_MB,
    host: str = HERE,
) -> None:
    """Serve the board on this machine until it is interrupted.

    Nobody waits for the index: the pages show what is there, and say what is still being made.

    Args:
        store: the records.
        port: where.
        tasks: to compute changes and ranks.
        announce: told of the address.
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
    if find_spec("leaderboard") is None:
        raise InfrastructureError("the package leaderboard is not installed; install hallmark-bench again")
    announce(f"http://{'localhost' if host == HERE else host}:{port}")
    options = {
        "server.port": port,
        "server.address": host,
        "server.headless": "true",
        "browser.gatherUsageStats": "false",
        "server.scriptHealthCheckEnabled": "true",  # for the first visit, see below
        "server.fileWatcherType": "none",  # the pages are installed, not being written
    }
    options["server.maxUploadSize"] = upload_mb
    arguments = [f"--{name}={value}" for name, value in options.items()]
    with _beside(lambda end: _index(store, tasks, end), lambda end: _first_visit(host, port, end)):
        code = _run(
            [sys.executable, "-m", "leaderboard.server", *arguments],
            {**os.environ, RESULTS_VARIABLE: str(store.root.resolve())},
        )
    if code > 0:
        raise InfrastructureError(f"the board ended with exit code {code}; is port {port} taken? See above")


@contextmanager
def _beside(*work: Callable[[threading.Event], None]) -> Iterator[None]:
    """Do some work beside the block; it is given an event that is set when the block has ended."""
    end = threading.Event()
    threads = [threading.Thread(target=one, args=(end,), daemon=True) for one in work]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        end.set()
        for thread in threads:
            thread.join(PATIENCE_S)


def _index(store: Store, tasks: Mapping[str, AnyTask], end: threading.Event) -> None:
    """Bring the index up to date; what is not finished at the end goes on the next time."""
    try:
        indexing.everything(store, tasks, _complain, end.is_set)
    except indexing.StopIndexingError:
        pass
    except HallmarkError as error:  # a full disk: the board shows what the index held before
        _complain(str(error))


def _first_visit(host: str, port: int, end: threading.Event) -> None:
    """Have the first page made once the server is up, so that its first visitor does not wait for large packages."""
    where = HERE if host == ANYWHERE else host
    while not end.wait(LOOK_EVERY_S):
        link = http.client.HTTPConnection(where, port, timeout=FIRST_PAGE_S)
        try:
            link.request("GET", FIRST_PAGE)
            link.getresponse().read()
        except (TimeoutError, http.client.HTTPException):  # nobody but the first visitor misses it
            return
        except OSError:  # not up yet
            continue
        else:
            return
        finally:
            link.close()


def _complain(line: str) -> None:
    """Say on standard error, for standard output holds the address."""
    sys.stderr.write(f"hallmark: {line}\n")
    sys.stderr.flush()


def _run(command: list[str], environment: Mapping[str, str]) -> int:
    """Run until it ends; who terminates this process terminates it too, so that no server is left on the port."""
    with subprocess.Popen(command, env=environment) as server:
        before = signal.signal(signal.SIGTERM, lambda *_: server.terminate())
        try:
            return server.wait()
        finally:
            signal.signal(signal.SIGTERM, before)
