"""Which cases of a batch are shown to people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from suite.overlay import Worst
from suite.task import AnyTask, Example, Row


def keep_worst(
    task: AnyTask, worst: Worst, batch: Sequence[tuple[int, Example]], answers: Sequence[Any], rows: Sequence[Row]
) -> None:
    """Draw those cases of a batch that are among the worst so far, before the batch counts as finished."""
    for (_, example), answer, row in zip(batch, answers, rows, strict=True):
        score = None if example.calibration else task.case_score(row)
        if score is not None and worst.wants(score[1], example.item):
            picture = task.picture(example, answer)
            if picture is not None:
                worst.keep(score, example.item, picture)
