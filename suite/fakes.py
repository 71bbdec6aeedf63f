"""Models whose scores are known in closed form. Public: use them to test a task, a metric or an installation.

As files they have the format ``fake``: JSON such as ``{"fake": "uniform", "vocabulary": 50}``.

    uniform     language         every token has probability 1 / V: perplexity is exactly V
    unigram     language         every token has the same distribution, e.g. [0.7, 0.3], whatever came before
    uniform-masked  language     the same for a masked model: every hidden token has log-probability -ln V
    constant    classification   the same distribution for every input, e.g. [0.7, 0.3]
    oracle      classification   reads the class off pixel [0, ..., 0] of its input: accuracy 1 if it stands there
    threshold   segmentation     class 1 where the image is above `level`: Dice 1 on images that are their own mask

``{"fault": {"kind": "nan", "at": 3}}`` beside them spoils the answer to the item number 3 (from 0, counted over all
calls but ``encode``), to see what the harness says of it: nan, inf, shape, half, dtype,
missing, error, die, hang.
``{"delay_s": 0.1}`` makes every call take that much longer.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suite.errors import InputError, unknown
from suite.manifest import Kind
from suite.model import Array, ChoiceScores, Encoded, Facts, Float, Ints, Model, Span, TokenScores

BYTES = 256


class Uniform:
    """Every one of `vocabulary` tokens has probability 1 / vocabulary; tokens are UTF-8 bytes modulo the vocabulary."""

    def __init__(self, vocabulary: int = BYTES, context: int | None = None) -> None:
        self.facts = Facts(dtype="none", context=context, vocabulary=vocabulary, bos=0)
        self._logprob = -float(np.log(vocabulary))
        self._logprobs_V = np.full(vocabulary, self._logprob)
        self._vocabulary = vocabulary

    def encode(self, texts: Sequence[str]) -> list[Encoded]:
        """One token a byte."""
        return [self._encode(text) for text in texts]

    def _encode(self, text: str) -> Encoded:
        sizes = [len(character.encode()) for character in text]
        ends = np.repeat(np.arange(1, len(text) + 1), sizes) if text else np.zeros(0)
        ids = np.frombuffer(text.encode(), dtype=np.uint8).astype(np.int64) % self._vocabulary
        return Encoded(ids, ends.astype(np.int64))

    def token_logprobs(self, sequences: Sequence[Ints]) -> list[TokenScores]:
        """-ln V everywhere, the likeliest token's too; of equally likely ones, the first is token 0."""
        scored = []
        for ids in sequences:
            even = np.full(max(len(ids) - 1, 0), self._logprob)
            scored.append(TokenScores(even, even.copy(), np.asarray(ids)[1:] == 0))
        return scored

    def distributions(self, sequences: Sequence[Ints], spans: Sequence[Span]) -> list[NDArray[np.float32]]:
        """The one distribution, once a position."""
        row_V = self._logprobs_V.astype(np.float32)
        return [np.tile(row_V, (stop - start, 1)) for start, stop in spans]

    def document_logprobs(self, texts: Sequence[str]) -> list[TokenScores]:
        """Every byte of each text, the first one given token 0."""
        return self.token_logprobs([np.concatenate([[0], self._encode(text).ids_T]) for text in texts])

    def generate(self, prompts: Sequence[str], stops: Sequence[Sequence[str]], limits: Sequence[int]) -> list[str]:
        """The likeliest token again and again, as the character of that number."""
        character = chr(int(self._logprobs_V.argmax()))
        return ["" if character in stop else character * limit for stop, limit in zip(stops, limits, strict=True)]

    def choice_logprobs(self, contexts: Sequence[str], choices: Sequence[Sequence[str]]) -> list[ChoiceScores]:
        """-ln V per byte, so the shortest choice wins."""
        scored = []
        for options in choices:
            sizes = np.array([len(option.encode()) for option in options], dtype=np.int64)
            scored.append(ChoiceScores(sizes * np.float64(self._logprob), sizes, np.zeros(len(sizes), dtype=bool)))
        return scored


