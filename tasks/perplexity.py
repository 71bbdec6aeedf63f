"""Perplexity on documents, and on one long text in non-overlapping windows."""

from __future__ import annotations

import bisect
import gzip
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from suite.data import Dataset, Hub
from suite.errors import UnitError
from suite.manifest import Inputs, Kind
from suite.metrics.base import Metric
from suite.metrics.calibration import TOKEN_ECE_15, top_bins
from suite.metrics.language import BITS_PER_BYTE, NLL, PERPLEXITY
from suite.model import Encoded, LanguageModel
from suite.task import Example, Row, Task

MIN_TOKENS = 2  # a sequence of one token predicts nothing


@dataclass(frozen=True)
class Window:
    """Tokens to score in one sequence.

    Attributes:
        ids: the sequence; every token but the first is predicted.
        n_bytes: UTF-8 bytes of the text that the scored tokens spell.
        skip: predictions at the beginning that are not scored.
    """

    ids: NDArray[np.int64]
    n_bytes: int
    skip: int = 0


class Perplexity(Task[LanguageModel]):
    """Base: windows of tokens in, summed negative log-likelihood out."""

    kind: ClassVar[Kind] = "language"
    metrics: tuple[Metric, ...] = (PERPLEXITY, NLL, BITS_PER_BYTE, TOKEN_ECE_15)
    primary = "perplexity"
    batch_size = 8

    def ask(self, model: LanguageModel, inputs: Sequence[Any], spec: Inputs) -> Sequence[Any]:
        """Log-probability of every token but the first of each window."""
        windows: Sequence[Window] = inputs
        scored = model.token_logprobs([window.ids for window in windows])
        return [(window, scores) for window, scores in zip(windows, scored, strict=True)]

    def row(self, example: Example, answer: Any) -> Row:
        """Sums over the window: nll (nats), n_tokens, n_bytes, and the reliability bins of the likeliest tokens."""
        window, scores = answer
        logprobs_N = scores.logprobs_T[window.skip :]
        bins = top_bins(np.exp(scores.top_logprobs_T[window.skip :]), scores.greedy_T[window.skip :])
        return {
            "nll": float(-logprobs_N.sum()),
            "n_tokens": len(logprobs_N),
            "n_bytes": window.n_bytes,
            "token_bins": bins.sum(axis=0),
        }


class Documents(Perplexity):
    """Independent documents, each in its own sequence after one BOS token; longer ones in consecutive windows.

    Protocol ``docs/<context>/bos-each``. A document that does not fit is cut into windows of context - 1 tokens, each
    after a BOS of its own, so that every token of the document is predicted once. A tokenizer without BOS token leaves
    each window's first token unpredicted, and the protocol says ``bos-none``.
    """

    def __init__(
        self, name: str, title: str, dataset: Dataset, texts: Callable[[], Sequence[str]], version: str
    ) -> None:
        self.name, self.title, self.dataset, self.version = name, title, dataset, version
        self._texts = texts

    def fetch(self) -> None:
        """Read the documents once."""
        self._texts()

    def protocol(self, context: int | None, bos: bool = True) -> str:
        """Documents, the model's context, BOS before each."""
        return f"docs/{context or 'any'}/bos-{'each' if bos else 'none'}"

    def examples(self, model: LanguageModel) -> Sequence[Example]:
        """One example a window; its cluster is the document."""
        texts = self._texts()
        context, bos = model.facts.context, model.facts.bos
        found = []
        for number, (text, encoded) in enumerate(zip(texts, model.encode(texts), strict=True)):
            room = (context or len(encoded.ids_T) + 1) - (bos is not None)
            for part, start in enumerate(range(0, len(encoded.ids_T), room)):
                window = _window(text, encoded, start, start + room, bos)
                item = f"doc-{number:05d}" + (f".{part}" if len(encoded.ids_T) > room else "")
                if len(window.ids) >= MIN_TOKENS:
                    found.append(Example(item, window, cluster=f"doc-{number:05d}"))
        return found


