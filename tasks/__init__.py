"""Tasks: one file per task or family. `TASKS` by name, `SUITES` as named tuples of task names."""

from __future__ import annotations

from suite.task import AnyTask
from tasks import classification, perplexity

_ALL: tuple[AnyTask, ...] = (perplexity.TINYSTORIES, perplexity.WIKITEXT2, classification.CIFAR10_100)

TASKS: dict[str, AnyTask] = {task.name: task for task in _ALL}
if len(TASKS) != len(_ALL):
    raise RuntimeError("two tasks bear the same name")

SUITES: dict[str, tuple[str, ...]] = {
    "embedded": (),
    "mirror": ("tinystories", "wikitext2", "cifar10-100"),
}
