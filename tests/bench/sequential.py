"""How often `hallmark run --until-decided` errs, and how many items it spares, over a grid of simulated models.

    python tests/bench/sequential.py --json             # 4,000 tries a case, minutes; --quick: 300; --tries N
    python tests/bench/sequential.py --quick --json

Each case is asked three things. At a true loss of exactly the margin: how often is it called non-inferior (at most
5 %) and regressed (at most 2.5 %)? And for a model that is as good as the baseline: how many of the items are used?
Right or wrong answers by share of flips; answers in documents of ten; real values, skewed ones among them. Beside each
stands the error of one look at all items, with the same statistic: what looking early costs is the difference.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from suite import sequential, statistic
from suite.metrics.base import ratio
from suite.stopping import first_share

ALPHA = 0.05
Draw = Callable[[np.random.Generator, int, float], Any]


def flips(share: float) -> Draw:
    """Right or wrong: that share of flips, at least the change."""

    def draw(rng: np.random.Generator, n: int, change: float) -> Any:
        total = max(share, abs(change))
        u = rng.random(n)
        gains, losses = u < (total + change) / 2, u > 1 - (total - change) / 2
        return losses.astype(float), gains.astype(float), np.arange(n), True

    return draw


def documents(share: float, size: int = 10) -> Draw:
    """Right or wrong in documents that differ in how hard they became."""

    def draw(rng: np.random.Generator, n: int, change: float) -> Any:
        clusters = np.arange(n) // size
        own = rng.gamma(0.5, 2.0, clusters[-1] + 1)[clusters]  # mean 1
        u = rng.random(n)
        losses = u < np.minimum((share - change) / 2 * own, 0.5)
        gains = u > 1 - (share + change) / 2
        return losses.astype(float), gains.astype(float), clusters, True

    return draw


def values(law: str) -> Draw:
    """Real values: the change of each item has mean `change` and a standard deviation of 1."""

    def draw(rng: np.random.Generator, n: int, change: float) -> Any:
        if law == "normal":
            x = rng.normal(size=n)
        elif law == "lognormal":
            x = -(np.exp(rng.normal(size=n)) - np.exp(0.5)) / np.sqrt((np.e - 1) * np.e)
        else:  # one item in a hundred carries nearly all of the loss
            x = -((rng.random(n) < 0.01) - 0.01) / np.sqrt(0.01 * 0.99)
            x = 0.999 * x + 0.045 * rng.normal(size=n)
        return np.zeros(n), x + change, np.arange(n), False

    return draw


CASES: dict[str, tuple[Draw, float, int]] = {  # how it is drawn, margin, items
    "flips 4 %, n 1,000": (flips(0.04), 0.02, 1000),
    "flips 10 %, n 1,000": (flips(0.10), 0.02, 1000),
    "flips 10 %, n 10,000": (flips(0.10), 0.01, 10_000),
    "flips 25 %, n 3,000": (flips(0.25), 0.03, 3000),
    "nothing but losses, n 400": (flips(0.0), 0.02, 400),
    "nothing but losses, n 10,000": (flips(0.0), 0.005, 10_000),
    "documents of 10, flips 10 %, n 3,000": (documents(0.10), 0.02, 3000),
    "normal values, n 1,000": (values("normal"), 0.1, 1000),
    "lognormal losses, n 1,000": (values("lognormal"), 0.1, 1000),
    "rare large losses (1 %), n 1,000": (values("rare"), 0.1, 1000),
}


def one(drawn: Any, sizes: list[int], margin: float, z_within: Any, z_beyond: Any) -> tuple[str, int]:
    """Verdict, and items used."""
    a, b, clusters, right_or_wrong = drawn
    for look, n in enumerate(sizes):
        if right_or_wrong:
            change = statistic.of_proportions(a[:n], b[:n], clusters[:n], 1)
        else:
            terms = [np.stack([x[:n], np.ones(n)], axis=1) for x in (a, b)]
            change = statistic.of_sums(*terms, ratio, clusters[:n], 1)
        z = change.z(margin)
        if z is None:
            continue
        if z <= -change.widened(z_beyond[look]):
            return "regressed", n
        if z >= change.widened(z_within[look]):
            return "non-inferior", n
    return "inconclusive", sizes[-1]


def case(draw: Draw, margin: float, n: int, tries: int, seed: int) -> dict[str, float]:
    """Error rates at the margin, with looks and without, and the mean share of items used by an equal model."""
    rng = np.random.default_rng(seed)
    proportion = draw(rng, n, 0.0)[3]
    sizes = [size for size in sequential.looks(n) if size >= first_share(proportion) * n]
    sizes = [size - size % 10 if draw.__qualname__.startswith("documents") else size for size in sizes]
    shares = np.array(sizes) / n
    within, beyond = sequential.bounds(shares, ALPHA), sequential.bounds(shares, ALPHA / 2)
    single = sequential.bounds([1.0], ALPHA), sequential.bounds([1.0], ALPHA / 2)
    found: dict[str, list[Any]] = {"looks": [], "single": [], "equal": [], "worse": []}
    for _ in range(tries):
        at = draw(rng, n, -margin)
        found["looks"].append(one(at, sizes, margin, within, beyond))
        found["single"].append(one(at, [n], margin, *single))
        found["equal"].append(one(draw(rng, n, 0.0), sizes, margin, within, beyond))
        found["worse"].append(one(draw(rng, n, -2 * margin), sizes, margin, within, beyond))

    def share(which: str, verdict: str) -> float:
        return round(float(np.mean([v == verdict for v, _ in found[which]])), 4)

    def used(which: str) -> float:
        return round(float(np.mean([m for _, m in found[which]])) / n, 3)

    return {
        "wrongly non-inferior": share("looks", "non-inferior"),
        "wrongly regressed": share("looks", "regressed"),
        "wrongly non-inferior, one look": share("single", "non-inferior"),
        "wrongly regressed, one look": share("single", "regressed"),
        "equal: passes": share("equal", "non-inferior"),
        "equal: items used": used("equal"),
        "twice the margin: fails": share("worse", "regressed"),
        "twice the margin: items used": used("worse"),
    }


def main() -> None:
    """Simulate, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quick", action="store_true", help="300 tries a case")
    parser.add_argument("--tries", type=int, default=4000)
    options = parser.parse_args()
    tries, report = 300 if options.quick else options.tries, {}
    for number, (name, (draw, margin, n)) in enumerate(CASES.items()):
        report[name] = case(draw, margin, n, tries, number)
        print(name, *(f"{key} {value:.3f}" for key, value in report[name].items()), sep="; ", flush=True)
    if options.json:
        print(json.dumps({"tries": tries, "cases": report}))


if __name__ == "__main__":
    main()
