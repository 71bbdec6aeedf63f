"""A language model over any runtime: token boundaries, batches, and log-probabilities in float32 row chunks.

Shape suffixes: B sequences, T tokens, N rows (scored positions), V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from suite.errors import AnswerError, UnitError
from suite.model import ChoiceScores, Encoded, Facts, Float, Ints

if TYPE_CHECKING:
    import torch

_FORWARD_TOKENS = 4096  # of one forward, padding counted
_LOGITS_BYTES = 1 << 26  # of float32 logits held at once
_MIN_SCORED = 2  # a sequence of one token has nothing to predict


@dataclass(frozen=True)
class Runtime:
    """How one runtime computes logits, in two steps so that the second can be taken in chunks of rows.

    Attributes:
        body: ids [B, T] and attention mask [B, T] (``None``: no padding), int64, to features [B, T, D].
        head: features [N, D] to logits [N, V].
        width: V if `body` gives logits already, so that batches stay small; 0 otherwise.
    """

    body: Callable[[torch.Tensor, torch.Tensor | None], torch.Tensor]
    head: Callable[[torch.Tensor], torch.Tensor]
    width: int = 0


@dataclass
class CausalModel:
    """A ``suite.model.LanguageModel`` over a `Runtime` and a fast tokenizer of transformers.

    Attributes:
        facts: observed facts; ``context`` and ``vocabulary`` are set.
        tokenizer: a ``PreTrainedTokenizerFast``.
        runtime: computes.
    """

    facts: Facts
    tokenizer: Any
    runtime: Runtime

    @property
    def context(self) -> int:
        """The most tokens that go into one forward."""
        assert self.facts.context is not None
        return self.facts.context

    def encode(self, texts: Sequence[str]) -> list[Encoded]:
        """Tokens of each text, no special tokens added; ends never fall."""
        encoded = []
        for text in texts:
            tokens = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
            ends = np.array([end for _, end in tokens["offset_mapping"]], dtype=np.int64)
            encoded.append(Encoded(np.array(tokens["input_ids"], dtype=np.int64), np.maximum.accumulate(ends)))
        return encoded

    def token_logprobs(self, sequences: Sequence[Ints]) -> list[Float]:
        """For t = 1..T-1, log p(token t | tokens before t); float64, taken of float32 logits."""
        scores = self._score([np.asarray(ids_T, dtype=np.int64) for ids_T in sequences])
        return [logprobs for logprobs, _ in scores]

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
        scores = iter(self._score(sequences, tails, owners))
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

    def _score(
        self, sequences: list[Ints], tails: list[int] | None = None, owners: list[int] | None = None
    ) -> list[tuple[Float, np.ndarray[Any, np.dtype[np.bool_]]]]:
        """Log-probabilities of the last `tails` tokens (default: all but the first); whether each is the likeliest."""
        tails = [len(ids_T) - 1 for ids_T in sequences] if tails is None else tails
        owners = list(range(len(sequences))) if owners is None else owners
        answers = [(np.zeros(0), np.zeros(0, dtype=np.bool_))] * len(sequences)
        for index, ids_T in enumerate(sequences):
            self._refuse(ids_T, owners[index])
        for batch in self._batches(sequences):
            scored = self._forward([sequences[i] for i in batch], [tails[i] for i in batch])
            for index, answer in zip(batch, scored, strict=True):
                if np.isnan(answer[0]).any():
                    raise AnswerError("the model gives a log-probability that is not a number", owners[index])
                answers[index] = answer
        return answers

    def _refuse(self, ids_T: Ints, owner: int) -> None:
        vocabulary = self.facts.vocabulary or 0
        if ids_T.ndim != 1 or (len(ids_T) and not 0 <= int(ids_T.min()) <= int(ids_T.max()) < vocabulary):
            raise AnswerError(f"token ids must be one row of numbers from 0 to {vocabulary - 1}", owner)
        if len(ids_T) - 1 > self.context:
            raise AnswerError(f"a sequence of {len(ids_T)} tokens exceeds the model's context of {self.context}", owner)

    def _batches(self, sequences: list[Ints]) -> Iterator[list[int]]:
        """Indices of sequences of similar length, longest first, that fit one forward."""
        budget = _FORWARD_TOKENS
        if self.runtime.width:
            budget = min(budget, _LOGITS_BYTES // (4 * self.runtime.width))
        order = sorted((i for i in range(len(sequences)) if len(sequences[i]) >= _MIN_SCORED),
                       key=lambda i: -len(sequences[i]))  # fmt: skip
        while order:
            size = max(1, budget // (len(sequences[order[0]]) - 1))
            yield order[:size]
            order = order[size:]

    def _forward(self, batch: list[Ints], tails: list[int]) -> list[tuple[Float, Any]]:
        import torch

        lengths = [len(ids_T) - 1 for ids_T in batch]
        ids_BT = torch.zeros((len(batch), max(lengths)), dtype=torch.int64)
        for row, ids_T in enumerate(batch):
            ids_BT[row, : lengths[row]] = torch.from_numpy(ids_T[:-1])
        lengths_B = torch.tensor(lengths)
        mask_BT = (torch.arange(max(lengths))[None, :] < lengths_B[:, None]).to(torch.int64)
        with torch.no_grad():
            features_BTD = self.runtime.body(ids_BT, mask_BT if min(lengths) < max(lengths) else None)
            rows = [features_BTD[row, length - tail : length]
                    for row, (length, tail) in enumerate(zip(lengths, tails, strict=True))]  # fmt: skip
            targets = np.concatenate([ids_T[len(ids_T) - tail :] for ids_T, tail in zip(batch, tails, strict=True)])
            logprobs_N, greedy_N = self._rows(torch.cat(rows), torch.from_numpy(targets))
        cuts = np.cumsum(tails)[:-1]
        return list(zip(np.split(logprobs_N, cuts), np.split(greedy_N, cuts), strict=True))

    def _rows(self, features_ND: torch.Tensor, targets_N: torch.Tensor) -> tuple[Float, Any]:
        """Log-probability of each row's target and whether it is the row's most likely token."""
        step = max(1, _LOGITS_BYTES // (4 * max(1, self.facts.vocabulary or 1)))
        logprobs, greedy = [], []
        for start in range(0, len(targets_N), step):
            logits_NV = self.runtime.head(features_ND[start : start + step]).float()
            targets = targets_N[start : start + step].to(logits_NV.device)
            chosen_N = logits_NV.gather(1, targets[:, None])[:, 0]
            logprobs.append((chosen_N - logits_NV.logsumexp(dim=1)).double().cpu().numpy())
            greedy.append((logits_NV.argmax(dim=1) == targets).cpu().numpy())
        return np.concatenate(logprobs), np.concatenate(greedy)


def _summed(scores: list[tuple[Float, Any]]) -> ChoiceScores:
    """One item's choices, from the scores of their tokens."""
    return ChoiceScores(
        logprobs_K=np.array([logprobs.sum() for logprobs, _ in scores], dtype=np.float64),
        n_tokens_K=np.array([len(logprobs) for logprobs, _ in scores], dtype=np.int64),
        greedy_K=np.array([bool(greedy.all()) for _, greedy in scores], dtype=np.bool_),
    )
