"""What a model can be asked, whatever its format: three protocols, NumPy in and out.

Shape suffixes: B items of a batch, T tokens, K classes, C channels, V vocabulary.

The same protocols are implemented by the loaders in ``suite.formats`` (inside the child process), by
``suite.fakes``, and by the stand-ins of ``suite.remote`` through which the parent process asks the child.
Every method takes a list with one entry an item and answers a list with one entry an item.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Float = NDArray[np.float64]
Ints = NDArray[np.int64]
Span = Sequence[int]  # start and stop


@dataclass(frozen=True)
class Signature:
    """Shapes that a model file itself states; ``None`` where it leaves a size open. The batch axis is first.

    Attributes:
        input_shape: of the first input, e.g. (None, 3, 32, 32).
        output_shape: of the first output, e.g. (None, 10).
    """

    input_shape: tuple[int | None, ...]
    output_shape: tuple[int | None, ...]


@dataclass(frozen=True)
class Facts:
    """What was observed of a loaded model; never copied from its manifest.

    Attributes:
        dtype: the dtype that holds most of the parameters, e.g. ``float32``, ``int8``.
        engine: the path that computes, e.g. ``plain`` or ``tree``.
        context: language: the most tokens of one sequence.
        vocabulary: language: number of token ids.
        bos: language: id put before a text, ``None`` if the tokenizer has none.
        notes: anything that a reader of the record should know, e.g. ``storage only``.
    """

    dtype: str
    engine: str = "plain"
    context: int | None = None
    vocabulary: int | None = None
    bos: int | None = None
    notes: tuple[str, ...] = field(default=())


@dataclass(frozen=True)
class Encoded:
    """One text as tokens.

    Attributes:
        ids_T: token ids, int64.
        ends_T: for each token, the end of its text as a character offset into the input, int64, never falling.
    """

    ids_T: Ints
    ends_T: Ints


@dataclass(frozen=True)
class ChoiceScores:
    """The model's view of one multiple-choice item with K choices.

    Attributes:
        logprobs_K: summed log-probability of each choice's tokens given the context, nats, float64.
        n_tokens_K: tokens of each choice, int64.
        greedy_K: whether each choice is what greedy decoding would give, bool.
    """

    logprobs_K: Float
    n_tokens_K: Ints
    greedy_K: NDArray[np.bool_]


@dataclass(frozen=True)
class Attacked:
    """The model's answer to an adversarial example that was made of one image.

    Attributes:
        probs_K: class probabilities of the adversarial example, float64.
        clean_K: of the image itself, float64; the attack leads away from its likeliest class.
        moved_1: largest change of a value, float64, one entry; 0 where the model gave no gradient at all.
    """

    probs_K: Float
    clean_K: Float
    moved_1: Float


@dataclass(frozen=True)
class TokenScores:
    """The model's view of T tokens, each given all tokens before it.

    Attributes:
        logprobs_T: log-probability of each token, nats, float64.
        top_logprobs_T: log-probability of the likeliest token at each position, nats, float64.
        greedy_T: whether each token is the likeliest (the first one, if several are), bool.
    """

    logprobs_T: Float
    top_logprobs_T: Float
    greedy_T: NDArray[np.bool_]


@runtime_checkable
class LanguageModel(Protocol):
    """A causal language model with its tokenizer."""

    facts: Facts

    def encode(self, texts: Sequence[str]) -> list[Encoded]:
        """Tokens of each text, no special tokens added."""
        ...

    def token_logprobs(self, sequences: Sequence[Ints]) -> list[TokenScores]:
        """For each sequence of T token ids, the scores of its tokens 1..T-1 given all before: T - 1 of them."""
        ...

    def choice_logprobs(self, contexts: Sequence[str], choices: Sequence[Sequence[str]]) -> list[ChoiceScores]:
        """For each context, the score of every one of its choices as the context's continuation."""
        ...

    def document_logprobs(self, texts: Sequence[str]) -> list[TokenScores]:
        """For each text, the scores of all its tokens, in rolling windows as lm-eval cuts them."""
        ...

    def generate(self, prompts: Sequence[str], stops: Sequence[Sequence[str]], limits: Sequence[int]) -> list[str]:
        """For each prompt, its greedy continuation before the first of its stops, of at most `limit` tokens."""
        ...

    def distributions(self, sequences: Sequence[Ints], spans: Sequence[Span]) -> list[NDArray[np.float32]]:
        """For each sequence and span (start, stop), whole next-token distributions: float32 [stop - start, V].

        Row n holds log p(token | tokens 0 .. start + n) of every token, nats, for 0 <= start < stop <= T - 1; -inf
        where the probability is 0. Asked in spans, so that no message grows with the length of a text.
        """
        ...


@runtime_checkable
class MaskedLanguageModel(Protocol):
    """A language model that fills in hidden tokens, with its tokenizer."""

    facts: Facts

    def encode(self, texts: Sequence[str]) -> list[Encoded]:
        """Tokens of each text, no special tokens added."""
        ...

    def pseudo_logprobs(self, sequences: Sequence[Ints], positions: Sequence[Ints]) -> list[Float]:
        """For each sequence, log p(token at each of its positions | the sequence with that position masked), nats.

        One position is masked at a time. Sequences are as `encode` gives them; the model puts its own begin and end
        tokens around them.
        """
        ...


@runtime_checkable
class Classifier(Protocol):
    """A classifier of arrays."""

    facts: Facts

    def predict_proba(self, inputs: Sequence[Array]) -> list[Float]:
        """For each input (float32, the shape that the manifest declares), the K class probabilities, float64."""
        ...


@runtime_checkable
class Attackable(Protocol):
    """A classifier of images that gives gradients with respect to them."""

    facts: Facts

    def attacked_proba(
        self, images: Sequence[Array], attacks: Sequence[str], eps: Sequence[float], steps: Sequence[int]
    ) -> list[Attacked]:
        """For each image (float32, values in [0, 1], not normalised), the answer to its adversarial example.

        Args:
            images: of one shape.
            attacks: ``fgsm`` or ``pgd``, as `suite.formats._attack` describes them.
            eps: largest change of a value.
            steps: of PGD.
        """
        ...


@runtime_checkable
class Segmenter(Protocol):
    """A segmentation network."""

    facts: Facts

    def segment(self, images: Sequence[Array]) -> list[NDArray[np.float32]]:
        """For each image [C, (D,) H, W] (float32), the probabilities [K, (D,) H, W], float32, background first."""
        ...


@runtime_checkable
class Predictions(Protocol):
    """Answers that were made elsewhere and come in a file."""

    facts: Facts

    def given(
        self, items: Sequence[str], numbers: Sequence[int], totals: Sequence[int], calibration: Sequence[bool]
    ) -> list[Float]:
        """The K class probabilities of each item.

        Args:
            items: ids.
            numbers: place of each item within its split, from 0.
            totals: items of its split.
            calibration: whether it belongs to the calibration split.
        """
        ...


Model = LanguageModel | MaskedLanguageModel | Classifier | Segmenter | Predictions


def common_context(*contexts: int | None) -> int | None:
    """Tokens that a sequence may hold where several limits apply; ``None`` where none is known.

    >>> common_context(512, None, 256), common_context(None)
    (256, None)
    """
    return min((context for context in contexts if context is not None), default=None)
