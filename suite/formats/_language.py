"""A language model over any runtime: text to tokens, tokens to the scoring engine, and who is to blame.

Shape suffixes: T tokens, K choices.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suite.engine import spot
from suite.engine.full import Full
from suite.engine.head import LOGITS_BYTES
from suite.engine.plain import FORWARD_TOKENS, Plain
from suite.engine.runtime import Runtime
from suite.engine.scorer import Shared
from suite.errors import AnswerError, UnitError
from suite.formats._generate import Generator, Writer, recomputing, rows_for
from suite.formats._tokenizer import encoded
from suite.model import ChoiceScores, Encoded, Facts, Ints, Span, TokenScores

__all__ = ["CausalModel", "Runtime"]

_FORWARD_TOKENS = FORWARD_TOKENS
_LOGITS_BYTES = LOGITS_BYTES


@dataclass
class CausalModel:
    """A ``suite.model.LanguageModel`` over a `Runtime` and a fast tokenizer of transformers.

    Attributes:
        facts: observed facts; ``context`` and ``vocabulary`` are set.
        tokenizer: a ``PreTrainedTokenizerFast``.
        runtime: computes.
        engine: computes shared prefixes once; ``None``: every sequence is computed on its own.
        checked: whether a few requests of a first call have shown that the engine is exact.
        generator: continues prompts; ``None``: by `runtime`, the whole sequence once more for every token.
    """

    facts: Facts
    tokenizer: Any
    runtime: Runtime
    engine: Shared | None = None
    checked: bool = False
    generator: Generator | None = None

    def __post_init__(self) -> None:
        self.full = Full(self.runtime)

    @property
    def context(self) -> int:
        """The most tokens that go into one forward."""
        assert self.facts.context is not None
        return self.facts.context

    def encode(self, texts: Sequence[str]) -> list[Encoded]:
        """Tokens of each text, no special tokens added; ends never fall."""
        return encoded(self.tokenizer, texts)

    def token_logprobs(self, sequences: Sequence[Ints]) -> list[TokenScores]:
        """For t = 1..T-1, log p(token t | tokens before t), taken of float32 logits; always the plain path."""
        rows = [np.asarray(ids_T, dtype=np.int64) for ids_T in sequences]
        for index, ids_T in enumerate(rows):
            self._refuse(ids_T, index)
        scores = self._plain(range(len(rows)), rows, [max(0, len(ids_T) - 1) for ids_T in rows], range(len(rows)))
        return [scores[index] for index in range(len(rows))]

    def document_logprobs(self, texts: Sequence[str]) -> list[TokenScores]:
        """All tokens of each text, as ``loglikelihood_rolling`` of lm-evaluation-harness 0.4.13 cuts them."""
        windows = [list(rolling(self._encode_special(text), self._prefix, self.context)) for text in texts]
        owners = [index for index, cut in enumerate(windows) for _ in cut]
        flat = [window for cut in windows for window in cut]
        for (ids_T, _), owner in zip(flat, owners, strict=True):
            self._refuse(ids_T, owner)
        scores = self._plain(range(len(flat)), [ids_T for ids_T, _ in flat], [tail for _, tail in flat], owners)
        parts = iter(scores[index] for index in range(len(flat)))
        return [_joined([next(parts) for _ in cut]) for cut in windows]

    def generate(self, prompts: Sequence[str], stops: Sequence[Sequence[str]], limits: Sequence[int]) -> list[str]:
        """Greedy continuations, prompts cut to tokens as lm-eval cuts them."""
        generator = self.generator or recomputing(self.runtime)
        writer = Writer(generator, self.tokenizer, self.context, rows_for(self.runtime))
        return writer.write([self._encode_special(prompt) for prompt in prompts], stops, limits)

    def distributions(self, sequences: Sequence[Ints], spans: Sequence[Span]) -> list[NDArray[np.float32]]:
        """Whole next-token distributions of a span of positions: the log-softmax of float32 logits."""
        answers = []
        for index, (sequence, (start, stop)) in enumerate(zip(sequences, spans, strict=True)):
            ids_T = np.asarray(sequence, dtype=np.int64)
            self._refuse(ids_T, index)
            answers.append(self.full.span(ids_T, start, stop))
        return answers

    def choice_logprobs(self, contexts: Sequence[str], choices: Sequence[Sequence[str]]) -> list[ChoiceScores]:
        """Every choice scored after its context, tokens cut as lm-evaluation-harness 0.4.13 cuts them."""
        sequences, tails, owners = [], [], []
        for item, (context, options) in enumerate(zip(contexts, choices, strict=True)):
            for choice in options:
                before, after = self._encode_pair(context, choice)
                if not 0 < len(after) <= self.context:
                    said = f"choice {choice[:40]!r} has {len(after)} tokens; allowed: 1 to {self.context}"
                    raise AnswerError(said, item)
                sequences.append(np.array((before + after)[-(self.context + 1) :], dtype=np.int64))
                tails.append(len(after))
                owners.append(item)
        scores = iter(self.score(sequences, tails, owners))
        return [_summed([next(scores) for _ in options]) for options in choices]

    def _encode_pair(self, context: str, continuation: str) -> tuple[list[int], list[int]]:
        """Token ids of a context and of its continuation.

        As ``TemplateLM._encode_pair`` and ``loglikelihood`` of lm-evaluation-harness 0.4.13: blanks at the
        context's end go to the continuation, whose tokens are those of the whole beyond the context's count.
        """
        prefix = self._prefix
        if context == "":
            after: list[int] = self.tokenizer.encode(continuation, add_special_tokens=False)
            return (after[:1], after[1:]) if after[:1] == [prefix] else ([prefix], after)
        blanks = len(context) - len(context.rstrip())
        if blanks:
            context, continuation = context[:-blanks], context[-blanks:] + continuation
        before = self._encode_special(context)
        whole = self._encode_special(context + continuation)
        if not before:  # nothing but blanks, and a tokenizer that begins with nothing; lm-eval stops here
            return [prefix], whole
        return before, whole[len(before) :]

    @property
    def _prefix(self) -> int:
        """What stands for an empty context: the tokenizer's begin token, else its end token."""
        for token in (self.tokenizer.bos_token_id, self.tokenizer.eos_token_id):
            if token is not None:
                return int(token)
        raise UnitError("the tokenizer has neither a begin nor an end token; name one in tokenizer_config.json")

    def _encode_special(self, text: str) -> list[int]:
        """Ids with the tokenizer's own special tokens, unless the text already begins with them."""
        begins = text.startswith(self.tokenizer.decode(self._prefix))
        ids: list[int] = self.tokenizer.encode(text, add_special_tokens=not begins, verbose=False)
        return ids

    def score(
        self, sequences: Sequence[Ints], tails: Sequence[int], owners: Sequence[int] | None = None
    ) -> list[TokenScores]:
        """Scores of each sequence's last `tail` tokens.

        Prefixes that sequences have in common are computed once, where the model's engine does so exactly.

        Args:
            sequences: token ids, at most one more than the context.
            tails: from 1 to all but one.
            owners: for each sequence, the item to blame for it; ``None``: its own index.

        Raises:
            AnswerError: ids that the model does not know, or a log-probability that is not finite.
        """
        owners = range(len(sequences)) if owners is None else owners
        for ids_T, owner in zip(sequences, owners, strict=True):
            self._refuse(ids_T, owner)
        answers = self._together(sequences, tails, owners)
        apart = [i for i in range(len(sequences)) if i not in answers]
        answers.update(self._plain(apart, sequences, tails, owners))
        return [answers[i] for i in range(len(sequences))]

    def _together(
        self, sequences: Sequence[Ints], tails: Sequence[int], owners: Sequence[int]
    ) -> dict[int, TokenScores]:
        """Scores of the sequences that the engine takes; none if a few of the first call show that it is not exact."""
        engine = self.engine
        taken = [i for i, ids_T in enumerate(sequences) if engine is not None and engine.takes(ids_T)]
        if engine is None or not taken:
            return {}
        before = engine.counts.positions
        scored = engine.score([sequences[i] for i in taken], [tails[i] for i in taken])
        answers = dict(zip(taken, scored, strict=True))
        for i in [i for i in taken if not np.isfinite(answers[i].logprobs_T).all()]:  # perhaps its neighbour's fault
            answers.update(self._plain([i], sequences, tails, owners))
        if not self.checked:
            asked = [(sequences[i], tails[i], answers[i]) for i in taken]
            found = spot.look(self._alone, asked, engine.allowed, engine.counts.positions - before)
            self._conclude(engine, found)
        return answers if self.engine else {}

    def _conclude(self, engine: Shared, found: spot.Finding) -> None:
        """Keep the engine or leave it, and say so; all that the run has asked so far is asked anew."""
        self.checked = True
        seen = f"{engine.mode} differs from plain by {found.gap:.1e} on {found.requests} requests of the task"
        if not found.holds:
            self.engine = None
            seen = f"engine plain: {seen}, allowed {engine.allowed:.1e}"
        facts = self.facts
        self.facts = replace(facts, engine=facts.engine if found.holds else "plain", notes=(*facts.notes, seen))

    @property
    def _alone(self) -> Plain:
        return Plain(self.runtime, self.facts.vocabulary or 1, _FORWARD_TOKENS, _LOGITS_BYTES)

    def _plain(
        self, indices: Sequence[int], sequences: Sequence[Ints], tails: Sequence[int], owners: Sequence[int]
    ) -> dict[int, TokenScores]:
        """Scores of some of the sequences, each computed on its own."""
        scored = self._alone.score([sequences[i] for i in indices], [tails[i] for i in indices])
        for i, scores in zip(indices, scored, strict=True):
            if not np.isfinite(scores.logprobs_T).all():
                what = "not a number" if np.isnan(scores.logprobs_T).any() else "infinite"
                raise AnswerError(f"the model gives a log-probability that is {what}", owners[i])
        return dict(zip(indices, scored, strict=True))

    def _refuse(self, ids_T: Ints, owner: int) -> None:
        vocabulary = self.facts.vocabulary or 0
        if ids_T.ndim != 1 or (len(ids_T) and not 0 <= int(ids_T.min()) <= int(ids_T.max()) < vocabulary):
            raise AnswerError(f"token ids must be one row of numbers from 0 to {vocabulary - 1}", owner)
        if len(ids_T) - 1 > self.context:
            raise AnswerError(f"a sequence of {len(ids_T)} tokens exceeds the model's context of {self.context}", owner)