class OneText(Perplexity):
    """One long text, tokenised once, in non-overlapping windows; the remainder is dropped (GPTQ, SparseGPT, SliceGPT).

    Protocol ``<id>/<window>/nonoverlap/bos-once``: BOS stands once, before the whole text. Each window predicts all its
    tokens but the first. A window longer than the model's context becomes the context, and the id says so; with
    ``window=None`` the context is the window (Wanda), ``<id>/max-<context>/...``. Intervals resample the text's
    sections (`section_starts`), not the windows, which are correlated; in a text without sections, the windows.
    """

    batch_size = 4

    def __init__(
        self, name: str, title: str, dataset: Dataset, text: Callable[[], str], protocol_id: str, window: int | None
    ) -> None:
        self.name, self.title, self.dataset, self.version = name, title, dataset, "1"
        self._text, self._id, self._window_tokens = text, protocol_id, window

    def fetch(self) -> None:
        """Read the text once."""
        self._text()

    def protocol(self, context: int | None, bos: bool = True) -> str:
        """The literature's id with the window that this model really gets."""
        size = self._size(context)
        window = size if self._window_tokens else f"max-{size or 'any'}"
        return f"{self._id}/{window}/nonoverlap/bos-{'once' if bos else 'none'}"

    def _size(self, context: int | None) -> int:
        """Tokens of a window; 0 if neither the task nor the model limits them."""
        return min((size for size in (self._window_tokens, context) if size), default=0)

    def examples(self, model: LanguageModel) -> Sequence[Example]:
        """One example a whole window; its cluster is the section that its first token lies in."""
        text = self._text()
        encoded = model.encode([text])[0]
        if model.facts.bos is not None:
            encoded = Encoded(np.concatenate([[model.facts.bos], encoded.ids_T]), np.concatenate([[0], encoded.ends_T]))
        size = self._size(model.facts.context)
        if not size:
            raise UnitError("the model states no context; set inputs.context in its manifest")
        count = len(encoded.ids_T) // size
        if not count:
            raise UnitError(f"the text has {len(encoded.ids_T)} tokens, fewer than one window of {size}")
        starts = section_starts(text)
        found = []
        for number in range(count):
            at = number * size
            section = bisect.bisect_right(starts, int(encoded.ends_T[at])) - 1
            cluster = f"section-{max(section, 0):04d}" if starts else ""
            window = self._cut(text, encoded, at, at + size, model.facts.bos)
            found.append(Example(f"window-{number:05d}", window, cluster=cluster))
        return found

    def _cut(self, text: str, encoded: Encoded, start: int, stop: int, bos: int | None) -> Window:
        return _window(text, encoded, start, stop, None)


def section_starts(text: str) -> list[int]:
    """Character offsets of the top-level headings (`` = Title = ``) of a WikiText text."""
    return [match.start() for match in re.finditer(r"^ = [^=].*[^=] = $", text, flags=re.MULTILINE)]


def _window(text: str, encoded: Encoded, start: int, stop: int, bos: int | None) -> Window:
    """Tokens start..stop, after `bos` if there is one, with the bytes of the text that its predicted tokens spell."""
    ids, ends = encoded.ids_T[start:stop], encoded.ends_T
    stop = start + len(ids)
    first = start if bos is not None else start + 1  # the first token that is predicted
    begins = int(ends[first - 1]) if first > 0 else 0
    n_bytes = len(text[begins : int(ends[stop - 1])].encode()) if stop > first else 0
    return Window(ids if bos is None else np.concatenate([[bos], ids]), n_bytes)


_TINYSTORIES = Dataset(
    name="text_tinystories_sample",
    content_sha256="defaedb58bf28079f3e29c6142cb7f3568d331a577e0911c5d7925c465c50c43",
    files={"tinystories_sample_cs336.txt": "defaedb58bf28079f3e29c6142cb7f3568d331a577e0911c5d7925c465c50c43"},
    licence="CDLA-Sharing-1.0",
    source="five stories of TinyStories (Eldan & Li 2023), as in the tests of Stanford's CS336 assignment 1",
)

_WIKITEXT2 = Dataset(
    name="text_wikitext2",
    content_sha256="696cca6b65a171b0a358a4be6732cdfdf2dd6164a32e20fd70e3c13fc4dfae83",
    files={"wiki.test.raw": "173c87a53759e0201f33e0ccf978e510c2042d7f2cb78229d9a50d79b9e7dd08"},
    licence="CC-BY-SA-3.0",
    source="WikiText-2 raw, test split (Merity et al. 2016); rows joined by two newlines as GPTQ does",
    hub=Hub("Salesforce/wikitext", split="test", config="wikitext-2-raw-v1"),
)


def _tinystories() -> list[str]:
    raw = _TINYSTORIES.file("tinystories_sample_cs336.txt") or next(iter(_TINYSTORIES.rows("text")))
    stories = [story.strip() for story in raw.decode().split("<|endoftext|>")]
    return [story for story in stories if story]


def _wikitext2() -> str:
    return "\n\n".join(_wikitext2_rows())


def _wikitext2_rows() -> list[str]:
    raw = _WIKITEXT2.file("wiki.test.raw")
    rows = _rows_of(raw) if raw is not None else list(_WIKITEXT2.rows("text"))
    _WIKITEXT2.verified("\n\n".join(rows).encode())
    return rows


def _rows_of(raw: bytes) -> list[str]:
    """The hub's rows of the original file: one a line with its newline; a blank line is an empty row."""
    text = gzip.decompress(raw).decode() if raw[:2] == b"\x1f\x8b" else raw.decode()
    return ["" if not line.strip() else line for line in text.splitlines(keepends=True)]


TINYSTORIES = Documents("tinystories", "Perplexity on five TinyStories", _TINYSTORIES, _tinystories, version="1")
WIKITEXT2 = OneText(
    "wikitext2", "WikiText-2 perplexity, GPTQ's protocol", _WIKITEXT2, _wikitext2, protocol_id="wt2raw", window=2048
)
