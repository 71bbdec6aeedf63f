"""What every classification task reports: one declared set, so that any two tasks and any two models compare.

    decisions     accuracy (top-5 above five classes), balanced accuracy, macro F1, MCC
    probabilities NLL, Brier
    calibration   ECE (15 equal-width bins; equal-mass; class-wise; the mean of bins), MCE, each beside its noise floor
                  ``..._null``; over- or under-confidence; smooth ECE (null without the extra ``calibration``)
    temperature   that of the calibration split, and NLL and ECE at it, where a task declares such a split
    selective     AURC, E-AURC, AUGRC, coverage at 95 % accuracy, over all items and by class (up to 20 classes)
    ranking       two classes: AUROC, AUPRC, FPR at 95 % TPR, F1, TPR and FPR of the positive one; more: AUROC and AUPRC
                  of one class against the rest, the mean over classes
    early         logAUC in both ranges, EF 1 %, BEDROC: for screens with many negatives, ``ranking = true``
    novelty       AUROC, AUPRC, FPR at 95 % TPR of 1 - confidence, where a task has items of none of the classes
    groups        accuracy, NLL and ECE, for two classes selection rate, TPR, FPR and AUROC too, by every group column
                  that the data have and those intersections that the task names; parity of decisions

Metrics of top labels read ``confidence`` and ``correct`` instead of all probabilities: the same numbers, from outcomes
that stay small, and in a hundredth of the time where there are a hundred classes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from suite.metrics import (
    classification,
    counted,
    decisions,
    enrichment,
    noise,
    ranking,
    reliability,
    selective,
    temperature,
)
from suite.metrics.base import Columns, Metric
from suite.metrics.binary import Binary
from suite.metrics.calibration import ECE_15
from suite.metrics.classification import MOST_CLASSES, TOP
from suite.metrics.codes import Attributes
from suite.metrics.frame import Framed
from suite.metrics.shift import failure_rate

MOST_SHOWN = 20  # classes of which coverage is shown one by one
PART, KNOWN, NOVEL = "part", "known", "novel"  # column of tasks with novelty: is the item of one of the classes?


@dataclass(frozen=True)
class Measured:
    """What decides which numbers a classification task reports.

    Attributes:
        classes: names, in the order of the model's outputs.
        positive: two classes: index of the one that counts as yes.
        early: it is a screen: few positives among many negatives, of which the first few matter.
        novelty: it has items of none of the classes, which a model should be unsure of.
        scaled: it has a calibration split.
        groups: group columns, tuples for intersections; ``None``: every column of the data, and every pair.
    """

    classes: tuple[str, ...]
    positive: int = 1
    early: bool = False
    novelty: bool = False
    scaled: bool = False
    groups: tuple[Attributes, ...] | None = None

    @property
    def binary(self) -> Binary:
        """The question whether an item is of the positive class."""
        return Binary(positive=self.positive)

    @property
    def wide(self) -> bool:
        """Whether there are too many classes for every probability to be kept."""
        return len(self.classes) > MOST_CLASSES


def classification_metrics(what: Measured) -> tuple[Metric, ...]:
    """Every number of a classification task; without those that need all probabilities where there are too many."""
    found = [*_decisions(what), *_calibration(what), *_selective(what), *_ranking(what)]
    return tuple(found) if not what.novelty else (*map(_of_known, found), *_novelty())


def framed(what: Measured) -> Framed:
    """What is reported by groups."""
    found = [classification.ACCURACY, classification.NLL, of_top(ECE_15)]
    binary = what.binary if len(what.classes) == 2 else None  # noqa: PLR2004
    if binary is not None:
        found += [decisions.selection_rate(binary), decisions.tpr(binary), decisions.fpr(binary)]
        found.append(ranking.ranking(binary)[0])
    if what.novelty:
        found, binary = [_of_known(metric) for metric in found], None
    return Framed(metrics=tuple(found), attributes=what.groups, decisions=binary)


def shifted(what: Measured) -> list[Metric]:
    """What is compared between the variants of a data set: sites, corruptions; the failure rate is that of errors."""
    found = [classification.ACCURACY, classification.NLL, of_top(ECE_15), failure_rate("correct", 1)]
    if len(what.classes) == 2:  # noqa: PLR2004
        found.append(ranking.ranking(what.binary)[0])
    return [_of_known(metric) for metric in found] if what.novelty else found


def _of_known(metric: Metric) -> Metric:
    return replace(metric, where=(*metric.where, (PART, KNOWN)))


def of_top(metric: Metric) -> Metric:
    """A metric of ``probs`` and ``label`` that asks of them only the top label, as one of ``confidence, correct``.

    It is shown two probabilities, the confidence and one that is smaller, and the label 0 where the top one is right.
    """

    def columns_of(columns: Columns) -> Columns:
        confidence = np.asarray(columns["confidence"], dtype=np.float64)
        label = 1 - np.asarray(columns["correct"], dtype=np.int64)
        return {"probs": np.stack([confidence, np.full_like(confidence, -1.0)], axis=1), "label": label}

    def through(function: Callable[[Columns], Any] | None) -> Any:
        return None if function is None else lambda columns: function(columns_of(columns))

    whole = metric.whole and counted.through(metric.whole, columns_of)
    total = through(metric.total)
    terms = metric.terms if metric.whole else through(metric.terms)
    return replace(metric, needs=("confidence", "correct"), terms=terms, total=total, whole=whole)


def _decided(metric: Metric) -> Metric:
    """A metric of the decisions as one of ``decided`` and ``label``, which are small beside all probabilities."""
    needs, inner = ("decided", "label"), metric.whole
    if inner is None:
        raise ValueError(f"{metric.name} is no function of all decisions")
    return replace(metric, needs=needs, whole=counted.through(inner, lambda columns: {n: columns[n] for n in needs}))


def _decisions(what: Measured) -> list[Metric]:
    top = [classification.TOP_5_ACCURACY] if len(what.classes) > TOP else []
    by_decision = [_decided(metric) for metric in decisions.CLASSES]
    return [classification.ACCURACY, *top, *by_decision, classification.NLL, classification.BRIER]


def _calibration(what: Measured) -> list[Metric]:
    floors = {metric.name: metric for metric in noise.NULLS}
    found = []
    for metric in (ECE_15, reliability.ECE_EQUALMASS, reliability.ECE_BINMEAN, reliability.MCE):
        found += [of_top(metric), of_top(floors[f"{metric.name}_null"])]
    if not what.wide:
        found += [reliability.ECE_CLASSWISE, floors["ece_classwise_null"]]
    found += [of_top(reliability.OVERCONFIDENCE), of_top(reliability.SMECE)]
    if what.scaled and not what.wide:
        found += [temperature.TEMPERATURE, temperature.NLL_SCALED, temperature.ECE_15_SCALED]
    return found


def _selective(what: Measured) -> list[Metric]:
    found = [of_top(metric) for metric in selective.SELECTIVE]
    if len(what.classes) <= MOST_SHOWN:
        found += [_of_class(index, name) for index, name in enumerate(what.classes)]
    return found


def _of_class(index: int, name: str) -> Metric:
    """Coverage at 95 % accuracy of the items of one class."""
    inner = of_top(selective.COVERAGE_95)

    def inside(columns: Columns) -> Columns:
        mine = np.asarray(columns["label"]) == index
        return {column: values[mine] for column, values in columns.items()}

    return replace(
        inner,
        name=f"{inner.name}[class={name}]",
        needs=(*inner.needs, "label"),
        prepare=inside,
        undefined=f"no item of class {name}",
    )


def _ranking(what: Measured) -> list[Metric]:
    if what.wide:
        return []
    if len(what.classes) > 2:  # noqa: PLR2004 - two classes are one question
        return list(ranking.MACRO)
    binary = what.binary
    found = [*ranking.ranking(binary), decisions.f1(binary), decisions.tpr(binary), decisions.fpr(binary)]
    found.append(decisions.selection_rate(binary))
    return [*found, *enrichment.early(binary)] if what.early else found


def _novelty() -> list[Metric]:
    asked = Binary(positive=-1, column="novelty")
    return [replace(metric, name=f"novelty_{metric.name}") for metric in ranking.ranking(asked)]
