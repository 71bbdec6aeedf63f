"""Families in order, their tables, and the index that the board reads."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from support import Ran, one_line

from suite import family, index
from suite.store import Store
from tasks import TASKS

Hallmark = Callable[..., Ran]
Fake = Callable[..., Path]


def scored_family(hallmark: Hallmark, fake: Fake) -> Store:
    grand = fake("b-parent", {"fake": "oracle"})
    child = fake("a-child", {"fake": "constant", "probs": [0.19] + [0.09] * 9}, parent="b-parent")
    other = fake("c-alone", {"fake": "constant", "probs": [0.1] * 10})
    assert hallmark("run", child, grand, other, "-t", "digits").code == 0
    return Store(Path("results"))


def test_children_stand_under_their_parents(hallmark: Hallmark, fake: Fake) -> None:
    store = scored_family(hallmark, fake)
    lines = family.lines(store, TASKS)
    assert [(line.stored.record.manifest.name, line.depth) for line in lines] == [
        ("b-parent", 0),
        ("a-child", 1),
        ("c-alone", 0),
    ]
    parent, child, alone = lines
    assert parent.difference is None
    assert alone.difference is None
    assert child.difference is not None
    assert child.primary.value is not None
    assert parent.primary.value is not None
    assert child.difference.value == child.primary.value - parent.primary.value
    shown = hallmark("show").out
    assert "classification" in shown
    assert "  a-child" in shown
    assert len(hallmark("show", "--json").json["records"]) == 3


def test_the_order_survives_missing_and_circular_parents() -> None:
    order = family._in_family_order({"a": "b", "b": "c", "c": None, "d": "gone", "e": "e"})
    assert order == [("c", 0), ("b", 1), ("a", 2), ("d", 0), ("e", 0)]


def test_a_task_can_be_chosen_and_nothing_is_said_so(hallmark: Hallmark, fake: Fake) -> None:
    one_line(hallmark("show"), 2, "no records")
    scored_family(hallmark, fake)
    assert hallmark("show", "-t", "digits").code == 0
    one_line(hallmark("show", "-t", "generated-text"), 2, "no records")


def test_the_index_holds_the_differences_and_follows_new_records(hallmark: Hallmark, fake: Fake) -> None:
    store = scored_family(hallmark, fake)
    found = index.read(store)  # `run` refreshed it
    (stem,) = found
    assert stem == next(Path("results/a-child/digits").glob("*.json")).stem
    line = next(one for one in family.lines(store, TASKS) if one.depth == 1)
    assert line.difference is not None
    assert found[stem]["differences"]["accuracy"]["value"] == line.difference.value
    hallmark("run", Path("subs/b-parent"), "-t", "digits", "--again")
    again = index.read(store)
    assert again[stem]["parent"] != found[stem]["parent"]
    path = Path("results/.index/paired.json")
    path.write_text("{")
    assert index.read(store) == {}
    assert index.refresh(store, TASKS) == again
    assert json.loads(path.read_text()) == again


def test_the_board_needs_a_folder(hallmark: Hallmark) -> None:
    one_line(hallmark("board", "--results", "nowhere"), 2, "no folder nowhere")
