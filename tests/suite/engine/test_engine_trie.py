"""The prefix tree and its plan, against sets of prefixes."""

from __future__ import annotations

import numpy as np
import pytest
from engine_samples import Maker

from suite.engine import kv, tree
from suite.engine.trie import Bundle, Costs, Forest, common, plan
from suite.model import Ints

EAGER = Costs(prefix=4, saved=1, branches=3, pack=16, tokens=64, cells=4096)


def prefixes(sequences: list[Ints]) -> set[tuple[int, ...]]:
    return {tuple(ids[:n].tolist()) for ids in sequences for n in range(1, len(ids))}


def test_common_prefix() -> None:
    one = np.array([3, 4, 5])
    assert [common(one, np.array(two)) for two in ([3, 4, 5], [3, 4], [], [9], [3, 4, 6, 7])] == [3, 2, 0, 0, 2]


def test_sorted_with_large_ids() -> None:
    forest = Forest.of([np.array([256, 1, 0]), np.array([1, 300, 0]), np.array([1, 2, 0])], [1, 1, 1])
    assert forest.order.tolist() == [2, 1, 0]
    assert forest.shared.tolist() == [0, 1, 0]


def test_distinct_counts_the_tree_s_nodes() -> None:
    sequences, tails = Maker().mixture()
    forest = Forest.of(sequences, tails)
    assert forest.distinct(0, len(sequences), 0) == len(prefixes(sequences))


@pytest.mark.parametrize("costs", [Costs(), EAGER])
@pytest.mark.parametrize("seed", range(5))
def test_a_plan_holds_every_sequence_once(costs: Costs, seed: int) -> None:
    sequences, tails = Maker(seed).mixture()
    forest = Forest.of(sequences, tails)
    segments = plan(forest, costs, (sequences[3], np.zeros(0, dtype=np.int64)))
    members = [i for segment in segments for bundle in segment.bundles for i in range(bundle.low, bundle.high)]
    assert sorted(members) == list(range(len(sequences)))
    for segment in segments:
        base = len(segment.prefix)
        for bundle in segment.bundles:
            for i in range(bundle.low, bundle.high):
                assert forest.inputs[i][:base].tolist() == segment.prefix.tolist()
                assert base <= forest.first[i]
            assert bundle.width == forest.distinct(bundle.low, bundle.high, base)


def test_a_shared_block_is_computed_once() -> None:
    sequences, tails = Maker().task(Maker(1).ids(600), tuple(range(20, 60)))
    forest = Forest.of(sequences, tails)
    segments = plan(forest, Costs())
    assert [len(segment.prefix) for segment in segments] == [600]
    planned = 600 + sum(bundle.width for bundle in segments[0].bundles)
    assert planned <= 1.01 * len(prefixes(sequences))


def test_two_blocks_in_one_call() -> None:
    maker = Maker()
    one, two = maker.task(maker.ids(200), (9,) * 20), maker.task(maker.ids(300), (9,) * 20)
    segments = plan(Forest.of(one[0] + two[0], one[1] + two[1]), Costs())
    assert sorted(len(segment.prefix) for segment in segments) == [200, 300]


def test_a_block_that_an_earlier_call_had_is_worth_a_cache_for_one_item() -> None:
    maker = Maker()
    block = maker.ids(100)
    forest = Forest.of(*maker.item(np.concatenate([block, maker.ids(9)])))
    none = np.zeros(0, dtype=np.int64)
    assert [len(segment.prefix) for segment in plan(forest, Costs())] == [0]
    assert [len(segment.prefix) for segment in plan(forest, Costs(), (block, none))] == [100]
    assert [len(segment.prefix) for segment in plan(forest, Costs(), (none, block))] == [100]
    assert [len(segment.prefix) for segment in plan(forest, Costs(), (block[:95], block))] == [95]
    assert [len(segment.prefix) for segment in plan(forest, Costs(), (block[:20], none))] == [0]


def test_unrelated_contexts_are_not_put_under_one_mask() -> None:
    maker = Maker()
    sequences, tails = maker.task(maker.ids(1), (80,) * 8)
    (segment,) = plan(Forest.of(sequences, tails), Costs())
    assert sorted((bundle.low, bundle.high) for bundle in segment.bundles) == [(i, i + 4) for i in range(0, 32, 4)]


def test_a_context_with_very_many_choices_is_cached_rather_than_packed() -> None:
    maker = Maker()
    sequences, tails = maker.item(maker.ids(100), (20,) * 200)
    segments = plan(Forest.of(sequences, tails), Costs())
    assert {len(segment.prefix) for segment in segments} == {99}  # its last token predicts, so it is computed
    assert max(bundle.width for segment in segments for bundle in segment.bundles) <= Costs().width


def test_chains_do_not_recurse() -> None:
    ids = Maker().ids(3000)
    chain = [ids[:n] for n in range(2, 3000)]
    segments = plan(Forest.of(chain, [1] * len(chain)), Costs())
    assert sum(bundle.high - bundle.low for segment in segments for bundle in segment.bundles) == len(chain)


def test_layout_by_hand() -> None:
    """5 6 | 7 8 and 5 6 | 7 9 9 after nothing cached: 5 6 7 9 9 with 8 never an input."""
    forest = Forest.of([np.array([5, 6, 7, 8]), np.array([5, 6, 7, 9, 9, 1]), np.array([5, 6, 4, 1])], [2, 4, 2])
    layout = tree.lay(forest, Bundle(0, 3, forest.distinct(0, 3, 0)), 0)
    assert layout.ids_W.tolist() == [5, 6, 4, 7, 9, 9]
    assert layout.depths_W.tolist() == [0, 1, 2, 2, 3, 4]
    assert [path.tolist() for path in layout.paths] == [[0, 1, 2], [0, 1, 3], [0, 1, 3, 4, 5]]
    seen = [np.flatnonzero(row).tolist() for row in layout.visible_WW]
    assert seen == [[0], [0, 1], [0, 1, 2], [0, 1, 3], [0, 1, 3, 4], [0, 1, 3, 4, 5]]


def test_batches_stay_within_their_bounds() -> None:
    bundles = [Bundle(i, i + 1, width) for i, width in enumerate([50, 40, 40, 30, 20, 10, 10, 5, 3])]
    for base in (0, 100):
        rows = list(tree.batches(bundles, base, EAGER))
        assert sorted(bundle.low for batch in rows for row in batch for bundle in row) == list(range(9))
        for batch in rows:
            width = max(sum(bundle.width for bundle in row) for row in batch)
            assert len(batch) == 1 or len(batch) * width <= EAGER.tokens
            assert len(batch) == 1 or len(batch) * (width + base) <= EAGER.cells


def test_trunks_with_branches_begin_alike() -> None:
    sequences, tails = Maker().task(Maker(1).ids(0), (20, 21, 23, 24, 30, 31, 60))
    forest = Forest.of(sequences, tails)
    bundles = [Bundle(i, i + 4, forest.distinct(i, i + 4, 0)) for i in range(0, 28, 4)]
    groups = list(kv.batches(forest, bundles, 0, Costs()))
    assert [[end for _, end in group] for group in groups] == [[60], [30, 30], [21, 21, 21], [20]]
