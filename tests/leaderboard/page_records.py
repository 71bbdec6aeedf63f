"""Records with outcomes for the tests of pages: each item's answer is chosen by the test."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from board_records import TEMPLATE, describe
from streamlit.testing.v1 import AppTest

from leaderboard import theme
from suite import measure, outcomes, record
from suite.metrics import classification
from suite.metrics.base import Metric
from suite.metrics.frame import frames
from suite.store import Store

N, CLASSES = 60, 4
PLAIN = (classification.ACCURACY, classification.NLL, classification.BRIER)


def rows(wrong: Sequence[int], sure: float = 0.9, n: int = N) -> list[dict[str, Any]]:
    """A classifier's outcomes: item i is of class i mod 4, wrong ones are taken for the next class."""
    made = []
    for i in range(n):
        label = i % CLASSES
        probs = np.full(CLASSES, (1 - sure) / (CLASSES - 1))
        probs[(label + 1) % CLASSES if i in wrong else label] = sure - 0.2 * (i % 3) / 3
        row = {"item": f"item-{i:02d}", "cluster": f"item-{i:02d}", "group.site": "north" if i < n // 2 else "south"}
        made.append(row | classification.outcomes(probs / probs.sum(), label))
    return made


def score(
    root: Path,
    name: str,
    made: list[dict[str, Any]],
    *,
    parent: str | None = None,
    task: str = "digits",
    started: str = "2026-01-01T00:00:00Z",
    metrics: Sequence[Metric] = PLAIN,
    more: Sequence[dict[str, Any]] = (),
    manifest: dict[str, Any] | None = None,
    grouped: bool = True,
    **fields: Any,
) -> Path:
    """Publish a record with its outcomes; gives the JSON's path."""
    table = outcomes.to_table(made)
    content = outcomes.to_parquet(table)
    columns = outcomes.to_columns(table)
    by_group = frames(metrics[:1], ["site"], columns) if grouped and "group.site" in columns else ()
    scores = [m.model_dump(mode="json") for m in measure.scores((*metrics, *by_group), columns, 0)]
    about = {**TEMPLATE["manifest"], "name": name, "title": f"{name} for a test", "kind": "classification"}
    new = record.Record.model_validate(
        {
            **TEMPLATE,
            "manifest": {**about, "parent": parent, **(manifest or {})},
            "task": task,
            "measurements": [*scores, *more],
            "provenance": {**TEMPLATE["provenance"], "started": started},
            "outcomes_sha256": outcomes.digest(content),
            **fields,
        }
    )
    store = Store(root)
    with store.unit(new.unit_key) as journal:
        return store.publish(new, {".parquet": content}, journal)


def pair(root: Path) -> tuple[Path, Path]:
    """A parent that is wrong on 6 of 60 items, and its child, wrong on 4 of these and on 8 others."""
    described = {"metrics": {metric.name: {} for metric in PLAIN}, "version": "1"}
    describe(root, "digits", "accuracy", chance=0.25, **described)
    parent = score(root, "zebra", rows(range(6)))
    child = score(root, "int8", rows([2, 3, 4, 5, *range(40, 48)]), parent="zebra", started="2026-01-02T00:00:00Z")
    return parent, child


def turn(page: AppTest, name: str, **parameters: str | list[str]) -> AppTest:
    """Open a page of the board by a link with these parameters."""
    page.switch_page(f"pages/{name}.py")
    for key, value in parameters.items():
        page.query_params[key] = value
    page.run()
    assert not page.exception, [e.value for e in page.exception]
    return page


def said(page: AppTest) -> str:
    """Every word that the page says outside its tables."""
    return "\n".join(e.value for kind in ("title", "info", "warning", "text", "caption") for e in page.get(kind))


def charts_of(page: AppTest) -> list[str]:
    return [element.proto.spec for element in page.get("vega_lite_chart")]


def nothing_as_html(page: AppTest) -> None:
    """Nothing of a record is in what Streamlit reads as Markdown."""
    for element in [*page.markdown, *page.caption, *page.title, *page.subheader, *page.info, *page.warning]:
        assert "alert" not in element.value
    assert all(not element.proto.allow_html for element in [*page.markdown, *page.caption])
    assert {element.proto.body for element in page.get("html")} <= {theme.STYLE}