class Unigram(Uniform):
    """The same token probabilities at every position, whatever came before; tokens are bytes modulo their number."""

    def __init__(self, probs: Sequence[float], context: int | None = None) -> None:
        super().__init__(len(probs), context)
        with np.errstate(divide="ignore"):
            self._logprobs_V = np.log(np.asarray(probs, dtype=np.float64))

    def token_logprobs(self, sequences: Sequence[Ints]) -> list[TokenScores]:
        """The ln p of each token, and of the likeliest one."""
        top, scored = self._logprobs_V.argmax(), []
        for ids in sequences:
            tokens_T = np.asarray(ids)[1:]
            best = np.full(len(tokens_T), self._logprobs_V[top])
            scored.append(TokenScores(self._logprobs_V[tokens_T], best, tokens_T == top))
        return scored

    def choice_logprobs(self, contexts: Sequence[str], choices: Sequence[Sequence[str]]) -> list[ChoiceScores]:
        """The sum of ln p over each choice's bytes."""
        scored = []
        for options in choices:
            tokens = [encoded.ids_T for encoded in self.encode(options)]
            sums = np.array([self._logprobs_V[ids].sum() for ids in tokens])
            greedy = np.array([bool((ids == self._logprobs_V.argmax()).all()) for ids in tokens])
            scored.append(ChoiceScores(sums, np.array([len(ids) for ids in tokens], dtype=np.int64), greedy))
        return scored


class UniformMasked:
    """The uniform model as one that fills in hidden tokens; it continues no text."""

    def __init__(self, vocabulary: int = BYTES, context: int | None = None) -> None:
        uniform = Uniform(vocabulary, context)
        self.facts = replace(uniform.facts, bos=None)
        self.encode = uniform.encode
        self._logprob = -float(np.log(vocabulary))

    def pseudo_logprobs(self, sequences: Sequence[Ints], positions: Sequence[Ints]) -> list[Float]:
        """-ln V at every position."""
        return [np.full(len(places), self._logprob) for places in positions]


class Constant:
    """The same class probabilities for every input."""

    facts = Facts(dtype="none")

    def __init__(self, probs: Sequence[float]) -> None:
        self._probs_K = np.asarray(probs, dtype=np.float64)

    def predict_proba(self, inputs: Sequence[Array]) -> list[Float]:
        """The constant, once an input."""
        return [self._probs_K.copy() for _ in inputs]


class Oracle:
    """Reads the class off its input's first pixel (class / 255 with values in [0, 1]) and answers it."""

    facts = Facts(dtype="none")

    def __init__(self, classes: int = 10, confidence: float = 1.0) -> None:
        self._classes, self._confidence = classes, confidence

    def predict_proba(self, inputs: Sequence[Array]) -> list[Float]:
        """`confidence` on the class, the rest spread evenly."""
        rest = (1 - self._confidence) / (self._classes - 1)
        answers = []
        for image in inputs:
            probs_K = np.full(self._classes, rest)
            probs_K[round(float(image.flat[0]) * 255) % self._classes] = self._confidence
            answers.append(probs_K)
        return answers


class Threshold:
    """Class 1 where the first channel is above `level`, background elsewhere; `invert` answers the opposite."""

    facts = Facts(dtype="none")

    def __init__(self, level: float = 0.5, classes: int = 2, invert: bool = False) -> None:
        self._level, self._classes, self._invert = level, classes, invert

    def segment(self, images: Sequence[Array]) -> list[NDArray[np.float32]]:
        """Probabilities 0 and 1."""
        answers = []
        for image in images:
            inside = (image[0] > self._level) != self._invert
            probs = np.zeros((self._classes, *image.shape[1:]), dtype=np.float32)
            probs[0], probs[1] = ~inside, inside
            answers.append(probs)
        return answers


