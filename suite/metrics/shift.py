"""Shift: how much of a metric is lost from one site, variant or corruption to another.

Variants are groups: a corruption kind and severity, an internal and an external site, with and without a shortcut. The
value of each is `groups.of_group`; items that are variants of one another share a cluster, so that they are resampled
together and the interval of a drop is that of paired items.

    relative_drop(m, "variant", "clean", "jpeg")    accuracy_drop[variant=jpeg]    (X_clean - X_jpeg) / X_clean
    mean_over(m, "variant", names)                  mean_accuracy[variant]         the mean of X over these variants
    mean_drop(m, "variant", "clean", names)         mean_accuracy_drop[variant]    (X_clean - that mean) / X_clean
    failure_rate("dice", 0.5)                       failure_rate[below=0.5,score=dice]
    robust_accuracy("variant")                      robust_accuracy[variant]       share of items right in every variant

Shape suffixes: N items, K terms.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from suite.errors import Undefined
from suite.metrics.base import Columns, Finish, Metric, Prepare, Whole, ratio
from suite.metrics.counted import ByCounts, Counts, OfCounts
from suite.outcomes import GROUP_PREFIX

Floats = NDArray[np.float64]


def relative_drop(metric: Metric, attribute: str, reference: str, variant: str) -> Metric:
    """What the variant loses of the reference's value, as a share of it; negative where it gains.

    (X_ref - X_var) / X_ref where higher is better, (X_var - X_ref) / X_ref where lower is: 0.1 is ten percent worse
    either way. No value where X_ref is 0, or where either variant has none.

    Raises:
        ValueError: the metric has no direction, or may be negative.
    """
    sign = _sign(metric)
    stem, bracket, inner = metric.name.partition("[")
    parts = sorted([*(inner[:-1].split(",") if bracket else ()), f"{attribute}={variant}"])
    column = GROUP_PREFIX + attribute
    made = replace(
        metric,
        name=f"{stem}_drop[{','.join(parts)}]",
        needs=(*metric.needs, column),
        total=None,
        prepare=_only(metric, column, (reference, variant)),
        unit="",
        higher_is_better=False,
        bounds=(None, 1.0) if metric.higher_is_better else (-1.0, None),
        undefined=f"{reference} or {variant} has no value, or that of {reference} is 0",
        proportion=False,
        width=2 * metric.width,
        blocks=None,
        strata=_in_variants(metric, column),
        reference=f"share of the value at {attribute}={reference} that {attribute}={variant} loses",
    )
    if metric.whole is not None:
        return replace(made, whole=_drop_of_rows(metric, column, (reference, variant), sign))

    def terms(columns: Columns) -> Floats:
        base_NK = metric.terms(columns)
        return np.concatenate([base_NK * (columns[column] == v)[:, None] for v in (reference, variant)], axis=1)

    return replace(made, terms=terms, finish=_drop_of_sums(metric.finish, metric.width, sign))


def mean_over(metric: Metric, attribute: str, variants: Sequence[str]) -> Metric:
    """The mean of the metric's values in these variants, each counting the same however many items it has.

    Of a calibration error this is the mean of the variants' errors, not the error of all their items together. No value
    where one of them has none.

    Raises:
        ValueError: the metric is no function of sums.
    """
    made = _over(metric, attribute, tuple(variants))
    finish, width = metric.finish, metric.width
    return replace(
        made,
        name=_of_mean(metric, "mean_{}", attribute),
        finish=lambda sums: _values(finish, width, sums).mean(axis=-1),
        reference=f"mean over {len(variants)} values of {attribute}, each counting the same",
    )


def mean_drop(metric: Metric, attribute: str, reference: str, variants: Sequence[str]) -> Metric:
    """What the variants lose of the reference's value on average, as a share of it: `relative_drop` of `mean_over`.

    Raises:
        ValueError: the metric has no direction, may be negative, or is no function of sums.
    """
    sign, finish, width = _sign(metric), metric.finish, metric.width

    def finished(sums: Floats) -> Floats:
        values = _values(finish, width, sums)
        before, after = values[..., 0], values[..., 1:].mean(axis=-1)
        return ratio(np.stack([sign * (before - after), before], axis=-1))

    return replace(
        _over(metric, attribute, (reference, *variants)),
        name=_of_mean(metric, "mean_{}_drop", attribute),
        finish=finished,
        unit="",
        higher_is_better=False,
        bounds=(None, 1.0) if metric.higher_is_better else (-1.0, None),
        undefined=f"a value of {attribute} has none of its own, or that of {reference} is 0",
        reference=f"share of the value at {attribute}={reference} that {len(variants)} others lose on average",
    )


def robust_accuracy(attribute: str) -> Metric:
    """Share of items that are right in every variant: the accuracy of the worst variant of each item.

    Its n counts rows, one an item and variant; ``origin`` is the column that says which rows are one item's.
    """
    column = f"right_in_every.{attribute}"

    def prepare(columns: Columns) -> Columns:
        if column in columns:
            return columns
        _, item_N, rows_I = np.unique(columns["origin"], return_inverse=True, return_counts=True)
        wrong_I = np.bincount(item_N, weights=1 - np.asarray(columns["correct"], dtype=np.float64))
        return {
            **columns,
            column: np.stack([wrong_I == 0, np.ones(len(rows_I))], axis=1)[item_N] / rows_I[item_N, None],
        }

    return Metric(
        name=f"robust_accuracy[{attribute}]",
        needs=("correct", "origin"),
        terms=lambda columns: prepare(columns)[column],
        finish=ratio,
        prepare=prepare,
        unit="",
        higher_is_better=True,
        bounds=(0.0, 1.0),
        reference=f"share of items whose most probable class is the label in every {attribute}",
    )


def _sign(metric: Metric) -> float:
    if metric.higher_is_better is None or metric.bounds[0] is None or metric.bounds[0] < 0:
        raise ValueError(f"a relative drop needs a metric with a direction that is never negative, not {metric.name}")
    return 1.0 if metric.higher_is_better else -1.0


def _over(metric: Metric, attribute: str, variants: tuple[str, ...]) -> Metric:
    """The metric with one block of terms a variant: [N, V K]."""
    if metric.whole is not None:
        raise ValueError(f"a mean over variants needs a metric of sums, not {metric.name}")
    column = GROUP_PREFIX + attribute

    def terms(columns: Columns) -> Floats:
        base_NK = metric.terms(columns)
        return np.concatenate([base_NK * (columns[column] == v)[:, None] for v in variants], axis=1)

    return replace(
        metric,
        needs=(*metric.needs, column),
        terms=terms,
        total=None,
        prepare=_only(metric, column, variants),
        undefined=f"one of {attribute}'s values has none of its own",
        proportion=False,
        width=metric.width * len(variants),
    )


def _values(finish: Finish, width: int, sums: Floats) -> Floats:
    """Sums [..., V K] to the variants' values [..., V]."""
    return finish(sums.reshape(*sums.shape[:-1], -1, width))


