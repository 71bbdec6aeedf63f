"""Cache mode: what a subtree has in common is computed once, its keys and values are continued; never a mask.

Rows of one forward begin after equally many cached tokens, and padding only follows a row's last token, where nothing
sees it. So each token stands where it stands in its own sequence: a sliding window or a bias by distance stays exact.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from suite.engine.cache import Layers, added, stacked
from suite.engine.runtime import Forward
from suite.engine.tree import Batch
from suite.engine.trie import Bundle, Costs, Forest
from suite.model import Ints

if TYPE_CHECKING:
    import torch

_SLACK = 3  # tokens that a trunk may give up to its branches so that more trunks are equally long

Trunk = tuple[Bundle, int]  # and the end of what its sequences have in common


def batches(forest: Forest, bundles: list[Bundle], base: int, costs: Costs) -> Iterator[list[Trunk]]:
    """Trunks of equal length (those without branches: of any length), as many as one forward may hold."""
    trunks = [(bundle, forest.prefix(bundle.low, bundle.high)) for bundle in bundles]
    bare = [trunk for trunk in trunks if trunk[1] == forest.lengths[trunk[0].high - 1]]
    branched = [trunk for trunk in trunks if trunk[1] < forest.lengths[trunk[0].high - 1]]
    yield from _groups(bare, base, costs, slack=None)
    yield from _groups(branched, base, costs, slack=_SLACK)


def _groups(trunks: list[Trunk], base: int, costs: Costs, slack: int | None) -> Iterator[list[Trunk]]:
    rest = sorted(trunks, key=lambda trunk: -trunk[1])
    while rest:
        length = rest[0][1]
        most = max(1, min(costs.tokens // max(1, length - base), costs.cells // length))
        size = 1
        while size < min(most, len(rest)) and (slack is None or rest[size][1] >= length - slack):
            size += 1
        yield [(bundle, end if slack is None else rest[size - 1][1]) for bundle, end in rest[:size]]
        rest = rest[size:]


def run(forward: Forward, forest: Forest, trunks: list[Trunk], prefix: Layers, costs: Costs) -> Iterator[Batch]:
    """Compute trunks in one forward after the cached prefix, then their branches."""
    branches = [(i, row) for row, (bundle, end) in enumerate(trunks) for i in range(bundle.low, bundle.high)
                if forest.lengths[i] > end]  # fmt: skip
    base = prefix[0][0].shape[-2] if prefix else 0
    parts = [prefix] if prefix else []
    end = max(end for _, end in trunks)
    if end > base:
        batch, new = _trunks(forward, forest, trunks, prefix, bool(branches))
        yield batch
        parts.append(new)
    branches.sort(key=lambda branch: -forest.lengths[branch[0]])
    while branches:
        length = int(forest.lengths[branches[0][0]])
        most = max(1, min(costs.tokens // (length - end), costs.cells // length))
        yield _branches(forward, forest, branches[:most], parts, end)
        branches = branches[most:]


def _trunks(forward: Forward, forest: Forest, trunks: list[Trunk], prefix: Layers, keep: bool) -> tuple[Batch, Layers]:
    """Features of trunks, and, to be kept, their keys and values."""
    base = prefix[0][0].shape[-2] if prefix else 0
    ids_BT = _padded([forest.inputs[bundle.low][base:end] for bundle, end in trunks])
    cache = stacked([(prefix, len(trunks))] if prefix else [], keep) if prefix or keep else None
    features_BTD = forward(ids_BT, cache=cache)
    width = ids_BT.shape[1]
    sequences: list[int] = []
    nodes: list[Ints] = []
    for row, (bundle, end) in enumerate(trunks):
        for i in range(bundle.low, bundle.high):
            sequences.append(i)
            nodes.append(row * width - base + np.arange(forest.first[i], max(forest.first[i], end)))
    return Batch(features_BTD.flatten(0, 1), sequences, nodes), added(cache, width) if keep else []


def _branches(
    forward: Forward, forest: Forest, branches: list[tuple[int, int]], parts: list[Layers], end: int
) -> Batch:
    """Features of the branches (sequence, row of its trunk) of trunks that end at `end`."""
    import torch

    ids_BT = _padded([forest.inputs[i][end:] for i, _ in branches])
    held = [(layers, len(branches) if layers[0][0].shape[0] == 1
             else torch.tensor([row for _, row in branches], device=layers[0][0].device))
            for layers in parts]  # fmt: skip
    features_BTD = forward(ids_BT, cache=stacked(held) if held else None)
    starts = np.arange(len(branches)) * ids_BT.shape[1] - end
    nodes = [start + np.arange(max(forest.first[i], end), forest.lengths[i])
             for start, (i, _) in zip(starts, branches, strict=True)]  # fmt: skip
    return Batch(features_BTD.flatten(0, 1), [i for i, _ in branches], nodes)


def _padded(parts: list[Ints]) -> torch.Tensor:
    import torch

    ids_BT = torch.zeros((len(parts), max(len(part) for part in parts)), dtype=torch.int64)
    for row, part in enumerate(parts):
        ids_BT[row, : len(part)] = torch.from_numpy(part)
    return ids_BT
