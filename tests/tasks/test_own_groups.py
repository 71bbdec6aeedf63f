"""Groups of a user's own classification data: what empty cells count for, and what is said by group."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from suite.task import AnyTask
from tasks.own import load

HEAD = (
    'name = "mine"\nkind = "classification"\ntable = "t.csv"\nlabel = "y"\nclasses = ["no", "yes"]\ngroups = ["site"]\n'
)
RIGHT = {"a": 16, "b": 12, "": 2}  # of 20 items each


@pytest.fixture
def task(tmp_path: Path) -> AnyTask:
    rows = [f"{site}{i},{'no' if i % 2 else 'yes'},{site}" for site in RIGHT for i in range(20)]
    (tmp_path / "t.csv").write_text("\n".join(["id,y,site", *rows]))
    (tmp_path / "d.toml").write_text(HEAD)
    return load(tmp_path / "d.toml")


def test_empty_cells_are_shown_as_a_group_and_are_none_to_equity_scaled_values(task: AnyTask) -> None:
    """By hand: 30 of 60 right, 0.8 in a, 0.6 in b: 0.5 / (1 + 0.3 + 0.1); the 0.1 of the others is no group's."""
    correct = np.concatenate([np.arange(20) < right for right in RIGHT.values()]).astype(int)
    sites = np.array([example.groups["site"] for example in task.examples(None)])  # type: ignore[arg-type]
    c = {"correct": correct, "group.site": sites, "cluster": np.arange(60)}
    found = {metric.name: metric for metric in task.framed.of(c)}
    assert found["accuracy[site=(missing)]"](c) == 0.1
    assert found["accuracy_gap[site]"](c) == pytest.approx(0.7)
    assert found["es_accuracy[site]"](c) == pytest.approx(0.5 / 1.4)
    assert found["es_std_accuracy[site]"](c) == pytest.approx(0.5 / (1 + np.std([0.8, 0.6], ddof=1)))
    unnamed = c | {"group.site": np.where(sites == "(missing)", "", sites)}
    assert found["es_accuracy[site]"](unnamed) == found["es_accuracy[site]"](c)
