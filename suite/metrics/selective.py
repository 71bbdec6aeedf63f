"""Selective prediction: what a model gets wrong when it may stay silent where it is least sure.

Items are accepted from the most confident (largest top probability) down; c = accepted / n is the coverage.

    selective risk(c)      wrong among the accepted / accepted
    generalized risk(c)    wrong among the accepted / n
    AURC                   mean over i = 1..n of the selective risk at coverage i / n       (Geifman 2019)
    E-AURC                 AURC minus that of the same errors, all ranked last              (Geifman 2019)
    AUGRC                  integral over c of the generalized risk, by trapezoids           (Traub 2024)
    coverage at 95 %       the largest coverage whose accuracy among the accepted is 0.95 or more; 0 if there is none

Items of equal confidence cannot be told apart, so they are accepted together: AURC takes the expected risk over their
orders, AUGRC the straight line, and a threshold lies never within. So the order of the items changes nothing.
torch-uncertainty integrates AURC by trapezoids over coverages above 1 / n and breaks ties by position: its figures
differ by about 1 / n.

Shape suffixes: N items, T thresholds (distinct confidences).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from suite.metrics.base import Columns, Metric
from suite.metrics.calibration import top_label
from suite.metrics.counted import ByCounts, Counts, OfCounts, OfSteps, Thresholds, of_steps

TARGET = 0.95
Floats = NDArray[np.float64]
_top = top_label()


def accepted(confidence_N: Floats, correct_N: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Accepted items and the wrong ones among them, [T] each, from the highest threshold to the lowest."""
    thresholds = Thresholds(confidence_N)
    return thresholds.above(np.ones(len(confidence_N), dtype=np.int64), thresholds.in_order(_wrong(correct_N)))


def _wrong(correct_N: NDArray[np.bool_]) -> NDArray[np.int64]:
    return 1 - np.asarray(correct_N, dtype=np.int64)


def risk_coverage(confidence_N: Floats, correct_N: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """The risk-coverage curve: coverage [T] and selective risk [T] at every threshold, coverage ascending.

    >>> coverage, risk = risk_coverage(np.array([0.9, 0.8, 0.7, 0.7]), np.array([True, False, True, True]))
    >>> coverage.tolist(), risk.round(4).tolist()
    ([0.25, 0.5, 1.0], [0.0, 0.5, 0.25])
    """
    n_T, wrong_T = accepted(confidence_N, correct_N)
    return n_T / len(confidence_N), wrong_T / n_T


@of_steps(accepted)
def aurc(n_T: Counts, wrong_T: Counts) -> float:
    """Area under the risk-coverage curve, the mean of the selective risk over all coverages i / n."""
    ranks_N = np.arange(1, n_T[-1] + 1)
    wrong_N = np.interp(ranks_N, np.concatenate([[0], n_T]), np.concatenate([[0], wrong_T]))
    return float((wrong_N / ranks_N).mean())


@of_steps(accepted)
def e_aurc(n_T: Counts, wrong_T: Counts) -> float:
    """AURC minus the least AURC that as many errors can have: how badly the confidence ranks, whatever the accuracy."""
    n, n_right = n_T[-1], n_T[-1] - wrong_T[-1]
    ranks = np.arange(n_right + 1, n + 1)
    return max(0.0, aurc.function(n_T, wrong_T) - float(((ranks - n_right) / ranks).sum() / n))


@of_steps(accepted)
def augrc(n_T: Counts, wrong_T: Counts) -> float:
    """Area under the generalized risk: (1 - A) acc (1 - acc) + (1 - acc)^2 / 2, A the AUROC of right against wrong."""
    n = n_T[-1]
    return float(np.trapezoid(np.concatenate([[0], wrong_T]) / n, np.concatenate([[0], n_T]) / n))


@of_steps(accepted)
def coverage_at(n_T: Counts, wrong_T: Counts, target: float = TARGET) -> float:
    """The largest coverage of a threshold whose accepted items are right in `target` of cases or more; 0 if none is."""
    enough_T = wrong_T / n_T <= 1 - target + 1e-12
    return float((n_T / n_T[-1])[enough_T].max(initial=0.0))


def _of_top(function: OfSteps) -> ByCounts:
    def prepared(columns: Columns) -> OfCounts:
        confidence_N, correct_N = _top(columns)
        thresholds = Thresholds(confidence_N)
        wrong_N = thresholds.in_order(_wrong(correct_N))
        return lambda counts_N: function.function(*thresholds.above(counts_N, wrong_N))

    return ByCounts(lambda columns: function(*_top(columns)), prepared)


AURC = Metric(
    name="aurc",
    needs=("probs", "label"),
    whole=_of_top(aurc),
    unit="",
    higher_is_better=False,
    bounds=(0.0, 1.0),
    reference="mean over coverages i/n of the error rate among the i most confident items (Geifman 2019)",
)
E_AURC = replace(
    AURC,
    name="e_aurc",
    whole=_of_top(e_aurc),
    reference="aurc minus that of the same errors, all ranked last, exactly at this n (Geifman 2019)",
)
AUGRC = replace(
    AURC,
    name="augrc",
    whole=_of_top(augrc),
    bounds=(0.0, 0.5),
    reference="area under wrong among the accepted / n over coverage (Traub 2024); torch-uncertainty's AUGRC",
)
COVERAGE_95 = replace(
    AURC,
    name="coverage_95acc",
    whole=_of_top(coverage_at),
    higher_is_better=True,
    reference="largest coverage at which 95 % of the accepted items are right; 0 where no threshold gives that",
)
SELECTIVE = (AURC, E_AURC, AUGRC, COVERAGE_95)
