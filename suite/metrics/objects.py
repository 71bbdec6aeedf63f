"""Instances and lesions over cases, from the counts of `suite.masks.rows.object_row`.

The matching rule is part of a metric's name: ``pq_iou50`` pairs objects one to one when their IoU exceeds 0.5.

Shape suffixes: N cases.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suite.masks.overlap import divided
from suite.metrics.base import Columns, Metric, ratio
from suite.outcomes import CLUSTER

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

    text = {
        "pq": "sum of IoU / (TP + FP/2 + FN/2) over all cases (Kirillov 2019)",
        "sq": "mean IoU of the pairs",
        "f1": "TP / (TP + FP/2 + FN/2) over all cases, RQ",
    }
    return [
        _quotient(f"pq_iou{percent}", (iou, tp, fp, fn), lambda c: c[iou], all_of, f"{text['pq']}; {rule}"),
        _quotient(f"sq_iou{percent}", (iou, tp), lambda c: c[iou], lambda c: c[tp], f"{text['sq']}; {rule}"),
        _quotient(f"f1_iou{percent}", (tp, fp, fn), lambda c: c[tp], all_of, f"{text['f1']}; {rule}"),
        *_of_patients(percent, rule),
        *(_of_quartile(percent, k, rule) for k in range(QUARTILES)),
    ]


def _quotient(name: str, needs: tuple[str, ...], top: Part, bottom: Part, reference: str) -> Metric:
    def terms(columns: Columns) -> Floats:
        return np.stack([top(columns), bottom(columns)], axis=1).astype(np.float64)

    return Metric(
        name=name, needs=needs, terms=terms, finish=ratio, unit="", higher_is_better=True, bounds=(0.0, 1.0),
        undefined="no case has an object to count", reference=reference,
    )  # fmt: skip


def _of_patients(percent: int, rule: str) -> list[Metric]:
    """Means over patients, each with all of its cases: a patient is a cluster."""
    tp, fp, fn = (f"{name}_{percent}" for name in ("tp", "fp", "fn"))

    def prepare(columns: Columns) -> Columns:
        if columns[tp].ndim > 1:
            return columns
        found, missed, made_up = (np.asarray(columns[name], dtype=np.float64) for name in (tp, fn, fp))
        shares = _shares(columns[CLUSTER], found, found + missed)
        return {**columns, tp: np.column_stack([shares, made_up])}

    def metric(name: str, at: list[int], **facts: Any) -> Metric:
        return Metric(
            name=f"{name}_per_patient_iou{percent}", needs=(tp, fn, fp, CLUSTER), prepare=prepare, finish=ratio,
            terms=lambda columns: columns[tp][:, at], **facts,
        )  # fmt: skip

    recall = metric(
        "recall", [0, 1], unit="", higher_is_better=True, bounds=(0.0, 1.0), undefined="no case has an object to count",
        reference=f"TP / (TP + FN) of all of a patient's cases, mean over the patients with an object; {rule}",
    )  # fmt: skip
    false = metric(
        "fp", [3, 2], unit="objects", higher_is_better=False, bounds=(0.0, None), undefined="no items",
        reference=f"FP of all of a patient's cases, mean over all patients, also those without an object; {rule}",
    )  # fmt: skip
    return [recall, false]


def _shares(cluster_N: NDArray[np.generic], found_N: Floats, objects_N: Floats) -> Floats:
    """[N, 3] parts of each case in its patient's recall, in the number of patients with an object, and of patients."""
    patient_N = np.unique(cluster_N, return_inverse=True)[1]
    of_patient_N, cases_N = np.bincount(patient_N, objects_N)[patient_N], np.bincount(patient_N)[patient_N]
    recall_N = np.nan_to_num(divided(found_N, of_patient_N))
    return np.column_stack([recall_N, (of_patient_N > 0) / cases_N, 1 / cases_N])


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
