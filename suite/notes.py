"""Notes on several tasks, as few lines as they take."""

from __future__ import annotations

from collections.abc import Iterable

_NAMED = 3  # tasks that a line names


def shared(notes: Iterable[tuple[str, str]]) -> list[str]:
    """Notes on tasks, one line each: what is said of more than two tasks is said once.

    >>> shared([("a", "slow"), ("b", "slow"), ("a", "old"), ("c", "slow")])
    ['a, b, c: slow', 'a: old']
    """
    of: dict[str, list[str]] = {}
    for task, note in notes:
        of.setdefault(note, []).append(task)
    lines = []
    for note, tasks in of.items():
        if len(tasks) < _NAMED:
            lines += [f"{task}: {note}" for task in tasks]
        else:
            more = f", ... ({len(tasks)} tasks)" if len(tasks) > _NAMED else ""
            lines.append(f"{', '.join(tasks[:_NAMED])}{more}: {note}")
    return lines
