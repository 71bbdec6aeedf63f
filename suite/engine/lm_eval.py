"""lm-evaluation-harness as a task engine: its configurations, prompts, filters and per-document results.

    Spec.find("arc_challenge", shots=25)    which configurations a name stands for; reads no data
    load(leaf)                              the lm-eval task with its data, from the local mirror or as it downloads
    documents(task)                         every document with its requests, few-shot examples drawn once for all
    results(document, answers)              lm-eval's own numbers for one document

In a local mirror ``$HALLMARK_DATA/lm_eval/<task>/<split>.jsonl[.gz]`` replaces the download; nothing else changes.
"""

from __future__ import annotations

import copy
import gzip
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from suite.data import MIRROR_VARIABLE, first_line, mirror
from suite.engine.lm_answers import ANSWERS, engine_lm
from suite.engine.lm_spec import Leaf, Spec, silence, version
from suite.errors import AbsentDataError, InputError

__all__ = ["ANSWERS", "Document", "Leaf", "Spec", "documents", "engine_lm", "load", "results", "version"]
FEWSHOT_SEED = 1234  # lm-eval's default
_ABSENT: dict[str, str] = {}  # what could not be fetched once is not tried again by this process


@dataclass(frozen=True)
class Document:
    """One document with its requests.

    Attributes:
        item: stable id, its number in the split.
        doc: the data set's row.
        requests: instances of ``lm_eval.api.instance.Instance``.
        task: the lm-eval task that it belongs to.
    """

    item: str
    doc: Mapping[str, Any]
    requests: tuple[Any, ...]
    task: Any


def load(leaf: Leaf) -> Any:
    """The lm-eval task with its data.

    Raises:
        InputError: its data is neither in the mirror nor to be had; says where it was looked for.
    """
    from lm_eval.api.task import ConfigurableTask

    silence()
    folder = _mirror_of(leaf.name)
    if folder is None and leaf.name in _ABSENT:
        raise AbsentDataError(_ABSENT[leaf.name])
    config = copy.deepcopy(dict(leaf.config))

    class Mirrored(ConfigurableTask):  # type: ignore[misc]
        """The same task, its data read from the mirror."""

        def download(self, *arguments: Any, **options: Any) -> None:
            if folder is None:
                super().download(*arguments, **options)
            else:
                self.dataset = _Splits(folder, leaf)

    try:
        task = Mirrored(config=config)
        len(task.eval_docs)
    except InputError:
        raise
    except Exception as error:  # hub clients and lm-eval raise many types; the user needs one line
        where = f"{mirror()}/lm_eval/{leaf.name}/" if mirror() else f"${MIRROR_VARIABLE} (not set)"
        said = f"looked in {where}, in the Hugging Face cache and on the hub"
        hub = f"{config.get('dataset_path')}: {first_line(error)}"
        _ABSENT[leaf.name] = f"the data of lm-eval:{leaf.name} is not here: {said} ({hub})"
        raise AbsentDataError(_ABSENT[leaf.name]) from None
    task.set_fewshot_seed(FEWSHOT_SEED)
    return task


def documents(task: Any) -> list[Document]:
    """All documents in order, few-shot examples drawn as lm-eval draws them in a full run of one process."""
    found = []
    for number, doc in task.doc_iterator(rank=0, limit=None, world_size=1):
        context = task.fewshot_context(
            doc,
            num_fewshot=task.config.num_fewshot or 0,
            system_instruction=None,
            apply_chat_template=False,
            fewshot_as_multiturn=False,
            chat_template=None,
            gen_prefix=task.doc_to_prefix(doc),
        )
        made = task.construct_requests(
            doc=doc,
            ctx=context,
            metadata=(task.config.task, number, task.config.repeats),
            apply_chat_template=False,
            chat_template=None,
        )
        found.append(Document(f"{number:05d}", doc, tuple(made if isinstance(made, list) else [made]), task))
    return found


def results(document: Document, answers: Sequence[Any]) -> dict[tuple[str, str], Any]:
    """lm-eval's numbers for one document: (metric, filter) -> value, through its filters and ``process_results``.

    Args:
        document: the document.
        answers: one for each of its requests: (log-probability, is_greedy), a log-probability, or generated text.
    """
    requests = copy.copy(list(document.requests))
    for request, answer in zip(requests, answers, strict=True):
        request.resps, request.filtered_resps = [answer] * (request.repeats or 1), {}
    filters = document.task._filters
    found: dict[tuple[str, str], Any] = {}
    for pipeline in filters:
        pipeline.apply(requests)
    for pipeline in filters:
        scored = document.task.process_results(document.doc, [r.filtered_resps[pipeline.name] for r in requests])
        found |= {(metric, pipeline.name): value for metric, value in scored.items()}
    return found


class _Splits(dict[str, Any]):
    """The splits of a task in the mirror, each read when asked for."""

    def __init__(self, folder: Path, leaf: Leaf) -> None:
        super().__init__()
        self._folder, self._leaf = folder, leaf

    def __missing__(self, split: str) -> Any:
        import datasets

        config = self._leaf.config
        path = next((p for p in _files(self._folder, split) if p.is_file()), None)
        scored = split == (config.get("test_split") or config.get("validation_split"))
        if path is None and (scored or self._leaf.shots):
            names = " or ".join(p.name for p in _files(self._folder, split))
            raise AbsentDataError(f"the data of lm-eval:{self._leaf.name} is not here: {self._folder} has no {names}")
        self[split] = datasets.Dataset.from_list(_rows(path) if path else [])
        return self[split]


def _files(folder: Path, split: str) -> tuple[Path, Path]:
    return folder / f"{split}.jsonl", folder / f"{split}.jsonl.gz"


def _rows(path: Path) -> list[dict[str, Any]]:
    raw = path.read_bytes()
    lines = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode().split("\n")
    try:
        return [json.loads(line) for line in lines if line.strip()]
    except ValueError as error:
        raise InputError(f"{path} is not a file of JSON lines: {error}") from None


def _mirror_of(name: str) -> Path | None:
    folder = (mirror() or Path()) / "lm_eval" / name
    return folder if mirror() is not None and folder.is_dir() else None
