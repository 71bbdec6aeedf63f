"""Which lm-eval configurations a name stands for; reads no data.

Only the folders of the tasks asked for are indexed: ``TaskManager()`` would parse all of lm-eval's 14,000 files.
"""

from __future__ import annotations

import difflib
import functools
import importlib.util
import logging
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from suite.data import first_line, silence_hub
from suite.errors import InputError

EXTRA = "pip install 'hallmark-bench[lm-eval]'"
_NAMED = re.compile(r"^[\"']?(?:task|group)[\"']?\s*:\s*[\"']?([^\s\"'\[]+)[\"']?\s*$", re.MULTILINE)
_KINDS = ("multiple_choice", "loglikelihood", "loglikelihood_rolling", "generate_until")


@dataclass(frozen=True)
class Leaf:
    """One lm-eval task: its name and whole configuration, functions resolved."""

    name: str
    config: Mapping[str, Any]

    @property
    def output_type(self) -> str:
        """``multiple_choice``, ``loglikelihood``, ``loglikelihood_rolling`` or ``generate_until``."""
        return str(self.config.get("output_type", "generate_until"))

    @property
    def shots(self) -> int:
        """Few-shot examples before each document."""
        return int(self.config.get("num_fewshot") or 0)

    @property
    def filters(self) -> tuple[str, ...]:
        """Names of the pipelines that answers go through; ``none`` is the harness's default."""
        return tuple(str(f["name"]) for f in self.config.get("filter_list") or [{"name": "none"}])

    @property
    def metrics(self) -> tuple[str, ...]:
        """Metric names that its configuration declares."""
        from lm_eval.api.registry import DEFAULT_METRIC_REGISTRY

        declared = self.config.get("metric_list")
        if declared is None:
            return tuple(DEFAULT_METRIC_REGISTRY[self.output_type])
        return tuple(m if isinstance(m := one["metric"], str) else m.__name__ for one in declared)

    @property
    def plain(self) -> bool:
        """Whether the harness's own scoring of that output type applies."""
        return "process_results" not in self.config


@dataclass(frozen=True)
class Spec:
    """What a name stands for: one task, or the tasks of a group.

    Attributes:
        name: as asked for.
        leaves: one or more tasks of one output type.
    """

    name: str
    leaves: tuple[Leaf, ...]

    @classmethod
    def find(cls, name: str, shots: int | None = None) -> Spec:
        """The configurations of a task or group.

        Args:
            name: lm-eval's name.
            shots: few-shot examples; ``None``: as the configuration says.

        Raises:
            InputError: lm-eval is not installed, knows no such name, or its tasks cannot be scored together or here.
        """
        index, entry = _index_with(name)
        leaves = tuple(_leaf(index, one, shots) for one in sorted(_members(index, entry, name), key=_number))
        types = {leaf.output_type for leaf in leaves}
        if len(types) != 1:
            found = ", ".join(sorted(types)) or "no tasks"
            raise InputError(f"the group lm-eval:{name} mixes {found}; name its tasks one by one")
        if len({(leaf.metrics, leaf.filters, leaf.plain) for leaf in leaves}) > 1:
            raise InputError(f"the tasks of the group lm-eval:{name} have different metrics; name them one by one")
        return cls(name, leaves)

    @property
    def shots(self) -> str:
        """Numbers of few-shot examples, each once."""
        return "+".join(map(str, sorted({leaf.shots for leaf in self.leaves})))

    @property
    def version(self) -> str:
        """Versions of the configurations, each once."""
        found = {str((leaf.config.get("metadata") or {}).get("version", "?")) for leaf in self.leaves}
        return "+".join(sorted(found))


def version() -> str:
    """The installed release of lm-eval.

    Raises:
        InputError: there is none.
    """
    try:
        return metadata.version("lm_eval")
    except metadata.PackageNotFoundError:
        raise InputError(f"lm-eval tasks need lm-evaluation-harness: {EXTRA}") from None


