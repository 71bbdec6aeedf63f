"""What ``hallmark show`` prints of a segmentation: the cases behind every mean, and a choice of very many numbers."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import pytest
from support import REPOSITORY

from suite import absent, record, shortlist
from suite.masks.policy import tally
from suite.record import Record

TEMPLATE = json.loads((REPOSITORY / "tests" / "fixtures" / "record.json").read_bytes())
PREDICTED = np.array([[4, 0], [0, 2], [0, 1], [3, 0]])
TRUE = np.array([[0, 0], [3, 2], [0, 1], [2, 2]])
MEANS = ("dice", "nsd_2mm_surfel", "hd95_max_voxel", "betti_0_error", "failure_rate_dice_0.5", "absolute_volume_error")


def made(names: Sequence[str], counted: bool = True) -> Record:
    numbers = dict.fromkeys(names, 0.5)
    found = tally(PREDICTED, TRUE)
    for k, name in enumerate(("a", "b")) if counted else ():
        counts = {"na": found.n_na, "missed": found.n_missed, "spurious": found.n_spurious}
        numbers |= {f"n_{kind}[class={name}]": float(values[k]) for kind, values in counts.items()}
    measured = [{"name": name, "value": v, "unit": "", "higher_is_better": True, "n": 4} for name, v in numbers.items()]
    return record.read(json.dumps(TEMPLATE | {"measurements": measured}).encode(), "r")


@pytest.mark.parametrize("mean", MEANS)
def test_a_mean_has_its_classes_counts_and_a_mean_over_classes_their_sum(mean) -> None:
    found = absent.cells(made([mean, f"{mean}[class=a]", f"{mean}[class=b]", f"{mean}[class=b,policy=brats]"]))
    assert found[f"{mean}[class=a]"] == ("1", "1", "1")  # cases 3, 2 and 1
    assert found[f"{mean}[class=b]"] == found[f"{mean}[class=b,policy=brats]"] == ("1", "1", "0")  # cases 1 and 4
    assert found[mean] == ("2", "2", "1")


def test_a_mean_over_some_classes_sums_over_those() -> None:
    found = absent.cells(made(["cldice", "cldice[class=b]", "dice[policy=best]", "dice[class=a,policy=best]"]))
    assert found["cldice"] == ("1", "1", "0")


def test_what_is_no_mean_over_cases_of_all_has_no_counts() -> None:
    names = ["pooled_dice", "dice[site=x]", "dice_gap[site]", "nll[scope=all]", "dice_majority", "bytes"]
    assert absent.cells(made(names)) == {}
    assert absent.cells(made(["dice", "dice[class=a]"], counted=False)) == {}


def test_few_numbers_are_all_shown_and_of_many_the_heads() -> None:
    heads = ["dice", "dice[class=a]", "dice[site=x]", "worst_group_dice[site]", "dice_gap[site]", "bytes"]
    heads += ["nsd_2mm_surfel[class=a]", "ece_15[scope=band]", "pq_iou50[class=a]", "cpm_iou10[class=a]"]
    rest = [f"recall[class={k}]" for k in range(60)] + ["ece_15_case[scope=all]", "worst_group_iou[site]"]
    few = made([*heads, *rest[:5]], counted=False)
    assert shortlist.chosen(few, "dice", every=False) == few.measurements
    many = made([*heads, *rest], counted=False)
    assert [m.name for m in shortlist.chosen(many, "dice", every=False)] == heads
    assert shortlist.chosen(many, "dice", every=True) == many.measurements


def test_show_prints_them(hallmark, monkeypatch) -> None:
    monkeypatch.chdir(REPOSITORY)
    lines = hallmark("show", "embedded-volumes", "-t", "generated-volumes").out.splitlines()
    header, dice = lines[1].split(), next(line.split() for line in lines if line.startswith("dice ↑"))
    assert header[-6:] == ["n/a", "missed", "spurious", "method", "or", "reason"]
    stored = json.loads(hallmark("show", "embedded-volumes", "-t", "generated-volumes", "--json").out)["records"][0]
    sums = [
        sum(m["value"] for m in stored["measurements"] if m["name"].startswith(f"n_{kind}[class="))
        for kind in absent.KINDS
    ]
    assert [float(cell) for cell in dice[-4:-1]] == sums
    assert any(line.startswith("n/a, missed, spurious: cases that") for line in lines)