def _of_mean(metric: Metric, pattern: str, attribute: str) -> str:
    stem, bracket, inner = metric.name.partition("[")
    return f"{pattern.format(stem)}[{inner[:-1] + ',' if bracket else ''}{attribute}]"


def _only(metric: Metric, column: str, variants: tuple[str, ...]) -> Prepare:
    def prepare(columns: Columns) -> Columns:
        columns = metric.prepare(columns) if metric.prepare else columns
        inside = np.isin(columns[column], variants)
        return {name: values[inside] for name, values in columns.items()}

    return prepare


def _drop_of_sums(finish: Finish, width: int, sign: float) -> Finish:
    def finished(sums: Floats) -> Floats:
        before, after = finish(sums[..., :width]), finish(sums[..., width:])
        return ratio(np.stack([sign * (before - after), before], axis=-1))

    return finished


def _in_variants(metric: Metric, column: str) -> Callable[[Columns], NDArray[np.int64]] | None:
    """Strata that are told apart by variant too."""
    if (strata := metric.strata) is None:
        return None

    def both(columns: Columns) -> NDArray[np.int64]:
        (_, class_N), (_, variant_N) = (np.unique(v, return_inverse=True) for v in (strata(columns), columns[column]))
        return np.asarray(class_N * (variant_N.max(initial=0) + 1) + variant_N, dtype=np.int64)

    return both


def _drop_of_rows(metric: Metric, column: str, variants: tuple[str, str], sign: float) -> Whole:
    def drop(before: float, after: float) -> float:
        if before == 0:
            raise Undefined(f"the value at {variants[0]} is 0")
        return sign * (before - after) / before

    def whole(columns: Columns) -> float:
        before, after = (metric.of_rows(columns, np.flatnonzero(columns[column] == v)) for v in variants)
        return drop(before, after)

    if not isinstance(metric.whole, ByCounts):
        return whole
    of_one = metric.whole.prepared

    def prepared(columns: Columns) -> OfCounts:
        rows = [np.flatnonzero(columns[column] == v) for v in variants]
        values = [of_one({name: columns[name][at] for name in metric.needs}) for at in rows]

        def value(counts_N: Counts) -> float:
            mine = [counts_N[at] for at in rows]
            if not all(one.any() for one in mine):
                raise Undefined(f"no item of {variants[0]} or of {variants[1]}")
            return drop(*(of(one) for of, one in zip(values, mine, strict=True)))

        return value

    return ByCounts(whole, prepared)


def failure_rate(score: str, below: float) -> Metric:
    """Share of items whose own score, a column of outcomes, lies below a floor; an item without a score (NaN) failed.

    The mean of a score hides how many items fail outright. For ``correct`` and a floor of 1 it is the error rate.
    """

    def terms(columns: Columns) -> Floats:
        failed = ~(np.asarray(columns[score], dtype=np.float64) >= below)
        return np.stack([failed.astype(np.float64), np.ones(len(failed))], axis=1)

    return Metric(
        name=f"failure_rate[below={below:g},score={score}]",
        needs=(score,),
        terms=terms,
        finish=ratio,
        unit="",
        higher_is_better=False,
        bounds=(0.0, 1.0),
        proportion=True,
        reference=f"share of items whose {score} is below {below:g} or missing",
    )
