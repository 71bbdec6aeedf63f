"""Candidate slices: rules that a tree finds over metadata, and clusters of numbers, learned on some items.

A rule says of any items which of them it holds, so that it can be tested on items that it was not learned from.

Shape suffixes: N items, F features.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suite.errors import InputError
from suite.metrics.base import Columns
from suite.outcomes import GROUP_PREFIX, METADATA

STATISTIC = "stat."
LABEL = "label"
MAX_VALUES = 50  # of one categorical column, the most frequent first
MAX_SLICES = 8  # leaves of a tree, and clusters
LARGEST = float(np.finfo(np.float32).max)  # scikit-learn's trees read float32
Floats = NDArray[np.float64]
Inside = NDArray[np.bool_]


@dataclass(frozen=True)
class Rule:
    """One candidate.

    Attributes:
        words: what holds of its items, for people.
        method: ``tree`` or ``clusters of <columns>``.
        holds: columns to a mask over their items.
    """

    words: str
    method: str
    holds: Callable[[Columns], Inside]


@dataclass(frozen=True)
class Feature:
    """One number a tree may split: a numeric column, or whether a categorical one has a value.

    Attributes:
        column: of the outcomes.
        value: of a categorical column; ``None`` for a numeric one.
        middle: what stands for a missing number.
    """

    column: str
    value: str | None
    middle: float = 0.0

    def of(self, columns: Columns) -> Floats:
        """The number of every item."""
        if self.value is not None:
            return np.asarray(np.asarray(columns[self.column]).astype(str) == self.value, dtype=np.float64)
        numbers = np.asarray(columns[self.column], dtype=np.float64)
        return np.clip(np.where(np.isfinite(numbers), numbers, self.middle), -LARGEST, LARGEST)

    def words(self, above: bool, threshold: float) -> str:
        """The side of a split, for people."""
        if self.value is not None:
            return f"{self.column} {'=' if above else '!='} {self.value or '(empty)'}"
        return f"{self.column} {'>' if above else '<='} {threshold:.4g}"


def features(columns: Columns, more: Sequence[str]) -> list[Feature]:
    """Group and metadata columns, the label, statistics of inputs, and `more` columns, as far as they vary.

    Raises:
        InputError: one of `more` holds lists; others that do are left out.
    """
    found: list[Feature] = []
    for name in sorted(columns):
        if not (name.startswith((GROUP_PREFIX, STATISTIC, METADATA)) or name == LABEL or name in more):
            continue
        values = np.asarray(columns[name])
        if values.ndim != 1 or (values.dtype == object and any(map(np.ndim, values))):  # of one length, or of several
            if name in more:
                raise InputError(f"column {name!r} holds lists; slices are described by columns of numbers or text")
            continue
        if len(np.unique(values)) < 2:  # noqa: PLR2004 - it says nothing
            continue
        if name == LABEL or values.dtype.kind not in "iufb":
            names, counts = np.unique(values.astype(str), return_counts=True)
            found += [Feature(name, str(names[i])) for i in np.argsort(-counts, kind="stable")[:MAX_VALUES]]
        else:
            numbers = values.astype(np.float64)
            known = numbers[np.isfinite(numbers)]
            if len(known):
                found.append(Feature(name, None, float(np.median(known))))
    return found


def by_tree(
    columns: Columns, used: Sequence[Feature], score_N: Floats, weight_N: Floats, least: int, seed: int
) -> list[Rule]:
    """The leaves of a regression tree of the score over the features (CART), each with at least `least` items."""
    from sklearn.tree import DecisionTreeRegressor

    if not used:
        return []
    matrix_NF = np.stack([feature.of(columns) for feature in used], axis=1)
    model = DecisionTreeRegressor(max_leaf_nodes=MAX_SLICES, min_samples_leaf=least, random_state=seed)
    model.fit(matrix_NF, score_N, sample_weight=weight_N)
    tree = model.tree_
    return [_leaf(path, used) for path in _paths(tree, 0, ()) if path]


Step = tuple[int, float, bool]  # feature, threshold, above it


def _paths(tree: Any, node: int, path: tuple[Step, ...]) -> list[tuple[Step, ...]]:
    """The splits on the way to every leaf."""
    if tree.children_left[node] < 0:
        return [path]
    feature, threshold = int(tree.feature[node]), float(tree.threshold[node])
    below = _paths(tree, int(tree.children_left[node]), (*path, (feature, threshold, False)))
    return below + _paths(tree, int(tree.children_right[node]), (*path, (feature, threshold, True)))


def _leaf(path: tuple[Step, ...], used: Sequence[Feature]) -> Rule:
    def holds(columns: Columns) -> Inside:
        sides = [(used[at].of(columns).astype(np.float32) > threshold) == above for at, threshold, above in path]
        return np.asarray(np.logical_and.reduce(sides))

    closest: dict[tuple[int, bool], float] = {}
    for at, threshold, above in path:  # a later split on the same side is the narrower one
        closest[at, above] = threshold
    words = (used[at].words(above, threshold) for (at, above), threshold in closest.items())
    return Rule(" and ".join(words), "tree", holds)


def by_clusters(columns: Columns, names: Sequence[str], what: str, seed: int) -> list[Rule]:
    """k-means clusters of columns, each standardised; new items belong to the nearest centre.

    Args:
        columns: of the items to learn from.
        names: numeric columns, scalars or vectors of one length.
        what: they are, for people.
        seed: of the starts.
    """
    from sklearn.cluster import KMeans

    matrix_NF = _matrix(columns, names)
    centre_F, scale_F = matrix_NF.mean(axis=0), matrix_NF.std(axis=0)
    scale_F[scale_F == 0] = 1
    scaled_NF = (matrix_NF - centre_F) / scale_F
    count = min(MAX_SLICES, len(np.unique(scaled_NF, axis=0)))
    if count < 2:  # noqa: PLR2004 - all alike
        return []
    model = KMeans(count, n_init=4, random_state=seed).fit(scaled_NF)

    def holding(number: int) -> Callable[[Columns], Inside]:
        return lambda new: np.asarray(model.predict((_matrix(new, names) - centre_F) / scale_F) == number)

    centres = model.cluster_centers_ * scale_F + centre_F
    return [Rule(_centre(centre, names), f"clusters of {what}", holding(n)) for n, centre in enumerate(centres)]


def _matrix(columns: Columns, names: Sequence[str]) -> Floats:
    parts = [np.asarray(columns[name], dtype=np.float64).reshape(len(columns[name]), -1) for name in names]
    return np.clip(np.nan_to_num(np.concatenate(parts, axis=1)), -LARGEST, LARGEST)


def _centre(centre_F: Floats, names: Sequence[str]) -> str:
    """The three largest entries of a vector, or every scalar."""
    if len(names) == len(centre_F):
        return "about " + ", ".join(f"{name} {value:.3g}" for name, value in zip(names, centre_F, strict=True))
    top = np.argsort(-centre_F, kind="stable")[:3]
    return f"{names[0]} about " + ", ".join(f"{centre_F[k]:.2f} for class {k}" for k in top)


def summary(rules: Sequence[Rule]) -> Mapping[str, int]:
    """How many candidates each method gave."""
    return {method: sum(rule.method == method for rule in rules) for method in dict.fromkeys(r.method for r in rules)}
