"""Counting that needs a library to read a submission's graph: in a process of its own, under a limit of time.

``python -m MODULE`` reads one order from standard input and prints one line of JSON.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from suite.errors import Undefined

TIME_LIMIT_S = 300


def ask(module: str, order: Mapping[str, Any], library: str) -> Any:
    """What a module answers to an order.

    Args:
        module: its full name; run, it calls `answer`.
        order: as JSON can carry it.
        library: that it asks, for people.

    Raises:
        Undefined: it says so, died, or took too long.
    """
    root = str(Path(__file__).resolve().parent.parent.parent)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))}
    environment |= {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", module]
    try:
        done = subprocess.run(command, input=json.dumps(order), capture_output=True, text=True, env=environment,
                              timeout=TIME_LIMIT_S, check=False)  # fmt: skip
    except subprocess.TimeoutExpired:
        raise Undefined(f"counting took more than {TIME_LIMIT_S} s") from None
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        raise Undefined(f"{library} cannot count it: {lines[-1] if lines else 'the process died'}")
    found = json.loads(done.stdout.strip().splitlines()[-1])
    if "undefined" in found:
        raise Undefined(found["undefined"])
    return found["counted"]


def answer(count: Callable[[dict[str, Any]], Any]) -> None:
    """Count one order, in the process that was started for it."""
    try:
        found = {"counted": count(json.load(sys.stdin))}
    except Undefined as why:
        found = {"undefined": str(why)}
    sys.stdout.write("\n" + json.dumps(found) + "\n")
