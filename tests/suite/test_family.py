"""Families in order, their tables, and the index that the board reads."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from support import Ran, one_line

from suite import family, paired_index, record
from suite.store import Store, Stored
from tasks import TASKS

Hallmark = Callable[..., Ran]
Fake = Callable[..., Path]


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where what was scored once lies for the other tests of this file."""
    return tmp_path_factory.mktemp("family")


@pytest.fixture
def store(hallmark: Hallmark, fake: Fake, kept: Path) -> Store:
    """Two parents and a child, scored on the digits, in the folder that the test runs in."""
    if not (kept / "results").exists():
        grand = fake("b-parent", {"fake": "oracle"})
        child = fake("a-child", {"fake": "constant", "probs": [0.19] + [0.09] * 9}, parent="b-parent")
        other = fake("c-alone", {"fake": "constant", "probs": [0.1] * 10})
        assert hallmark("run", child, grand, other, "-t", "digits").code == 0
        for name in ("subs", "results"):
            shutil.copytree(name, kept / name)
    else:
        for name in ("subs", "results"):
            shutil.copytree(kept / name, name)
    return Store(Path("results"))


def test_children_stand_under_their_parents(hallmark: Hallmark, store: Store) -> None:
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


def record_of(store: Store, name: str, **changes: object) -> Stored:
    (stored,) = store.scan(name)
    return Stored(stored.path, stored.record.model_copy(update=changes))


def test_tables_fit_a_terminal_and_break_no_name(hallmark: Hallmark, store: Store) -> None:
    lines = family.lines(store, TASKS)
    wide = family.tables(lines)
    assert "digits: accuracy ↑ higher is better, real data" in wide
    assert wide.count("b-parent") == 1
    needed = max(map(len, wide.splitlines()))
    assert family.tables(lines, needed) == wide
    two = family.tables(lines, needed - 1)
    assert two.count("b-parent") == 2
    assert two.count("on disk") == 1
    assert max(map(len, two.splitlines())) < needed
    three = family.tables(lines, max(map(len, two.splitlines())) - 1)
    assert three.count("  a-child") == three.count("c-alone") == 3
    for shown in (wide, two, three, family.tables(lines, 10)):
        assert all(f"{name} " in shown + " " for name in ("b-parent", "  a-child", "c-alone"))
    values = {m.name: m for m in lines[0].stored.record.measurements}
    for text in (wide, three):
        assert f"{values['accuracy'].value:.0f}  [" in text


def test_speed_and_memory_of_another_runtime_or_machine_are_marked(hallmark: Hallmark, store: Store) -> None:
    assert not any(line.elsewhere for line in family.lines(store, TASKS))
    assert family.ELSEWHERE not in hallmark("show").out
    child = record_of(store, "a-child")
    manifest, machine = child.record.manifest, child.record.machine
    for changes in (
        {"manifest": manifest.model_copy(update={"format": "onnx"})},
        {"machine": machine.model_copy(update={"id": "another"})},
        {"machine": machine.model_copy(update={"threads": machine.threads + 1})},
    ):
        other = record_of(store, "a-child", **changes)
        other.path.write_bytes(record.write(other.record))
        by_name = {line.stored.record.manifest.name: line for line in family.lines(store, TASKS)}
        assert [name for name, line in by_name.items() if line.elsewhere] == ["a-child"]
        shown = hallmark("show").out
        assert family.ELSEWHERE in shown
        assert shown.count("*") == 3  # items/s, memory and the note


def test_the_order_survives_missing_and_circular_parents() -> None:
    order = family._in_family_order({"a": "b", "b": "c", "c": None, "d": "gone", "e": "e"})
    assert order == [("c", 0), ("b", 1), ("a", 2), ("d", 0), ("e", 0)]


def test_a_task_can_be_chosen_and_nothing_is_said_so(hallmark: Hallmark, store: Store) -> None:
    one_line(hallmark("show", "--results", "nowhere"), 2, "no records")
    assert hallmark("show", "-t", "digits").code == 0
    one_line(hallmark("show", "-t", "generated-text"), 2, "no records")


def test_the_index_holds_the_differences_and_follows_new_records(hallmark: Hallmark, store: Store) -> None:
    found = paired_index.read(store)  # `run` refreshed it
    (stem,) = found
    assert stem == next(Path("results/a-child/digits").glob("*.json")).stem
    line = next(one for one in family.lines(store, TASKS) if one.depth == 1)
    assert line.difference is not None
    assert found[stem]["differences"]["accuracy"]["value"] == line.difference.value
    hallmark("run", Path("subs/b-parent"), "-t", "digits", "--again")
    again = paired_index.read(store)
    assert again[stem]["parent"] != found[stem]["parent"]
    path = Path("results/.index/paired.parquet")
    path.write_text("{")
    assert paired_index.read(store) == {}
    assert paired_index.refresh(store, TASKS) == again == paired_index.read(store)


def test_the_board_needs_a_folder(hallmark: Hallmark) -> None:
    one_line(hallmark("board", "--results", "nowhere"), 2, "no folder nowhere")
