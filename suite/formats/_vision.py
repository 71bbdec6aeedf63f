"""What the vision models of all formats share: lists of arrays to batches, logits to probabilities, and back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from suite.errors import AnswerError, UnitError
from suite.formats._attack import Gradable, Target, adversarial, normalised
from suite.manifest import Inputs, Kind
from suite.model import Array, Attacked, Facts, Float, Model

Forward = Callable[[NDArray[np.float32]], Array]
"""A float32 batch [B, ...] to the file's first output [B, K, ...]."""

_BATCH_BYTES = 1 << 25  # of input a forward, whatever the caller's list holds
_BATCH_ITEMS = 64
_CLASS_AXIS = 1
_SURELY_PROBABILITIES = 1e-5
_SUM_TOLERANCE = 1e-3


@dataclass
class _Network:
    """A forward function with what its manifest says of it.

    Attributes:
        forward: computes one batch.
        inputs: the manifest's input section.
        facts: observed facts.
        batch: the batch size that the file fixes, ``None`` if any will do.
        gradable: the same network as torch computes it, where gradients are to be had.
        device: where `gradable` computes.
    """

    forward: Forward
    inputs: Inputs
    facts: Facts
    batch: int | None = field(default=None)
    gradable: Gradable | None = field(default=None)
    device: str = field(default="cpu")

    def probabilities(self, items: Sequence[Array]) -> list[Array]:
        """For each item, its probabilities [K, ...], in the dtype that the softmax was taken in (float64)."""
        answers: dict[int, Array] = {}
        for indices in self._batches(items):
            batch = np.stack([np.asarray(items[index], dtype=np.float32) for index in indices])
            outputs = self._answer(batch)
            for index, output in zip(indices, outputs, strict=True):
                if not np.isfinite(output).all():
                    raise AnswerError("the model's output is not finite", index)
                answers[index] = output
        return [answers[index] for index in range(len(items))]

    def _batches(self, items: Sequence[Array]) -> Iterator[list[int]]:
        """Indices of neighbours that share a shape, at most one forward's worth."""
        run: list[int] = []
        for index, item in enumerate(items):
            shape = np.shape(item)
            if self.inputs.shape is not None and shape != self.inputs.shape:
                raise AnswerError(f"an input has shape {shape}, the manifest says {self.inputs.shape}", index)
            limit = self.batch or max(1, min(_BATCH_ITEMS, _BATCH_BYTES // max(1, 4 * int(np.prod(shape)))))
            if run and (len(run) >= limit or np.shape(items[run[0]]) != shape):
                yield run
                run = []
            run.append(index)
        if run:
            yield run

    def _answer(self, batch: NDArray[np.float32]) -> Array:
        given = len(batch)
        if self.batch is not None and given < self.batch:
            batch = np.concatenate([batch, np.repeat(batch[-1:], self.batch - given, axis=0)])
        outputs = self.forward(batch)
        if outputs.ndim <= _CLASS_AXIS or len(outputs) != len(batch):
            raise UnitError(f"the model's output has shape {outputs.shape}; expected [{len(batch)}, classes, ...]")
        classes = self.inputs.classes
        if classes is not None and outputs.shape[_CLASS_AXIS] != classes:
            raise UnitError(
                f"the model gives {outputs.shape[_CLASS_AXIS]} classes, not the {classes} of inputs.classes; correct it"
            )
        return as_probabilities(outputs[:given].astype(np.float64), self.inputs)


def as_probabilities(outputs: Array, inputs: Inputs) -> Array:
    """Class probabilities along axis 1, of logits or of themselves, as the manifest says.

    Raises:
        UnitError: they are what the manifest does not say: logits that sum to 1 (within 1e-5 and nowhere negative), or
            probabilities that do not (within 1e-3).
    """
    sums = outputs.sum(axis=_CLASS_AXIS)
    if inputs.output == "logits":
        if outputs.min(initial=0.0) >= 0 and np.abs(sums - 1).max(initial=0.0) < _SURELY_PROBABILITIES:
            raise UnitError('the output sums to 1, these are probabilities: set inputs.output = "probabilities"')
        return _softmax(outputs)
    if outputs.min(initial=0.0) < 0 or np.abs(sums - 1).max(initial=0.0) > _SUM_TOLERANCE:
        raise UnitError(
            f"the model's output does not sum to 1 over the classes, within {_SUM_TOLERANCE:g} and nowhere negative "
            f'(sums from {sums.min():.4g} to {sums.max():.4g}); normalise it, or set inputs.output = "logits"'
        )
    return outputs


@dataclass
class VisionClassifier(_Network):
    """A ``suite.model.Classifier`` over a forward function."""

    def predict_proba(self, inputs: Sequence[Array]) -> list[Float]:
        """Class probabilities [K] of each input, float64."""
        answers = self.probabilities(inputs)
        if answers and answers[0].ndim != 1:
            raise UnitError(f"a classifier gives [batch, classes], this file gives [batch, {_axes(answers[0])}]")
        return answers

    def attacked_proba(
        self, images: Sequence[Array], attacks: Sequence[str], eps: Sequence[float], steps: Sequence[int]
    ) -> list[Attacked]:
        """See `suite.model.Attackable.attacked_proba`.

        Raises:
            UnitError: the file's format gives no gradients.
        """
        if self.gradable is None:
            raise UnitError("this format gives no gradients, so the model cannot be attacked")
        clean_B = np.stack([np.asarray(image, dtype=np.float32) for image in images])
        changed_B = clean_B.copy()
        wanted = list(zip(attacks, eps, steps, strict=True))
        for one in sorted(set(wanted)):
            at = [index for index, other in enumerate(wanted) if other == one]
            changed_B[at] = self._adversarial(clean_B[at], *one)
        how = self.inputs.normalisation
        before, after = (self.predict_proba(list(normalised(images_B, how))) for images_B in (clean_B, changed_B))
        moved_B1 = np.abs(changed_B.astype(np.float64) - clean_B).reshape(len(clean_B), -1).max(axis=1, keepdims=True)
        return [Attacked(*parts) for parts in zip(after, before, moved_B1, strict=True)]

    def _adversarial(self, images_B: Array, attack: str, eps: float, steps: int) -> Array:
        """Of one attack; a batch size that the file fixes is filled up with the last image."""
        fixed, given = self.batch, len(images_B)
        size = fixed or _BATCH_ITEMS
        if fixed is not None and given % fixed:
            images_B = np.concatenate([images_B, np.repeat(images_B[-1:], fixed - given % fixed, axis=0)])
        if self.gradable is None:
            raise UnitError("this format gives no gradients")
        target = Target(self.gradable, self.inputs, size, self.device)
        return adversarial(target, images_B, attack, eps, steps)[:given]


@dataclass
class VisionSegmenter(_Network):
    """A ``suite.model.Segmenter`` over a forward function."""

    def segment(self, images: Sequence[Array]) -> list[NDArray[np.float32]]:
        """Class probabilities [K, (D,) H, W] of each image, float32."""
        answers = self.probabilities(images)
        for index, (image, answer) in enumerate(zip(images, answers, strict=True)):
            if answer.shape[1:] != np.shape(image)[1:]:
                raise AnswerError(f"the masks are {answer.shape[1:]}, the image is {np.shape(image)[1:]}", index)
        return [answer.astype(np.float32) for answer in answers]


def network(kind: Kind, forward: Forward, inputs: Inputs, facts: Facts, batch: int | None = None) -> Model:
    """The vision model of a kind over a forward function; `batch` is the size that the file fixes, if it does."""
    if inputs.layout == "channels_last":
        forward = _channels_first(forward)
    if kind == "segmentation":
        return VisionSegmenter(forward, inputs, facts, batch)
    return VisionClassifier(forward, inputs, facts, batch)


def with_gradients(model: Model, gradable: Gradable, device: str) -> Model:
    """The same model, which can be attacked too if it is a classifier."""
    if not isinstance(model, VisionClassifier):
        return model
    if model.inputs.layout != "channels_last":
        return replace(model, gradable=gradable, device=device)
    return replace(model, gradable=lambda pixels: gradable(pixels.movedim(1, -1).contiguous()), device=device)


def _channels_first(forward: Forward) -> Forward:
    """The same network, asked and answering with channels and classes on axis 1."""

    def moved(batch: NDArray[np.float32]) -> Array:
        output = forward(np.ascontiguousarray(np.moveaxis(batch, _CLASS_AXIS, -1)))
        return np.moveaxis(output, -1, _CLASS_AXIS)

    return moved


def _softmax(logits: Float) -> Float:
    shifted = np.exp(logits - logits.max(axis=_CLASS_AXIS, keepdims=True))
    result: Float = shifted / shifted.sum(axis=_CLASS_AXIS, keepdims=True)
    return result


def _axes(array: Array) -> str:
    return ", ".join(str(size) for size in array.shape)
