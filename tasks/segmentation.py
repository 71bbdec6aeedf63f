"""Segmentation: one image in, a label for every voxel out, scored on the image's own grid."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar

import numpy as np

from suite.data import Dataset
from suite.errors import AnswerError
from suite.manifest import Inputs, Kind, Manifest
from suite.metrics.base import Metric
from suite.metrics.segmentation import voxel_counts
from suite.model import Segmenter, Signature
from suite.task import Example, Row, Task
from tasks.inference import misfit, segment


class Segmentation(Task[Segmenter]):
    """Volumes [C, (D,) H, W] with values in [0, 1]; `tasks.inference` prepares, cuts and blends as the manifest says.

    Protocol ``native/argmax``: the most probable class of each voxel, on the image's own grid.
    """

    kind: ClassVar[Kind] = "segmentation"
    primary = "dice"
    batch_size = 2

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
        metrics: tuple[Metric, ...],
    ) -> None:
        self.name, self.title, self.version, self.dataset = name, title, version, dataset
        self._shape, self._classes, self._load, self.metrics = shape, classes, load, metrics

    def protocol(self, context: int | None, bos: bool = True) -> str:
        """One way only."""
        return "native/argmax"

    def examples(self, model: Segmenter) -> Sequence[Example]:
        """All cases with their label maps."""
        return list(self._load())

    def ask(self, model: Segmenter, inputs: Sequence[Any], spec: Inputs) -> Sequence[Any]:
        """Probabilities of every voxel of each image."""
        return segment(model, inputs, spec)

    def row(self, example: Example, answer: Any) -> Row:
        """Voxel counts per class; no masks are kept."""
        if len(answer) != self._classes:
            raise AnswerError(f"the model answers {len(answer)} classes, the task has {self._classes}")
        return {**voxel_counts(np.asarray(answer).argmax(axis=0), example.label, self._classes)}

    def misfit(self, manifest: Manifest, signature: Signature | None) -> str | None:
        """Shapes and classes, as the manifest declares them and as the file states them."""
        return misfit(manifest, signature, self._shape, self._classes)
