"""What ``hallmark list`` shows: one function a section, each giving rows of plain values."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from importlib import metadata
from typing import Any

from suite import submission as submissions
from suite.errors import InputError
from suite.formats import LOADERS
from suite.metrics import METRICS
from suite.probes import PROBES
from suite.task import AnyTask

Rows = list[dict[str, Any]]
_HARNESS = {
    "name": "lm-eval:NAME[@Nshot]",
    "kind": "language",
    "title": "Any text task of lm-evaluation-harness, e.g. lm-eval:piqa or lm-eval:arc_challenge@25shot",
    "primary": "by task",
    "version": "by task",
    "state": "ready" if importlib.util.find_spec("lm_eval") else "missing: pip install 'hallmark-bench[lm-eval]'",
}


def sections(tasks: Mapping[str, AnyTask], suites: Mapping[str, tuple[str, ...]]) -> dict[str, Callable[[], Rows]]:
    """Section name -> function that makes its rows."""
    return {
        "tasks": lambda: [*(_task(task) for task in tasks.values()), _HARNESS],
        "suites": lambda: [{"name": name, "tasks": ", ".join(members)} for name, members in suites.items()],
        "submissions": _submissions,
        "formats": _formats,
        "probes": lambda: [{"name": n, "reads": p.title, "measurements": _names(p)} for n, p in _probes().items()],
        "metrics": lambda: [
            {"name": key, "unit": m.unit, "better": _better(m.higher_is_better), "convention": m.reference}
            for key, m in METRICS.items()
        ],
    }


def _task(task: AnyTask) -> dict[str, Any]:
    missing, absent = task.dataset.missing(), _state(task.packages, task.extra or None)
    return {
        "name": task.name,
        "kind": task.kind,
        "title": task.title,
        "primary": task.primary,
        "version": task.version,
        "state": f"missing: {missing}" if missing else absent + (" (generated data)" if task.dataset.generated else ""),
    }


def _submissions() -> Rows:
    rows = []
    for folder in submissions.folders():
        try:
            m = submissions.load(folder).manifest
        except InputError as error:
            rows.append({"name": folder.name, "kind": "", "format": "", "parent": "", "title": f"unreadable: {error}"})
            continue
        rows.append({"name": m.name, "kind": m.kind, "format": m.format, "parent": m.parent or "", "title": m.title})
    return rows


def _formats() -> Rows:
    return [
        {
            "name": name,
            "kinds": ", ".join(loader.kinds),
            "title": loader.title,
            "state": _state(loader.packages, loader.extra),
        }
        for name, loader in LOADERS.items()
    ]


def _state(packages: tuple[str, ...], extra: str | None) -> str:
    absent = [name for name in packages if not _installed(name)]
    if not absent:
        return "ready"
    return f"needs {', '.join(absent)}" + (f": pip install 'hallmark-bench[{extra}]'" if extra else "")


def _installed(package: str) -> bool:
    try:
        metadata.version(package)
    except metadata.PackageNotFoundError:
        return False
    return True


def _probes() -> dict[str, Any]:
    return dict(PROBES)


def _names(probe: Any) -> str:
    return ", ".join(reading.name for reading in probe.readings)


def _better(higher: bool | None) -> str:
    return {True: "higher", False: "lower", None: ""}[higher]
