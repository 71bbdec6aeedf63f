"""Flips: answers that are right in one of parent and child and wrong in the other, over all items or in a group.

Equal accuracies can hide many of them (Dutta 2024). Outcome columns of one item: ``correct`` of the child, and of the
parent on the same item as ``correct_parent``; `beside` joins them. By group they are `groups.of_group` of these.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suite.errors import IncomparableError
from suite.metrics.base import Columns, Metric, Terms, ratio
from suite.outcomes import ITEM

CHILD, PARENT = "correct", "correct_parent"
Hits = NDArray[Any]


def beside(child: Columns, parent: Columns) -> Columns:
    """The child's columns with the parent's ``correct`` beside them.

    Raises:
        IncomparableError: they are not the same items in the same order.
    """
    same_items(child, parent)
    return {**child, PARENT: parent[CHILD]}


def same_items(child: Columns, parent: Columns) -> None:
    """Raise IncomparableError unless both have the same items in the same order."""
    if not np.array_equal(child[ITEM], parent[ITEM]):
        raise IncomparableError("the two records do not have the same items")


def _share(of: Callable[[Hits, Hits], Hits]) -> Terms:
    def terms(columns: Columns) -> NDArray[np.float64]:
        hits = of(columns[CHILD].astype(bool), columns[PARENT].astype(bool)).astype(np.float64)
        return np.stack([hits, np.ones_like(hits)], axis=1)

    return terms


FLIPS = Metric(
    name="flips",
    needs=(CHILD, PARENT),
    terms=_share(lambda child, parent: child != parent),
    finish=ratio,
    unit="",
    higher_is_better=False,
    bounds=(0.0, 1.0),
    proportion=True,
    reference="share of items right in one of parent and child and wrong in the other (Dutta 2024)",
)
LOSSES = replace(
    FLIPS,
    name="losses",
    terms=_share(lambda child, parent: parent & ~child),
    reference="share of items that the parent gets right and the child wrong; gains - losses is the change of accuracy",
)
GAINS = replace(
    FLIPS,
    name="gains",
    terms=_share(lambda child, parent: child & ~parent),
    higher_is_better=True,
    reference="share of items that the child gets right and the parent wrong; gains - losses is the change of accuracy",
)
FLIP_METRICS = (FLIPS, LOSSES, GAINS)
