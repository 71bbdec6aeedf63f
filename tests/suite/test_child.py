"""Nothing that a child says is trusted: rubbish of every sort is one `UnitError`, and time limits hold."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from suite import child as module
from suite.child import Child
from suite.errors import UnitError

HELLO = {
    "facts": {"dtype": "x", "engine": "plain", "context": None, "vocabulary": None, "bos": None, "notes": []},
    "rss_before_load_bytes": 1,
}
PROGRAM = """
import socket, struct, sys, time
sock = socket.socket(fileno=int(sys.argv[1]))
def read():
    n = struct.unpack("<I", sock.recv(4, socket.MSG_WAITALL))[0]
    return sock.recv(n, socket.MSG_WAITALL)
for reply in {replies!r}:
    import json
    ids = json.loads(read())["body"].get("ids", [])
    if reply == "hang up":
        sock.shutdown(socket.SHUT_RDWR); sock.close(); time.sleep(300)
    raw = reply.replace(b'"IDS"', json.dumps(ids).encode())
    sock.sendall(struct.pack("<I", len(raw)) + raw)
time.sleep(300)
"""


def message(body: Any) -> bytes:
    return json.dumps({"body": body, "arrays": []}).encode()


def talk(monkeypatch: pytest.MonkeyPatch, *replies: Any, limit_s: float = 20.0) -> None:
    """Start a child that answers so, whatever is asked, and ask it for one item."""

    def start(self: Child) -> Any:
        ours, theirs = socket.socketpair()
        with theirs:
            code = PROGRAM.format(replies=list(replies))
            process = subprocess.Popen([sys.executable, "-c", code, str(theirs.fileno())], pass_fds=[theirs.fileno()])
        return process, module.Wire(ours)

    monkeypatch.setattr(Child, "_start", start)
    with Child({"threads": 1}, limit_s) as child:
        child.ask("predict_proba", [1])


def done(**changes: Any) -> bytes:
    return message({"ids": "IDS", "answers": [0.5], "seconds": 0.1, "cpu_seconds": 0.1} | changes)


def test_a_good_answer_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    talk(monkeypatch, message(HELLO), done())


RUBBISH = [
    [b"{"],
    [message(5)],
    [message({})],
    [message(HELLO | {"facts": {}})],
    [message(HELLO | {"facts": HELLO["facts"] | {"dtype": 5}})],  # type: ignore[operator]
    [message(HELLO | {"rss_before_load_bytes": "x"})],
    [message(HELLO), message({"error": "x", "index": "abc"})],
    [message(HELLO), message({"error": "x", "index": -1})],
    [message(HELLO), message({"error": 5, "index": None})],
    [message(HELLO), done(ids=[["a"]])],
    [message(HELLO), done(ids=["made up"])],
    [message(HELLO), done(answers=5)],
    [message(HELLO), done(answers=[])],
    [message(HELLO), done(seconds="x")],
    [message(HELLO), done(seconds=0)],
    [message(HELLO), done(cpu_seconds=-1)],
    [message(HELLO), json.dumps({"body": {}, "arrays": [["float64", [float("inf")]]]}).encode()],
    [message(HELLO), b"[" * 50_000],
    [message(HELLO), done().replace(b"0.1", b"NaN")],
]


@pytest.mark.parametrize("replies", RUBBISH, ids=range(len(RUBBISH)))
def test_rubbish_is_one_unit_error(monkeypatch: pytest.MonkeyPatch, replies: list[bytes]) -> None:
    with pytest.raises(UnitError) as caught:
        talk(monkeypatch, *replies)
    assert "\n" not in str(caught.value)


def test_a_child_that_hangs_up_and_stays_alive_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    began = time.monotonic()
    with pytest.raises(UnitError, match="closed its connection"):
        talk(monkeypatch, message(HELLO), "hang up", limit_s=60)
    assert time.monotonic() - began < 30


def test_a_restart_is_another_process_in_the_same_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    weights = tmp_path / "fake.json"
    weights.write_text('{"fake": "constant", "probs": [0.7, 0.3]}')
    order = {"format": "fake", "weights": str(weights), "kind": "classification", "device": "cpu", "threads": 1,
             "inputs": {}}  # fmt: skip
    image = np.zeros((1, 2, 2), dtype=np.float32)
    with Child(order, 60.0) as child:
        before, first = child.pid, child.ask("predict_proba", [image])[0]
        monkeypatch.setenv("PYTHONPATH", "/elsewhere")
        child.restart()
        child.loaded()
        assert child.pid != before
        assert b"/elsewhere" not in Path(f"/proc/{child.pid}/environ").read_bytes()  # but that of the first one
        assert not Path(f"/proc/{before}").exists()
        assert child.ask("predict_proba", [image])[0].tolist() == first.tolist()
        assert child.take_cost()[0] > 0  # of both processes
        weights.write_text("{")
        child.restart()
        with pytest.raises(UnitError, match="loading the model"):
            child.loaded()
        assert not Path(f"/proc/{child.pid}").exists()


def test_the_child_sees_no_data_no_token_and_a_scratch_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen: dict[str, Any] = {}

    class StopError(Exception):
        pass

    def popen(command: list[str], **options: Any) -> None:
        seen.update(options, command=command)
        raise StopError

    monkeypatch.setenv("HALLMARK_DATA", "/secret")
    monkeypatch.setenv("HF_TOKEN", "secret")
    monkeypatch.setattr(subprocess, "Popen", popen)
    with pytest.raises(StopError):
        Child({"threads": 3}, 10, tmp_path)
    environment = seen["env"]
    assert "secret" not in " ".join(environment.values())
    assert environment["OMP_NUM_THREADS"] == "3"
    assert environment["TMPDIR"] == str(tmp_path.resolve())
    assert len(seen["pass_fds"]) == 1
