"""Which items a unit asks, in what batches, and of what: a model as its task asks it, or a file of predictions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from suite.errors import UnitError
from suite.model import Predictions
from suite.outcomes import CLUSTER, ITEM
from suite.stopping import Rule
from suite.task import Example
from suite.unit import Unit

if TYPE_CHECKING:
    import pyarrow as pa

Ask = Callable[[Any, Sequence[tuple[int, Example]]], Sequence[Any]]


def by_task(unit: Unit) -> Ask:
    """Put a batch to the model as the task says."""
    inputs = unit.prepared.submission.manifest.inputs
    return lambda model, batch: unit.task.ask(model, [example.input for _, example in batch], inputs)


def by_file(every: Sequence[Example]) -> Ask:
    """Look a batch up in a file of predictions: by id, or by each item's number in its split."""
    splits = np.array([example.calibration for example in every], dtype=bool)
    numbers = np.where(splits, np.cumsum(splits), np.cumsum(~splits)) - 1
    totals = np.where(splits, splits.sum(), (~splits).sum())

    def ask(model: Predictions, batch: Sequence[tuple[int, Example]]) -> Sequence[Any]:
        at = [position for position, _ in batch]
        items = [example.item for _, example in batch]
        return model.given(items, numbers[at].tolist(), totals[at].tolist(), splits[at].tolist())

    return ask


def sample(examples: Sequence[Example], unit: Unit) -> list[tuple[int, Example]]:
    """Examples with their position in the task: all of them, or whole clusters drawn beside the calibration split.

    A limited run holds at most so many items. Clusters come in a seeded order, and one that no longer fits is passed
    over: windows of a text, scans of a patient and variants of an item stay together, so that intervals and paired
    changes of a limited run mean what those of a whole one mean. Where no cluster is as small as the limit, the run
    holds the first items of one.
    """
    numbered = list(enumerate(examples))
    if not numbered:
        raise UnitError(f"task {unit.task.name!r} has no items")
    scored = [one for one in numbered if not one[1].calibration]
    limit = unit.options.limit
    if limit is None or limit >= len(scored):
        return numbered
    chosen = _drawn(scored, limit, unit.options.seed)
    return [one for one in numbered if one[0] in chosen or one[1].calibration]


def _drawn(scored: Sequence[tuple[int, Example]], limit: int, seed: int) -> set[int]:
    """Positions of at most `limit` items, in whole clusters where one fits."""
    clusters: dict[str, list[int]] = {}
    for position, example in scored:
        clusters.setdefault(example.cluster or example.item, []).append(position)
    members = list(clusters.values())
    order = np.random.default_rng(seed).permutation(len(members)).tolist()
    chosen: set[int] = set()
    for i in order:
        if len(chosen) + len(members[i]) <= limit:
            chosen.update(members[i])
    return chosen or set(members[order[0]][:limit])


def drawn(table: pa.Table, unit: Unit) -> tuple[str, ...]:
    """What a limited run says of its scored items, for people; nothing where the whole task was asked."""
    limit = unit.options.limit
    if limit is None:
        return ()
    items, clusters = table.num_rows, len(table.column(CLUSTER).unique())
    one = " in one cluster" + (", or a part of one that is larger" if items == limit else "")
    of = "" if clusters == items else one if clusters == 1 else f" in {clusters} whole clusters"
    return (f"limit {limit}: {items} items{of}, drawn with seed {unit.options.seed}",)


def cut(examples: list[tuple[int, Example]], unit: Unit) -> Iterator[list[tuple[int, Example]]]:
    """Batches of a permutation that depends on the unit alone, so that a resumed run cuts the same ones.

    Where the run may stop early, the calibration split comes first, then whole clusters in the rule's order; a batch
    ends where is looked.
    """
    order = np.random.default_rng(int(unit.key[:16], 16)).permutation(len(examples)).tolist()
    order = list(range(len(examples))) if unit.task.timed else order  # a scenario's pairs follow each other
    ends = [len(order)]
    if unit.rule is not None:
        order, ends = _to_the_looks(examples, unit.rule)
    size = unit.task.batch_size
    begins = [0, *ends[:-1]]
    return (
        [examples[i] for i in order[at : min(at + size, end)]]
        for begin, end in zip(begins, ends, strict=True)
        for at in range(begin, end, size)
    )


def _to_the_looks(examples: list[tuple[int, Example]], rule: Rule) -> tuple[list[int], list[int]]:
    """The order of the examples, and the numbers of them after which is looked."""
    first = [i for i, (_, example) in enumerate(examples) if example.calibration]
    places = {example.item: i for i, (_, example) in enumerate(examples) if not example.calibration}
    wanted = rule.columns[ITEM][rule.order].tolist()
    if len(places) != len(wanted) or not all(item in places for item in wanted):
        raise UnitError(
            f"its items are not those of the baseline {rule.baseline.path.name}: nothing can be decided early"
        )
    return [*first, *(places[item] for item in wanted)], [len(first) + n for n in rule.looks]
