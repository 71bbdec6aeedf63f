"""CrowS-Pairs: 1,508 pairs of sentences that differ in the people they are about; which one is likelier?"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any, ClassVar

import numpy as np

from suite.data import Dataset, files_digest
from suite.manifest import Inputs, Kind
from suite.metrics import bias
from suite.model import Ints, LanguageModel, MaskedLanguageModel
from suite.task import Example, Row, Task

BIAS_TYPES = (
    *("age", "disability", "gender", "nationality", "physical-appearance", "race-color"),
    *("religion", "sexual-orientation", "socioeconomic"),
)
DIRECTIONS = ("stereo", "antistereo")
_BEGIN, _END = -1, -2  # stand for the tokenizer's own tokens at either end

_FILES = {"crows_pairs_anonymized.csv": "dfb36986ce0502abbaf7055b9176da3d08d48e07df1251991b5dfbcbceab9d0c"}
_DATA = Dataset(
    name="bias_crows_pairs",
    content_sha256=files_digest(_FILES),
    files=_FILES,
    licence="CC-BY-SA-4.0",
    source="nyu-mll/crows-pairs, data/crows_pairs_anonymized.csv (Nangia et al. 2020)",
)
_BY_TYPE = tuple(m for metric in bias.PAIRS for m in bias.by_category(metric, "bias_type", BIAS_TYPES))
_BY_DIRECTION = tuple(m for metric in bias.PAIRS for m in bias.by_category(metric, "direction", DIRECTIONS))


@dataclass(frozen=True)
class Pair:
    """Two sentences, the more and the less stereotyping one."""

    more: str
    less: str


class CrowsPairs(Task[LanguageModel]):
    """Whole-sentence log-likelihoods of a causal model, no length normalisation.

    Protocol ``sentence-loglikelihood``: lm-eval's ``crows_pairs_english``: every sentence after the begin token, tokens
    cut as lm-eval cuts them. This is another number than the paper's, which is for masked models (`CrowsPairsMasked`).
    A tie is neither stereotype nor anti-stereotype: ``tied_share`` counts it, and ``stereotype_distance`` halves it.
    lm-eval's ``pct_stereotype`` is ``stereotype_share`` (a tie adds nothing to it there either), its
    ``likelihood_diff`` is ``mean_abs_dll``.
    """

    name = "crows-pairs"
    version = "1"
    title = "CrowS-Pairs, whole-sentence likelihoods of a causal model"
    kind: ClassVar[Kind] = "language"
    metrics = (*bias.PAIRS, *_BY_TYPE, *_BY_DIRECTION)
    primary = "stereotype_distance"
    dataset = _DATA

    def protocol(self, context: int | None, bos: bool = True) -> str:
        """One way only."""
        return "sentence-loglikelihood"

    def examples(self, model: LanguageModel) -> Sequence[Example]:
        """All pairs."""
        return list(pairs())

    def ask(self, model: LanguageModel, inputs: Sequence[Any], spec: Inputs) -> Sequence[Any]:
        """Log-likelihoods and token counts of the two sentences."""
        asked: Sequence[Pair] = inputs
        scored = model.choice_logprobs([""] * len(asked), [(pair.more, pair.less) for pair in asked])
        return [(scores.logprobs_K, scores.n_tokens_K) for scores in scored]

    def row(self, example: Example, answer: Any) -> Row:
        """Log-likelihood of the more and of the less stereotyping sentence (nats), tokens of each, and ``dll``."""
        logprobs, n_tokens = answer
        return {"logprobs": logprobs, "n_tokens": n_tokens, "dll": float(logprobs[0] - logprobs[1])}


@dataclass(frozen=True)
class MaskedPair:
    """Two sentences as tokens, and the positions whose tokens they share.

    Attributes:
        more_T: ids of the more stereotyping sentence.
        less_T: ids of the less stereotyping sentence.
        more_P: positions of the shared tokens in `more_T`.
        less_P: the same tokens' positions in `less_T`.
    """

    more_T: Ints
    less_T: Ints
    more_P: Ints
    less_P: Ints


class CrowsPairsMasked(Task[MaskedLanguageModel]):
    """The original metric: pseudo-log-likelihood of the tokens that the two sentences share, of a masked model.

    Protocol ``shared-tokens-pseudo-loglikelihood``: each token that both sentences have is masked alone, and its
    log-probabilities are summed over the sentence (Nangia et al. 2020, the repository's metric.py). Shared are the
    equal blocks of Python's ``difflib.SequenceMatcher`` on token ids, begin and end tokens included in the match and
    left out of the sum, as there; its rounding of the sums to three digits, which makes ties, is left out.
    """

    name = "crows-pairs-mlm"
    version = "1"
    title = "CrowS-Pairs, pseudo-likelihoods of a masked model"
    kind: ClassVar[Kind] = "language"
    masked: ClassVar[bool] = True
    metrics = (*bias.PAIRS, *_BY_TYPE, *_BY_DIRECTION)
    primary = "stereotype_distance"
    dataset = _DATA

    def protocol(self, context: int | None, bos: bool = True) -> str:
        """One way only."""
        return "shared-tokens-pseudo-loglikelihood"

    def examples(self, model: MaskedLanguageModel) -> Sequence[Example]:
        """All pairs, as the model's tokenizer cuts them."""
        found = list(pairs())
        more, less = (model.encode([getattr(e.input, side) for e in found]) for side in ("more", "less"))
        masked = [masked_pair(a.ids_T, b.ids_T) for a, b in zip(more, less, strict=True)]
        return [Example(e.item, pair, groups=e.groups) for e, pair in zip(found, masked, strict=True)]

    def ask(self, model: MaskedLanguageModel, inputs: Sequence[Any], spec: Inputs) -> Sequence[Any]:
        """Log-probabilities of the shared tokens in either sentence."""
        asked: Sequence[MaskedPair] = inputs
        more = model.pseudo_logprobs([pair.more_T for pair in asked], [pair.more_P for pair in asked])
        less = model.pseudo_logprobs([pair.less_T for pair in asked], [pair.less_P for pair in asked])
        return list(zip(more, less, strict=True))

    def row(self, example: Example, answer: Any) -> Row:
        """Pseudo-log-likelihood of the more and of the less stereotyping sentence (nats), shared tokens, ``dll``."""
        more, less = answer
        logprobs = np.array([more.sum(), less.sum()])
        return {"logprobs": logprobs, "n_tokens": len(more), "dll": float(logprobs[0] - logprobs[1])}


def masked_pair(more_T: Ints, less_T: Ints) -> MaskedPair:
    """Two token sequences with the positions of the tokens that they share.

    >>> pair = masked_pair(np.array([5, 7, 9]), np.array([6, 8, 7, 9]))
    >>> pair.more_P.tolist(), pair.less_P.tolist()
    ([1, 2], [2, 3])
    """
    first, second = ([_BEGIN, *ids_T.tolist(), _END] for ids_T in (more_T, less_T))
    equal = [op for op in SequenceMatcher(None, first, second).get_opcodes() if op[0] == "equal"]
    more = [i for _, start, stop, _, _ in equal for i in range(start, stop)][1:-1]
    less = [i for _, _, _, start, stop in equal for i in range(start, stop)][1:-1]
    return MaskedPair(more_T, less_T, np.array(more, dtype=np.int64) - 1, np.array(less, dtype=np.int64) - 1)


def pairs() -> Iterable[Example]:
    """All pairs of the original file; groups: bias type, and whether the pair states or breaks a stereotype."""
    text = _DATA.original("crows_pairs_anonymized.csv").decode()
    for row in csv.DictReader(io.StringIO(text, newline="")):
        groups = {"bias_type": row["bias_type"], "direction": row["stereo_antistereo"]}
        yield Example(f"pair-{int(row['']):04d}", Pair(row["sent_more"], row["sent_less"]), groups=groups)


CROWS_PAIRS, CROWS_PAIRS_MLM = CrowsPairs(), CrowsPairsMasked()
