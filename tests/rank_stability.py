"""Thirty published CIFAR-10 models on the old and the new test sets: does the order stay?

Usage: HALLMARK_DATA=... python tests/rank_stability.py
Data: decisions image by image of Recht et al. 2019, "Do ImageNet Classifiers Generalize to ImageNet?" (CIFAR-10.1).
"""

from __future__ import annotations

import json
import os
import sys
import tarfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from suite import ranks
from suite.metrics.base import ratio

FOLDER = "rank_cifar101_predictions"
CIFAR10 = ("cal_cifar10_resnet50", "cifar10_resnet50_logits.npz")


def decisions(mirror: Path, which: str) -> dict[str, NDArray[np.float64]]:
    """Model -> 1 where it is right, on ``original``, ``v4`` or ``v6``."""
    if which == "original":
        with np.load(mirror / CIFAR10[0] / CIFAR10[1], allow_pickle=False) as arrays:
            labels = arrays["test_labels"]
    else:
        labels = np.load(mirror / FOLDER / f"cifar10.1_{which}_labels.npy", allow_pickle=False)
    found = {}
    with tarfile.open(mirror / FOLDER / "model_predictions.tar.gz") as archive:
        for member in archive:
            path = Path(member.name)
            if path.suffix == ".json" and f"{which}_predictions" in member.name:
                answers = np.array(json.load(archive.extractfile(member)))  # type: ignore[arg-type]
                found[path.stem.removesuffix("_predictions")] = (answers == labels).astype(np.float64)
    return found


def main() -> None:
    from scipy.stats import kendalltau, spearmanr

    mirror, of = Path(os.environ["HALLMARK_DATA"]), {}
    names = sorted(decisions(mirror, "original"))
    for which in ("original", "v4", "v6"):
        hits = decisions(mirror, which)
        terms = [np.stack([hits[name], np.ones_like(hits[name])], axis=1) for name in names]
        of[which] = ranks.ranking([ranks.sample(terms, ratio, np.arange(len(terms[0])), larger_is_better=True)])
        width = (of[which].high_M - of[which].low_M + 1).mean()
        groups = len(of[which].groups)
        print(f"{which}: {len(terms[0])} images, {groups} tie groups, a rank interval holds {width:.1f} ranks")
    old = of["original"]
    for which in ("v4", "v6"):
        new = of[which]
        overlap = ((old.low_M <= new.high_M) & (new.low_M <= old.high_M)).sum()
        outside = ((new.rank_M < old.low_M) | (new.rank_M > old.high_M)).sum()
        print(
            f"original against {which}: Kendall's tau {kendalltau(old.rank_M, new.rank_M).statistic:.3f}, "
            f"Spearman's rho {spearmanr(old.rank_M, new.rank_M).statistic:.3f}, "
            f"{overlap} of {len(names)} rank intervals overlap, {outside} new ranks lie outside the old interval"
        )
    print("best on the original:", ", ".join(names[m] for m in old.order[:3]))
    print("best on v6:", ", ".join(names[m] for m in of["v6"].order[:3]))


if __name__ == "__main__":
    main()
