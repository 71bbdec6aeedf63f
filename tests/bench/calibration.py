"""Calibration numbers of many items: ours against torchmetrics (in float64 too) and netcal, on the same probabilities.

    python tests/bench/calibration.py [--items N] [--classes K] [--quick] [--json]

Prints the CPU seconds of every number, the peak memory, and the difference of each peer's ECE-15 from ours. A peer that
is not installed is left out, and said so.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np

from suite.errors import Undefined
from suite.metrics.temperature import fit
from tasks.metric_sets import Measured, classification_metrics

_BLOCK = 1 << 14
CALIBRATION = ("ece", "mce", "nll", "brier", "overconfidence", "smece", "temperature")


def answers(n: int, classes: int) -> dict[str, Any]:
    """Random probabilities, float32, labels drawn from them made a little less sure; and the columns of outcomes."""
    draw = np.random.default_rng(0)
    probs, label = np.empty((n, classes), dtype=np.float32), np.empty(n, dtype=np.int64)
    for at in range(0, n, _BLOCK):  # in blocks, so that the peak of memory is that of the numbers
        block = draw.standard_exponential((min(_BLOCK, n - at), classes), dtype=np.float32) ** 4
        block /= block.sum(axis=1, keepdims=True)
        cut = draw.random(len(block), dtype=np.float32) * block.sum(axis=1)
        probs[at : at + _BLOCK] = block
        label[at : at + _BLOCK] = (np.cumsum(block, axis=1) < cut[:, None]).sum(axis=1).clip(max=classes - 1)
    decided = probs.argmax(axis=1)
    picked = probs[np.arange(n), label].astype(np.float64)
    squares = np.einsum("nk,nk->n", probs, probs, dtype=np.float64)
    return {
        "probs": probs,
        "label": label,
        "decided": decided,
        "confidence": probs.max(axis=1).astype(np.float64),
        "correct": (decided == label).astype(np.int64),
        "nll": -np.log(np.maximum(picked, 1e-12)),
        "brier": squares - 2 * picked + 1,
        "temperature": np.full(n, 1.1),
    }


def ours(c: dict[str, Any]) -> dict[str, tuple[float | None, float]]:
    """Value and seconds of every calibration number, and of the fit of a temperature."""
    found: dict[str, tuple[float | None, float]] = {}
    metrics = classification_metrics(Measured(tuple(map(str, range(c["probs"].shape[1]))), scaled=True))
    for metric in metrics:
        if metric.name.startswith(CALIBRATION):
            start = time.process_time()
            try:
                value: float | None = metric(c)
            except Undefined:
                value = None
            found[metric.name] = (value, time.process_time() - start)
    start = time.process_time()
    found["fit"] = (fit(c["probs"], c["label"]), time.process_time() - start)
    return found


def peers(c: dict[str, Any]) -> dict[str, Callable[[], float]]:
    """ECE-15 by others."""
    made: dict[str, Callable[[], float]] = {}
    try:
        import torch
        from torchmetrics.functional.classification import multiclass_calibration_error as theirs

        label, classes = torch.from_numpy(c["label"]), c["probs"].shape[1]
        for name, dtype in (("torchmetrics", torch.float32), ("torchmetrics float64", torch.float64)):
            made[name] = lambda dtype=dtype: float(
                theirs(torch.from_numpy(c["probs"]).to(dtype), label, num_classes=classes, n_bins=15)
            )
    except ImportError:
        print("torchmetrics is not installed: left out", file=sys.stderr)
    try:
        from netcal.metrics import ECE

        made["netcal"] = lambda: float(ECE(15).measure(c["probs"], c["label"]))
    except ImportError:
        print("netcal is not installed: left out", file=sys.stderr)
    return made


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--classes", type=int, default=100)
    parser.add_argument("--quick", action="store_true", help="100,000 items")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    n = 100_000 if asked.quick else asked.items
    c = answers(n, asked.classes)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    numbers = ours(c)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    mine, lines = numbers["ece_15"], {}
    for name, call in peers(c).items():
        start = time.process_time()
        value = call()
        seconds = time.process_time() - start
        lines[name] = {"seconds": seconds, "ratio": seconds / mine[1], "difference": value - (mine[0] or 0.0)}
    total = sum(seconds for _, seconds in numbers.values())
    if not asked.json:
        for name, (value, seconds) in numbers.items():
            print(f"{name:22s} {'none' if value is None else f'{value:.6f}':>10s} {seconds:8.3f} CPU s")
        for name, line in lines.items():
            print(f"{name}: {line['seconds']:.3f} s for ECE-15, ours {mine[1]:.3f}; off by {line['difference']:+.2e}")
        print(f"{n} items, {asked.classes} classes: ours {total:.2f} CPU s, peak {peak / 1e9:.2f} GB, data included")
    print(
        json.dumps(
            {
                "items": n,
                "classes": asked.classes,
                "seconds": total,
                "peak_rss_bytes": peak,
                "rss_of_data_bytes": before,
                "numbers": {name: {"value": value, "seconds": seconds} for name, (value, seconds) in numbers.items()},
                "peers": lines,
            }
        )
    )


if __name__ == "__main__":
    main()
