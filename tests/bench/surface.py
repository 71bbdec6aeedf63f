"""Dice, HD95, NSD and ASSD of label maps: our engine and MONAI 1.6.1 in turn, on the same masks.

    python tests/bench/surface.py [--quick] [--json]

Spacing 3.0 x 0.8 x 0.8 mm, tolerance 2 mm, one thread, processor time (wall time is printed beside it). Every job is a
process of its own: it loads the two label maps, scores a tiny case to warm up, and then scores the case a few times, as
a run scores many cases; the least time counts, on both sides. Its peak memory is the resident set's peak above what it
held before. MONAI gets the one-hot maps that it needs (`one_hot` as it is), and making them counts; ours builds its
case inside the clock. `max_rel_diff` is over every value of every shape. MONAI takes up to a minute for a case of 256^3
with 20 structures.

`surfel` is our other surface on the same maps (no peer in the ratio: MONAI's is per voxel). `growth` is our time on one
structure that grows in the same volume while the two sides stay as far apart. A line through it has the cost of looking
at the volume once as its constant (`fixed_s`), that of a surface voxel as its slope (`element_us`), and fits to `r2`.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(_HERE), str(_HERE.parents[1])]
FLOORS = {"128x1": 20.0, "128x20": 80.0, "256x1": 10.0, "256x20": 100.0}
MEMORY_CEILING, DIFFERENCE_CEILING, LINEAR = 0.1, 1e-6, 0.98
SPACING_MM, TOLERANCE_MM = (3.0, 0.8, 0.8), 2.0
CALLS = {"128x1": 5, "128x20": 3, "256x1": 3, "256x20": 2}
TURNS = {"128x1": 3, "128x20": 2, "256x1": 3, "256x20": 1}


@dataclass(frozen=True)
class Job:
    """What one process does.

    Attributes:
        side: ``voxel`` or ``surfel`` for ours, ``monai`` for theirs.
        maps: file with the two label maps.
        structures: how many labels beside the background.
        calls: how often to score them.
    """

    side: str
    maps: Path
    structures: int
    calls: int = 1


def run(job: Job) -> dict[str, Any]:
    """Score the job's maps; called in a process of its own."""
    import numpy as np
    import phantoms

    from suite.probes.memory import peak_rss_bytes, rss_bytes

    score = _theirs if job.side == "monai" else _ours
    score(*phantoms.organs(16, job.structures), job.structures, job.side)
    reference, prediction = np.load(job.maps)
    Path("/proc/self/clear_refs").write_text("5")  # the peak so far is the library's loading
    before = rss_bytes(os.getpid()) or 0
    seconds = []
    for _ in range(job.calls):
        wall, cpu = time.perf_counter(), time.process_time()
        values = score(reference, prediction, job.structures, job.side)
        seconds.append({"cpu_s": time.process_time() - cpu, "wall_s": time.perf_counter() - wall})
    peak = peak_rss_bytes(os.getpid()) or 0
    least = min(seconds, key=lambda one: one["cpu_s"])
    return {**least, "values": values, "peak_mb": max(1, peak - before) / 1e6}


def _ours(reference: Any, prediction: Any, structures: int, kind: Any) -> list[list[float]]:
    import numpy as np

    from suite.masks import overlap
    from suite.masks.case import case_of
    from suite.masks.distance import assd, distances, hd95_max, nsd

    case = case_of(reference, prediction, structures + 1, SPACING_MM)
    dice = overlap.dice(overlap.counts_of(overlap.confusion(case)))
    surfaces = [(hd95_max(d), nsd(d, TOLERANCE_MM), assd(d)) for d in distances(case, kind)]
    return np.column_stack([dice, surfaces]).tolist()


def _theirs(reference: Any, prediction: Any, structures: int, _: Any) -> list[list[float]]:
    import warnings

    import torch
    from monai import metrics
    from monai.networks.utils import one_hot

    torch.set_num_threads(1)
    y, y_pred = (one_hot(torch.from_numpy(labels)[None, None], structures + 1) for labels in (reference, prediction))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # structures that the tiny case lacks
        found = [
            metrics.compute_dice(y_pred, y, include_background=False),
            metrics.compute_hausdorff_distance(y_pred, y, percentile=95, spacing=SPACING_MM),
            metrics.compute_surface_dice(y_pred, y, [TOLERANCE_MM] * structures, spacing=SPACING_MM),
            metrics.compute_average_surface_distance(y_pred, y, symmetric=True, spacing=SPACING_MM),
        ]
    return torch.stack([values[0].double() for values in found], dim=1).tolist()


class Runner:
    """Runs jobs in fresh processes; or all of them in this one, to see that they run."""

    def __init__(self, alone: bool = False) -> None:
        self._alone = alone
        os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"))
        paths = [str(_HERE), str(_HERE.parents[1]), os.environ.get("PYTHONPATH", "")]
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
        self._context = multiprocessing.get_context("spawn")

    def __call__(self, job: Job) -> dict[str, Any]:
        if self._alone:
            return run(job)
        here, there = self._context.Pipe(duplex=False)
        process = self._context.Process(target=_send, args=(there, job))
        process.start()
        there.close()
        answer: dict[str, Any] = here.recv()
        process.join()
        return answer


def _send(pipe: Any, job: Job) -> None:
    pipe.send(run(job))


