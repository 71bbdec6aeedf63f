"""What ``hallmark gate`` and ``hallmark compare`` say of input that decides nothing, or less than it seems."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gate_records import FIXTURE, answers, digits_columns, put
from support import Ran, one_line

POLICY = """
schema_version = 1
baseline = "old"
{alpha}
[[metric]]
task = "digits"
name = "accuracy"
margin = 0.02
unit = "absolute"
primary = true
"""
N = 600


@pytest.fixture(autouse=True)
def _policy(tmp_path: Path) -> None:
    (tmp_path / "gate.toml").write_text(POLICY.format(alpha=""))


def rows(n: int, lost: int = 0, clusters: bool = True) -> list[dict[str, Any]]:
    said, labels = answers(n, int(0.9 * n))
    said[:lost] = (labels[:lost] + 3) % 10
    made = digits_columns(said, labels)
    return made if clusters else [{k: v for k, v in row.items() if k != "cluster"} for row in made]


def both(root: Path, n: int = N, lost: int = 0, clusters: bool = True) -> tuple[Path, Path]:
    return put(root / "results", "old", rows(n, 0, clusters)), put(root / "results", "new", rows(n, lost, clusters))


def words(ran: Ran) -> str:
    return " ".join(ran.out.split())


def test_fewer_than_twenty_items_decide_nothing_however_bad(tmp_path: Path, hallmark: Callable[..., Ran]) -> None:
    both(tmp_path, n=19, lost=15)
    ran = hallmark("gate", "new")
    assert ran.code == 3
    assert "19 items are too few to decide (at least 20)" in words(ran)
    put(tmp_path / "more" / "results", "old", rows(20))
    put(tmp_path / "more" / "results", "new", rows(20, 15))
    assert hallmark("gate", "new", "--results", str(tmp_path / "more" / "results")).code == 1


def test_missing_clusters_are_told(tmp_path: Path, hallmark: Callable[..., Ran]) -> None:
    both(tmp_path, lost=60, clusters=False)
    ran = hallmark("gate", "new")
    assert ran.code == 1
    assert "the outcomes name no clusters: items are taken as independent" in words(ran)


def test_a_task_scored_twice_with_other_results_is_told_with_its_size(
    tmp_path: Path, hallmark: Callable[..., Ran]
) -> None:
    both(tmp_path)
    earlier = {"provenance": {**FIXTURE["provenance"], "started": "2025-01-01T00:00:00Z"}}
    put(tmp_path / "results", "new", rows(N, 6), **earlier)
    ran = hallmark("gate", "new", "--json")
    assert ran.code == 0
    (note,) = [line for line in ran.json["notes"] if "scored twice" in line]
    assert "accuracy 0.89 and 0.9, 6 of 600 items differ" in note
    assert "the newer one counts" in note


def test_a_value_of_zero_is_a_size_too(tmp_path: Path, hallmark: Callable[..., Ran]) -> None:
    both(tmp_path)
    said, labels = answers(N, N)
    earlier = {"provenance": {**FIXTURE["provenance"], "started": "2025-01-01T00:00:00Z"}}
    put(tmp_path / "other", "zero", digits_columns(said, labels), **earlier)
    put(tmp_path / "other", "zero", digits_columns((labels + 1) % 10, labels))
    put(tmp_path / "other", "old", rows(N))
    ran = hallmark("compare", "old", "zero", "--results", "other", "--json")
    assert "accuracy 1 and 0, 600 of 600 items differ" in " ".join(ran.json["comparisons"][0]["notes"])


def test_changed_outcomes_are_one_line(tmp_path: Path, hallmark: Callable[..., Ran]) -> None:
    _, new = both(tmp_path)
    table = new.with_suffix(".parquet")
    content = bytearray(table.read_bytes())
    content[len(content) // 2] ^= 1
    table.write_bytes(bytes(content))
    one_line(hallmark("gate", "new"), 2, "sha256", table.name)
    ran = hallmark("compare", "old", "new", "--json")
    assert ran.code == 4
    assert "unreadable" in ran.json["incomparable"][0]["reason"]


@pytest.mark.parametrize(
    ("given", "said"),
    [("alpha = 0.6", "alpha = 0.6"), ("alpha = 0", "alpha"), ('alpha = "five"', "alpha"), ("extra = 1", "extra")],
)
def test_a_policys_own_numbers(tmp_path: Path, hallmark: Callable[..., Ran], given: str, said: str) -> None:
    both(tmp_path)
    (tmp_path / "gate.toml").write_text(POLICY.format(alpha=given))
    one_line(hallmark("gate", "new"), 2, "gate.toml", said)


@pytest.mark.parametrize("content", ["{", "[]", '{"records": []}', '{"records": [{}]}', '{"schema_version": 9}'])
def test_a_pinned_file_that_is_none(tmp_path: Path, hallmark: Callable[..., Ran], content: str) -> None:
    both(tmp_path)
    (tmp_path / "pin.json").write_text(content)
    one_line(hallmark("gate", "new", "--baseline", "pin.json"), 2, "pin.json")
    one_line(hallmark("compare", "pin.json", "new"), 2, "pin.json")


def test_other_items_under_one_digest_are_incomparable(tmp_path: Path, hallmark: Callable[..., Ran]) -> None:
    both(tmp_path)
    put(tmp_path / "results", "fewer", rows(N)[: N // 2])
    ran = hallmark("gate", "fewer")
    assert ran.code == 4
    assert "do not have the same items" in words(ran)


def test_one_cluster_has_no_interval_and_decides_nothing(tmp_path: Path, hallmark: Callable[..., Ran]) -> None:
    for name, lost in (("old", 0), ("new", 200)):
        put(tmp_path / "results", name, [{**row, "cluster": "one"} for row in rows(N, lost)])
    ran = hallmark("gate", "new", "--json")
    assert ran.code == 3
    assert ran.json["verdicts"][0]["reason"] == "one cluster: no interval"


def test_nothing_is_written_where_input_is_bad(tmp_path: Path, hallmark: Callable[..., Ran]) -> None:
    both(tmp_path)
    (tmp_path / "out").mkdir()
    assert hallmark("gate", "nobody", "--junit", "out/gate.xml").code == 2
    assert hallmark("compare", "old", "nobody", "--markdown", "out/pair.md").code == 2
    assert list((tmp_path / "out").iterdir()) == []
    one_line(hallmark("compare", "old", "new", "--markdown", "no/pair.md"), 2, "no folder no")
    one_line(hallmark("export", "--out", "no/all.csv"), 2, "no folder no")
    assert not (tmp_path / "no").exists()


def test_a_secondary_metric_that_cannot_be_compared_has_not_passed(
    tmp_path: Path, hallmark: Callable[..., Ran]
) -> None:
    """Documented: exit code 4 for any metric of the policy; a regression is worse, an open primary is not."""
    text = POLICY.format(alpha="") + '[[metric]]\nname = "peak_rss_bytes"\nmargin = 0.1\nunit = "relative"\n'
    (tmp_path / "gate.toml").write_text(text)
    memory = {"peak_rss_bytes": 1e6}
    put(tmp_path / "results", "old", rows(N), readings=memory)
    for lost, code in ((0, 4), (200, 1), (14, 4)):
        shutil.rmtree(tmp_path / "results" / "new", ignore_errors=True)
        put(tmp_path / "results", "new", rows(N, lost), readings=memory, machine={**FIXTURE["machine"], "id": "other"})
        ran = hallmark("gate", "new")
        assert ran.code == code
        assert "NO COMPARISON: incomparable (peak_rss_bytes" in ran.out or code == 1
    assert "primary or not" in " ".join(hallmark("gate", "--help").out.split())


def test_reports_hold_null_and_never_nan(tmp_path: Path, hallmark: Callable[..., Ran]) -> None:
    for name in ("old", "new"):
        put(tmp_path / "results", name, [{**row, "cluster": "one"} for row in rows(N)])
    (tmp_path / "gate.toml").write_text(
        POLICY.format(alpha="") + '[[metric]]\ntask = "digits"\nname = "nll"\nmargin = 1\nunit = "se"\n'
    )
    for verb in (("gate", "new"), ("compare", "old", "new", "--all")):
        found = hallmark(*verb, "--json")
        assert "NaN" not in found.out
        json.loads(found.out, parse_constant=pytest.fail)
    assert np.isfinite(found.json["comparisons"][0]["metrics"][0]["difference"]["value"])
