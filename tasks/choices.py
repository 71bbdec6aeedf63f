"""Zero-shot multiple choice: which of K continuations does the model find most likely?"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from suite.data import Dataset
from suite.manifest import Inputs, Kind
from suite.metrics.base import Metric, per_item, ratio
from suite.metrics.calibration import ECE_15
from suite.metrics.classification import ACCURACY, BRIER, NLL, outcomes
from suite.model import ChoiceScores, LanguageModel
from suite.task import Example, Row, Task

ACCURACY_NORM = Metric(
    name="accuracy_norm",
    needs=("correct_norm",),
    terms=per_item("correct_norm"),
    finish=ratio,
    unit="",
    higher_is_better=True,
    bounds=(0.0, 1.0),
    proportion=True,
    reference="argmax of log-probability / UTF-8 bytes of the choice; lm-eval's acc_norm divides by characters",
)
METRICS: tuple[Metric, ...] = (ACCURACY, ACCURACY_NORM, NLL, BRIER, ECE_15)


@dataclass(frozen=True)
class Question:
    """What the model sees of one item."""

    context: str
    choices: tuple[str, ...]


class MultipleChoice(Task[LanguageModel]):
    """K continuations of one context, scored by their summed log-probability.

    Protocol ``loglikelihood/0-shot``: each choice is the context's continuation, tokens cut as lm-eval cuts them. The
    probabilities of a choice are the softmax over the K summed log-probabilities; ``accuracy_norm`` divides them by the
    choice's bytes first.
    """

    kind: ClassVar[Kind] = "language"
    primary = "accuracy"
    batch_size = 32

    def __init__(  # noqa: PLR0913 - a declaration, always by keyword
        self,
        *,
        name: str,
        title: str,
        version: str,
        dataset: Dataset,
        load: Callable[[], Iterable[Example]],
        chance: float,
        metrics: tuple[Metric, ...] = METRICS,
    ) -> None:
        self.name, self.title, self.version, self.dataset = name, title, version, dataset
        self._load, self.chance, self.metrics = load, chance, metrics

    def protocol(self, context: int | None, bos: bool = True) -> str:
        """One way only."""
        return "loglikelihood/0-shot"

    def examples(self, model: LanguageModel) -> Sequence[Example]:
        """All items; an example's input is a `Question`, its label the index of the right choice."""
        return list(self._load())

    def ask(self, model: LanguageModel, inputs: Sequence[Any], spec: Inputs) -> Sequence[Any]:
        """Scores of every choice."""
        questions: Sequence[Question] = inputs
        scored = model.choice_logprobs([q.context for q in questions], [q.choices for q in questions])
        return list(zip(questions, scored, strict=True))

    def row(self, example: Example, answer: Any) -> Row:
        """Log-probabilities of the choices, the gold index, and what follows from them."""
        question: Question
        scores: ChoiceScores
        question, scores = answer
        sizes = np.array([len(choice.encode()) for choice in question.choices])
        normed = scores.logprobs_K / np.maximum(sizes, 1)
        shifted = np.exp(scores.logprobs_K - scores.logprobs_K.max())
        return {
            "logprobs": scores.logprobs_K,
            "n_tokens": scores.n_tokens_K,
            "greedy": scores.greedy_K,
            "correct_norm": int(normed.argmax() == example.label),
            "tied": int((scores.logprobs_K == scores.logprobs_K.max()).sum() > 1),
            **outcomes(shifted / shifted.sum(), example.label),
        }
