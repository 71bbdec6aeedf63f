"""A masked language model of transformers: the log-probability of a token whose place is hidden.

Shape suffixes: T tokens, P positions, R rows of one forward, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from suite.errors import AnswerError, UnitError
from suite.formats._errors import one_line
from suite.formats._safetensors import read_json
from suite.formats._tokenizer import context_of, encoded, load_tokenizer, positions
from suite.formats._torch import observed_dtype
from suite.manifest import Inputs
from suite.model import Encoded, Facts, Float, Ints

if TYPE_CHECKING:
    import torch

CLASS = "AutoModelForMaskedLM"
_ARCHITECTURE = "ForMaskedLM"
_LOGITS_BYTES = 1 << 26  # of float32 logits in one forward
_UNLIMITED = 1 << 30  # what a tokenizer says that states no length


def is_masked(folder: Path) -> bool:
    """Whether the config.json of a folder names an architecture ``*ForMaskedLM``."""
    config = folder / "config.json"
    architectures = read_json(config).get("architectures") if config.is_file() else None
    return isinstance(architectures, list) and any(str(name).endswith(_ARCHITECTURE) for name in architectures)


@dataclass
class MaskedModel:
    """A ``suite.model.MaskedLanguageModel`` over a module of transformers and its fast tokenizer.

    Attributes:
        facts: observed facts; ``context`` and ``vocabulary`` are set.
        tokenizer: a ``PreTrainedTokenizerFast`` with a mask token.
        model: gives ``logits`` [R, T, V] for ``input_ids`` [R, T].
    """

    facts: Facts
    tokenizer: Any
    model: Any

    def __post_init__(self) -> None:
        marked = self.tokenizer("a", return_special_tokens_mask=True, verbose=False)
        ids, special = marked["input_ids"], marked["special_tokens_mask"]
        first = special.index(0) if 0 in special else len(special)
        last = len(special) - special[::-1].index(0) if 0 in special else first
        self._before, self._after = ids[:first], ids[last:]

    def encode(self, texts: Sequence[str]) -> list[Encoded]:
        """Tokens of each text, no special tokens added; ends never fall."""
        return encoded(self.tokenizer, texts)

    def pseudo_logprobs(self, sequences: Sequence[Ints], positions: Sequence[Ints]) -> list[Float]:
        """For each sequence, log p(token at each of its positions | all its other tokens), of float32 logits.

        The tokenizer's own begin and end tokens are put around every sequence. Rows of one forward have one length, so
        that nothing is padded.
        """
        whole = [np.array([*self._before, *ids_T, *self._after], dtype=np.int64) for ids_T in sequences]
        answers = [np.empty(len(places)) for places in positions]
        for item, (ids_T, places) in enumerate(zip(whole, positions, strict=True)):
            self._refuse(ids_T, np.asarray(places, dtype=np.int64), len(sequences[item]), item)
        rows = [(item, place) for item, places in enumerate(positions) for place in range(len(places))]
        for batch in self._batches(rows, whole):
            at = np.array([len(self._before) + int(positions[item][place]) for item, place in batch])
            logprobs_R = self._forward(np.stack([whole[item] for item, _ in batch]), at)
            for (item, place), value in zip(batch, logprobs_R, strict=True):
                if not np.isfinite(value):
                    what = "not a number" if np.isnan(value) else "infinite"
                    raise AnswerError(f"the model gives a log-probability that is {what}", item)
                answers[item][place] = value
        return answers

    def _batches(self, rows: list[tuple[int, int]], whole: list[Ints]) -> Iterator[list[tuple[int, int]]]:
        """Rows of equal length that fit one forward."""
        by_length: dict[int, list[tuple[int, int]]] = {}
        for row in rows:
            by_length.setdefault(len(whole[row[0]]), []).append(row)
        for length, same in sorted(by_length.items()):
            size = max(1, _LOGITS_BYTES // (4 * length * (self.facts.vocabulary or 1)))
            yield from (same[start : start + size] for start in range(0, len(same), size))

    def _forward(self, ids_RT: Ints, at_R: Ints) -> Float:
        """Log-probability of the token at `at` of every row, with the mask token in its place."""
        import torch

        rows_R = torch.arange(len(ids_RT))
        targets_R = torch.from_numpy(ids_RT[np.arange(len(ids_RT)), at_R])
        hidden_RT = torch.from_numpy(ids_RT.copy())
        hidden_RT[rows_R, torch.from_numpy(at_R)] = self.tokenizer.mask_token_id
        with torch.no_grad():
            try:
                logits_RTV = self.model(input_ids=hidden_RT.to(self.model.device)).logits
            except (RuntimeError, ValueError, IndexError) as error:
                raise UnitError(
                    f"the model fails on {len(ids_RT)} rows of {ids_RT.shape[1]} tokens: {one_line(error)}"
                ) from None
            logits_RV: torch.Tensor = logits_RTV[
                rows_R.to(logits_RTV.device), torch.from_numpy(at_R).to(logits_RTV.device)
            ]
            logprobs_RV = logits_RV.float().log_softmax(dim=-1).cpu()
        found: Float = logprobs_RV[rows_R, targets_R].double().numpy()
        return found

    def _refuse(self, ids_T: Ints, places_P: Ints, length: int, item: int) -> None:
        vocabulary, context = self.facts.vocabulary or 0, self.facts.context or 0
        if len(ids_T) and not 0 <= int(ids_T.min()) <= int(ids_T.max()) < vocabulary:
            raise AnswerError(f"token ids must be numbers from 0 to {vocabulary - 1}", item)
        if len(ids_T) > context:
            raise AnswerError(f"a sequence of {len(ids_T)} tokens exceeds the model's context of {context}", item)
        if len(places_P) and not 0 <= int(places_P.min()) <= int(places_P.max()) < length:
            raise AnswerError(f"positions must be from 0 to {length - 1}", item)


def masked(model: Any, folder: Path, inputs: Inputs, notes: tuple[str, ...]) -> MaskedModel:
    """A loaded module with the folder's tokenizer.

    Raises:
        UnitError: the tokenizer has no mask token, or ids that the model has not.
        InputError: the manifest asks for more context than the model has.
    """
    tokenizer = load_tokenizer(folder)
    if tokenizer.mask_token_id is None:
        raise UnitError(f"the tokenizer of {folder.name} has no mask token; name one in tokenizer_config.json")
    vocabulary = int(model.get_input_embeddings().weight.shape[0])
    if max(tokenizer.get_vocab().values()) >= vocabulary:
        raise UnitError(f"the tokenizer has {len(tokenizer)} ids, the model only {vocabulary}; they do not fit")
    context = context_of(inputs, positions(model.config.to_dict()))
    if tokenizer.model_max_length < _UNLIMITED:  # RoBERTa's 514 positions hold 512 tokens
        context = min(context, int(tokenizer.model_max_length))
    notes = ("masked language model", *notes)
    return MaskedModel(Facts(observed_dtype(model), "plain", context, vocabulary, None, notes), tokenizer, model)
