"""Zero-shot multiple choice: which of K continuations does the model find most likely?"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from suite.data import Dataset
from suite.manifest import Inputs, Kind
from suite.metrics.base import Metric
from suite.metrics.choices import METRICS, outcomes
from suite.model import ChoiceScores, LanguageModel
from suite.task import Example, Row, Task


@dataclass(frozen=True)
class Question:
    """What the model sees of one item."""

    context: str
    choices: tuple[str, ...]


class MultipleChoice(Task[LanguageModel]):
    """K continuations of one context, scored by their summed log-probability.

    Protocol ``loglikelihood/0-shot``: each choice is the context's continuation, tokens cut as lm-eval cuts them; how
    log-probabilities become decisions and probabilities stands in ``suite.metrics.choices``.
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
        return {
            "n_tokens": scores.n_tokens_K,
            "greedy": scores.greedy_K,
            **outcomes(scores.logprobs_K, [choice.strip() for choice in question.choices], [example.label]),
        }
