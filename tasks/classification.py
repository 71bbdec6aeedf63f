"""Classification: one array in, class probabilities out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar

import numpy as np

from suite.data import Dataset, Hub, check
from suite.errors import AnswerError
from suite.manifest import Inputs, Kind, Manifest
from suite.metrics.base import Metric
from suite.metrics.calibration import ECE_15
from suite.metrics.classification import ACCURACY, BRIER, NLL, outcomes
from suite.model import Classifier, Signature
from suite.task import Example, Row, Task
from tasks.generators import digits
from tasks.vision import misfit, normalise

METRICS: tuple[Metric, ...] = (ACCURACY, NLL, BRIER, ECE_15)
CIFAR10_CLASSES = 10


class Classification(Task[Classifier]):
    """Images [C, H, W] with values in [0, 1], normalised as the manifest declares.

    Protocol ``native``: every image at its own size, no augmentation.
    """

    kind: ClassVar[Kind] = "classification"
    metrics: tuple[Metric, ...] = METRICS
    primary = "accuracy"

    def __init__(  # noqa: PLR0913 - a declaration, always by keyword
        self,
        *,
        name: str,
        title: str,
        version: str,
        dataset: Dataset,
        shape: tuple[int, ...],
        classes: int,
        load: Callable[[], Iterable[Example]],
    ) -> None:
        self.name, self.title, self.version, self.dataset = name, title, version, dataset
        self._shape, self._classes, self._load = shape, classes, load
        self.chance = 1 / classes

    def fetch(self) -> None:
        """Read the data once."""
        next(iter(self._load()))

    def protocol(self, context: int | None, bos: bool = True) -> str:
        """One way only."""
        return "native"

    def examples(self, model: Classifier) -> Sequence[Example]:
        """All images with their labels."""
        return list(self._load())

    def ask(self, model: Classifier, inputs: Sequence[Any], spec: Inputs) -> Sequence[Any]:
        """Class probabilities of each normalised image."""
        return model.predict_proba([normalise(image, spec.normalisation) for image in inputs])

    def row(self, example: Example, answer: Any) -> Row:
        """Probabilities, label, and what follows from them."""
        if len(answer) != self._classes:
            raise AnswerError(f"the model answers {len(answer)} classes, the task has {self._classes}")
        return outcomes(answer, example.label)

    def misfit(self, manifest: Manifest, signature: Signature | None) -> str | None:
        """Shapes and classes, as the manifest declares them and as the file states them."""
        return misfit(manifest, signature, self._shape, (self._classes,))


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
    version="1",
    dataset=_DIGITS,
    shape=digits.SHAPE,
    classes=len(digits.CLASSES),
    load=_digits,
)

CIFAR10_100 = Classification(
    name="cifar10-100",
    title="The first 100 test images of CIFAR-10",
    version="1",
    dataset=_CIFAR10_100,
    shape=(3, 32, 32),
    classes=CIFAR10_CLASSES,
    load=_cifar10_100,
)
