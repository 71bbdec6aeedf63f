"""Tasks: one file per task or family. `TASKS` by name, `SUITES` as named tuples of task names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from suite.errors import InputError
from suite.task import AnyTask
from tasks import (
    classification,
    corpora,
    distance,
    efficiency,
    embedded,
    image_sets,
    issues,
    keywords,
    labels,
    lm_eval,
    medical,
    perplexity,
    shifted,
    tabular,
)
from tasks import own as own_data
from tasks.bias import bbq, crows_pairs, stereoset, winobias, winogender

_ALL: tuple[AnyTask, ...] = (
    embedded.GENERATED_TEXT,
    embedded.GENERATED_CHOICES,
    classification.DIGITS,
    embedded.GENERATED_VOLUMES,
    perplexity.TINYSTORIES,
    perplexity.WIKITEXT2,
    *corpora.ALL,
    classification.CIFAR10_100,
    labels.CIFAR10_LABELS,
    *medical.ALL,
    keywords.MLPERF_TINY_KWS,
    tabular.ADULT_TASK,
    tabular.GERMAN_TASK,
    *image_sets.ALL,
    distance.GENERATED,
    distance.WIKITEXT2,
    *efficiency.ALL,
    bbq.BBQ,
    crows_pairs.CROWS_PAIRS,
    crows_pairs.CROWS_PAIRS_MLM,
    winobias.WINOBIAS,
    winogender.WINOGENDER,
    stereoset.STEREOSET,
    *shifted.ALL,
)


class Registry(Mapping[str, AnyTask]):
    """The tasks by name. Iterating gives our own; names ``lm-eval:...`` are looked up when asked for, and kept."""

    def __init__(self, own: Iterable[AnyTask]) -> None:
        self._own = {task.name: task for task in own}
        self._found: dict[str, AnyTask] = {}

    def beside(self, more: Iterable[AnyTask]) -> Registry:
        """These tasks and more of them."""
        made = Registry([*self._own.values(), *more])
        made._found = self._found
        return made

    def __getitem__(self, name: str) -> AnyTask:
        """The task; `InputError` for an lm-eval task that does not exist or cannot be had here."""
        if not name.startswith(lm_eval.PREFIX):
            return self._own[name]
        if name not in self._found:
            self._found[name] = lm_eval.named(name)
            self._found[name].known_issues = issues.of(name)
        return self._found[name]

    def get(self, name: str, default: Any = None) -> Any:
        """The task, or `default` if there is none here."""
        try:
            return self[name]
        except (KeyError, InputError):
            return default

    def __contains__(self, name: object) -> bool:
        return name in self._own or str(name).startswith(lm_eval.PREFIX)

    def __iter__(self) -> Iterator[str]:
        return iter(self._own)

    def __len__(self) -> int:
        return len(self._own)


for _task in _ALL:
    _task.known_issues = issues.of(_task.name)
TASKS = Registry(_ALL)
if len(TASKS) != len(_ALL):
    raise RuntimeError("two tasks bear the same name")


def load(path: Path) -> AnyTask:
    """The task on a user's data that a TOML file describes.

    Raises:
        InputError: the file, or what it names, is wrong; or one of our tasks has its name.
    """
    task = own_data.load(path)
    if task.name in TASKS:
        raise InputError(f"{path}: name = {task.name!r} is a task of Hallmark already; give the data set another name")
    return task


def known_in(folder: Path, own: Sequence[AnyTask] = ()) -> Registry:
    """All tasks: ours, these on users' data, and others that runs described in a folder (``results/tasks``)."""
    more = {**own_data.restored(folder), **{task.name: task for task in own}}
    return TASKS.beside(task for name, task in more.items() if name not in TASKS)


_ZERO_SHOT = tuple(
    f"{lm_eval.PREFIX}{name}" for name in ("piqa", "winogrande", "hellaswag", "arc_easy", "arc_challenge")
)
_KNOWLEDGE = ("lambada_openai", "boolq", "openbookqa", "truthfulqa_mc1", "truthfulqa_mc2", "mmlu", "gsm8k")
_HEALTH = ("pubmedqa", "medqa_4options", "medmcqa", "mmlu_professional_medicine", "mmlu_clinical_knowledge")
_LAW = ("mmlu_professional_law", "mmlu_jurisprudence", "mmlu_international_law")

SUITES: dict[str, tuple[str, ...]] = {
    "embedded": ("generated-text", "generated-choices", "digits", "generated-volumes"),
    "efficiency": tuple(task.name for task in efficiency.ALL),
    "mirror": ("tinystories", "wikitext2", "cifar10-100", "mlperf-tiny-kws", "adult", "german-credit"),
    "slicegpt": ("wikitext2", *_ZERO_SHOT),
    "language": ("wikitext2", *_ZERO_SHOT, *(f"{lm_eval.PREFIX}{name}" for name in _KNOWLEDGE)),
    "bias": ("bbq", "crows-pairs", "crows-pairs-mlm", "winobias", "winogender", "stereoset"),
    "domain": ("wikitext2", *(f"{lm_eval.PREFIX}{name}" for name in (*_HEALTH, *_LAW))),
}
MEANS: dict[str, tuple[str, ...]] = {"slicegpt": _ZERO_SHOT}  # suites whose tasks the papers average
