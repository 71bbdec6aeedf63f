"""Tasks: one file per task or family. `TASKS` by name, `SUITES` as named tuples of task names."""

from __future__ import annotations

from suite.task import AnyTask
from tasks import classification, embedded, perplexity

_ALL: tuple[AnyTask, ...] = (
    embedded.GENERATED_TEXT,
    embedded.GENERATED_CHOICES,
    classification.DIGITS,
    embedded.GENERATED_VOLUMES,
    perplexity.TINYSTORIES,
    perplexity.WIKITEXT2,
    classification.CIFAR10_100,
)

TASKS: dict[str, AnyTask] = {task.name: task for task in _ALL}
if len(TASKS) != len(_ALL):
    raise RuntimeError("two tasks bear the same name")

SUITES: dict[str, tuple[str, ...]] = {
    "embedded": ("generated-text", "generated-choices", "digits", "generated-volumes"),
    "mirror": ("tinystories", "wikitext2", "cifar10-100"),
}
