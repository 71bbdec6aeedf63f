"""What users get wrong about predictions, labels, ids and groups: by the command line, in one line, nothing kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import Ran, one_line, write_submission

Hallmark = Callable[..., Ran]
N = 48
TOML = (
    'name = "mine"\nkind = "classification"\ntable = "t.csv"\nlabel = "y"\nclasses = ["no", "yes"]\ngroups = ["site"]\n'
)


def table(folder: Path, labels: Sequence[str] | None = None, sites: Sequence[str] = ("A", "B"), **more: str) -> None:
    """Rows 000 to 047; `more` replaces the lines of these ids."""
    labels = labels or [["no", "yes"][i % 2] for i in range(N)]
    lines = {f"{i:03d}": f'{i:03d},{labels[i]},"{sites[i % len(sites)]}"' for i in range(N)}
    lines.update({key.removeprefix("row"): line for key, line in more.items()})
    (folder / "t.csv").write_text("\n".join(["id,y,site", *lines.values()]), encoding="utf-8")
    (folder / "d.toml").write_text(TOML)


def rows(yes: Sequence[float], ids: Sequence[str] | None = None) -> list[str]:
    ids = ids or [f"{i:03d}" for i in range(N)]
    return [f"{item},{1 - p!r},{p!r}" for item, p in zip(ids, yes, strict=True)]


def predicted(folder: Path, lines: Sequence[str], **inputs: Any) -> Path:
    content = {"p.csv": "\n".join(["id,p_0,p_1", *lines]).encode()}
    declared = {"output": "probabilities"} | inputs
    return write_submission(folder / "subs", "m", content, "p.csv", format="predictions", inputs=declared)


SURE = [0.9 if i % 2 else 0.1 for i in range(N)]


def kept(tmp_path: Path) -> list[Path]:
    return list((tmp_path / "results").glob("m/*/*.json"))


@pytest.mark.parametrize(
    ("lines", "inputs", "code", "words"),
    [
        (["000,0.5,0.502", *rows(SURE)[1:]], {}, 1, ("does not sum to 1", "within 0.001", "to 1.002")),
        (["000,-3.5,4.5", *rows(SURE)[1:]], {}, 1, ("does not sum to 1", 'set inputs.output = "logits"')),
        (rows(SURE), {"output": "logits"}, 1, ("these are probabilities", 'set inputs.output = "probabilities"')),
        ([*rows(SURE), rows(SURE)[7]], {}, 1, ("two rows for the id '007'",)),
        (rows(SURE)[:-1], {}, 1, ("'047'", "no row with this id")),
        ([f"{line},0.0" for line in rows(SURE)], {}, 2, ("Expected 3 columns, got 4",)),
        (rows(SURE), {"data_sha256": "ab" * 32}, 2, ("are of data abababababab", "the task's is")),
        (rows(SURE), {"classes": 3}, 2, ("3",)),
    ],
    ids=["sum", "logits", "probabilities", "twice", "missing", "columns", "digest", "classes"],
)
def test_predictions_that_do_not_fit_the_data(
    tmp_path: Path, hallmark: Hallmark, lines: list[str], inputs: dict[str, Any], code: int, words: tuple[str, ...]
) -> None:
    table(tmp_path)
    one_line(hallmark("run", predicted(tmp_path, lines, **inputs), "--data", "d.toml"), code, *words)
    assert not kept(tmp_path)


def test_sums_are_let_off_a_thousandth_and_ids_are_text(tmp_path: Path, hallmark: Hallmark) -> None:
    """Probabilities that were written with three digits; ids that a spreadsheet would make numbers of; any order."""
    table(tmp_path)
    lines = ["000,0.9005,0.1", *rows(SURE)[1:]][::-1]
    ran = hallmark("run", predicted(tmp_path, lines), "--data", "d.toml", "--json")
    assert ran.code == 0, ran
    assert {m["name"]: m["value"] for m in ran.json["records"][0]["measurements"]}["accuracy"] == 1.0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"row003": "003,maybe,A"}, ("'003'", "'maybe'", "no, yes")),
        ({"row003": "003,,A"}, ("'003'", "no label")),
        ({"row003": "004,yes,A"}, ("'004'", "twice")),
        ({"row003": ",yes,A"}, ("row 4", "no id")),
        ({"sites": ("A", "B=C")}, ("'site'", "'B=C'", "[ ] , =")),
        ({"sites": ("A", "Black, other")}, ("'Black, other'", "rename it")),
        ({"sites": ("A", "B]")}, ("'B]'",)),
        ({"sites": ("A", "x" * 101)}, ("100 characters", "101")),
        ({"sites": ("A", "B\tC")}, ("control characters",)),
        ({"sites": ("A", "(small)")}, ("too small",)),
    ],
)
def test_labels_ids_and_groups_that_are_refused(
    tmp_path: Path, hallmark: Hallmark, change: dict[str, Any], words: tuple[str, ...]
) -> None:
    table(tmp_path, **change)
    one_line(hallmark("run", predicted(tmp_path, rows(SURE)), "--data", "d.toml"), 2, *words)
    assert not kept(tmp_path)


def test_groups_in_any_script_are_shown_and_a_missing_one_is_a_group(tmp_path: Path, hallmark: Hallmark) -> None:
    """A third each: a name with spaces and signs, one in another script, and none at all, which is counted."""
    named = "Zürich – Süd 100 %", "東京"
    sites = (*named, "")
    table(tmp_path, sites=sites)
    yes = [p if i % 3 != 2 else 1 - p for i, p in enumerate(SURE)]
    (tmp_path / "d.toml").write_text(TOML, encoding="utf-8")
    (tmp_path / "t.csv").write_text((tmp_path / "t.csv").read_text("utf-8") + "\n" + extra(sites), encoding="utf-8")
    model = predicted(tmp_path, [*rows(yes), *rows([0.9] * 12, [f"x{i}" for i in range(12)])])
    ran = hallmark("run", model, "--data", "d.toml", "--json")
    assert ran.code == 0, ran
    made = {m["name"]: m for m in ran.json["records"][0]["measurements"]}
    for site in named:
        assert (made[f"accuracy[site={site}]"]["value"], made[f"accuracy[site={site}]"]["n"]) == (1.0, 20)
    assert (made["accuracy[site=(missing)]"]["value"], made["accuracy[site=(missing)]"]["n"]) == (0.2, 20)
    for name in made:  # every name can be read back
        inside = name.partition("[")[2].removesuffix("]")
        assert all(len(part.split("=")) <= 2 for part in inside.split(","))
    shown = hallmark("show", "m", "-t", "mine", "--all")
    assert shown.code == 0
    assert "accuracy[site=東京]" in shown.out
    assert hallmark("verify").code == 0
    searched = hallmark("slices", "m", "-t", "mine")  # a user's task is known by its records alone
    one_line(searched, 2, "too few")


def extra(sites: Sequence[str]) -> str:
    """Twelve further rows that a sure yes gets right."""
    return "\n".join(f'x{i},yes,"{sites[i % 3]}"' for i in range(12))


def test_one_class_and_equal_scores_say_why_there_is_no_number(tmp_path: Path, hallmark: Hallmark) -> None:
    table(tmp_path, ["yes"] * N)
    ran = hallmark("run", predicted(tmp_path, rows([0.5] * N)), "--data", "d.toml", "--json")
    assert ran.code == 0, ran
    made = {m["name"]: m for m in ran.json["records"][0]["measurements"]}
    assert made["accuracy"]["value"] == 0.0  # the first of equal ones counts
    for name in ("auroc", "auprc", "fpr_95tpr", "mcc", "fpr", "coverage_95acc[class=no]"):
        assert made[name]["value"] is None, name
        assert made[name]["reason"], name
    assert all(m["value"] is None or np.isfinite(m["value"]) for m in made.values())
    assert hallmark("verify").code == 0
