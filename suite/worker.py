"""The child process that holds the model. ``python -m suite.worker FD PARENT`` speaks `suite.wire` on that descriptor.

The first message says what to load; every further one is a call of the model's protocol. The child sees inputs under
opaque ids and nothing else: no labels, no task, no path of the data. It ends when the parent hangs up or dies.
"""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import importlib
import os
import resource
import signal
import socket
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import numpy as np

from suite.data import first_line
from suite.errors import HallmarkError
from suite.formats import LOADERS, WEIGHTLESS, ordered
from suite.formats.base import Place
from suite.manifest import Inputs
from suite.model import Attacked, ChoiceScores, Encoded, Model, TokenScores
from suite.probes.memory import reset_peak, resident
from suite.timing.stopwatch import Watch
from suite.wire import Closed, Wire

TIMED, OBSERVED = "timed", "observed"
METHODS = frozenset(
    {
        "encode",
        "token_logprobs",
        "choice_logprobs",
        "document_logprobs",
        "generate",
        "distributions",
        "pseudo_logprobs",
        "predict_proba",
        "attacked_proba",
        "segment",
        "given",
    }
)
_PR_SET_PDEATHSIG = 1
_TEXT = ("torch", "transformers.models.auto.tokenization_auto")  # of every language model: its softmax and tokenizer
_FURTHER = {"torch-export": ("torch.export.pt2_archive",)}  # that a package imports with the first load


def main(descriptor: int, parent: int) -> None:
    """Load one model and answer calls until the parent hangs up."""
    _die_with(parent)
    wire = Wire(socket.socket(fileno=descriptor))
    try:
        order = wire.receive()
        _import(_modules(order["format"], order["kind"]))
        anew = reset_peak()
        before = resident()
        model = _guarded(wire, _load, order)
        if model is None:
            return
        loaded = {name: size for name, size in resident().items() if anew or name != "peak"}  # else of the imports
        watch = Watch(model, order, before, loaded)
        wire.send({"facts": dataclasses.asdict(model.facts), "rss_before_load_bytes": before.get("rss")})
        while True:
            _answer(wire, watch, wire.receive())
    except Closed:
        return


def _load(order: dict[str, Any]) -> Model:
    inputs = Inputs.model_validate(order["inputs"])
    place = Place(device=order["device"], threads=order["threads"], looked=reset_peak)
    return ordered(order).load(Path(order["weights"]), order["kind"], inputs, place)


def _answer(wire: Wire, watch: Watch, call: dict[str, Any]) -> None:
    wall, cpu, model = time.perf_counter(), _cpu_seconds(), watch.model
    answers = _guarded(wire, _call, watch, call)
    if answers is None:
        return
    wire.send(
        {
            "ids": call["ids"][: len(answers)],
            "answers": [_plain(answer) for answer in answers],
            "seconds": time.perf_counter() - wall,
            "cpu_seconds": _cpu_seconds() - cpu,
            "engine": model.facts.engine,
            "notes": model.facts.notes,
        }
    )


def _call(watch: Watch, call: dict[str, Any]) -> list[Any]:
    if call["method"] == TIMED:
        return [watch.answer(order) for order in call["arguments"][0]]
    if call["method"] == OBSERVED:
        return [watch.observe(begin) for begin in call["arguments"][0]]
    if call["method"] not in METHODS:
        raise HallmarkError(f"the model has no method {call['method']!r}")
    return list(getattr(watch.model, call["method"])(*call["arguments"]))


def _guarded(wire: Wire, function: Any, *arguments: Any) -> Any:
    """Run a step of the model's own code; a failure becomes one line for the parent and a traceback for the log."""
    try:
        return function(*arguments)
    except HallmarkError as error:
        wire.send({"error": str(error), "index": getattr(error, "index", None)})
    except Exception as error:  # whatever a model's code raises fails this unit, not the run
        traceback.print_exc()
        wire.send({"error": first_line(error), "index": None})
    return None


def _plain(answer: Any) -> Any:
    if isinstance(answer, (Attacked, Encoded, ChoiceScores, TokenScores)):
        return {field.name: getattr(answer, field.name) for field in dataclasses.fields(answer)}
    return answer if isinstance(answer, (str, dict)) else np.asarray(answer)


def _cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _modules(format_name: str, kind: str) -> tuple[str, ...]:
    """What a format's runtime is made of."""
    text = _TEXT if kind == "language" and format_name not in WEIGHTLESS else ()
    return (*LOADERS[format_name].packages, *_FURTHER.get(format_name, ()), *text)


def _import(packages: tuple[str, ...]) -> None:
    """Import the runtime's modules, so that memory read afterwards is the model's and not theirs."""
    for package in packages:
        with contextlib.suppress(ImportError):  # a distribution may bear another name than its module
            importlib.import_module(package.replace("-", "_"))


def _die_with(parent: int) -> None:
    """Ask Linux to kill this process when its parent dies; elsewhere the closed socket ends it after the call."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before the request took effect
            sys.exit(1)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