class Faulty:
    """A model that spoils its answer to one item."""

    def __init__(self, model: Any, kind: str, at: int) -> None:
        if kind not in _FAULTS:
            raise unknown("fault", kind, _FAULTS)
        self.facts = model.facts
        self._model, self._kind, self._at, self._seen = model, kind, at, 0

    def __getattr__(self, method: str) -> Callable[..., list[Any]]:
        call = getattr(self._model, method)
        if method == "encode":
            return call  # type: ignore[no-any-return]

        def spoiled(*arguments: Any) -> list[Any]:
            answers = list(call(*arguments))
            index, self._seen = self._at - self._seen, self._seen + len(answers)
            return _FAULTS[self._kind](answers, index) if 0 <= index < len(answers) else answers

        return spoiled


class Slow:
    """A model that takes `delay_s` longer to answer a call."""

    def __init__(self, model: Any, delay_s: float) -> None:
        self.facts = model.facts
        self._model, self._delay_s = model, delay_s

    def __getattr__(self, method: str) -> Callable[..., list[Any]]:
        call = getattr(self._model, method)

        def slowed(*arguments: Any) -> list[Any]:
            time.sleep(self._delay_s)
            return list(call(*arguments))

        return slowed


def _replace(change: Callable[[Any], Any]) -> Callable[[list[Any], int], list[Any]]:
    def fault(answers: list[Any], index: int) -> list[Any]:
        old = answers[index]
        if isinstance(old, ChoiceScores):
            answers[index] = replace(old, logprobs_K=change(old.logprobs_K))
        elif isinstance(old, TokenScores):
            answers[index] = replace(old, logprobs_T=change(old.logprobs_T))
        else:
            answers[index] = change(old)
        return answers

    return fault


def _die(answers: list[Any], index: int) -> list[Any]:
    os.kill(os.getpid(), signal.SIGKILL)
    return answers


def _hang(answers: list[Any], index: int) -> list[Any]:
    time.sleep(3600)
    return answers


def _fail(answers: list[Any], index: int) -> list[Any]:
    raise ArithmeticError(f"deliberate failure at answer {index}")


_FAULTS: Mapping[str, Callable[[list[Any], int], list[Any]]] = {
    "nan": _replace(lambda answer: answer * np.nan),
    "inf": _replace(lambda answer: answer - np.inf),
    "shape": _replace(lambda answer: np.concatenate([answer, answer])),
    "half": _replace(lambda answer: answer / 2),
    "dtype": _replace(lambda answer: np.zeros(answer.shape, dtype=np.int64)),
    "missing": lambda answers, index: answers[:index] + answers[index + 1 :],
    "error": _fail,
    "die": _die,
    "hang": _hang,
}
_MODELS: Mapping[str, tuple[Kind, Callable[..., Any]]] = {
    "uniform": ("language", Uniform),
    "unigram": ("language", Unigram),
    "uniform-masked": ("language", UniformMasked),
    "constant": ("classification", Constant),
    "oracle": ("classification", Oracle),
    "threshold": ("segmentation", Threshold),
}


def build(spec: Mapping[str, Any], kind: Kind) -> Model:
    """A fake from its description.

    Raises:
        InputError: no such fake, another kind of model, or a parameter that it does not take.
    """
    fields = dict(spec)
    name, fault, delay_s = str(fields.pop("fake", "")), fields.pop("fault", None), fields.pop("delay_s", 0.0)
    if name not in _MODELS:
        raise unknown("fake", name, _MODELS)
    made_for, make = _MODELS[name]
    if made_for != kind:
        raise InputError(f"fake {name!r} is a {made_for} model, the manifest says {kind}")
    try:
        model = make(**fields)
        model = Faulty(model, **fault) if fault else model
        built: Model = Slow(model, delay_s) if delay_s else model
        return built
    except TypeError as error:
        raise InputError(f"fake {name!r}: {error}") from None
