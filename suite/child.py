"""The parent's end of the child process: start, ask, check, end.

Every call sends inputs under fresh opaque ids and takes exactly one answer for each; a child that dies, hangs past the
unit's time limit or sends rubbish becomes one `UnitError`.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from suite.errors import AnswerError, InfrastructureError, UnitError
from suite.model import Facts
from suite.probes.memory import peak_rss_bytes
from suite.wire import Closed, Garbled, Wire

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
_WITHHELD = ("HALLMARK_DATA", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_TOKEN_PATH")
_LOG_TAIL_BYTES = 4096
_TEARDOWN_S = 2.0


class Child:
    """A child process with one loaded model.

    Attributes:
        facts: what the child observed of the model; engine and notes as of the last call.
        peak_rss_bytes: its peak resident memory as of the last call.
        rss_before_load_bytes: resident memory after imports and before the model.
    """

    def __init__(self, order: Mapping[str, Any], time_limit_s: float, scratch: Path | None = None) -> None:
        """Start a child and have it load a model.

        Args:
            order: format, weights, kind, inputs, device, threads.
            time_limit_s: for everything that its process does, loading included.
            scratch: folder for its temporary files; None: the system's.

        Raises:
            UnitError: the model cannot be loaded.
        """
        self._limit_s = time_limit_s
        self._scratch = str((scratch or Path(tempfile.gettempdir())).resolve())
        self._order = dict(order)
        self._environment = self._of_child()
        self._seconds = self._cpu_seconds = 0.0
        self.peak_rss_bytes: int | None = None
        self.facts: Facts
        self.rss_before_load_bytes: int | None
        self._begin()
        self.loaded()

    def ask(self, method: str, *arguments: Sequence[Any]) -> list[Any]:
        """Call a method of the model's protocol; every argument has one entry an item, and so has the answer.

        Raises:
            UnitError: the child failed, died or hung, or did not answer each id once.
        """
        ids = [secrets.token_hex(8) for _ in arguments[0]]
        self._send({"method": method, "ids": ids, "arguments": list(arguments)}, method)
        reply = self._receive(method)
        answers = reply.pop("answers", None)
        done = _Done.read(reply)
        if not isinstance(answers, list) or len(answers) != len(ids) or sorted(done.ids) != sorted(ids):
            count = len(answers) if isinstance(answers, list) else 0
            raise UnitError(f"{len(ids)} items were sent to {method} and {count} answers came; one each is needed")
        self._seconds += done.seconds
        self._cpu_seconds += done.cpu_seconds
        self.peak_rss_bytes = peak_rss_bytes(self._process.pid)
        if done.engine is not None and done.notes is not None:  # a check on the task's own items may have changed them
            self.facts = replace(self.facts, engine=done.engine, notes=tuple(done.notes))
        by_id = dict(zip(done.ids, answers, strict=True))
        return [by_id[i] for i in ids]

    def take_cost(self) -> tuple[float, float]:
        """Wall and processor seconds of all calls since this was last asked, measured in the child."""
        cost = self._seconds, self._cpu_seconds
        self._seconds = self._cpu_seconds = 0.0
        return cost

    def restart(self) -> None:
        """End the process and begin to load the model in a fresh one, with a time limit of its own; costs run on."""
        self.close()
        self._begin()

    def loaded(self) -> None:
        """Wait for the model, and read what was observed of it.

        Raises:
            UnitError: it cannot be loaded.
        """
        try:
            hello = _Hello.read(self._receive("loading the model"))
            self.facts = Facts(**hello.facts.model_dump())
            self.rss_before_load_bytes = hello.rss_before_load_bytes
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the child; safe to call twice."""
        self._wire.close()
        try:
            self._process.wait(timeout=2)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self._process.pid

    def _begin(self) -> None:
        self._deadline = time.monotonic() + self._limit_s
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the child
        self._process, self._wire = self._start()
        try:
            self._send(self._order, "loading the model")
        except BaseException:
            self.close()
            raise

    def _of_child(self) -> dict[str, str]:
        """The environment of every process that this child starts."""
        root = Path(__file__).resolve().parent.parent
        environment = {name: value for name, value in os.environ.items() if name not in _WITHHELD}
        environment.update(dict.fromkeys(_THREAD_VARIABLES, str(int(self._order["threads"]))))
        environment.update(HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false", TRANSFORMERS_VERBOSITY="error")
        environment["TMPDIR"] = self._scratch
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(root), os.environ.get("PYTHONPATH")]))
        return environment

    def _start(self) -> tuple[subprocess.Popen[bytes], Wire]:
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                process = subprocess.Popen(
                    [sys.executable, "-m", "suite.worker", str(theirs.fileno()), str(os.getpid())],
                    pass_fds=[theirs.fileno()],
                    env=self._environment,
                    cwd=self._scratch,
                    stdin=subprocess.DEVNULL,
                    stdout=self._log,
                    stderr=self._log,
                )
            except BaseException as error:
                ours.close()
                self._log.close()
                if not isinstance(error, OSError):
                    raise
                raise InfrastructureError(f"cannot start the model's process: {error.strerror}") from None
        return process, Wire(ours)

    def _send(self, message: dict[str, Any], doing: str) -> None:
        with self._told(doing):
            self._wire.send(message, self._deadline)

    def _receive(self, doing: str) -> dict[str, Any]:
        with self._told(doing):
            reply = self._wire.receive(self._deadline)
        if not isinstance(reply, dict):
            raise UnitError(f"the model's process sent something unreadable while {_gerund(doing)}")
        if "error" in reply:
            failed = _Failed.read(reply)
            raise AnswerError(f"{_gerund(doing)} failed: {failed.error}", failed.index)
        return reply

    @contextlib.contextmanager
    def _told(self, doing: str) -> Iterator[None]:
        """Make what goes wrong between the two processes one line."""
        try:
            yield
        except TimeoutError:
            self._process.kill()
            raise UnitError(
                f"the model's process was still {_gerund(doing)} at the limit of {self._limit_s:g} s and was ended; "
                "raise --time-limit if it is only slow"
            ) from None
        except Closed:
            raise UnitError(f"the model's process died while {_gerund(doing)}: {self._cause_of_death()}") from None
        except Garbled as error:
            self._process.kill()
            raise UnitError(f"the model's process sent something unreadable while {_gerund(doing)}: {error}") from None

    def _cause_of_death(self) -> str:
        try:
            code = self._process.wait(timeout=_TEARDOWN_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return "it closed its connection without ending, and was ended"
        if code < 0:
            import signal

            killed = f"signal {signal.Signals(-code).name}"
            return killed + " (out of memory?)" if -code == signal.SIGKILL else killed
        self._log.seek(max(0, self._log.seek(0, os.SEEK_END) - _LOG_TAIL_BYTES))
        lines = self._log.read().decode(errors="replace").strip().splitlines()
        return f"exit code {code}" + (f", its last line: {lines[-1][:300]}" if lines else "")


class _Reply(BaseModel):
    """What the child may say, checked: nothing of it is trusted."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, strict=True)

    @classmethod
    def read(cls, reply: dict[str, Any]) -> Self:
        try:
            return cls.model_validate(reply)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise UnitError(f"the model's process sent something unreadable: {where}: {first['msg']}") from None


class _Facts(_Reply):
    dtype: str
    engine: str
    context: int | None
    vocabulary: int | None
    bos: int | None
    notes: list[str]


class _Hello(_Reply):
    facts: _Facts
    rss_before_load_bytes: int | None


class _Done(_Reply):
    ids: list[str]
    seconds: float = Field(gt=0)
    cpu_seconds: float = Field(ge=0)
    engine: str | None = None
    notes: list[str] | None = None


class _Failed(_Reply):
    error: str
    index: int | None = Field(ge=0)


def _gerund(doing: str) -> str:
    return doing if " " in doing else f"answering {doing}"