def _refuse(leaf: Leaf) -> None:
    config = leaf.config
    if "class" in config:
        raise InputError(
            f"lm-eval:{leaf.name} is Python code with request types of its own; only YAML tasks can be run"
        )
    if config.get("unsafe_code"):
        raise InputError(f"lm-eval:{leaf.name} runs code that the model writes; such tasks are not run here")
    if config.get("doc_to_image") or config.get("doc_to_audio") or leaf.output_type not in _KINDS:
        raise InputError(f"lm-eval:{leaf.name} is not about text alone; allowed: {', '.join(_KINDS)}")
    options = config.get("generation_kwargs") or {}
    if leaf.output_type == "generate_until" and options.get("do_sample") and options.get("temperature", 1):
        raise InputError(f"lm-eval:{leaf.name} samples its answers; only greedy generation can be repeated")


def _root() -> Path:
    version()
    spec = importlib.util.find_spec("lm_eval")
    assert spec is not None and spec.submodule_search_locations is not None
    return Path(next(iter(spec.submodule_search_locations))) / "tasks"


@functools.cache
def _names() -> Mapping[str, Path]:
    """Every name that a configuration file bears, by a look at its text alone: a second for 14,000 files."""
    found: dict[str, Path] = {}
    for path in sorted(_root().rglob("*.yaml")):
        for name in _NAMED.findall(path.read_text(encoding="utf-8", errors="replace")):
            found.setdefault(name, path)
    return found


def _index_with(name: str) -> tuple[dict[str, Any], Any]:
    from lm_eval.tasks._index import TaskIndex

    silence()
    names = _names()
    if name not in names:
        near = difflib.get_close_matches(name, names, n=3)
        guess = f"; did you mean {' or '.join('lm-eval:' + n for n in near)}?" if near else ""
        raise InputError(
            f"lm-eval {version()} has no task or group {name!r}{guess} Its list: lm-eval ls tasks; tags cannot be named"
        )
    folder = names[name]
    while folder.parent != _root():
        folder = folder.parent
    index = TaskIndex.build([folder])
    if name not in index:
        raise InputError(f"lm-eval {version()} cannot read its own configuration of {name!r} ({names[name]})")
    return index, index[name]


def _members(index: dict[str, Any], entry: Any, within: str) -> Iterable[str]:
    """Names of the leaf tasks of an index entry."""
    from lm_eval.tasks._index import Kind

    if entry.kind in (Kind.TASK, Kind.PY_TASK):
        return [entry.name]
    children = entry.tags if entry.kind == Kind.TAG else (entry.cfg or {}).get("task") or []
    found: list[str] = []
    for child in [children] if isinstance(children, str) else children:
        if not isinstance(child, str) or child not in index:
            raise InputError(f"lm-eval:{within} is a group that changes its members; name its tasks one by one")
        found += [one for one in _members(index, index[child], within) if one not in found]
    return found


def _leaf(index: dict[str, Any], name: str, shots: int | None) -> Leaf:
    from lm_eval.tasks._factory import TaskFactory

    _refuse(Leaf(name, index[name].cfg or {}))  # before any function that it names is imported
    try:
        config = TaskFactory()._load_full_config(index[name], None if shots is None else {"num_fewshot": shots})
    except (Exception, SystemExit) as error:  # its own Python files may import anything, and leave
        raise InputError(f"lm-eval:{name} cannot be loaded here: {first_line(error)}") from None
    return Leaf(name, {key: value for key, value in config.items() if key not in ("tag", "group", "task_list")})


def _number(name: str) -> tuple[str, str]:
    return name.lower(), name


def silence() -> None:
    """Keep lm-eval and the hub's libraries from talking, and lm-eval from compiling templates anew."""
    from datasets import disable_progress_bars  # first: importing it sets levels of its own

    disable_progress_bars()
    for noisy in ("lm_eval", "datasets", "evaluate"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    silence_hub()
    _quicken()


@functools.cache
def _quicken() -> None:
    """Let lm-eval compile each prompt template once, not once a document."""
    from lm_eval import utils

    utils.env.from_string = functools.lru_cache(maxsize=1024)(utils.env.from_string)
