"""Greedy generation: prompts to texts, cut at the first stop, as lm-evaluation-harness cuts them.

Shape suffixes: B prompts of a batch, T tokens.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from suite.errors import AnswerError
from suite.model import Array, Ints

if TYPE_CHECKING:
    import torch

    from suite.engine.runtime import Runtime

# ids [B, T] and mask [B, T], padded on the left; most new tokens; whether a row's new tokens end it -> new ids a row
Generator = Callable[["torch.Tensor", "torch.Tensor", int, Callable[[list[int]], bool]], list[list[int]]]
Step = Callable[[Ints, int], Array]
"""New token ids [1, T], and how many positions are cached before them -> logits, those of the last one last."""
_ROWS = 16  # prompts in one batch on an accelerator; elsewhere one, so that padding moves no number
_BYTES_A_CHARACTER = 4
_SPARE = 8


class NotANumberError(Exception):
    """Logits of a row that are no numbers."""

    def __init__(self, row: int) -> None:
        super().__init__(row)
        self.row = row


@dataclass(frozen=True)
class Writer:
    """Writes texts with one model.

    Attributes:
        generate: the model.
        tokenizer: a ``PreTrainedTokenizerFast``.
        context: most tokens of prompt and answer together.
        rows: prompts in one batch.
    """

    generate: Generator
    tokenizer: Any
    context: int
    rows: int = 1

    def write(self, prompts: Sequence[list[int]], stops: Sequence[Sequence[str]], limits: Sequence[int]) -> list[str]:
        """The greedy continuation of each prompt up to its first stop, the end token, or its limit.

        Args:
            prompts: token ids; what does not fit beside the limit is cut off on the left.
            stops: for each prompt, texts that end the answer and are no part of it.
            limits: for each prompt, most tokens of the answer.

        Raises:
            AnswerError: the limit leaves no room in the context, or nothing could ever stop the answer.
        """
        for index, (stop, limit) in enumerate(zip(stops, limits, strict=True)):
            if not 0 < limit < self.context:
                said = f"an answer of up to {limit} tokens leaves no room for a prompt in a context of {self.context}"
                raise AnswerError(said, index)
            if not any(stop) and self.tokenizer.eos_token_id is None:
                raise AnswerError("no stop text, and a tokenizer without an end token: nothing stops the answer", index)
        texts = [""] * len(prompts)
        for batch in self._batches(prompts, stops, limits):
            rows = [prompts[i][-(self.context - limits[i]) :] for i in batch]
            try:
                written = self._continue(rows, stops[batch[0]], limits[batch[0]])
            except NotANumberError as error:
                raise AnswerError("the model's logits are not numbers while it writes", batch[error.row]) from None
            for i, new in zip(batch, written, strict=True):
                texts[i] = cut(self.tokenizer.decode(new, skip_special_tokens=True), self._all(stops[i]))
        return texts

    def _batches(
        self, prompts: Sequence[list[int]], stops: Sequence[Sequence[str]], limits: Sequence[int]
    ) -> Iterator[list[int]]:
        """Prompts that stop alike, of similar length, longest first."""
        kind = {i: (tuple(stops[i]), limits[i]) for i in range(len(prompts))}
        order = sorted(kind, key=lambda i: (kind[i], -len(prompts[i]), i))
        for _, alike in itertools.groupby(order, key=kind.__getitem__):
            group = list(alike)
            yield from (group[at : at + self.rows] for at in range(0, len(group), self.rows))

    def _all(self, stops: Sequence[str]) -> list[str]:
        end = self.tokenizer.eos_token
        return [*(stop for stop in stops if stop), *([end] if end else [])]

    def _continue(self, rows: list[list[int]], stops: Sequence[str], limit: int) -> list[list[int]]:
        import torch

        width = max(1, *(len(row) for row in rows))
        pad = self.tokenizer.pad_token_id if self.tokenizer.pad_token_id is not None else self.tokenizer.eos_token_id
        ids_BT = torch.full((len(rows), width), pad or 0, dtype=torch.int64)
        mask_BT = torch.zeros((len(rows), width), dtype=torch.int64)
        for row, ids in enumerate(rows):
            ids_BT[row, width - len(ids) :] = torch.tensor(ids, dtype=torch.int64)
            mask_BT[row, width - len(ids) :] = 1
        ends = self._all(stops)
        reach = _BYTES_A_CHARACTER * max((len(end) for end in ends), default=0) + _SPARE

        def ended(new: list[int]) -> bool:
            if new and new[-1] == self.tokenizer.eos_token_id:
                return True
            tail = self.tokenizer.decode(new[-reach:], skip_special_tokens=False)
            return any(end in tail for end in ends)

        with torch.no_grad():
            return self.generate(ids_BT, mask_BT, limit, ended)


def cut(text: str, stops: Sequence[str]) -> str:
    """The text before the first stop.

    >>> cut("7 apples. Question: how", ["Question:", "."])
    '7 apples'
    """
    for stop in stops:
        text = text.split(stop, maxsplit=1)[0]
    return text


def rows_for(runtime: Runtime) -> int:
    """Prompts in one batch."""
    return _ROWS if runtime.tokens and not runtime.alone else 1


def recomputing(runtime: Runtime) -> Generator:
    """Generation for runtimes without a cache: the whole sequence once more for every token."""

    def generate(
        ids_BT: torch.Tensor, mask_BT: torch.Tensor, limit: int, ended: Callable[[list[int]], bool]
    ) -> list[list[int]]:
        import torch

        answers: list[list[int]] = []
        for ids_T, mask_T in zip(ids_BT, mask_BT, strict=True):
            ids_T, new = ids_T[mask_T.bool()], list[int]()  # noqa: PLW2901 - the row without its padding
            while len(new) < limit and not (new and ended(new)):
                features_TD = runtime.body(ids_T[None], None)[0]
                logits_V = runtime.head(features_TD[-1:]).float()[0]
                if bool(torch.isnan(logits_V).any()):
                    raise NotANumberError(len(answers))
                new.append(int(logits_V.argmax()))
                ids_T = torch.cat([ids_T, torch.tensor(new[-1:])])  # noqa: PLW2901
            answers.append(new)
        return answers

    return generate


def stepping(begin: Callable[[], Step]) -> Generator:
    """Generation for runtimes with a cache of their own: every token is computed once.

    Args:
        begin: forgets everything; gives the function that computes a new sequence from its beginning.
    """

    def generate(
        ids_BT: torch.Tensor, mask_BT: torch.Tensor, limit: int, ended: Callable[[list[int]], bool]
    ) -> list[list[int]]:
        answers: list[list[int]] = []
        for row, mask_T in zip(ids_BT, mask_BT, strict=True):
            step, ids, new, cached = begin(), row[mask_T.bool()].numpy()[None], list[int](), 0
            while len(new) < limit and not (new and ended(new)):
                logits_V = step(ids, cached)[0, -1].astype(np.float32)
                if np.isnan(logits_V).any():
                    raise NotANumberError(len(answers))
                cached += ids.shape[1]
                new.append(int(logits_V.argmax()))
                ids = np.array([[new[-1]]], dtype=np.int64)
            answers.append(new)
        return answers

    return generate


def caching(model: Any) -> Generator:
    """Generation by a transformers model's own ``generate``, with its cache and its generation_config's penalties."""

    def generate(
        ids_BT: torch.Tensor,
        mask_BT: torch.Tensor,
        limit: int,
        ended: Callable[[list[int]], bool],
        least: int = 0,
    ) -> list[list[int]]:
        import torch
        from transformers import LogitsProcessor, LogitsProcessorList, StoppingCriteria, StoppingCriteriaList

        width = ids_BT.shape[1]

        class Ended(StoppingCriteria):
            def __call__(self, input_ids: torch.Tensor, scores: Any, **_: Any) -> torch.Tensor:
                done = [ended(row) for row in input_ids[:, width:].tolist()]
                return torch.tensor(done, device=input_ids.device)

        class Numbers(LogitsProcessor):
            def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
                bad_B = torch.isnan(scores).any(dim=1)
                if bool(bad_B.any()):
                    raise NotANumberError(int(bad_B.nonzero()[0, 0]))
                return scores

        out_BT = model.generate(
            input_ids=ids_BT.to(model.device),
            attention_mask=mask_BT.to(model.device),
            max_new_tokens=limit,
            min_new_tokens=least or None,  # for timing: so many tokens, whatever they are
            do_sample=False,
            temperature=None,
            top_p=None,
            top_k=None,
            num_beams=1,
            pad_token_id=int(ids_BT[0, 0]) if not bool(mask_BT[0, 0]) else model.config.eos_token_id or 0,
            stopping_criteria=StoppingCriteriaList([Ended()]),
            logits_processor=LogitsProcessorList([Numbers()]),
            use_cache=True,
        )
        rows: list[list[int]] = out_BT[:, width:].tolist()
        return rows

    return generate
