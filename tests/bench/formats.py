"""The matrix of formats on this machine: bytes, bits per weight, peak memory, speed and quality, with intervals.

    python tests/bench/formats.py --out formats.jsonl --json   # every format whose extra is installed: three hours
    python tests/bench/formats.py --files FOLDER --prepare     # writes the models' files beforehand; then with --files
    python tests/bench/formats.py --quick                      # three rows, few pairs: two minutes
    python tests/bench/formats.py --rows small/onnx-int8-dyn,unet/ov-int8
    python tests/bench/formats.py --models mid                 # the random Llama of 111 million weights alone

A row is written to --out as soon as it is measured; rows that lie there from the same settings are not measured again
(with --again, those that were measured on a busy machine are). Every row is a process of its own with one thread,
through the loader that ``hallmark run`` uses, timed by the code of ``--suite efficiency``: warm-up until stable, then
30 pairs of bursts and 10 s a scenario, shared by six fresh pairs of processes, in turns with the same model in float32
in the same runtime. Speed is the median over pairs of that one's time over the row's: above 1 is faster; decoding is
timed per token. The float32 row of another runtime also takes turns with PyTorch; the other rows' speed against PyTorch
is the product of the two. Bits are those of a weight over all tensors, and of the quantised matrices alone. Loss: nats
per token above the reference's over generated stories, by story; Dice below the reference's, by volume: above 0 is
worse. Changed: share of tokens that are or are no longer the likeliest, share of voxels of another class. Intervals are
95 % bootstrap intervals over pairs of processes, stories or volumes. Rows whose timings a busy machine spoilt are
marked. The end says where this differs from a table measured earlier.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from format_bench import Bench, Measured
from format_rows import MODELS, QUICK, ROWS, Model, Row
from format_speed import QUICKLY, Settings, chained
from format_table import differences, untouched

from suite.errors import HallmarkError

WARM = 1.2  # time with the warm-up over that without
HEAD = "row  bytes  bits/weight, of the quantised  peak  loss  changed  speed against float32 in its runtime (PyTorch)"


@dataclass(frozen=True)
class Wanted:
    """What is measured.

    Attributes:
        names: of rows.
        settings: how thoroughly.
        out: file of JSON lines; rows that lie there are not measured again.
        again: but for those that were measured on a busy machine.
        files: folder where the models' files stay; None: nowhere.
    """

    names: set[str]
    settings: Settings
    out: Path | None = None
    again: bool = False
    files: Path | None = None


def line(m: Measured) -> str:
    """One row for people."""
    if m.why_not is not None:
        return f"{m.name:24} {m.why_not}"

    def cell(values: list[float] | None, digits: int = 2) -> str:
        return "-" if values is None else f"{values[0]:.{digits}f} [{values[1]:.{digits}f}, {values[2]:.{digits}f}]"

    size, peak = (m.bytes or 0) / 1e6, (m.peak_bytes or 0) / 1e6
    speeds = "  ".join(f"{name} {cell(own)} ({cell(m.against_torch.get(name))})" for name, own in m.against_own.items())
    busy = [f"CONTENDED: {m.contended}"] if m.contended else []
    told = untouched(asdict(m), ROWS[m.name].parent) if m.name in ROWS else None
    said = "".join(f"  {note}" for note in ("; ".join([*busy, *m.notes, *filter(None, [told])]),) if note)
    inner = "    -" if m.bits_compressed is None else f"{m.bits_compressed:5.2f}"
    sizes = f"{size:8.3f} MB {m.bits_per_weight or 0:5.2f} {inner} bit {peak:7.1f} MB"
    return f"{m.name:24} {sizes}  {cell(m.loss, 5)} {cell(m.changed, 4)}  {speeds}{said}"


def cause(error: Exception, log: Path) -> str:
    """What went wrong in one line; where a library only points at its report, the error that this holds."""
    said = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
    told = [line for line in log.read_text(errors="replace").splitlines() if re.match(r"\w+Error: ", line)]
    return f"{told[-1][:200]} ({type(error).__name__})" if "report" in said and told else said


def made(bench: Bench, row: Row) -> str | None:
    """Write a row's files unless they are there; why they cannot be."""
    try:
        bench.file(row.name)
    except Exception as error:
        return f"cannot be made here: {cause(error, bench.root / 'log')}"
    return None


def one_row(bench: Bench, row: Row) -> Measured:
    """A row, or why there is none; a converter's failure is a finding."""
    why = row.missing() or made(bench, row)
    if why is not None:
        return Measured(row.name, why)
    try:
        return bench.measure(row)
    except HallmarkError as error:
        bench.forget()
        return Measured(row.name, f"does not run here: {error}")


def kept(out: Path | None, settings: Settings, again: bool = False) -> dict[str, Measured]:
    """Rows of the same settings that were measured before; without those of a busy machine where these are unwanted."""
    lines = out.read_text().splitlines() if out is not None and out.exists() else []
    stored = [json.loads(one) for one in lines]
    fitting = [one["row"] for one in stored if one["settings"] == asdict(settings)]
    found = {row["name"]: Measured(**row) for row in fitting if row["why_not"] is None}  # the last one of a name
    return {name: one for name, one in found.items() if not (again and one.contended)}


