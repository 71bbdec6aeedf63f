"""The matrix of formats on this machine: bytes, bits per weight, peak memory, speed and quality, with intervals.

    python tests/bench/formats.py --json               # every format whose extra is installed; about half an hour
    python tests/bench/formats.py --quick              # seven rows, a few bursts each: under a minute if idle
    python tests/bench/formats.py --rows onnx-int8-dyn,bnb-int8

The models are the committed `embedded-lm` (a Llama of 0.96 million weights) and `embedded-volumes` (a 3-D U-Net of 0.2
million), converted into each format here. Every row is a process of its own with one thread, through the loader that
``hallmark run`` uses; it takes turns with the same model in float32 in its own runtime and in PyTorch. Speed is the
median over turns of the others' processor seconds divided by the row's: above 1 is faster; processor time, so that a
busy machine moves it less. Quality: difference of nats per token over generated stories, by story; share of voxels
whose class differs from PyTorch's, by volume. Intervals are 95 % bootstrap intervals over turns, stories or volumes.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from format_rows import QUICK, REFERENCE, ROWS, SOURCES, Row

from suite.child import Child
from suite.errors import HallmarkError
from suite.files import total_bytes
from suite.formats import LOADERS
from suite.manifest import Inputs
from suite.timing.scenario import Scenario

SCENARIOS = {
    "language": (Scenario("prefill-128", tokens=128), Scenario("decode-64", tokens=128, new=64)),
    "segmentation": (Scenario("batch-1"),),
}
INPUTS = {"language": Inputs(), "segmentation": Inputs(shape=(1, 24, 32, 32), classes=6)}
TIME_LIMIT_S = 1800.0


@dataclass
class Measured:
    """A row of the matrix; ratios and differences as [value, low, high]."""

    name: str
    why_not: str | None = None
    bytes: int | None = None
    bits_per_weight: float | None = None
    peak_bytes: float | None = None
    against_own: dict[str, list[float]] = field(default_factory=dict)
    against_torch: dict[str, list[float]] = field(default_factory=dict)
    quality: list[float] | None = None
    notes: list[str] = field(default_factory=list)


@dataclass
class Made:
    """A row whose weights lie on the disk."""

    row: Row
    weights: Path

    def start(self) -> Child:
        """A process that holds it."""
        order = {"format": self.row.format, "weights": str(self.weights), "kind": self.row.kind, "device": "cpu",
                 "inputs": INPUTS[self.row.kind].model_dump(mode="json"), "threads": 1}  # fmt: skip
        return Child(order, TIME_LIMIT_S)


def order(scenario: Scenario, what: str, seconds: float = 0.0) -> dict[str, Any]:
    """What a child is asked."""
    return {**asdict(scenario), "what": what, "seconds": seconds}


def turns(children: list[Child], scenario: Scenario, count: int, seconds: float) -> list[list[float]]:
    """Median processor seconds of a call, by turn and child; one burst each to warm up."""
    asked = [order(scenario, "burst", seconds)]
    for child in children:
        child.ask("timed", asked)
    found = []
    for turn in range(count):
        row = [0.0] * len(children)
        for index in np.roll(np.arange(len(children)), turn):  # nobody is always first
            (answer,) = children[index].ask("timed", asked)
            row[index] = float(np.median(answer["cpu_seconds"]))
        found.append(row)
    return found


def interval(values: Any, of: Any = np.median, seed: int = 0) -> list[float]:
    """A statistic of independent values with its 95 % percentile bootstrap interval."""
    values = np.asarray(values, dtype=np.float64)
    draws = np.random.default_rng(seed).integers(0, len(values), size=(2000, len(values)))
    spread = of(values[draws], axis=1)
    return [float(of(values)), *(float(end) for end in np.quantile(spread, (0.025, 0.975)))]


def answers(child: Child, kind: str, items: list[Any]) -> list[Any]:
    """By item: nats per token of a story, or the class of every voxel."""
    if kind == "segmentation":
        return [np.asarray(mask).argmax(axis=0) for mask in child.ask("segment", items)]
    ids = [np.asarray(one["ids_T"])[: child.facts.context] for one in child.ask("encode", items)]
    return [-np.asarray(one["logprobs_T"]).mean() for one in child.ask("token_logprobs", ids)]


def worse(kind: str, mine: list[Any], theirs: list[Any]) -> list[float]:
    """Nats per token above the reference, or the share of voxels that changed."""
    if kind == "segmentation":
        return interval([float((a != b).mean()) for a, b in zip(mine, theirs, strict=True)], np.mean)
    return interval([float(a - b) for a, b in zip(mine, theirs, strict=True)], np.mean)


def items(kind: str, count: int) -> list[Any]:
    """Stories and volumes that the models were made for."""
    from tasks.generators import language, volumes

    if kind == "language":
        return [document.text for document in language.test_documents()[:count]]
    return [case.image[None].astype(np.float32) for case in volumes.training_cases(count, seed=77)]


@dataclass
class Held:
    """The processes that rows are compared with, started once and kept."""

    made: dict[str, Made]
    stack: contextlib.ExitStack
    _running: dict[str, Child] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Child:
        if name not in self._running:
            self._running[name] = self.stack.enter_context(self.made[name].start())
        return self._running[name]


def measure(made: Made, held: Held, count: int, seconds: float, n_items: int) -> Measured:
    """One row."""
    row, found = made.row, Measured(made.row.name)
    reference = held.made[REFERENCE[row.kind]]
    parameters = LOADERS[reference.row.format].describe(reference.weights).parameters
    found.bytes = total_bytes(made.weights)
    found.bits_per_weight = 8 * LOADERS[row.format].describe(made.weights).tensor_bytes / parameters
    own, torchs = held[row.parent], held[REFERENCE[row.kind]]
    with made.start() as child:
        (memory,) = child.ask("timed", [order(SCENARIOS[row.kind][0], "memory")])
        found.peak_bytes = float(memory["forward_peak"][0]) if "forward_peak" in memory else None
        asked = items(row.kind, n_items)
        found.quality = worse(row.kind, *(answers(one, row.kind, asked) for one in (child, torchs)))
        for scenario in SCENARIOS[row.kind]:
            times = np.array(turns([child, own, torchs], scenario, count, seconds))
            found.against_own[scenario.name] = interval(times[:, 1] / times[:, 0])
            found.against_torch[scenario.name] = interval(times[:, 2] / times[:, 0])
        found.notes = [note for note in child.facts.notes if "storage only" in note or "run by" in note]
    return found


def prepared(rows: tuple[Row, ...], root: Path) -> tuple[dict[str, Made], list[Measured]]:
    """The rows that could be written, and why the others could not."""
    made: dict[str, Made] = {}
    absent = []
    for row in rows:
        why = row.missing()
        if why is None:
            try:
                made[row.name] = Made(row, row.make(root / row.name, root))
                continue
            except Exception as error:  # a converter's failure is a finding
                why = f"cannot be made here: {type(error).__name__}: {' '.join(str(error).split())[:200]}"
        absent.append(Measured(row.name, why))
    return made, absent


def line(m: Measured) -> str:
    """One row for people."""
    if m.why_not is not None:
        return f"{m.name:18} {m.why_not}"

    def cell(values: list[float] | None, digits: int = 2) -> str:
        return "-" if values is None else f"{values[0]:.{digits}f} [{values[1]:.{digits}f}, {values[2]:.{digits}f}]"

    size, peak = (m.bytes or 0) / 1e6, (m.peak_bytes or 0) / 1e6
    speeds = "  ".join(f"{name} {cell(own)} ({cell(m.against_torch[name])})" for name, own in m.against_own.items())
    said = f"  {'; '.join(m.notes)}" if m.notes else ""
    sizes = f"{size:7.3f} MB {m.bits_per_weight or 0:6.2f} bit {peak:7.1f} MB"
    return f"{m.name:18} {sizes}  {cell(m.quality, 5)}  {speeds}{said}"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one object on the last line")
    parser.add_argument("--quick", action="store_true", help="seven rows, few turns")
    parser.add_argument("--rows", help="names, separated by commas; what they are compared with is added")
    parser.add_argument("--turns", type=int, default=30)
    parser.add_argument("--seconds", type=float, default=0.15, help="of a burst")
    options = parser.parse_args()
    wanted = set(QUICK) if options.quick else {row.name for row in ROWS}
    wanted = set(options.rows.split(",")) if options.rows else wanted
    needed = wanted | {name for row in ROWS if row.name in wanted for name in (row.parent, REFERENCE[row.kind])}
    needed |= {source for source, heads in SOURCES.items() if any(name.startswith(heads) for name in wanted)}
    count, seconds, n_items = (6, 0.05, 8) if options.quick else (options.turns, options.seconds, 40)
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        made, found = prepared(tuple(row for row in ROWS if row.name in needed), Path(folder))
        found = [one for one in found if one.name in wanted]
        for absent in found:
            print(line(absent))
        print("row                bytes  bits/weight  peak  quality  speed against float32 in its runtime (in torch)")
        held = Held(made, stack)
        for name, one in made.items():
            if name in wanted and one.row.parent in made and REFERENCE[one.row.kind] in made:
                try:
                    found.append(measure(one, held, count, seconds, n_items))
                except HallmarkError as error:
                    found.append(Measured(name, f"does not run here: {error}"))
                print(line(found[-1]), flush=True)
    if options.json:
        print(json.dumps({"rows": [asdict(one) for one in found], "load_1min": os.getloadavg()[0]}))


if __name__ == "__main__":
    main()
