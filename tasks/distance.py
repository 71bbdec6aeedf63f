"""Distance of a compressed language model to its parent: both read the same text, their distributions are compared.

The text is a slice of a perplexity task: as many of its windows as hold 8,192 predicted tokens, spread evenly over the
whole text, so that an interval over sections or documents has enough of them. Both models must have the same tokens.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from suite.errors import AnswerError, UnitError
from suite.manifest import Inputs, Kind
from suite.metrics.base import Metric
from suite.metrics.distance import DISTANCES, KL_MEAN, compared
from suite.model import LanguageModel, common_context
from suite.task import Beside, Example, Row, Task
from tasks import embedded
from tasks.perplexity import _WIKITEXT2, OneText, Perplexity, Window, _wikitext2

N_TOKENS = 8192
MESSAGE_BYTES = 1 << 25  # of float32 log-probabilities in one answer; at least one position
_INSTEAD = "such models are compared per byte or per item, never per token"

Models = Beside[LanguageModel]


class ParentDistance(Task[Models]):
    """KL divergence, agreement and the like of a child's next-token distributions to its parent's.

    Protocol: that of the perplexity task, ``/spread-<tokens>`` behind it. Window and BOS are those that both models
    can take.
    """

    kind: ClassVar[Kind] = "language"
    beside_parent = True
    metrics: tuple[Metric, ...] = DISTANCES
    primary = KL_MEAN.name
    batch_size = 1  # a window's distributions are the largest thing that is ever held
    version = "1"

    def __init__(self, name: str, title: str, text: Perplexity, n_tokens: int = N_TOKENS) -> None:
        self.name, self.title, self.dataset = name, title, text.dataset
        self._text, self._n_tokens = text, n_tokens

    def fetch(self) -> None:
        """Read the text once."""
        self._text.fetch()

    def protocol(self, context: int | None, bos: bool = True) -> str:
        """The text's protocol, and how much of it."""
        return f"{self._text.protocol(context, bos)}/spread-{self._n_tokens}"

    def examples(self, model: Models) -> Sequence[Example]:
        """Windows of the text, as both tokenizers cut them."""
        ours, theirs = model.child.facts, model.parent.facts
        if ours.vocabulary != theirs.vocabulary:
            raise UnitError(
                f"its vocabulary has {ours.vocabulary} tokens and its parent's {theirs.vocabulary}; {_INSTEAD}"
            )
        context = common_context(ours.context, theirs.context)
        child, parent = (self._text.examples(_limited(one, context)) for one in (model.child, model.parent))
        if len(child) != len(parent) or not all(map(_same, child, parent)):
            raise UnitError(f"it cuts the text into other tokens than its parent; {_INSTEAD}")
        return _spread(child, self._n_tokens)

    def ask(self, model: Models, inputs: Sequence[Any], spec: Inputs) -> Sequence[Any]:
        """The outcome lists of each window, a span of positions after the other."""
        return [_ask(model, window.ids) for window in inputs]

    def row(self, example: Example, answer: Any) -> Row:
        """The lists over the window's predicted tokens, see `suite.metrics.distance`."""
        if not np.isfinite(answer["kl"]).all():
            raise AnswerError("it gives probability 0 to a token that its parent holds possible: KL is infinite")
        if not np.isfinite(answer["logp_true"] + answer["logq_true"]).all():
            raise AnswerError("it gives probability 0 to a token of the text, and so does its parent")
        return {**answer, "n_tokens": len(answer["kl"])}


def _ask(model: Models, ids_T: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
    rows = max(1, MESSAGE_BYTES // (4 * (model.child.facts.vocabulary or 1)))
    parts = []
    for start in range(0, len(ids_T) - 1, rows):
        span = (start, min(start + rows, len(ids_T) - 1))
        (logq_TV,) = model.child.distributions([ids_T], [span])
        (logp_TV,) = model.parent.distributions([ids_T], [span])
        if logp_TV.shape != logq_TV.shape:
            raise AnswerError(f"it gives {logq_TV.shape[1]} tokens a probability, its parent {logp_TV.shape[1]}", 0)
        parts.append(compared(logp_TV, logq_TV, ids_T[span[0] + 1 : span[1] + 1]))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _limited(model: LanguageModel, context: int | None) -> LanguageModel:
    """The same model, believed to take no more tokens than `context`."""
    limited = copy.copy(model)
    limited.facts = replace(model.facts, context=context)
    return limited


def _same(a: Example, b: Example) -> bool:
    ours, theirs = a.input, b.input
    return a.item == b.item and isinstance(ours, Window) and np.array_equal(ours.ids, theirs.ids)


def _spread(examples: Sequence[Example], n_tokens: int) -> list[Example]:
    """The smallest number of evenly spread windows that together predict so many tokens; all if they do not."""
    sizes = np.array([len(example.input.ids) - 1 for example in examples])
    for count in range(1, len(examples)):
        chosen = np.arange(count) * len(examples) // count
        if sizes[chosen].sum() >= n_tokens:
            return [examples[i] for i in chosen.tolist()]
    return list(examples)


GENERATED = ParentDistance(
    "parent-distance-generated", "Distance to the parent on generated stories", embedded.GENERATED_TEXT
)

WIKITEXT2 = ParentDistance(
    "parent-distance-wikitext2",
    "Distance to the parent on WikiText-2",
    OneText("wikitext2", "WikiText-2", _WIKITEXT2, _wikitext2, protocol_id="wt2raw", window=512),
)
