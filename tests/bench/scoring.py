"""Scoring a case beside a small U-Net's inference on it: 2-D and 3-D tasks with every metric on, processor time.

    python tests/bench/scoring.py [--quick] [--json]

One process, one thread. A case has one image channel, four foreground classes (a tubular one, one of lesions, one of
few voxels), two raters more and an ignore label. The network is a U-Net of four levels with 16 channels at the top,
doubled at each level, two convolutions of 3 a level, in torch (`gmacs` of one case stand beside it). `full` scores all
that a task can declare, with topology, lesions, instances, raters and calibration by scope (`Scoring.row`); `plain`
what every task has: overlap, both surfaces, calibration. Both sides are called once to warm up and then in turns; the
least time counts. Intervals are made once a task, not a case: `intervals` is the time of all its metrics with 10,000
resamples over `cases` cases.

`ratio` is scoring / inference: at most 1.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

_HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(_HERE), str(_HERE.parents[1])]
SHAPES = {"2d-256": (256, 256), "2d-512": (512, 512), "3d-64": (64, 64, 64), "3d-128": (128, 128, 128)}
QUICK = ("2d-256", "3d-64")
TINY = {"2d-64": (64, 64), "3d-32": (32, 32, 32)}
CEILING, CASES, LEVELS, WIDTH, IGNORED = 1.0, 20, 4, 16, 9


def scorings(dimensions: int) -> dict[str, Any]:
    """Everything that can be declared, and only what every task has."""
    from suite.metrics.scoring import Scoring

    named = {
        "classes": ("organ", "vessel", "lesion", "speck"),
        "dimensions": dimensions,
        "tolerance": 2.0,
        "unit": "px",
    }
    more = {"tubular": ("vessel",), "lesions": ("lesion",), "instances": True, "raters": True, "failure_dice": 0.5}
    return {"plain": Scoring(**named), "full": Scoring(**named, **more, ignore_label=IGNORED, policy="brats")}


def case(shape: tuple[int, ...], seed: int = 0) -> dict[str, Any]:
    """What `Scoring.row` takes: smooth structures, and probabilities that are a little off."""
    import numpy as np
    from scipy import ndimage

    rng = np.random.default_rng(seed)

    def field(width: float) -> Any:
        noise = ndimage.gaussian_filter(rng.standard_normal(shape), width, mode="wrap")
        return noise / noise.std()

    side = min(shape)
    fields = [field(side / 12), field(side / 24), field(side / 20), field(side / 40)]
    reference = np.zeros(shape, dtype=np.int64)
    reference[fields[0] > 1] = 1
    reference[np.abs(fields[1]) < 0.03] = 2  # a thin sheet, or a line in a picture
    reference[fields[2] > 2] = 3
    reference[fields[3] > 3] = 4
    spread = np.stack([ndimage.gaussian_filter((reference == k).astype(np.float32), 1.0) for k in range(5)])
    spread = np.maximum(spread + 0.05 * rng.standard_normal(spread.shape).astype(np.float32), 1e-4)
    probabilities = (spread / spread.sum(axis=0)).astype(np.float32)
    raters = [np.roll(reference, step, axis=0) for step in (1, -1)]
    reference[(slice(0, side // 16),) * len(shape)] = IGNORED
    instances = ndimage.label((reference > 0) & (reference != IGNORED))[0]
    return {"probabilities": probabilities, "labels": reference, "instances": instances, "raters": raters}


def network(dimensions: int) -> Any:
    """A small U-Net."""
    import torch
    from torch import nn

    conv, up = (nn.Conv2d, nn.ConvTranspose2d) if dimensions == 2 else (nn.Conv3d, nn.ConvTranspose3d)
    pool = nn.MaxPool2d(2) if dimensions == 2 else nn.MaxPool3d(2)

    def block(before: int, after: int) -> Any:
        layers = [conv(before, after, 3, padding=1), nn.ReLU(), conv(after, after, 3, padding=1), nn.ReLU()]
        return nn.Sequential(*layers)

    class UNet(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            widths = [WIDTH << level for level in range(LEVELS)]
            self.down = nn.ModuleList([block(a, b) for a, b in zip([1, *widths], widths, strict=False)])
            self.ups = nn.ModuleList([up(2 * w, w, 2, stride=2) for w in widths[-2::-1]])
            self.back = nn.ModuleList([block(2 * w, w) for w in widths[-2::-1]])
            self.head = conv(WIDTH, 5, 1)

        def forward(self, x: Any) -> Any:
            kept = []
            for level, layer in enumerate(self.down):
                x = layer(pool(x) if level else x)
                kept.append(x)
            for grow, layer, skip in zip(self.ups, self.back, kept[-2::-1], strict=True):
                x = layer(torch.cat([grow(x), skip], dim=1))
            return torch.softmax(self.head(x), dim=1)

    torch.manual_seed(0)
    torch.set_num_threads(1)
    return UNet().eval()


def took(call: Any) -> float:
    """Processor seconds of a call."""
    start = time.process_time()
    call()
    return time.process_time() - start


def compare(shape: tuple[int, ...], turns: int) -> dict[str, Any]:
    """Both sides on one case, in turns."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    model, given = network(len(shape)), case(shape)
    image = torch.zeros((1, 1, *shape))
    declared = scorings(len(shape))
    calls = {name: lambda one=one: one.row(**given) for name, one in declared.items()}
    plain = {"probabilities": given["probabilities"], "labels": given["labels"] * (given["labels"] != IGNORED)}
    calls["plain"] = lambda: declared["plain"].row(**plain)
    with torch.inference_mode():
        with FlopCounterMode(display=False) as counter:
            model(image)
        calls["inference"] = lambda: model(image)
        for call in calls.values():
            call()
        rounds = [{name: took(call) for name, call in calls.items()} for _ in range(turns)]
    seconds = {name: min(one[name] for one in rounds) for name in calls}
    return {
        **{f"{name}_s": round(value, 4) for name, value in seconds.items()},
        "ratio": round(seconds["full"] / seconds["inference"], 4),
        "gmacs": round(counter.get_total_flops() / 2e9, 2),
    }


