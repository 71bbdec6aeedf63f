"""Known issues: of tasks that exist, in whole sentences, and in the description that a run writes."""

from __future__ import annotations

import pytest

from tasks import SUITES, TASKS, issues

NAMES = [*TASKS, *(name for suite in SUITES.values() for name in suite)]


@pytest.mark.parametrize("key", issues._ISSUES)
def test_every_key_is_of_a_task(key: str) -> None:
    assert any(name == key or (key.endswith("*") and name.startswith(key[:-1])) for name in NAMES)


def test_the_longest_key_counts() -> None:
    assert issues.of("msd_liver") != issues.of("msd_spleen")
    assert issues.of("cifar10-100") == issues.of("cifar10-100-corrupted")
    assert issues.of("cifar10-100") != issues.of("cifar10")
    assert issues.of("cifar10.1") != issues.of("cifar10")


@pytest.mark.parametrize("name", list(TASKS))
def test_a_description_holds_them_where_there_are_any(name: str) -> None:
    task = TASKS[name]
    assert task.known_issues == issues.of(name)
    assert all(line.endswith(".") and (line[0].isupper() or line[0].isdigit()) for line in task.known_issues)
