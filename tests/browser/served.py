"""A board in a process of its own, for tests that open it."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from support import REPOSITORY


@dataclass(frozen=True)
class Served:
    """A board that is running.

    Attributes:
        folder: where it was started; its records are in ``results`` there.
        port: where it answers.
    """

    folder: Path
    port: int

    def url(self, page: str = "", **query: Any) -> str:
        return f"http://127.0.0.1:{self.port}/{page}" + (f"?{urlencode(query, doseq=True)}" if query else "")


def start(*arguments: str, folder: Path, log: Path) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    with log.open("wb") as out:
        return subprocess.Popen(
            [sys.executable, "-m", "suite", *arguments], cwd=folder, env=environment, stdout=out, stderr=out
        )


def end(process: subprocess.Popen[bytes]) -> None:
    import psutil

    children = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
    for one in [*children, process]:
        one.terminate()
    psutil.wait_procs(children, timeout=10)
    process.wait(timeout=10)
