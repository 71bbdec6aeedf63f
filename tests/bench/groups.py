"""The fairness frame against fairlearn's bootstrapped MetricFrame and torchmetrics' group rates, on the same data.

    python tests/bench/groups.py [--quick] [--json]

Ours: five metrics (accuracy, NLL, Brier, ECE-15, F1) by 20 groups with 10,000 resamples, chance levels, worst groups,
ratios and equity-scaled values. Theirs: fairlearn the two metrics that it can make of labels (accuracy, F1),
torchmetrics accuracy by group (it has no bootstrap of groups: rows are resampled around it); both with few resamples,
and the time is scaled up to 10,000.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
import warnings
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from suite import measure
from suite.metrics import calibration, classification, decisions, frame
from suite.metrics.base import Columns

RESAMPLES, GROUPS = 10_000, 20
METRICS = (classification.ACCURACY, classification.NLL, classification.BRIER, calibration.ECE_15, decisions.f1())


def data(n: int) -> Columns:
    rng = np.random.default_rng(0)
    p = rng.random(n)
    label = (rng.random(n) < p).astype(np.int64)
    probs = np.stack([1 - p, p], axis=1)
    return {
        "probs": probs,
        "label": label,
        "decided": probs.argmax(axis=1),
        "correct": (probs.argmax(axis=1) == label).astype(np.int64),
        "nll": -np.log(probs[np.arange(n), label]),
        "brier": 2 * (p - label) ** 2,
        "group.g": np.array([f"g{i:02d}" for i in rng.integers(0, GROUPS, n)]),
        "cluster": np.array([f"{i:07d}" for i in range(n)]),
    }


def ours(c: Columns) -> tuple[float, dict[str, float | None]]:
    start = time.perf_counter()
    found = measure.scores(frame.frames(METRICS, ["g"], c), c, seed=0)
    return time.perf_counter() - start, {m.name: m.value for m in found}


def fairlearn(c: Columns, resamples: int) -> tuple[float, float]:
    """Seconds for 10,000 resamples, and its gap in accuracy."""
    from fairlearn.metrics import MetricFrame
    from sklearn.metrics import accuracy_score, f1_score

    accuracy_score([0, 1], [0, 1])  # imports are not timed
    start = time.perf_counter()
    found = MetricFrame(
        metrics={"accuracy": accuracy_score, "f1": f1_score},
        y_true=c["label"],
        y_pred=c["probs"].argmax(axis=1),
        sensitive_features=c["group.g"],
        n_boot=resamples,
        ci_quantiles=[0.025, 0.975],
        random_state=0,
    )
    gap = float(found.difference()["accuracy"])
    return (time.perf_counter() - start) * RESAMPLES / resamples, gap


def torchmetrics(c: Columns, resamples: int) -> tuple[float, float]:
    """Seconds for 10,000 resamples, and its gap in accuracy."""
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from torchmetrics.functional.classification import binary_groups_stat_rates

    predicted, label = torch.from_numpy(c["probs"].argmax(axis=1)), torch.from_numpy(c["label"])
    group = torch.from_numpy(np.unique(c["group.g"], return_inverse=True)[1])

    def gap(rows: torch.Tensor) -> float:
        rates = binary_groups_stat_rates(predicted[rows], label[rows], group[rows], GROUPS)
        right = [float(rate[0] + rate[2]) for rate in rates.values()]  # TP and TN
        return max(right) - min(right)

    value = gap(torch.arange(len(label)))
    generator = torch.Generator().manual_seed(0)
    start = time.perf_counter()
    for _ in range(resamples):
        gap(torch.randint(0, len(label), (len(label),), generator=generator))
    return (time.perf_counter() - start) * RESAMPLES / resamples, value


def compare(n: int, resamples: int) -> dict[str, float]:
    c = data(n)
    seconds, values = ours(c)
    gap = values["accuracy_gap[g]"] or 0.0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    (fair_s, fair), (torch_s, theirs) = fairlearn(c, resamples), torchmetrics(c, resamples)
    return {
        "items": n,
        "groups": GROUPS,
        "metrics": len(METRICS),
        "ours_s": seconds,
        "ours_peak_gb": peak,
        "fairlearn_s_scaled": fair_s,
        "torchmetrics_s_scaled": torch_s,
        "fairlearn_over_ours": fair_s / seconds,
        "torchmetrics_over_ours": torch_s / seconds,
        "gap_minus_fairlearn": gap - fair,
        "gap_minus_torchmetrics": gap - theirs,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="2,000 items, 10 resamples of the others")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    found = compare(*((2_000, 10) if given.quick else (100_000, 10)))
    print(json.dumps(found) if given.json else "\n".join(f"{name:24} {value:.6g}" for name, value in found.items()))


if __name__ == "__main__":
    main()
