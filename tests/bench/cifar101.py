"""Whether ranks on CIFAR-10 hold on its new test set: 30 published models, their decisions image by image.

    HALLMARK_DATA=... python tests/bench/cifar101.py [--json]

Needs ``rank_cifar101_predictions`` and, for the labels of CIFAR-10, ``cal_cifar10_resnet50`` in the mirror. Prints each
model's accuracy and rank interval on the original test set and on CIFAR-10.1 v6, Kendall's tau between the two orders,
and how many rank intervals of the one hold the rank of the other.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import kendalltau

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from suite import ranks
from suite.metrics.base import ratio

SETS = ("original", "v6")


def decisions(mirror: Path) -> dict[str, dict[str, np.ndarray[Any, Any]]]:
    """Set -> model -> whether each answer is right."""
    folder = mirror / "rank_cifar101_predictions"
    with np.load(mirror / "cal_cifar10_resnet50" / "cifar10_resnet50_logits.npz") as arrays:
        labels = {"original": arrays["test_labels"]}
    labels["v6"] = np.load(folder / "cifar10.1_v6_labels.npy")
    found: dict[str, dict[str, np.ndarray[Any, Any]]] = {name: {} for name in SETS}
    with tarfile.open(folder / "model_predictions.tar.gz") as tar:
        for member in tar.getmembers():
            which = next((name for name in SETS if f"/{name}_predictions/" in member.name), None)
            handle = tar.extractfile(member) if which else None
            if which and handle:
                model = Path(member.name).stem.removesuffix("_predictions")
                found[which][model] = np.array(json.load(handle)) == labels[which]
    return found


def ranked(right: dict[str, np.ndarray[Any, Any]], models: list[str]) -> ranks.Ranking:
    """The ranking by accuracy, paired resamples of the images."""
    terms = np.stack([np.stack([right[m], np.ones_like(right[m])], axis=1) for m in models]).astype(np.float64)
    return ranks.ranking([ranks.sample(terms, ratio, np.arange(terms.shape[1]), larger_is_better=True)])


def main() -> None:
    """Rank both ways, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    as_json = parser.parse_args().json
    found = decisions(Path(os.environ["HALLMARK_DATA"]))
    models = sorted(found["original"])
    old, new = (ranked(found[name], models) for name in SETS)
    for i in old.order:
        accuracies = [found[name][models[i]].mean() for name in SETS]
        spans = [f"{r.rank_M[i]:4.1f} [{r.low_M[i]:2d}, {r.high_M[i]:2d}]" for r in (old, new)]
        print(f"{models[i]:42s} {accuracies[0]:.4f} {spans[0]}   {accuracies[1]:.4f} {spans[1]}")
    held = (new.rank_M >= old.low_M) & (new.rank_M <= old.high_M)
    both = np.maximum(old.low_M, new.low_M) <= np.minimum(old.high_M, new.high_M)
    figures = {
        "models": len(models),
        "kendall_tau": round(float(kendalltau(old.score_M, new.score_M).statistic), 4),
        "largest_move": float(np.abs(old.rank_M - new.rank_M).max()),
        "new_rank_in_old_interval": int(held.sum()),
        "intervals_overlap": int(both.sum()),
        "mean_width": [round(float((r.high_M - r.low_M).mean()), 2) for r in (old, new)],
        "tie_groups": [len(r.groups) for r in (old, new)],
    }
    print(figures)
    if as_json:
        print(json.dumps(figures))


if __name__ == "__main__":
    main()
