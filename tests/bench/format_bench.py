"""The bench of formats: one model's rows written, loaded in processes of their own, asked and timed in turns."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from format_rows import ROWS, Model, Row
from format_speed import Paced, Settings, share, timings

from suite.child import Child
from suite.files import total_bytes, unsafe_files
from suite.formats import LOADERS
from suite.static.report import layers

TIME_LIMIT_S = 4 * 3600.0  # a process that others are compared with lives as long as its model's rows take
_HIDE = """
import importlib.util
_find = importlib.util.find_spec
importlib.util.find_spec = lambda name, package=None: None if name == {name!r} else _find(name, package)
"""


@dataclass
class Measured:
    """A row of the matrix; speeds, loss and changes as [value, low, high].

    Attributes:
        name: of the row.
        why_not: why there is none; None if there is.
        bytes: of all files.
        bits_per_weight: bytes of all tensors, by the parameters of the reference.
        bits_compressed: the same of the matrices and kernels that are quantised alone; None where none is.
        peak_bytes: resident memory above that before the load, after two forwards.
        memory: the peak, and what is anonymous and file-backed then.
        against_own: by scenario, speed against the float32 row of the same runtime; of that row, a second process.
        against_torch: the same against float32 in PyTorch.
        milliseconds: by scenario, the 50th, 90th and 99th percentile of a call.
        contended: why the machine was too busy for these timings.
        loss: mean over stories or volumes.
        changed: share of tokens or voxels.
        notes: for people.
        seconds: that the row took.
        load_1min: load average at its end.
    """

    name: str
    why_not: str | None = None
    bytes: int | None = None
    bits_per_weight: float | None = None
    bits_compressed: float | None = None
    peak_bytes: float | None = None
    memory: dict[str, float] = field(default_factory=dict)
    against_own: dict[str, list[float]] = field(default_factory=dict)
    against_torch: dict[str, list[float]] = field(default_factory=dict)
    milliseconds: dict[str, list[float]] = field(default_factory=dict)
    contended: str | None = None
    loss: list[float] | None = None
    changed: list[float] | None = None
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0
    load_1min: float = 0.0


def compressed_bits(weights: Path, format_name: str) -> float | None:
    """Bits a weight of the matrices and kernels that are stored as codes or below 16 bits, of the headers."""
    found = [one for one in layers(weights, format_name) if one.is_weight and one.compressed]
    elements = sum(one.elements for one in found)
    return 8 * sum(one.stored_bytes for one in found) / elements if elements else None


def interval(values: Any, of: Any = np.median, seed: int = 0) -> list[float]:
    """A statistic of independent values with its 95 % percentile bootstrap interval."""
    values = np.asarray(values, dtype=np.float64)
    draws = np.random.default_rng(seed).integers(0, len(values), size=(2000, len(values)))
    spread = of(values[draws], axis=1)
    return [float(of(values)), *(float(end) for end in np.quantile(spread, (0.025, 0.975)))]


@contextlib.contextmanager
def quiet(log: Path) -> Iterator[None]:
    """Send what converters print, from Python or not, to a file."""
    sys.stdout.flush()
    kept, stream = [os.dup(number) for number in (1, 2)], os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        for number in (1, 2):
            os.dup2(stream, number)
        yield
    finally:
        sys.stdout.flush()
        for number, old in zip((1, 2), kept, strict=True):
            os.dup2(old, number)
            os.close(old)
        os.close(stream)


@dataclass
class Bench:
    """One model's rows: their files, the processes that others are compared with, and what those answered.

    Attributes:
        model: whose rows.
        settings: how thoroughly.
        root: existing folder where files are written, and found if they were before.
        stack: ends the processes.
    """

    model: Model
    settings: Settings
    root: Path
    stack: contextlib.ExitStack
    _held: dict[str, Child] = field(default_factory=dict)
    _answers: list[Any] | None = None

    def file(self, name: str) -> Path:
        """The weights of a row, written if they are not there yet; a list beside them says which are whole."""
        listed = self.root / "made.json"
        made: dict[str, str] = json.loads(listed.read_text()) if listed.exists() else {}
        if name not in made:
            row = ROWS[name]
            source = self.file(row.source) if row.source else self.root
            made = json.loads(listed.read_text()) if listed.exists() else {}
            out = self.root / name.replace("/", "-").replace(":", "-")
            shutil.rmtree(out, ignore_errors=True)  # of a run that was ended
            try:
                with quiet(self.root / "log"):
                    made[name] = str(row.make(out, source).relative_to(self.root))
            except BaseException:
                shutil.rmtree(out, ignore_errors=True)
                raise
            listed.write_text(json.dumps(made))
        return self.root / made[name]

    def start(self, row: Row) -> Child:
        """A process that holds a row's model."""
        order = {"format": row.format, "weights": str(self.file(row.name)), "kind": self.model.kind, "device": "cpu",
                 "inputs": self.model.inputs.model_dump(mode="json"), "threads": 1}  # fmt: skip
        before = os.environ.get("PYTHONPATH", "")
        try:
            if row.hidden:
                (self.root / "hide").mkdir(exist_ok=True)
                (self.root / "hide" / "sitecustomize.py").write_text(_HIDE.format(name=row.hidden))
                os.environ["PYTHONPATH"] = os.pathsep.join([str(self.root / "hide"), before])
            return Child(order, TIME_LIMIT_S)
        finally:
            os.environ["PYTHONPATH"] = before

    def held(self, name: str) -> Child:
        """The process of a row that others are compared with, kept."""
        if name not in self._held:
            self._held[name] = self.stack.enter_context(self.start(ROWS[name]))
        return self._held[name]

    def forget(self) -> None:
        """Start them anew when they are needed: one may have failed."""
        self._held.clear()

    def measure(self, row: Row) -> Measured:
        """One row."""
        found, began = Measured(row.name), time.perf_counter()
        weights = self.file(row.name)
        loader = LOADERS[row.format]
        for problem in (*unsafe_files(weights), *loader.check(weights)):
            return Measured(row.name, f"refused: {problem}")
        reference = ROWS[self.model.reference]
        parameters = LOADERS[reference.format].describe(self.file(reference.name)).parameters
        found.bytes = total_bytes(weights)
        found.bits_per_weight = 8 * loader.describe(weights).tensor_bytes / parameters
        found.bits_compressed = compressed_bits(weights, row.format)
        with self.start(row) as child:
            self._time(row, child, found)
            found.loss, found.changed = self._worse(child)
            told = [note for note in child.facts.notes if "storage only" in note or "run by" in note]
        found.notes = [*told, *(note for note in found.notes if not (told and "storage only" in note))]
        found.seconds, found.load_1min = time.perf_counter() - began, os.getloadavg()[0]
        return found

    def _time(self, row: Row, child: Child, found: Measured) -> None:
        """Beside the float32 row of its runtime; that row beside the reference, too."""
        others = dict.fromkeys([row.parent, *([self.model.reference] if row.parent == row.name else [])])
        own, pace = Paced(child, share(self.settings)), share(self.settings)
        for number, name in enumerate(others):
            if number:  # the other comparison is of processes of its own
                child.restart()
                child.loaded()
            beside = Paced(self.held(name) if self.settings.pairs else child, pace)  # untimed: nobody is asked
            one = timings(own, beside, self.model.kind, self.model.scenarios, self.settings)
            if not number:  # the first reading of memory is that of a fresh process
                found.memory, found.notes, found.milliseconds = one.memory, one.notes, one.milliseconds
                found.peak_bytes = one.memory.get("peak")
            found.contended = found.contended or one.contended
            if name == row.parent:
                found.against_own = one.speed
            if name == self.model.reference:
                found.against_torch = one.speed

    def _worse(self, child: Child) -> tuple[list[float], list[float]]:
        """What is lost against the reference, and how much changes."""
        if self._answers is None:
            self._answers = self._asked(self.held(self.model.reference))
        pairs = list(zip(self._asked(child), self._answers, strict=True))
        loss = [mine[0] - theirs[0] for mine, theirs in pairs]
        return interval(loss, np.mean), interval([float(np.mean(a[1] != b[1])) for a, b in pairs], np.mean)

    def _asked(self, child: Child) -> list[tuple[float, Any]]:
        """By item: nats a token and whether each was the likeliest; or 1 - Dice and the class of every voxel."""
        from tasks.generators import language, volumes

        count = max(4, round(self.settings.items * self.model.items))
        if self.model.kind == "segmentation":
            cases = list(volumes.training_cases(count, seed=77))
            masks = child.ask("segment", [case.image[None].astype(np.float32) for case in cases])
            classes = [np.asarray(mask).argmax(axis=0) for mask in masks]
            return [(1 - dice(mask, case.label), mask) for mask, case in zip(classes, cases, strict=True)]
        texts = [document.text for document in language.test_documents()[:count]]
        most = min(self.model.tokens or child.facts.context, child.facts.context)
        ids = [np.asarray(one["ids_T"])[:most] for one in child.ask("encode", texts)]
        scored = child.ask("token_logprobs", ids)
        return [(-float(np.mean(one["logprobs_T"])), np.asarray(one["greedy_T"])) for one in scored]


def dice(mask: Any, label: Any) -> float:
    """Mean over the classes of a label but the background: 2 |A and B| / (|A| + |B|)."""
    found = [2 * np.sum((mask == k) & (label == k)) / (np.sum(mask == k) + np.sum(label == k))
             for k in np.unique(label) if k]  # fmt: skip
    return float(np.mean(found))