def intervals(dimensions: int, cases: int) -> dict[str, Any]:
    """All numbers of a task with their intervals, once."""
    import numpy as np

    from suite import measure
    from suite.metrics.scored import metrics_of
    from suite.outcomes import CLUSTER, to_columns, to_table

    scoring = scorings(dimensions)["full"]
    rows = [scoring.row(**case((32,) * dimensions, seed)) for seed in range(cases)]
    columns = dict(to_columns(to_table([{"group.site": "AB"[i % 2], **row} for i, row in enumerate(rows)])))
    columns[CLUSTER] = np.array([f"p{i // 2}" for i in range(cases)])
    metrics = metrics_of(scoring, {"site": ("A", "B")})
    seconds = took(lambda: measure.scores(metrics, columns, 0))
    return {"metrics": len(metrics), "cases": cases, "cpu_s": round(seconds, 2)}


def main() -> None:
    """Run, print, and with `--json` end with one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    parser.add_argument("--quick", action="store_true", help="the two small shapes once, under a minute")
    parser.add_argument("--tiny", action="store_true", help="two smaller ones and four cases, to see that it runs")
    parser.add_argument("--shape", choices=list(SHAPES), action="append", help="only these")
    options = parser.parse_args()
    quick, found = options.quick or options.tiny, {}
    for name in options.shape or (TINY if options.tiny else QUICK if quick else SHAPES):
        found[name] = one = compare({**SHAPES, **TINY}[name], 1 if quick else 3)
        print(
            f"{name:7s} scoring {one['full_s']:.3f} s (plain {one['plain_s']:.3f} s), inference "
            f"{one['inference_s']:.3f} s of {one['gmacs']} G MACs: {one['ratio']:.3f}", flush=True,
        )  # fmt: skip
    once = {f"{dimensions}d": intervals(dimensions, 4 if options.tiny else CASES) for dimensions in (2, 3)}
    print("intervals", once)
    ratios = {name: one["ratio"] for name, one in found.items()}
    report = {"ratio": ratios, "ceiling": CEILING, "met": max(ratios.values()) <= CEILING, "shapes": found}
    if options.json:
        print(json.dumps({**report, "intervals": once, "quick": quick}))


if __name__ == "__main__":
    main()
