"""A record verifies as it was made, and not after any change."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support import Ran

from suite.record import content_digest

Hallmark = Callable[..., Ran]


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the record of the first test lies for the others, each of which changes a copy."""
    return tmp_path_factory.mktemp("verify") / "results"


@pytest.fixture
def scored(hallmark: Hallmark, fake: Callable[..., Path], kept: Path) -> Path:
    """The JSON file of a fresh record."""
    if not kept.exists():
        ran = hallmark("run", fake("oracle", {"fake": "oracle", "confidence": 0.9}), "-t", "digits")
        assert ran.code == 0, ran
        shutil.copytree("results", kept)
        return Path(ran.out.strip().splitlines()[-1])
    shutil.copytree(kept, "results")
    (path,) = Path("results/oracle/digits").glob("*.json")
    return path


def rewrite(path: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """Change a record and give it the name that its content asks for, as a careful forger would."""
    fields = json.loads(path.read_text())
    change(fields)
    content = (json.dumps(fields, indent=1, ensure_ascii=False) + "\n").encode()
    forged = path.with_name(f"{path.name[:9]}{content_digest(content)[:12]}.json")
    forged.write_bytes(content)
    for suffix in (".parquet", ".readings.parquet"):
        shutil.copy(path.with_name(path.stem + suffix), forged.with_name(forged.stem + suffix))
    return forged


def test_a_fresh_record_verifies(hallmark: Hallmark, scored: Path) -> None:
    ran = hallmark("verify", scored)
    assert (ran.code, ran.err) == (0, "")
    assert "hold" in ran.out
    everything = hallmark("verify", "--json")
    assert everything.code == 0
    assert everything.json["problems"] == []
    assert len(everything.json["records"]) == 1


def test_every_flipped_byte_is_found(hallmark: Hallmark, scored: Path) -> None:
    for path in (scored, *scored.parent.glob("*.parquet")):
        content = path.read_bytes()
        for at in (0, len(content) // 3, len(content) - 2):
            path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
            ran = hallmark("verify", scored)
            assert ran.code != 0, (path, at)
            assert "Traceback" not in ran.err
        path.write_bytes(content)
    assert hallmark("verify", scored).code == 0


@pytest.mark.parametrize("name", ["accuracy", "nll", "brier", "ece_15", "items_per_s", "bytes"])
@pytest.mark.parametrize("field", ["value", "low", "n"])
def test_a_changed_number_is_found_though_the_digest_was_mended(
    hallmark: Hallmark, scored: Path, name: str, field: str
) -> None:
    def nudge(record: dict[str, Any]) -> None:
        (m,) = [m for m in record["measurements"] if m["name"] == name]
        m[field] = (m[field] or 1) * (1 + 1e-6) if field != "n" else m["n"] + 1

    ran = hallmark("verify", rewrite(scored, nudge))
    assert ran.code == 1
    assert f"{name}: {field} is" in ran.err


def test_dropped_and_invented_measurements_are_found(hallmark: Hallmark, scored: Path) -> None:
    ran = hallmark("verify", rewrite(scored, lambda r: r["measurements"].pop(0)))
    assert "measurement 'accuracy' is missing" in ran.err
    ran = hallmark("verify", rewrite(scored, lambda r: r["measurements"].append(r["measurements"][0] | {"name": "x"})))
    assert "measurement 'x' has no origin" in ran.err


def test_changed_outcomes_are_found(hallmark: Hallmark, scored: Path) -> None:
    path = scored.with_suffix(".parquet")
    table = pq.read_table(path)
    at = table.column_names.index("correct")
    wrong = [0] * table.num_rows
    pq.write_table(table.set_column(at, "correct", pa.array(wrong)), path)
    ran = hallmark("verify", scored)
    assert ran.code == 1
    assert "the record says" in ran.err


def test_outcomes_without_a_column_are_told_in_a_line(hallmark: Hallmark, fake: Callable[..., Path]) -> None:
    """A forged file, or one of a version whose task had fewer metrics: no traceback anywhere."""
    parent, child = fake("parent", {"fake": "oracle"}), fake("child", {"fake": "oracle"}, parent="parent")
    path = Path(hallmark("run", child, "-t", "digits").out.strip().splitlines()[-1])
    table = path.with_suffix(".parquet")
    pq.write_table(pq.read_table(table).drop_columns(["brier"]), table)
    old = rewrite(path, lambda r: r.update(outcomes_sha256=hashlib.sha256(table.read_bytes()).hexdigest()))
    path.unlink()
    ran = hallmark("verify", old)
    assert ran.code == 1
    assert "its outcomes have no column brier, which digits needs" in ran.err
    assert hallmark("run", parent, "-t", "digits").code == 0
    assert "have no column brier; run both again" in hallmark("show", "child").out
    assert hallmark("show").code == 0


def test_a_missing_outcome_file_and_another_task_version_are_told(hallmark: Hallmark, scored: Path) -> None:
    old = rewrite(scored, lambda r: r.update(task_version="0"))
    assert "task version 0 was scored" in hallmark("verify", old).err
    gone = rewrite(scored, lambda r: r.update(task="nothing"))
    assert "'nothing' is not known" in hallmark("verify", gone).err
    scored.with_suffix(".parquet").unlink()
    assert "is missing" in hallmark("verify", scored).err


def test_an_imported_record_never_verifies(hallmark: Hallmark, scored: Path) -> None:
    imported = rewrite(scored, lambda r: r.update(source="imported"))
    ran = hallmark("verify", imported)
    assert ran.code == 1
    assert "imported, not measured here" in ran.err


def test_verify_without_records_says_so(hallmark: Hallmark) -> None:
    ran = hallmark("verify")
    assert ran.code == 2
    assert "no records under results" in ran.err


def test_an_unreadable_record_is_told_and_the_others_are_verified(hallmark: Hallmark, scored: Path) -> None:
    (scored.parent / "20260101-000000000000.json").write_text("{")
    ran = hallmark("verify")
    assert ran.code == 1
    assert "not valid JSON" in ran.err
    assert "hold" in ran.out