def expected_s(names: Iterable[str], settings: Settings) -> float:
    """Seconds that rows take on a quiet machine, about."""
    total = 0.0
    for row in map(ROWS.__getitem__, names):
        model = MODELS[row.model]
        beside = 1 + (row.parent == row.name != model.reference)
        once = len(model.scenarios) * settings.seconds * WARM + settings.processes * model.fresh_s
        total += model.else_s + beside * once * bool(settings.pairs)
    return total


def against_torch(found: Mapping[str, Measured], row: Row) -> dict[str, list[float]]:
    """Speed of a row against float32 in PyTorch: measured, or by way of its runtime's float32 row."""
    if row.parent in (row.name, MODELS[row.model].reference):
        own = found[row.name]
        return own.against_own if row.parent != row.name else own.against_torch
    between = found.get(row.parent)
    return chained(found[row.name].against_own, between.against_torch) if between else {}


@contextlib.contextmanager
def benches(settings: Settings, files: Path | None) -> Iterator[Callable[[Model], Bench]]:
    """Makes a model's bench, whose files last as long as it does or stay in a folder."""
    with contextlib.ExitStack() as stack:

        def make(model: Model) -> Bench:
            root = files / model.name if files else Path(stack.enter_context(tempfile.TemporaryDirectory()))
            root.mkdir(parents=True, exist_ok=True)
            return Bench(model, settings, root.resolve(), stack)

        yield make


def run(wanted: Wanted) -> list[Measured]:
    """All rows, each said and written as soon as it is there."""
    settings, out, found = wanted.settings, wanted.out, kept(wanted.out, wanted.settings, wanted.again)
    order = [name for model in MODELS for name in ROWS if name in wanted.names and ROWS[name].model == model]
    left = [name for name in order if name not in found and ROWS[name].missing() is None]
    print(f"{len(left)} rows to measure, about {expected_s(left, settings) / 60:.0f} minutes on a quiet machine")
    for model in MODELS.values():
        with benches(settings, wanted.files) as make:
            bench = make(model)
            for name in [name for name in order if ROWS[name].model == model.name]:
                fresh = name not in found
                if fresh:
                    found[name] = one_row(bench, ROWS[name])
                found[name].against_torch = against_torch(found, ROWS[name])
                print(line(found[name]), flush=True)
                if fresh and out is not None:
                    with out.open("a") as stream:
                        stream.write(json.dumps({"settings": asdict(settings), "row": asdict(found[name])}) + "\n")
    return [found[name] for name in order]


def prepare(wanted: Wanted) -> None:
    """Write the files alone."""
    for model in MODELS.values():
        with benches(wanted.settings, wanted.files) as make:
            bench = make(model)
            for row in [row for row in ROWS.values() if row.name in wanted.names and row.model == model.name]:
                why = row.missing() or made(bench, row)
                print(f"{row.name:24} {why or 'is written'}", flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one object on the last line")
    parser.add_argument("--quick", action="store_true", help="few pairs; three rows unless others are named")
    parser.add_argument("--rows", help=f"names, separated by commas, of: {', '.join(ROWS)}")
    parser.add_argument("--models", help=f"all rows of some models: {', '.join(MODELS)}")
    parser.add_argument("--untimed", action="store_true", help="sizes, memory and answers only: for a busy machine")
    parser.add_argument("--out", type=Path, help="JSON lines; rows that lie there are not measured again")
    parser.add_argument("--again", action="store_true", help="measure rows of --out that are contended once more")
    parser.add_argument(
        "--files", type=Path, help="folder for the models' files, 3 GB; those there are not written again"
    )
    parser.add_argument("--prepare", action="store_true", help="write --files alone, as a busy machine can")
    given = parser.parse_args()
    if given.prepare and not given.files:
        parser.error("--prepare needs --files FOLDER")
    wanted = set(given.rows.split(",")) if given.rows else set(QUICK if given.quick and not given.models else ROWS)
    models = set(given.models.split(",")) if given.models else set(MODELS)
    for name in [*(wanted - set(ROWS)), *(models - set(MODELS))]:
        parser.error(f"there is no {name!r}")
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    os.environ.setdefault("GPTQMODEL_CPU_WORKERS", "2")  # it asks for more than a small machine has
    settings = QUICKLY if given.quick else Settings()
    settings = replace(settings, pairs=0) if given.untimed else settings
    asked = Wanted({n for n in wanted if ROWS[n].model in models}, settings, given.out, given.again, given.files)
    if given.prepare:
        prepare(asked)
        return
    print(HEAD)
    found = run(asked)
    print("\n".join(["", *differences([asdict(one) for one in found])]))
    if given.json:
        print(json.dumps({"settings": asdict(settings), "rows": [asdict(one) for one in found],
                          "load_1min": os.getloadavg()[0]}))  # fmt: skip


if __name__ == "__main__":
    main()
