"""Instances and lesions over cases, from the counts of `suite.masks.rows.object_row`.

The matching rule is part of a metric's name: ``pq_iou50`` pairs objects one to one when their IoU exceeds 0.5.

Shape suffixes: N cases.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from suite.masks.overlap import divided
from suite.metrics.base import Columns, Metric, ratio

Floats = NDArray[np.float64]
QUARTILES = 4
Part = Callable[[Columns], NDArray[np.generic]]


def objects(percent: int) -> list[Metric]:
    """PQ, SQ, F1, recall per patient, false positives per patient and recall by volume at one threshold of IoU.

    Args:
        percent: the threshold, as in the columns' names; a pair counts above it.
    """
    tp, fp, fn, iou = (f"{name}_{percent}" for name in ("tp", "fp", "fn", "iou_sum"))
    rule = f"pairs one to one, IoU above {percent / 100:g}"

    def all_of(columns: Columns) -> Floats:
        return np.asarray(columns[tp] + columns[fp] / 2 + columns[fn] / 2)

    def share(columns: Columns) -> Floats:
        n = columns[tp] + columns[fn]
        return np.nan_to_num(divided(columns[tp], n))

    text = {
        "pq": "sum of IoU / (TP + FP/2 + FN/2) over all cases (Kirillov 2019)",
        "sq": "mean IoU of the pairs",
        "f1": "TP / (TP + FP/2 + FN/2) over all cases, RQ",
        "recall": "TP / (TP + FN), mean over the cases with an object",
        "fp": "FP, mean over all cases, also those without an object",
    }
    return [
        _quotient(f"pq_iou{percent}", (iou, tp, fp, fn), lambda c: c[iou], all_of, f"{text['pq']}; {rule}"),
        _quotient(f"sq_iou{percent}", (iou, tp), lambda c: c[iou], lambda c: c[tp], f"{text['sq']}; {rule}"),
        _quotient(f"f1_iou{percent}", (tp, fp, fn), lambda c: c[tp], all_of, f"{text['f1']}; {rule}"),
        _quotient(
            f"recall_per_patient_iou{percent}",
            (tp, fn),
            share,
            lambda c: c[tp] + c[fn] > 0,
            f"{text['recall']}; {rule}",
        ),
        _false_positives(fp, f"fp_per_patient_iou{percent}", f"{text['fp']}; {rule}"),
        *(_of_quartile(percent, k, rule) for k in range(QUARTILES)),
    ]


def _quotient(name: str, needs: tuple[str, ...], top: Part, bottom: Part, reference: str) -> Metric:
    def terms(columns: Columns) -> Floats:
        return np.stack([top(columns), bottom(columns)], axis=1).astype(np.float64)

    return Metric(
        name=name, needs=needs, terms=terms, finish=ratio, unit="", higher_is_better=True, bounds=(0.0, 1.0),
        undefined="no case has an object to count", reference=reference,
    )  # fmt: skip


def _false_positives(column: str, name: str, reference: str) -> Metric:
    def terms(columns: Columns) -> Floats:
        return np.stack([columns[column], np.ones(len(columns[column]))], axis=1).astype(np.float64)

    return Metric(
        name=name, needs=(column,), terms=terms, finish=ratio, unit="objects", higher_is_better=False,
        bounds=(0.0, None), reference=reference,
    )  # fmt: skip


def _of_quartile(percent: int, k: int, rule: str) -> Metric:
    """Recall of the objects in one quartile of volume; the quartiles are those of all cases, also in a resample."""
    found = f"found_{percent}"

    def prepare(columns: Columns) -> Columns:
        return columns if columns[found].dtype == np.float64 else {**columns, found: _by_quartile(columns, found)}

    return Metric(
        name=f"recall_iou{percent}[volume=q{k + 1}]", needs=("object_mm3", found), prepare=prepare, finish=ratio,
        terms=lambda columns: columns[found][:, [k, QUARTILES + k]], unit="",
        higher_is_better=True, bounds=(0.0, 1.0), undefined="no object in this quartile of volume",
        reference=f"quartiles of all reference objects, q1 the smallest; {rule}",
    )  # fmt: skip


def _by_quartile(columns: Columns, found: str) -> Floats:
    """[N, 2 QUARTILES] found objects and all objects of each case in each quartile of all volumes."""
    volumes = [np.asarray(one, dtype=np.float64).ravel() for one in columns["object_mm3"]]
    every = np.concatenate(volumes) if volumes else np.zeros(0)
    edges = np.quantile(every, np.linspace(0, 1, QUARTILES + 1))[1:-1] if len(every) else np.zeros(QUARTILES - 1)
    table = np.zeros((len(volumes), 2 * QUARTILES))
    for row, mine, hits in zip(table, volumes, columns[found], strict=True):
        part = np.searchsorted(edges, mine, side="left")
        row[:QUARTILES] = np.bincount(part, np.asarray(hits, dtype=np.float64).ravel(), QUARTILES)
        row[QUARTILES:] = np.bincount(part, minlength=QUARTILES)
    return table
