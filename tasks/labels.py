"""Tasks of which only the labels are needed: for files of predictions, where nobody runs a model."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from suite.data import Dataset
from suite.errors import UnitError
from suite.manifest import Inputs, Manifest
from suite.model import Classifier, Signature
from suite.task import Example
from tasks.classification import CIFAR10_CLASSES, PREDICTIONS, Classification
from tasks.metric_sets import Measured

_FILE = "cifar10_resnet50_logits.npz"
_RESNET50 = Dataset(
    name="cal_cifar10_resnet50",
    content_sha256="13ec59517ba55ab27b2bce9b4b284f7999579e604547f7ad446c92171ef44995",
    files={_FILE: "13ec59517ba55ab27b2bce9b4b284f7999579e604547f7ad446c92171ef44995"},
    licence="MIT",
    source="labels of CIFAR-10's test set and of 5,000 of its training images held out for calibration, in the order "
    "of AIgen/df-posthoc-calibration",
)


class LabelsOnly(Classification):
    """Classification whose inputs are not here: it takes files of predictions alone.

    Protocol ``predictions/temperature-<fit>``: the temperature is fitted on the calibration split.
    """

    calibrates = "ece-grid"  # as the project that published these logits did
    batch_size = 1000

    def protocol(self, context: int | None, bos: bool = True) -> str:
        """One way only."""
        return f"predictions/temperature-{self.calibrates}"

    def misfit(self, manifest: Manifest, signature: Signature | None) -> str | None:
        """Only predictions fit, of the same classes and the same data."""
        if manifest.format != PREDICTIONS:
            return 'it has labels only; a submission with format = "predictions" can be scored on it'
        return super().misfit(manifest, signature)

    def ask(self, model: Classifier, inputs: Sequence[Any], spec: Inputs) -> Sequence[Any]:
        """Never: predictions are looked up."""
        raise UnitError("this task has no inputs to show a model")


def _cifar10() -> Iterable[Example]:
    with np.load(io.BytesIO(_RESNET50.original(_FILE)), allow_pickle=False) as arrays:
        splits = (("val", arrays["val_labels"], True), ("test", arrays["test_labels"], False))
    for split, labels, calibration in splits:
        for number, label in enumerate(labels.tolist()):
            yield Example(f"cifar10-{split}-{number:05d}", None, int(label), calibration=calibration)


CIFAR10_LABELS = LabelsOnly(
    name="cifar10-labels",
    title="CIFAR-10 test set, predictions only, with a calibration split",
    version="2",
    dataset=_RESNET50,
    shape=(),
    measured=Measured(CIFAR10_CLASSES),
    load=_cifar10,
)
