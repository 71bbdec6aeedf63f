"""Users' own data sets: a folder, a short TOML file, no Python. One module a kind.

A kind's module has ``Description`` (a `tasks.own.common.Common`) and two functions:

    task(description, folder) -> AnyTask       the task on the files under `folder`, the TOML file's own
    restored(description, facts) -> AnyTask    the same task without its files, able to recompute every metric

Its task adds ``"own": {"description": ..., **facts}`` to `suite.task.Task.description`, which a run writes beside the
records. So `hallmark verify` and `hallmark show` need neither the files nor the TOML file.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from suite.errors import InputError, unknown
from suite.task import AnyTask
from tasks.own.common import parsed, validated

_MODULES = {"segmentation": "tasks.own.segmentation", "classification": "tasks.own.classification"}


def load(path: Path) -> AnyTask:
    """The task that a TOML file describes; lists its files and reads its table, but no image.

    Raises:
        InputError: the file or what it names cannot be read or does not fit together.
    """
    path = Path(path)
    fields = parsed(path)
    if "kind" not in fields:
        raise InputError(f"{path}: key 'kind' is missing; allowed: {', '.join(_MODULES)}")
    module = _module(fields["kind"], str(path))
    task: AnyTask = module.task(validated(module.Description, fields, str(path)), path.parent)
    return task


def restored(folder: Path) -> dict[str, AnyTask]:
    """The users' tasks that runs described in a folder (``results/tasks``), by name, without their data.

    What cannot be read is left out: `hallmark verify` then says that the task is not known.
    """
    found = {}
    for path in sorted(folder.glob("*.json")):
        try:
            facts = json.loads(path.read_bytes()).get("own")
            if facts is not None:
                task = _restored(dict(facts), str(path))
                found[task.name] = task
        except (OSError, ValueError, AttributeError, InputError):
            continue
    return found


def _restored(facts: dict[str, Any], where: str) -> AnyTask:
    description: Mapping[str, Any] = facts.pop("description", {})
    module = _module(description.get("kind"), where)
    task: AnyTask = module.restored(validated(module.Description, description, where), facts)
    return task


def _module(kind: Any, where: str) -> Any:
    if kind not in _MODULES:
        raise unknown(f"kind in {where}", str(kind), _MODULES)
    return importlib.import_module(_MODULES[kind])
