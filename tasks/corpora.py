"""The literature's other perplexity protocols: whole context, llama.cpp's second halves, C4 and PTB in two variants.

No digest of C4's first validation shard or of PTB is pinned: none was known for certain. Records state the digest of
the text that was scored, and records with different ones are not compared.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import random
from collections.abc import Callable, Iterable, Sequence
from functools import cache

import numpy as np

from suite.data import Dataset, Hub
from suite.errors import UnitError
from suite.model import Encoded, LanguageModel
from suite.task import Example
from tasks.perplexity import _WIKITEXT2, OneText, Perplexity, Window, _wikitext2, _wikitext2_rows, _window

C4_TEXTS = 1100
C4_WINDOWS = 256
_LLAMACPP_CONTEXT = 512
_C4_FILE = "c4-validation.00000-of-00008.json.gz"


class SecondHalf(OneText):
    """llama.cpp's ``perplexity``: only the second half of each chunk is scored, after a BOS at every chunk's start.

    Protocol ``<id>/<chunk>-second-half/nonoverlap/bos-each``. The BOS takes the place of the chunk's first token, as
    there. Chunks of 512 tokens score 255 each. "Not directly comparable to those of other projects" (its README).
    """

    def protocol(self, context: int | None, bos: bool = True) -> str:
        """The chunk that this model really gets."""
        return f"{self._id}/{self._size(context)}-second-half/nonoverlap/bos-{'each' if bos else 'none'}"

    def _cut(self, text: str, encoded: Encoded, start: int, stop: int, bos: int | None) -> Window:
        ids, half = encoded.ids_T[start:stop].copy(), (stop - start) // 2
        if bos is not None:
            ids[0] = bos
        scored = _window(text, encoded, start + half, stop, None)
        return Window(ids, scored.n_bytes, skip=half)


class Unpinned(OneText):
    """One text whose digest is not known beforehand."""

    def data_sha256(self) -> str:
        """Of the text."""
        return hashlib.sha256(self._text().encode()).hexdigest()


class FirstWindows(Unpinned):
    """The same, cut to its first windows."""

    most = C4_WINDOWS

    def protocol(self, context: int | None, bos: bool = True) -> str:
        """How many windows at most."""
        return f"{super().protocol(context, bos)}/first-{self.most}"

    def examples(self, model: LanguageModel) -> Sequence[Example]:
        """The first windows; each is a cluster of its own, for no window knows its document."""
        return list(super().examples(model))[: self.most]


class RandomWindows(Perplexity):
    """GPTQ's ``c4``: 256 random windows of random long documents, Python's generator seeded with 0.

    Protocol ``<id>/<window>/random-256/seed-0/bos-once``: documents are drawn with replacement until one is longer than
    the window, then the window's start is drawn. Which documents are long depends on the tokenizer. The cluster is the
    document.
    """

    batch_size = 4
    version = "1"

    def __init__(
        self, name: str, title: str, dataset: Dataset, texts: Callable[[], Sequence[str]], window: int
    ) -> None:
        self.name, self.title, self.dataset = name, title, dataset
        self._texts, self._window_tokens = texts, window

    def fetch(self) -> None:
        """Read the documents once."""
        self._texts()

    def data_sha256(self) -> str:
        """Of all documents that are drawn from."""
        return hashlib.sha256("\0".join(self._texts()).encode()).hexdigest()

    def protocol(self, context: int | None, bos: bool = True) -> str:
        """The window that this model really gets."""
        size = min(self._window_tokens, context or self._window_tokens)
        return f"c4-shard0/{size}/random-{C4_WINDOWS}/seed-0/bos-{'once' if bos else 'none'}"

    def examples(self, model: LanguageModel) -> Sequence[Example]:
        """The windows in the order that they were drawn."""
        texts, draw = self._texts(), random.Random(0)
        size = min(self._window_tokens, model.facts.context or self._window_tokens)
        longest = max(len(text.encode()) for text in texts)
        encode = cache(lambda number: _with_bos(model, texts[number]))
        found: list[Example] = []
        misses = 0
        while len(found) < C4_WINDOWS:
            number = draw.randint(0, len(texts) - 1)
            encoded = encode(number)
            if len(encoded.ids_T) <= size:
                misses += 1
                if misses > 100 * len(texts):
                    raise UnitError(f"no document has more than {size} tokens; the longest has {longest} bytes")
                continue
            start = draw.randint(0, len(encoded.ids_T) - size - 1)
            window = _window(texts[number], encoded, start, start + size, None)
            found.append(Example(f"window-{len(found):05d}", window, cluster=f"doc-{number:06d}"))
        return found


def _with_bos(model: LanguageModel, text: str) -> Encoded:
    encoded = model.encode([text])[0]
    if model.facts.bos is None:
        return encoded
    return Encoded(np.concatenate([[model.facts.bos], encoded.ids_T]), np.concatenate([[0], encoded.ends_T]))


_C4 = Dataset(
    name="text_c4",
    content_sha256="",
    files={_C4_FILE: ""},
    licence="ODC-By-1.0",
    source="C4 en, first of 8 validation shards (Raffel et al. 2020), as GPTQ and SparseGPT read it",
    hub=Hub("allenai/c4", split="validation", data_files=f"en/{_C4_FILE}"),
)


def _ptb(split: str, file: str) -> Dataset:
    return Dataset(
        name="text_ptb",
        content_sha256="",
        files={file: ""},
        licence="LDC user agreement; text as distributed by Mikolov",
        source=f"Penn Treebank {split} split in Mikolov's preprocessing",
        hub=Hub(
            "ptb-text-only/ptb_text_only",
            split=split,
            revision="refs/convert/parquet",
            data_files=f"penn_treebank/{split}/0000.parquet",
        ),
    )


_PTB_VALIDATION, _PTB_TEST = _ptb("validation", "ptb.valid.txt"), _ptb("test", "ptb.test.txt")


@cache
def _c4() -> tuple[str, ...]:
    raw = _C4.file(_C4_FILE)
    if raw is None:
        return tuple(_C4.rows("text"))
    return tuple(json.loads(line)["text"] for line in gzip.decompress(raw).decode().split("\n") if line)


def _sentences(dataset: Dataset) -> Iterable[str]:
    raw = dataset.file(next(iter(dataset.files)))
    return dataset.rows("sentence") if raw is None else (line.strip() for line in raw.decode().splitlines())


WIKITEXT2_MAXCTX = OneText(
    "wikitext2-maxctx",
    "WikiText-2 perplexity at the model's whole context, Wanda's protocol",
    _WIKITEXT2,
    _wikitext2,
    protocol_id="wt2raw",
    window=None,
)
WIKITEXT2_LLAMACPP = SecondHalf(
    "wikitext2-llamacpp",
    "WikiText-2 perplexity as llama.cpp's perplexity tool computes it",
    _WIKITEXT2,
    lambda: "".join(row or " \n" for row in _wikitext2_rows()),
    protocol_id="wt2file",
    window=_LLAMACPP_CONTEXT,
)
C4 = RandomWindows("c4", "C4 perplexity, GPTQ's random windows", _C4, _c4, window=2048)
C4_NEW = FirstWindows(
    "c4-new",
    "C4 perplexity, first 1,100 validation texts",
    _C4,
    lambda: " ".join(_c4()[:C4_TEXTS]),
    protocol_id="c4-first-1100",
    window=2048,
)
PTB = Unpinned(
    "ptb",
    "PTB perplexity, validation split joined by two newlines",
    _PTB_VALIDATION,
    lambda: "\n\n".join(_sentences(_PTB_VALIDATION)),
    protocol_id="ptb-valid",
    window=2048,
)
PTB_NEW = Unpinned(
    "ptb-new",
    "PTB perplexity, test split joined by blanks",
    _PTB_TEST,
    lambda: " ".join(_sentences(_PTB_TEST)),
    protocol_id="ptb-test",
    window=2048,
)
ALL = (WIKITEXT2_MAXCTX, WIKITEXT2_LLAMACPP, C4, C4_NEW, PTB, PTB_NEW)
