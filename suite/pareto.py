"""Pareto fronts: what no other one beats at once in cost and in quality.

One dominates another when it is at least as good in everything and better in something; equal ones share the front.

Shape suffixes: M models, R resamples, D costs.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numpy.typing import NDArray

Flags = NDArray[np.bool_]


def on_front(costs_MD: npt.ArrayLike, quality_M: npt.ArrayLike) -> Flags:
    """Who is not dominated: costs, smaller is better, and one quality, larger is better.

    >>> on_front([[1.0], [2.0], [3.0]], [0.8, 0.9, 0.9]).tolist()
    [True, True, False]
    """
    quality_M = np.asarray(quality_M, dtype=np.float64)
    costs_MD = np.asarray(costs_MD, dtype=np.float64).reshape(len(quality_M), -1)
    points_MD = np.column_stack([costs_MD, -quality_M])
    front_M = np.ones(len(points_MD), dtype=np.bool_)
    for m, point in enumerate(points_MD):
        no_worse = (points_MD <= point).all(axis=1)
        front_M[m] = not (no_worse & (points_MD < point).any(axis=1)).any()
    return front_M


def share_on_front(costs_M: npt.ArrayLike, quality_RM: npt.ArrayLike) -> NDArray[np.float64]:
    """Share of the resamples in which each model is on the front of one fixed cost and a resampled quality.

    >>> share_on_front([1.0, 2.0], [[0.8, 0.9], [0.9, 0.8]]).tolist()
    [1.0, 0.5]
    """
    costs_M, quality_RM = np.asarray(costs_M, dtype=np.float64), np.asarray(quality_RM, dtype=np.float64)
    order = np.argsort(costs_M, kind="stable")
    sorted_M, quality_RM = costs_M[order], quality_RM[:, order]
    first = np.searchsorted(sorted_M, sorted_M, side="left")  # the first one of the same cost
    last = np.searchsorted(sorted_M, sorted_M, side="right") - 1
    reached_RM = np.maximum.accumulate(quality_RM, axis=1)
    cheaper_RM = np.where(first > 0, reached_RM[:, first - 1], -np.inf)
    front_RM = (quality_RM > cheaper_RM) & (quality_RM >= reached_RM[:, last])
    shares = np.empty(len(order))
    shares[order] = front_RM.mean(axis=0)
    return shares