def _summed(scores: list[TokenScores]) -> ChoiceScores:
    """One item's choices, from the scores of their tokens."""
    return ChoiceScores(
        logprobs_K=np.array([tokens.logprobs_T.sum() for tokens in scores], dtype=np.float64),
        n_tokens_K=np.array([len(tokens.logprobs_T) for tokens in scores], dtype=np.int64),
        greedy_K=np.array([bool(tokens.greedy_T.all()) for tokens in scores], dtype=np.bool_),
    )


def rolling(ids: Sequence[int], prefix: int, context: int) -> Iterator[tuple[Ints, int]]:
    """Windows that score every token of a text once: sequences, and how many of their last tokens are scored.

    The first begins with the prefix token, each further one with the last token of the one before; the last window is
    filled up with earlier tokens. As ``get_rolling_token_windows(context_len=1)`` and ``make_disjoint_window`` of
    lm-evaluation-harness 0.4.13.

    >>> [(window.tolist(), tail) for window, tail in rolling([1, 2, 3, 4], 0, 3)]
    [([0, 1, 2, 3], 3), ([1, 2, 3, 4], 1)]
    """
    row = np.array([prefix, *ids], dtype=np.int64)
    done = 0
    while done < len(ids):
        end = min(done + context, len(ids))
        start = done if done == 0 or end - done == context else end - context
        yield row[start : end + 1], end - done
        done = end


def _joined(parts: list[TokenScores]) -> TokenScores:
    """One text's tokens, from its windows'."""
    if not parts:
        return TokenScores(np.zeros(0), np.zeros(0), np.zeros(0, dtype=np.bool_))
    return TokenScores(
        np.concatenate([part.logprobs_T for part in parts]),
        np.concatenate([part.top_logprobs_T for part in parts]),
        np.concatenate([part.greedy_T for part in parts]),
    )
