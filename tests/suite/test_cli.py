"""The verbs, as a user types them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from support import REPOSITORY, Ran, one_line

from suite.cli import VERBS

Hallmark = Callable[..., Ran]
Fake = Callable[..., Path]
CONSTANT = {"fake": "constant", "probs": [0.19] + [0.09] * 9}


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_every_verb_has_help_with_an_example_and_json(hallmark: Hallmark, verb: str) -> None:
    ran = hallmark(verb, "--help")
    assert ran.code == 0
    assert f"Example: hallmark {verb}" in ran.out
    assert "--json" in ran.out


def test_every_module_of_a_verb_is_reached_and_a_misspelt_verb_is_told_the_nearest(hallmark: Hallmark) -> None:
    modules = {path.stem for path in (REPOSITORY / "suite" / "verbs").glob("*.py")}
    assert {where.partition(":")[0] for where in VERBS.values()} == modules - {"__init__", "common"}
    one_line(hallmark("lst"), 2, "No such command 'lst'", "Did you mean 'list'?")


@pytest.mark.parametrize("what", ["tasks", "suites", "submissions", "formats", "probes", "metrics"])
def test_list(hallmark: Hallmark, what: str) -> None:
    assert hallmark("list", what).code == 0
    listed = hallmark("list", what, "--json").json
    assert list(listed) == [what]
    assert what in hallmark("list").out


def test_run_show_and_skip(hallmark: Hallmark, fake: Fake) -> None:
    parent = fake("parent", {"fake": "oracle"})
    child = fake("child", CONSTANT, parent="parent")
    ran = hallmark("run", parent, child, "-t", "digits", "--json")
    assert (ran.code, ran.err) == (0, "")
    first, second = ran.json["records"]
    assert [r["manifest"]["name"] for r in (first, second)] == ["parent", "child"]
    assert second["sandbox"] == "none"
    assert second["source"] == "measured"
    assert len(second["unit_key"]) == 64
    shown = hallmark("show", "child")
    assert "beside its parent parent" in shown.out
    assert "accuracy ↑" in shown.out
    assert hallmark("show", "child", "--json").json["records"] == [second]
    again = hallmark("run", parent, child, "-t", "digits")
    assert again.out.count("already scored") == 2
    assert len(list(Path("results/child/digits").glob("*.json"))) == 1
    assert json.loads(Path("results/tasks/digits.json").read_text())["chance"] == 0.1


def test_the_paired_difference_of_the_oracle_and_the_constant(hallmark: Hallmark, fake: Fake) -> None:
    """Hand-worked: the constant is right on the zeros alone, the paired change is its accuracy less the oracle's."""
    parent, child = fake("parent", {"fake": "constant", "probs": [0.1] * 10}), fake("child", CONSTANT, parent="parent")
    hallmark("run", parent, child, "-t", "digits")
    line = next(row for row in hallmark("show", "child").out.splitlines() if row.startswith("accuracy ↑"))
    assert "+0 " in line  # both answer class 0 everywhere


def test_again_adds_a_second_record_that_supersedes(hallmark: Hallmark, fake: Fake) -> None:
    folder = fake("m", CONSTANT)
    first = hallmark("run", folder, "-t", "digits", "--json").json["records"][0]
    second = hallmark("run", folder, "-t", "digits", "--again", "--json").json["records"][0]
    assert second["unit_key"] == first["unit_key"]
    stems = {p.stem for p in Path("results/m/digits").glob("*.json")}
    assert len(stems) == 2
    assert second["supersedes"] in stems
    assert first["supersedes"] is None


def test_a_limited_run_is_a_seeded_random_sample_of_its_own_unit(hallmark: Hallmark, fake: Fake) -> None:
    import pyarrow.parquet as pq

    folder = fake("m", CONSTANT)
    full = hallmark("run", folder, "-t", "digits", "--json").json["records"][0]
    limited = hallmark("run", folder, "-t", "digits", "--limit", "50", "--json").json["records"][0]
    assert limited["limit"] == 50
    assert limited["unit_key"] != full["unit_key"]
    tables = {pq.read_table(p).num_rows: pq.read_table(p) for p in Path("results/m/digits").glob("*[0-9a-f].parquet")
              if not p.name.endswith(".readings.parquet")}  # fmt: skip
    items = tables[50].column("item").to_pylist()
    everything = tables[897].column("item").to_pylist()
    assert items != everything[:50]
    assert items == [i for i in everything if i in set(items)]
    assert hallmark("show", "m", "--json").json["records"][0]["limit"] is None  # the whole task is preferred
    other = hallmark("run", folder, "-t", "digits", "--limit", "50", "--seed", "1", "--json").json["records"][0]
    assert other["outcomes_sha256"] != limited["outcomes_sha256"]


def test_a_change_of_anything_that_decides_is_not_answered_from_the_store(
    hallmark: Hallmark, fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    base = {"fake": "oracle", "confidence": 0.6}
    keys = set()

    def key(folder: Path, *options: str) -> str:
        ran = hallmark("run", folder, "-t", "digits", "--limit", "20", "--json", *options)
        return str(ran.json["records"][0]["unit_key"])

    for fields in (
        {},
        {"inputs": {"normalisation": {"mean": [0.5], "std": [0.5]}}},
        {"inputs": {"output": "probabilities"}},
        {"operating_point": {"bits": 4}},
    ):
        folder = fake(f"m{len(keys)}", base, **fields)
        keys.add(key(folder))
    folder = fake("other", {**base, "confidence": 0.61})
    keys.add(key(folder))
    keys.add(key(folder, "--threads", "1"))
    assert len(keys) == 6


def test_machine(hallmark: Hallmark) -> None:
    found = hallmark("machine", "--json").json
    assert found["machine"]["cores"] >= 1
    assert found["probes"]["size"]["unavailable"] is None
    assert "probe" in hallmark("machine").out


def test_check(hallmark: Hallmark, fake: Fake) -> None:
    ran = hallmark("check", fake("m", CONSTANT))
    assert ran.code == 0
    assert "m: fine" in ran.out
    both = hallmark("check", fake("bad", CONSTANT, sha256="0" * 64), fake("good", CONSTANT), "--json")
    assert both.code == 2
    assert [bool(c["problems"]) for c in both.json["checks"]] == [True, False]


def test_python_dash_m_suite_and_the_version() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "suite", "--version"], capture_output=True, text=True, cwd=REPOSITORY, check=True
    )
    assert done.stdout.startswith("hallmark, version ")


def test_records_of_several_machines_merge_by_copying(hallmark: Hallmark, fake: Fake) -> None:
    import shutil

    for number in range(2):
        hallmark("run", fake(f"m{number}", CONSTANT), "-t", "digits", "--results", f"from-{number}")
        shutil.copytree(f"from-{number}", "merged", dirs_exist_ok=True)
    assert hallmark("verify", "--results", "merged").code == 0
    assert hallmark("show", "m0", "--results", "merged").code == 0
    assert hallmark("show", "m1", "--results", "merged").code == 0
