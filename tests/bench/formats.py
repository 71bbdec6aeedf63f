"""The matrix of formats on this machine: bytes, bits per weight, peak memory, speed and quality, with intervals.

    python tests/bench/formats.py --out formats.jsonl --json   # every format whose extra is installed; 15 to 25 minutes
    python tests/bench/formats.py --quick                      # three rows, few turns: under a minute if idle
    python tests/bench/formats.py --rows small/onnx-int8-dyn,unet/ov-int8
    python tests/bench/formats.py --models mid                 # the random Llama of 111 million weights alone

A row is written to --out as soon as it is measured; rows that lie there from the same settings are not measured again.
Every row is a process of its own with one thread, through the loader that ``hallmark run`` uses; it takes turns with
the same model in float32 in its own runtime and in PyTorch. Speed is the median over turns of the others' processor
seconds divided by the row's: above 1 is faster; processor time, so that a busy machine moves it less. Loss: nats per
token above the reference's over generated stories, by story; Dice below the reference's, by volume: above 0 is worse.
Changed: share of tokens that are or are no longer the likeliest, share of voxels of another class. Intervals are 95 %
bootstrap intervals over turns, stories or volumes. The end says where this differs from a table measured earlier.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import tempfile
from dataclasses import asdict, replace
from pathlib import Path

from format_bench import QUICKLY, Bench, Measured, Settings
from format_rows import MODELS, QUICK, ROWS, Row
from format_table import differences

from suite.errors import HallmarkError


def line(m: Measured) -> str:
    """One row for people."""
    if m.why_not is not None:
        return f"{m.name:24} {m.why_not}"

    def cell(values: list[float] | None, digits: int = 2) -> str:
        return "-" if values is None else f"{values[0]:.{digits}f} [{values[1]:.{digits}f}, {values[2]:.{digits}f}]"

    size, peak = (m.bytes or 0) / 1e6, (m.peak_bytes or 0) / 1e6
    speeds = "  ".join(f"{name} {cell(own)} ({cell(m.against_torch[name])})" for name, own in m.against_own.items())
    said = f"  {'; '.join(m.notes)}" if m.notes else ""
    sizes = f"{size:8.3f} MB {m.bits_per_weight or 0:6.2f} bit {peak:7.1f} MB"
    return f"{m.name:24} {sizes}  {cell(m.loss, 5)} {cell(m.changed, 4)}  {speeds}{said}"


def cause(error: Exception, log: Path) -> str:
    """What went wrong in one line; where a library only points at its report, the error that this holds."""
    said = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
    told = [line for line in log.read_text(errors="replace").splitlines() if re.match(r"\w+Error: ", line)]
    return f"{told[-1][:200]} ({type(error).__name__})" if "report" in said and told else said


def one_row(bench: Bench, row: Row) -> Measured:
    """A row, or why there is none; a converter's failure is a finding."""
    why = row.missing()
    if why is not None:
        return Measured(row.name, why)
    try:
        bench.file(row.name)
    except Exception as error:
        return Measured(row.name, f"cannot be made here: {cause(error, bench.root / 'log')}")
    try:
        return bench.measure(row)
    except HallmarkError as error:
        return Measured(row.name, f"does not run here: {error}")


def kept(out: Path | None, settings: Settings) -> dict[str, Measured]:
    """Rows of the same settings that were measured before."""
    lines = out.read_text().splitlines() if out is not None and out.exists() else []
    stored = [json.loads(one) for one in lines]
    fitting = [one["row"] for one in stored if one["settings"] == asdict(settings)]
    return {row["name"]: Measured(**row) for row in fitting if row["why_not"] is None}


def run(names: set[str], settings: Settings, out: Path | None) -> list[Measured]:
    """All rows, each said and written as soon as it is there."""
    found = kept(out, settings)
    for model in MODELS.values():
        with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
            bench = Bench(model, settings, Path(folder), stack)
            for name in [name for name in ROWS if name in names and ROWS[name].model == model.name]:
                fresh = name not in found
                if fresh:
                    found[name] = one_row(bench, ROWS[name])
                print(line(found[name]), flush=True)
                if fresh and out is not None:
                    with out.open("a") as stream:
                        stream.write(json.dumps({"settings": asdict(settings), "row": asdict(found[name])}) + "\n")
    return [found[name] for name in ROWS if name in names]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one object on the last line")
    parser.add_argument("--quick", action="store_true", help="few turns; three rows unless others are named")
    parser.add_argument("--rows", help=f"names, separated by commas, of: {', '.join(ROWS)}")
    parser.add_argument("--models", help=f"all rows of some models: {', '.join(MODELS)}")
    parser.add_argument("--untimed", action="store_true", help="sizes, memory and answers only: for a busy machine")
    parser.add_argument("--out", type=Path, help="JSON lines; rows that lie there are not measured again")
    given = parser.parse_args()
    wanted = set(given.rows.split(",")) if given.rows else set(QUICK if given.quick and not given.models else ROWS)
    models = set(given.models.split(",")) if given.models else set(MODELS)
    for name in [*(wanted - set(ROWS)), *(models - set(MODELS))]:
        parser.error(f"there is no {name!r}")
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    os.environ.setdefault("GPTQMODEL_CPU_WORKERS", "2")  # it asks for more than a small machine has
    print("row  bytes  bits/weight  peak  loss  changed  speed against float32 in its runtime (in PyTorch)")
    names = {name for name in wanted if ROWS[name].model in models}
    settings = QUICKLY if given.quick else Settings()
    found = run(names, replace(settings, turns=0.0) if given.untimed else settings, given.out)
    print("\n".join(["", *differences([asdict(one) for one in found])]))
    if given.json:
        print(json.dumps({"rows": [asdict(one) for one in found], "load_1min": os.getloadavg()[0]}))


if __name__ == "__main__":
    main()