def _written(folder: Path, side: int, structures: int, radius: float | None = None, wobble: float = 0.5) -> Path:
    """A file with the reference and the prediction."""
    import numpy as np
    import phantoms

    path = folder / f"{side}x{structures}-{radius}.npy"
    np.save(path, np.stack(phantoms.organs(side, structures, radius=radius, wobble=wobble)))
    return path


def compare(runner: Runner, maps: Path, structures: int, turns: int, calls: int) -> dict[str, Any]:
    """One shape on every side, in turn."""
    sides = ("monai", "voxel", "surfel")
    done = [[runner(Job(side, maps, structures, calls)) for side in sides] for _ in range(turns)]
    theirs, ours, surfel = (min(side, key=lambda one: one["cpu_s"]) for side in zip(*done, strict=True))
    pairs = [
        pair for one, two in zip(theirs["values"], ours["values"], strict=True) for pair in zip(one, two, strict=True)
    ]
    return {
        "cpu_ratio": theirs["cpu_s"] / ours["cpu_s"],
        "wall_ratio": theirs["wall_s"] / ours["wall_s"],
        "memory_ratio": ours["peak_mb"] / theirs["peak_mb"],
        "max_rel_diff": max(abs(one - two) / max(abs(one), 1e-12) for one, two in pairs),
        "cpu_s": [theirs["cpu_s"], ours["cpu_s"], surfel["cpu_s"]],
        "peak_mb": [theirs["peak_mb"], ours["peak_mb"], surfel["peak_mb"]],
        "mean": [sum(column) / structures for column in zip(*ours["values"], strict=True)],
    }


def growth(runner: Runner, folder: Path, side: int, calls: int) -> dict[str, Any]:
    """Our seconds on one structure that grows in the same volume, and the voxels of its surfaces."""
    import numpy as np

    from suite.masks.case import case_of
    from suite.masks.surface import surfaces

    found: dict[str, list[float]] = {"surface": [], "cpu_s": []}
    for share in (0.08, 0.12, 0.18, 0.27, 0.4):
        radius = share * side
        maps = _written(folder, side, 1, radius, wobble=5 / radius)
        case = case_of(*np.load(maps), 2, SPACING_MM)
        found["surface"].append(sum(len(surface[0].points) for surface in surfaces(case, "voxel")))
        found["cpu_s"].append(round(runner(Job("voxel", maps, 1, calls))["cpu_s"], 5))
    slope, fixed = np.polyfit(found["surface"], found["cpu_s"], 1)
    r2 = np.corrcoef(found["surface"], found["cpu_s"])[0, 1] ** 2
    line = {"fixed_s": fixed, "element_us": slope * 1e6, "r2": r2}
    return found | {name: round(float(value), 5) for name, value in line.items()}


def show(shape: str, found: dict[str, Any]) -> None:
    """One line of the printout."""
    (theirs, ours, surfel), (before, after, _) = found["cpu_s"], found["peak_mb"]
    dice, hd95, nsd, assd = found["mean"]
    print(
        f"{shape:7s} cpu {theirs:7.2f} s / {ours:6.3f} s = {found['cpu_ratio']:6.1f}x (wall {found['wall_ratio']:.1f}x,"
        f" floor {FLOORS[shape]:.0f}x), surfels {surfel:6.3f} s  peak {before:.0f} / {after:.0f} MB"
        f" = 1/{1 / found['memory_ratio']:.0f}  difference {found['max_rel_diff']:.1e}"
        f"  (dice {dice:.3f} hd95 {hd95:.2f} nsd {nsd:.3f} assd {assd:.3f})",
        flush=True,
    )


def main() -> None:
    """Run, print, and with `--json` end with one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    parser.add_argument("--quick", action="store_true", help="128^3 only, one turn, under a minute")
    parser.add_argument("--tiny", action="store_true", help="sides divided by 8, one process: to see that it runs")
    parser.add_argument("--shape", choices=list(FLOORS), action="append", help="only these")
    options = parser.parse_args()
    quick = options.quick or options.tiny
    shapes = options.shape or [shape for shape in FLOORS if options.tiny or not quick or shape.startswith("128")]
    runner, found, shrink = Runner(options.tiny), {}, 8 if options.tiny else 1
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for shape in shapes:
            side, structures = (int(part) for part in shape.split("x"))
            maps = _written(folder, side // shrink, structures)
            found[shape] = compare(runner, maps, structures, *((1, 2) if quick else (TURNS[shape], CALLS[shape])))
            show(shape, found[shape])
        grown = growth(runner, folder, (128 if quick else 256) // shrink, 1 if quick else 5)
    print("growth", grown)
    report = {
        "cpu_ratio": {shape: round(one["cpu_ratio"], 2) for shape, one in found.items()},
        "memory_ratio": float(f"{found[shapes[-1]]['memory_ratio']:.3g}"),  # tiny masks need almost none: not 0
        "max_rel_diff": max(one["max_rel_diff"] for one in found.values()),
        "growth": grown,
        "quick": quick,
        "floors": FLOORS,
        "shapes": found,
    }
    report["met"] = not quick and (
        all(one >= FLOORS[shape] for shape, one in report["cpu_ratio"].items())
        and report["memory_ratio"] <= MEMORY_CEILING
        and report["max_rel_diff"] <= DIFFERENCE_CEILING
        and grown["r2"] >= LINEAR
    )
    if options.json:
        print(json.dumps(report))


if __name__ == "__main__":
    main()
