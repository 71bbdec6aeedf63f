"""Tree mode: subtrees in the rows of one forward, each token seeing its own path and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from suite.engine.cache import Layers, stacked
from suite.engine.runtime import Forward
from suite.engine.trie import Bundle, Costs, Forest
from suite.model import Ints

if TYPE_CHECKING:
    import torch

Row = list[Bundle]


@dataclass(frozen=True)
class Batch:
    """Features of one forward, and where in them each sequence's tokens are scored.

    Attributes:
        features_FD: of all positions, rows one after the other.
        sequences: indices into the forest.
        nodes: for each sequence, the rows of `features_FD` that predict its scored tokens.
    """

    features_FD: torch.Tensor
    sequences: list[int]
    nodes: list[Ints]


@dataclass(frozen=True)
class Layout:
    """One subtree in the order of its sequences.

    Attributes:
        ids_W: token ids.
        depths_W: positions in their sequences.
        visible_WW: whether a token (row) sees another (column): itself and what is before it on its path.
        paths: for each sequence, the columns of its tokens beyond the cached prefix.
    """

    ids_W: Ints
    depths_W: Ints
    visible_WW: NDArray[np.bool_]
    paths: list[Ints]


def lay(forest: Forest, bundle: Bundle, base: int) -> Layout:
    """Columns of a subtree: each sequence brings the tokens that the one before it has not brought."""
    ids, depths = np.empty(bundle.width, dtype=np.int64), np.empty(bundle.width, dtype=np.int64)
    visible = np.zeros((bundle.width, bundle.width), dtype=np.bool_)
    path, paths, at = np.zeros(0, dtype=np.int64), [], 0
    for i in range(bundle.low, bundle.high):
        old = path[: forest.shared[i] - base] if i > bundle.low else path
        new = np.arange(at, at + forest.lengths[i] - base - len(old))
        at += len(new)
        ids[new] = forest.inputs[i][base + len(old) :]
        depths[new] = np.arange(base + len(old), forest.lengths[i])
        visible[new[:, None], old[None, :]] = True
        visible[new[:, None], new[None, :]] = np.tri(len(new), dtype=np.bool_)
        path = np.concatenate([old, new])
        paths.append(path)
    return Layout(ids, depths, visible, paths)


def batches(bundles: list[Bundle], base: int, costs: Costs) -> Iterator[list[Row]]:
    """Bundles put side by side in rows of about equal width, widest first, as many rows as one forward may hold."""
    rest = sorted(bundles, key=lambda bundle: -bundle.width)
    while rest:
        capacity = max(rest[0].width, min(base, costs.pack))
        most = max(1, min(costs.tokens // capacity, costs.cells // (base + capacity)))
        rows: list[Row] = []
        free = taken = 0
        for bundle in rest:
            if not rows or bundle.width > free:
                if len(rows) == most:
                    break
                rows.append([])
                free = capacity
            rows[-1].append(bundle)
            free -= bundle.width
            taken += 1
        yield rows
        rest = rest[taken:]


def run(forward: Forward, forest: Forest, rows: list[Row], prefix: Layers, base: int) -> Batch:
    """Compute rows of subtrees in one forward after `base` cached tokens."""
    import torch

    laid = [[lay(forest, bundle, base) for bundle in row] for row in rows]
    width = max(sum(len(layout.ids_W) for layout in row) for row in laid)
    ids_BT, depths_BT = np.zeros((len(rows), width), dtype=np.int64), np.zeros((len(rows), width), dtype=np.int64)
    visible_BTK = np.zeros((len(rows), width, base + width), dtype=np.bool_)
    visible_BTK[:, :, :base] = True
    visible_BTK[:, np.arange(width), base + np.arange(width)] = True  # padding sees itself: a softmax needs one key
    sequences: list[int] = []
    nodes: list[Ints] = []
    for b, row in enumerate(rows):
        at = 0
        for bundle, layout in zip(row, laid[b], strict=True):
            end = at + len(layout.ids_W)
            ids_BT[b, at:end], depths_BT[b, at:end] = layout.ids_W, layout.depths_W
            visible_BTK[b, at:end, base + at : base + end] = layout.visible_WW
            sequences += range(bundle.low, bundle.high)
            nodes += [b * width + at + path[forest.first[i] - base :]
                      for i, path in zip(range(bundle.low, bundle.high), layout.paths, strict=True)]  # fmt: skip
            at = end
    causal = not base and all(len(row) == 1 and row[0].width == forest.lengths[row[0].high - 1] for row in rows)
    features_BTD = forward(
        torch.from_numpy(ids_BT),
        None if causal else torch.from_numpy(visible_BTK),  # plain causal rows need no mask
        None if causal else torch.from_numpy(depths_BT),
        cache=stacked([(prefix, len(rows))]) if prefix else None,
    )
    return Batch(features_BTD.flatten(0, 1), sequences, nodes)
