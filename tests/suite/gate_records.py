"""Records made of arrays, for tests of what compares them: no model runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from support import REPOSITORY

from suite import measure, outcomes, record
from suite.metrics import classification
from tasks import TASKS

SCORES = ("accuracy", "nll", "brier", "ece_15")  # additive ones: a bootstrap of them takes no time
FIXTURE = json.loads((REPOSITORY / "tests" / "fixtures" / "record.json").read_text())


def digits_columns(answers_N: np.ndarray, labels_N: np.ndarray, sure: float = 0.8) -> list[dict[str, Any]]:
    """Rows of ``digits`` where the model gives `sure` to one answer and shares the rest."""
    rows = []
    for i, (answer, label) in enumerate(zip(answers_N, labels_N, strict=True)):
        probs = np.full(10, (1 - sure) / 9)
        probs[int(answer)] = sure
        rows.append({"item": f"i{i:05d}", "cluster": f"i{i:05d}", **classification.outcomes(probs, int(label))})
    return rows


def put(
    root: Path, name: str, rows: list[dict[str, Any]] | None, task: str = "digits",
    readings: dict[str, Any] | None = None, **changes: Any,
) -> Path:  # fmt: skip
    """Write the record of these rows; without rows, one that keeps no outcomes and has the given measurements."""
    fields = {**FIXTURE, "task": task, "task_version": TASKS[task].version, "protocol": "p", **changes}
    manifest = {"name": name, "title": name, "kind": TASKS[task].kind, "sha256": f"{abs(hash(name)):064x}"[:64]}
    fields["manifest"] = {**FIXTURE["manifest"], **manifest, **changes.get("manifest", {})}
    measured = [m.model_dump() for m in readings_of(readings or {})]
    content = None
    if rows is not None:
        table = outcomes.to_table(rows)
        content = outcomes.to_parquet(table)
        metrics = [m for m in TASKS[task].metrics if m.name in SCORES]
        scores = measure.scores(metrics, with_clusters(outcomes.to_columns(table)), 0)
        measured = [m.model_dump() for m in scores] + measured
        fields["outcomes_sha256"] = outcomes.digest(content)
    elif "measurements" in changes:
        fields["outcomes_sha256"] = None
    fields["measurements"] = changes.get("measurements", measured)
    made = record.Record.model_validate(fields)
    text = record.write(made)
    folder = root / name / task
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"20260101-{record.content_digest(text)[:12]}.json"
    path.write_bytes(text)
    if content is not None:
        path.with_suffix(".parquet").write_bytes(content)
    return path


def with_clusters(columns: dict[str, Any]) -> dict[str, Any]:
    return columns if "cluster" in columns else {**columns, "cluster": columns["item"]}


def readings_of(values: dict[str, Any]) -> list[record.Measurement]:
    units = {"bytes": "B", "peak_rss_bytes": "B"}
    return [
        record.Measurement(
            name=name,
            value=value,
            unit=units.get(name, ""),
            n=1,
            higher_is_better=None if name == "parameters" else False,
        )
        for name, value in values.items()
    ]


def answers(n: int, right: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Labels, and answers of which the first `right` are right."""
    labels_N = np.random.default_rng(seed).integers(0, 10, n)
    answers_N = labels_N.copy()
    answers_N[right:] = (answers_N[right:] + 1) % 10
    return answers_N, labels_N
