"""Classification: one array in, class probabilities out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from suite.data import Dataset, Hub, check
from suite.errors import AnswerError
from suite.manifest import Inputs, Kind, Manifest
from suite.metrics.base import Metric
from suite.metrics.classification import outcomes
from suite.model import Classifier, Signature
from suite.task import Example, Row, Task
from tasks.generators import digits
from tasks.metric_sets import KNOWN, NOVEL, PART, Measured, classification_metrics, framed
from tasks.vision import misfit, normalise

CIFAR10_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def as_it_is(given: Any) -> Any:
    """How an input is read that is an array already."""
    return given


class Classification(Task[Classifier]):
    """Arrays, normalised as the manifest declares: images [C, H, W] with values in [0, 1], features [F], ...

    What it reports is `tasks.metric_sets.classification_metrics`. An item of none of the classes has the label -1: it
    is scored for novelty alone.
    """

    kind: ClassVar[Kind] = "classification"
    primary = "accuracy"

    def __init__(  # noqa: PLR0913 - a declaration, always by keyword
        self,
        *,
        name: str,
        title: str,
        version: str,
        dataset: Dataset,
        shape: tuple[int, ...],
        measured: Measured,
        load: Callable[[], Iterable[Example]],
        protocol: str = "native",
        read: Callable[[Any], Any] = as_it_is,
    ) -> None:
        self.name, self.title, self.version, self.dataset = name, title, version, dataset
        self._shape, self._load, self._protocol, self._read = shape, load, protocol, read
        self._measured = replace(measured, scaled=bool(self.calibrates))
        self.framed = framed(self._measured)
        self.chance = 1 / len(measured.classes)

    @cached_property
    def metrics(self) -> tuple[Metric, ...]:  # type: ignore[override]
        """The declared set; made when asked for, because most commands ask one task of many."""
        return classification_metrics(self._measured)

    def fetch(self) -> None:
        """Read the data once."""
        next(iter(self._load()))

    def protocol(self, context: int | None, bos: bool = True) -> str:
        """How an input comes about: ``native``, at its own size, or as the task says."""
        return self._protocol

    def examples(self, model: Classifier) -> Sequence[Example]:
        """All items with their labels."""
        return list(self._load())

    def ask(self, model: Classifier, inputs: Sequence[Any], spec: Inputs) -> Sequence[Any]:
        """Class probabilities of each normalised input."""
        return model.predict_proba([normalise(self._read(given), spec.normalisation) for given in inputs])

    def row(self, example: Example, answer: Any) -> Row:
        """The columns of `suite.metrics.classification.outcomes`, and how novel the item looks where that is asked."""
        classes = len(self._measured.classes)
        if len(answer) != classes:
            raise AnswerError(f"the model answers {len(answer)} classes, the task has {classes}")
        found = outcomes(answer, example.label)
        if self._measured.novelty:
            part = NOVEL if example.label < 0 else KNOWN
            return found | {PART: part, "novelty": 1.0 - found["confidence"]}
        return found

    def misfit(self, manifest: Manifest, signature: Signature | None) -> str | None:
        """Shapes and classes, as the manifest declares them and as the file states them."""
        classes = len(self._measured.classes)
        if manifest.format == PREDICTIONS:
            return predictions_misfit(manifest, classes, self.data_sha256())
        return misfit(manifest, signature, self._shape, (classes,))

    def description(self) -> dict[str, Any]:
        """The task's, with the names of its classes."""
        return super().description() | {"classes": list(self._measured.classes)}


PREDICTIONS = "predictions"


def predictions_misfit(manifest: Manifest, classes: int, data_sha256: str) -> str | None:
    """Why a file of predictions is not of such a task, or None."""
    declared = manifest.inputs
    if declared.classes is not None and declared.classes != classes:
        return f"it has {declared.classes} classes, the task {classes}"
    if declared.data_sha256 is not None and declared.data_sha256 != data_sha256:
        return f"its predictions are of data {declared.data_sha256[:12]}, the task's is {data_sha256[:12]}"
    return None


_CIFAR10_100 = Dataset(
    name="data_cifar10_test100",
    content_sha256="77c23e1b115b790efd45d3d24f9b6c8f88b4dd0fe36a86b6fdf0350f4185370b",
    files={"cifar10_test.csv": "4cef6cdf54a6b78c7cae5ac7d20dc1d6eda1c9d8a04c6b08b5ecba6029a6f043"},
    licence="no explicit licence; free use with citation (Krizhevsky 2009)",
    source="the first 100 test images of CIFAR-10, lossless",
    hub=Hub("uoft-cs/cifar10", split="test[:100]"),
)


def _cifar10_100() -> Iterable[Example]:
    raw = _CIFAR10_100.file("cifar10_test.csv")
    if raw is not None:
        table = np.loadtxt(raw.decode().splitlines(), delimiter=",", dtype=np.uint8)
        labels, images = table[:, 0], table[:, 1:].reshape(-1, 32, 32, 3)
    else:
        images = np.stack([np.asarray(image, dtype=np.uint8) for image in _CIFAR10_100.rows("img")])
        labels = np.array(list(_CIFAR10_100.rows("label")), dtype=np.uint8)
    _CIFAR10_100.verified(labels.tobytes() + images.tobytes())
    for number, (image, label) in enumerate(zip(images, labels, strict=True)):
        pixels = np.ascontiguousarray(image.transpose(2, 0, 1), dtype=np.float32) / np.float32(255)
        yield Example(f"cifar10-test-{number:05d}", pixels, int(label))


_DIGITS = Dataset(
    name="digits",
    content_sha256=digits.DIGEST,
    licence="CC-BY-4.0",
    source="UCI Optical Recognition of Handwritten Digits, the 1797 images that scikit-learn carries; 897 for the test",
    bundled=True,
)


def _digits() -> Iterable[Example]:
    items = digits.test_items()
    check(digits.digest(items), digits.DIGEST, "the digits of this scikit-learn")
    return (Example(digit.item, digit.image, digit.label) for digit in items)


DIGITS = Classification(
    name="digits",
    title="Handwritten digits, 8 x 8 pixels",
    version="2",
    dataset=_DIGITS,
    shape=digits.SHAPE,
    measured=Measured(digits.CLASSES),
    load=_digits,
)

CIFAR10_100 = Classification(
    name="cifar10-100",
    title="The first 100 test images of CIFAR-10",
    version="2",
    dataset=_CIFAR10_100,
    shape=(3, 32, 32),
    measured=Measured(CIFAR10_CLASSES),
    load=_cifar10_100,
)
