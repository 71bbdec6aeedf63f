"""Any text task of lm-evaluation-harness, scored by our engine: ``lm-eval:NAME`` or ``lm-eval:NAME@25shot``.

Configurations, prompts, few-shot examples, filters and per-document numbers are lm-eval's own; requests are answered by
the model's protocol, and every document becomes a row, so that intervals, pairs and verification work as elsewhere. A
group such as ``lm-eval:mmlu`` is one task whose rows name their member in ``group.task``.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from suite.data import Dataset, Hub, mirror
from suite.engine import lm_eval
from suite.errors import AnswerError, InputError
from suite.manifest import Inputs, Kind
from suite.metrics import choices, harness
from suite.model import LanguageModel
from suite.task import AnyTask, Example, Row, Task

PREFIX = "lm-eval:"
_NAME = re.compile(r"^lm-eval:(?P<name>[^@]+)(?:@(?P<shots>\d+)shot)?$")
_LICENCE = "of the data set; see its card"
_GROUPS = ("subject", "category", "domain", "topic", "bias_type", "language", "type")
_MOST_GROUPS = 100


@dataclass(frozen=True)
class Mirrored(Dataset):
    """Data that lm-eval finds itself: in the mirror, in the Hugging Face cache or on the hub."""

    def missing(self) -> str | None:
        """Why it cannot be read here without the network, or ``None``."""
        here = mirror()
        folders = [here / "lm_eval" / name for name in self.files] if here else []
        return None if folders and all(folder.is_dir() for folder in folders) else super().missing()

    def check_files(self) -> None:
        """Nothing is pinned: the digest of the documents goes into the record."""


class LmEval(Task[LanguageModel]):
    """One task or group of lm-eval.

    Protocol ``lm-eval-<release>/<output type>/<n>-shot``, and ``/seed-1234`` where few-shot examples are drawn.
    """

    kind: ClassVar[Kind] = "language"
    batch_size = 32

    def __init__(self, spec: lm_eval.Spec, name: str) -> None:
        self.name, self._spec = name, spec
        leaf = spec.leaves[0]
        self.version = spec.version
        self.title = f"{spec.name} of lm-evaluation-harness" + (f", {spec.shots}-shot" if spec.shots != "0" else "")
        self._type = leaf.output_type
        self.metrics = harness.metrics(leaf)
        self.primary = harness.primary(leaf)
        self.dataset = Mirrored(
            name=f"lm_eval/{spec.name}",
            content_sha256="",
            files={one.name: "" for one in spec.leaves},
            licence=_LICENCE,
            source=f"lm-evaluation-harness {lm_eval.version()}, task configuration version {spec.version}",
            hub=Hub(str(leaf.config.get("dataset_path")), split=str(leaf.config.get("test_split"))),
        )
        self._documents: list[Example] | None = None
        self._digest = ""

    def protocol(self, context: int | None, bos: bool = True) -> str:
        """Release, request type and number of few-shot examples."""
        shots = self._spec.shots
        seed = f"/seed-{lm_eval.FEWSHOT_SEED}" if shots != "0" else ""
        return f"lm-eval-{lm_eval.version()}/{self._type}/{shots}-shot{seed}"

    def fetch(self) -> None:
        """Read the documents and draw their few-shot examples."""
        self._examples()

    def data_sha256(self) -> str:
        """sha256 of the canonical JSON of every document with its requests, which hold the few-shot examples."""
        self._examples()
        return self._digest

    def examples(self, model: LanguageModel) -> Sequence[Example]:
        """One example a document; its label holds what lm-eval needs to judge the answers."""
        return self._examples()

    def ask(self, model: LanguageModel, inputs: Sequence[Any], spec: Inputs) -> Sequence[Any]:
        """Answers to every document's requests, in the form that lm-eval's models give them."""
        owners = [index for index, requests in enumerate(inputs) for _ in requests]
        flat = [request for requests in inputs for request in requests]
        try:
            answers = iter(lm_eval.ANSWERS[self._type](model, flat))
        except AnswerError as error:
            raise AnswerError(str(error), None if error.index is None else owners[error.index]) from None
        return [[next(answers) for _ in requests] for requests in inputs]

    def row(self, example: Example, answer: Any) -> Row:
        """lm-eval's numbers for the document, and the log-probabilities that they were made of."""
        document: lm_eval.Document = example.label
        found = lm_eval.results(document, [one["answer"] for one in answer])
        row = harness.columns(found)
        if self._type == "multiple_choice" and self._spec.leaves[0].plain:
            texts, right = _choices(document)
            logprobs = np.array([one["answer"][0] for one in answer[: len(texts)]], dtype=np.float64)
            row |= choices.outcomes(logprobs, texts, right)
        return row | harness.details(self._type, answer)

    def _examples(self) -> list[Example]:
        if self._documents is None:
            found = [(leaf.name, d) for leaf in self._spec.leaves for d in lm_eval.documents(lm_eval.load(leaf))]
            several = len(self._spec.leaves) > 1
            grouped = _group_columns([document.doc for _, document in found])
            self._documents = [
                Example(
                    item=f"{name}/{d.item}" if several else d.item,
                    input=[tuple(request.args) for request in d.requests],
                    label=d,
                    groups={column: str(d.doc[column]) for column in grouped} | ({"task": name} if several else {}),
                )
                for name, d in found
            ]
            digest = hashlib.sha256()
            for example in self._documents:
                digest.update(_canonical([example.item, example.label.doc, example.input]))
            self._digest = digest.hexdigest()
        return self._documents


def named(name: str) -> AnyTask:
    """The task of a name ``lm-eval:NAME[@Nshot]``.

    Raises:
        InputError: not such a name, no such task, or lm-eval is not installed.
    """
    found = _NAME.match(name)
    if found is None:
        raise InputError(f"{name!r} is no lm-eval task; write lm-eval:NAME or lm-eval:NAME@5shot")
    shots = found["shots"]
    return LmEval(lm_eval.Spec.find(found["name"], None if shots is None else int(shots)), name)


def _choices(document: lm_eval.Document) -> tuple[list[str], list[int]]:
    """Texts of the choices, and the indices of the right ones, as ``process_results`` of lm-eval finds them."""
    task, doc = document.task, document.doc
    texts = list(task.doc_to_choice(doc))
    gold = task.doc_to_text(doc) if task.multiple_input else task.doc_to_target(doc)
    if isinstance(gold, str):
        gold = texts.index(gold) if gold in texts else -1
    return texts, [int(k) for k in gold] if isinstance(gold, list) else [int(gold)]


def _group_columns(docs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Columns of the data that name a group: well-known ones, of text, with few different values."""
    found = []
    for column in _GROUPS:
        values = {doc.get(column) for doc in docs if isinstance(doc.get(column), (str, type(None)))}
        if all(isinstance(doc.get(column), str) for doc in docs) and 1 < len(values) <= min(
            _MOST_GROUPS, len(docs) // 2
        ):
            found.append(column)
    return found


def _canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=str).encode() + b"\n"
