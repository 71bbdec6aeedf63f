"""Views: a metric on other columns, or on some classes, than those it was written for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from suite.metrics.base import Columns, Metric
from suite.outcomes import CLUSTER

View = Callable[[Columns], Columns]


def of_classes(metric: Metric, places: Sequence[int]) -> Metric:
    """A metric of [N, len(places)] columns, beside whose own the voxel counts are of all classes [N, K].

    Args:
        metric: one that reads ``predicted`` and ``true`` to see which masks are empty.
        places: of its classes among all.
    """
    chosen = list(places)

    def view(columns: Columns) -> Columns:
        return {**columns, "predicted": columns["predicted"][:, chosen], "true": columns["true"][:, chosen]}

    return replace(metric, terms=lambda columns: metric.terms(view(columns)))


def renamed(metric: Metric, columns_of: dict[str, str]) -> Metric:
    """An additive metric that reads other columns: name that it knows -> name that there is."""

    def view(columns: Columns) -> Columns:
        return {**columns, **{known: columns[there] for known, there in columns_of.items()}}

    needs = tuple(dict.fromkeys(columns_of.get(name, name) for name in metric.needs))
    prepare = metric.prepare
    return replace(
        metric,
        needs=needs,
        prepare=(lambda columns: _back(prepare(view(columns)), columns, columns_of)) if prepare else None,
        terms=lambda columns: metric.terms(view(columns)),
    )


def _back(prepared: Columns, before: Columns, columns_of: dict[str, str]) -> Columns:
    """What `prepare` made of its columns, under the names that there are."""
    return {**before, **{there: prepared[known] for known, there in columns_of.items()}}


def under(prefix: str, metric: Metric) -> dict[str, str]:
    """The metric's columns under a prefix; which cluster a row is of has one name everywhere."""
    return {column: f"{prefix}.{column}" for column in metric.needs if column != CLUSTER}


def of_class(metric: Metric, name: str, prefix: str) -> Metric:
    """An additive metric of one class, from its columns ``<prefix>.<column>``: ``pq_iou50[class=lesions]``."""
    stem, bracket, inner = metric.name.partition("[")
    parts = sorted([*(inner[:-1].split(",") if bracket else ()), f"class={name}"])
    made = renamed(metric, under(prefix, metric))
    return replace(made, name=f"{stem}[{','.join(parts)}]")
