"""Stand-ins for the three model protocols that ask the child and check every answer's shape, dtype and finiteness.

A task cannot tell them from a model in its own process. `AnswerError.index` names the item to blame.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suite.child import Child
from suite.errors import AnswerError, UnitError
from suite.manifest import Kind
from suite.model import Array, Attacked, ChoiceScores, Encoded, Facts, Float, Ints, Model, Span, TokenScores

SUM_TOLERANCE = 1e-3
_LOGPROB_SLACK = 1e-4


class _Remote:
    def __init__(self, child: Child, whose: str = "") -> None:
        self._child = child
        self._whose = whose
        self.facts: Facts = child.facts

    def _ask(self, method: str, check: Callable[[int, Any], Any], *arguments: Sequence[Any]) -> list[Any]:
        with blamed_on(self._whose):
            return [check(i, answer) for i, answer in enumerate(self._child.ask(method, *arguments))]

    def timed(self, orders: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Array]]:
        """See `suite.timing.scenario.Stopwatch.timed`."""
        return self._ask("timed", _samples, [dict(order) for order in orders])

    def restart(self) -> None:
        """See `suite.timing.scenario.Stopwatch.restart`."""
        with blamed_on(self._whose):
            self._child.restart()

    def loaded(self) -> None:
        """See `suite.timing.scenario.Stopwatch.loaded`."""
        with blamed_on(self._whose):
            self._child.loaded()


@contextlib.contextmanager
def blamed_on(whose: str) -> Iterator[None]:
    """Have the line of a failure begin with the model that failed, where a unit asks more than one."""
    try:
        yield
    except UnitError as error:
        error.args = (f"{whose}: {error}",) if whose else error.args
        raise


def _samples(i: int, answer: Any) -> Mapping[str, Array]:
    """Raw samples: texts, and finite numbers that are nowhere negative."""
    if not isinstance(answer, dict):
        raise AnswerError(f"the answer is {type(answer).__name__}, expected raw samples", i)
    for name, values in answer.items():
        if isinstance(values, list) and all(isinstance(value, str) for value in values):
            continue
        if _array(i, values, "f", ndim=1).min(initial=0.0) < 0:
            raise AnswerError(f"{name} holds a negative reading", i)
    return answer


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

    def token_logprobs(self, sequences: Sequence[Ints]) -> list[TokenScores]:
        """See `suite.model.LanguageModel.token_logprobs`."""

        def check(i: int, answer: Any) -> TokenScores:
            return _token_scores(i, answer, (max(len(sequences[i]) - 1, 0),))

        return self._ask("token_logprobs", check, list(sequences))

    def document_logprobs(self, texts: Sequence[str]) -> list[TokenScores]:
        """See `suite.model.LanguageModel.document_logprobs`."""

        def check(i: int, answer: Any) -> TokenScores:
            return _token_scores(i, answer, _array(i, _field(i, answer, "logprobs_T"), "f", ndim=1).shape)

        return self._ask("document_logprobs", check, list(texts))

    def generate(self, prompts: Sequence[str], stops: Sequence[Sequence[str]], limits: Sequence[int]) -> list[str]:
        """See `suite.model.LanguageModel.generate`."""

        def check(i: int, answer: Any) -> str:
            if not isinstance(answer, str):
                raise AnswerError(f"the answer is {type(answer).__name__}, expected text", i)
            return answer

        return self._ask("generate", check, list(prompts), [list(stop) for stop in stops], list(limits))

    def choice_logprobs(self, contexts: Sequence[str], choices: Sequence[Sequence[str]]) -> list[ChoiceScores]:
        """See `suite.model.LanguageModel.choice_logprobs`."""

        def check(i: int, answer: Any) -> ChoiceScores:
            shape = (len(choices[i]),)
            logprobs = _logprobs(i, _array(i, _field(i, answer, "logprobs_K"), "f", shape=shape))
            tokens = _array(i, _field(i, answer, "n_tokens_K"), "i", shape=shape)
            greedy = _array(i, _field(i, answer, "greedy_K"), "b", shape=shape)
            return ChoiceScores(logprobs, tokens.astype(np.int64), greedy)

        return self._ask("choice_logprobs", check, list(contexts), [list(options) for options in choices])

    def distributions(self, sequences: Sequence[Ints], spans: Sequence[Span]) -> list[NDArray[np.float32]]:
        """See `suite.model.LanguageModel.distributions`."""

        def check(i: int, answer: Any) -> NDArray[np.float32]:
            start, stop = spans[i]
            return _distributions(i, answer, stop - start, self.facts.vocabulary)

        return self._ask("distributions", check, list(sequences), [list(span) for span in spans])

    def pseudo_logprobs(self, sequences: Sequence[Ints], positions: Sequence[Ints]) -> list[Float]:
        """See `suite.model.MaskedLanguageModel.pseudo_logprobs`."""

        def check(i: int, answer: Any) -> Float:
            return _logprobs(i, _array(i, answer, "f", shape=(len(positions[i]),)))

        return self._ask("pseudo_logprobs", check, list(sequences), list(positions))


class RemoteClassifier(_Remote):
    """A classifier in the child process."""

    def predict_proba(self, inputs: Sequence[Array]) -> list[Float]:
        """See `suite.model.Classifier.predict_proba`."""

        def check(i: int, answer: Any) -> Float:
            return _probabilities(i, _array(i, answer, "f", ndim=1)).astype(np.float64)

        return self._ask("predict_proba", check, list(inputs))

    def attacked_proba(
        self, images: Sequence[Array], attacks: Sequence[str], eps: Sequence[float], steps: Sequence[int]
    ) -> list[Attacked]:
        """See `suite.model.Attackable.attacked_proba`."""

        def check(i: int, answer: Any) -> Attacked:
            found = [_array(i, _field(i, answer, name), "f", ndim=1) for name in ("probs_K", "clean_K", "moved_1")]
            if found[0].shape != found[1].shape or found[2].shape != (1,):
                raise AnswerError(f"the answer has shapes {[part.shape for part in found]}", i)
            probs, clean = (_probabilities(i, part).astype(np.float64) for part in found[:2])
            return Attacked(probs, clean, found[2].astype(np.float64))

        return self._ask("attacked_proba", check, list(images), list(attacks), list(eps), list(steps))


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


class RemotePredictions(_Remote):
    """A file of predictions, read in the child process."""

    def given(
        self, items: Sequence[str], numbers: Sequence[int], totals: Sequence[int], calibration: Sequence[bool]
    ) -> list[Float]:
        """See `suite.model.Predictions.given`."""

        def check(i: int, answer: Any) -> Float:
            return _probabilities(i, _array(i, answer, "f", ndim=1)).astype(np.float64)

        return self._ask("given", check, list(items), list(numbers), list(totals), list(calibration))


STAND_INS: dict[Kind, Callable[[Child, str], Model]] = {
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


def _token_scores(i: int, answer: Any, shape: tuple[int, ...]) -> TokenScores:
    logprobs = _logprobs(i, _array(i, _field(i, answer, "logprobs_T"), "f", shape=shape))
    top = _logprobs(i, _array(i, _field(i, answer, "top_logprobs_T"), "f", shape=shape))
    greedy = _array(i, _field(i, answer, "greedy_T"), "b", shape=shape)
    above = float((logprobs - top).max(initial=0.0))
    if above > _LOGPROB_SLACK:
        raise AnswerError(f"a token is likelier than the likeliest one, by {above:g} nats", i)
    return TokenScores(logprobs, np.maximum(top, logprobs), greedy)


def _logprobs(i: int, values: NDArray[Any]) -> Float:
    if len(values) and values.max() > _LOGPROB_SLACK:
        raise AnswerError(f"a log-probability of {values.max():g} is above 0", i)
    return np.minimum(values.astype(np.float64), 0.0)


def _distributions(i: int, answer: Any, rows: int, vocabulary: int | None) -> NDArray[np.float32]:
    """Log-probabilities [rows, V], float32: no NaN, none above 0, -inf allowed, every row's probabilities sum to 1."""
    if not isinstance(answer, np.ndarray) or answer.dtype != np.float32:
        found = answer.dtype if isinstance(answer, np.ndarray) else type(answer).__name__
        raise AnswerError(f"the answer is {found}, expected an array of float32", i)
    if answer.shape[:1] != (rows,) or answer.shape[1:] != (vocabulary or answer.size // rows,):
        raise AnswerError(f"the answer has shape {answer.shape}, expected {(rows, vocabulary or 'vocabulary')}", i)
    if np.isnan(answer).any():
        raise AnswerError("the answer holds NaN", i)
    if (top := float(answer.max())) > _LOGPROB_SLACK:
        raise AnswerError(f"a log-probability of {top:g} is above 0", i)
    off = float(np.abs(np.exp(answer).sum(axis=1) - 1).max())
    if off > SUM_TOLERANCE:
        raise AnswerError(f"probabilities sum to 1 within {off:g}; at most {SUM_TOLERANCE:g} is allowed", i)
    return answer


def _probabilities(i: int, values: NDArray[Any]) -> NDArray[Any]:
    """Class probabilities along axis 0."""
    if len(values) < 2 or values.min() < 0:  # noqa: PLR2004 - one class is no choice
        raise AnswerError(f"the answer of shape {values.shape} is no distribution over at least two classes", i)
    off = float(np.abs(values.sum(axis=0) - 1).max())
    if off > SUM_TOLERANCE:
        raise AnswerError(f"probabilities sum to 1 within {off:g}; at most {SUM_TOLERANCE:g} is allowed", i)
    return values
