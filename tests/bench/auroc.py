"""How often a nominal 95 % interval of the AUROC holds the true one, and how it compares with items drawn alike.

    python tests/bench/auroc.py [--sets N] [--positives P] [--negatives Q] [--json]

Scores of positives and negatives are normal with equal variance, so that the true AUROC is known. Ours draws each class
from itself (`suite.strata`); beside it the bootstrap of items drawn alike, and the share of data sets for which that
has no interval because too many resamples lack a class.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy.stats import norm

sys.path.insert(0, str(Path(__file__).parents[2]))

from suite import measure
from suite.metrics import ranking
from suite.metrics.base import Columns

TRUE = (0.7, 0.8, 0.95)
AUROC = ranking.ranking()[0]
WAYS = {"stratified": AUROC, "alike": replace(AUROC, strata=None)}


def data(positives: int, negatives: int, true: float, seed: int) -> Columns:
    label = np.repeat([1, 0], [positives, negatives])
    p = norm.cdf(np.random.default_rng(seed).normal(size=len(label)) + label * norm.ppf(true) * np.sqrt(2))
    return {"probs": np.stack([1 - p, p], axis=1), "label": label, "cluster": np.arange(len(label))}


def coverage(positives: int, negatives: int, true: float, sets: int) -> dict[str, float]:
    found = {f"{way}_{what}": 0.0 for way in WAYS for what in ("covers", "width", "none")}
    for seed in range(sets):
        c = data(positives, negatives, true, seed)
        for way, metric in WAYS.items():
            (m,) = measure.scores([metric], c, seed=seed)
            if m.low is None or m.high is None:
                found[f"{way}_none"] += 1 / sets
                continue
            found[f"{way}_covers"] += (m.low <= true <= m.high) / sets
            found[f"{way}_width"] += (m.high - m.low) / sets
    return {"positives": positives, "negatives": negatives, "true": true, "sets": sets, **found}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", type=int, default=400)
    parser.add_argument("--positives", type=int, default=20)
    parser.add_argument("--negatives", type=int, default=180)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    for true in TRUE:
        found = coverage(given.positives, given.negatives, true, given.sets)
        shown = json.dumps(found) if given.json else "  ".join(f"{name} {value:.4g}" for name, value in found.items())
        print(shown, flush=True)


if __name__ == "__main__":
    main()
