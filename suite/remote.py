"""Stand-ins for the three model protocols that ask the child and check every answer's shape, dtype and finiteness.

A task cannot tell them from a model in its own process. `AnswerError.index` names the item to blame.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suite.child import Child
from suite.errors import AnswerError
from suite.manifest import Kind
from suite.model import Array, ChoiceScores, Encoded, Facts, Float, Ints, Model

SUM_TOLERANCE = 1e-3
_LOGPROB_SLACK = 1e-4


class _Remote:
    def __init__(self, child: Child) -> None:
        self._child = child
        self.facts: Facts = child.facts

    def _ask(self, method: str, check: Callable[[int, Any], Any], *arguments: Sequence[Any]) -> list[Any]:
        return [check(i, answer) for i, answer in enumerate(self._child.ask(method, *arguments))]


class RemoteLanguageModel(_Remote):
    """A language model in the child process."""

    def encode(self, texts: Sequence[str]) -> list[Encoded]:
        """See `suite.model.LanguageModel.encode`."""
        vocabulary = self.facts.vocabulary

        def check(i: int, answer: Any) -> Encoded:
            ids = _array(i, _field(i, answer, "ids_T"), "i", ndim=1)
            ends = _array(i, _field(i, answer, "ends_T"), "i", shape=ids.shape)
            if len(ids) and (ids.min() < 0 or (vocabulary is not None and ids.max() >= vocabulary)):
                raise AnswerError(f"the tokenizer gave id {int(ids.max())}, the model knows ids below {vocabulary}", i)
            return Encoded(ids.astype(np.int64), ends.astype(np.int64))

        return self._ask("encode", check, list(texts))

    def token_logprobs(self, sequences: Sequence[Ints]) -> list[Float]:
        """See `suite.model.LanguageModel.token_logprobs`."""
        return self._ask(
            "token_logprobs",
            lambda i, answer: _logprobs(i, _array(i, answer, "f", shape=(len(sequences[i]) - 1,))),
            list(sequences),
        )

    def choice_logprobs(self, contexts: Sequence[str], choices: Sequence[Sequence[str]]) -> list[ChoiceScores]:
        """See `suite.model.LanguageModel.choice_logprobs`."""

        def check(i: int, answer: Any) -> ChoiceScores:
            shape = (len(choices[i]),)
            logprobs = _logprobs(i, _array(i, _field(i, answer, "logprobs_K"), "f", shape=shape))
            tokens = _array(i, _field(i, answer, "n_tokens_K"), "i", shape=shape)
            greedy = _array(i, _field(i, answer, "greedy_K"), "b", shape=shape)
            return ChoiceScores(logprobs, tokens.astype(np.int64), greedy)

        return self._ask("choice_logprobs", check, list(contexts), [list(options) for options in choices])


class RemoteClassifier(_Remote):
    """A classifier in the child process."""

    def predict_proba(self, inputs: Sequence[Array]) -> list[Float]:
        """See `suite.model.Classifier.predict_proba`."""

        def check(i: int, answer: Any) -> Float:
            return _probabilities(i, _array(i, answer, "f", ndim=1)).astype(np.float64)

        return self._ask("predict_proba", check, list(inputs))


class RemoteSegmenter(_Remote):
    """A segmentation network in the child process."""

    def segment(self, images: Sequence[Array]) -> list[NDArray[np.float32]]:
        """See `suite.model.Segmenter.segment`."""

        def check(i: int, answer: Any) -> NDArray[np.float32]:
            array = _array(i, answer, "f", ndim=images[i].ndim)
            if array.shape[1:] != images[i].shape[1:]:
                raise AnswerError(f"the answer has shape {array.shape}, the image {images[i].shape}", i)
            return _probabilities(i, array).astype(np.float32, copy=False)

        return self._ask("segment", check, list(images))


STAND_INS: dict[Kind, Callable[[Child], Model]] = {
    "language": RemoteLanguageModel,
    "classification": RemoteClassifier,
    "segmentation": RemoteSegmenter,
}


def _field(i: int, answer: Any, name: str) -> Any:
    if not isinstance(answer, dict) or name not in answer:
        raise AnswerError(f"the answer lacks {name}", i)
    return answer[name]


def _array(
    i: int, answer: Any, kind: str, shape: tuple[int, ...] | None = None, ndim: int | None = None
) -> NDArray[Any]:
    """The answer as an array of that dtype kind and shape, all finite."""
    if not isinstance(answer, np.ndarray) or answer.dtype.kind != kind:
        found = answer.dtype if isinstance(answer, np.ndarray) else type(answer).__name__
        raise AnswerError(f"the answer is {found}, expected an array of kind {kind!r}", i)
    if (shape is not None and answer.shape != shape) or (ndim is not None and answer.ndim != ndim):
        raise AnswerError(f"the answer has shape {answer.shape}, expected {shape or f'{ndim} dimension(s)'}", i)
    if kind == "f" and not np.isfinite(answer).all():
        what = "NaN" if np.isnan(answer).any() else "infinity"
        raise AnswerError(f"the answer holds {what}", i)
    return answer


def _logprobs(i: int, values: NDArray[Any]) -> Float:
    if len(values) and values.max() > _LOGPROB_SLACK:
        raise AnswerError(f"a log-probability of {values.max():g} is above 0", i)
    return np.minimum(values.astype(np.float64), 0.0)


def _probabilities(i: int, values: NDArray[Any]) -> NDArray[Any]:
    """Class probabilities along axis 0."""
    if len(values) < 2 or values.min() < 0:  # noqa: PLR2004 - one class is no choice
        raise AnswerError(f"the answer of shape {values.shape} is no distribution over at least two classes", i)
    off = float(np.abs(values.sum(axis=0) - 1).max())
    if off > SUM_TOLERANCE:
        raise AnswerError(f"probabilities sum to 1 within {off:g}; at most {SUM_TOLERANCE:g} is allowed", i)
    return values
