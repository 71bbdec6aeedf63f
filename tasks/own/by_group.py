"""What a user's data set reports by group beyond the usual: ``by_group = ["auroc"]``, ``["hd95_max_voxel"]``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from suite.errors import unknown
from suite.metrics.base import Columns, Metric


def chosen(names: Sequence[str], offered: Iterable[Metric], where: str) -> list[Metric]:
    """The metrics of these names.

    Args:
        names: as records spell them.
        offered: the declared metrics; those without an interval are references, and are not offered by group.
        where: what names them, for the error.

    Raises:
        InputError: a name that is not offered.
    """
    found = {metric.name: metric for metric in offered if not metric.no_interval}
    stray = next((name for name in names if name not in found), None)
    if stray is not None:
        raise unknown(f"metric in by_group of {where}", stray, found)
    return [found[name] for name in dict.fromkeys(names)]


def of_cases_with_a_value(metric: Metric) -> Metric:
    """The same number, from those cases alone that have a part in it: a group is as large as it has such cases.

    A class that is in neither map of a case gives it no Dice; thirty such cases say nothing of a site. A metric that
    is no function of sums is about every case.
    """
    if metric.whole is not None:
        return metric

    def prepare(columns: Columns) -> Columns:
        columns = metric.prepare(columns) if metric.prepare else columns
        if not len(columns[metric.needs[0]]):
            return columns
        inside = np.flatnonzero(metric.terms(columns).any(axis=1))
        return {name: values[inside] for name, values in columns.items()}

    return replace(metric, prepare=prepare)
