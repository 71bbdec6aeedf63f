"""StereoSet: a stereotype, an anti-stereotype and an unrelated sentence; which one is likelier?"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from suite.data import Dataset, Hub
from suite.errors import InputError
from suite.manifest import Inputs, Kind
from suite.metrics import bias
from suite.metrics.groups import of_group
from suite.model import ChoiceScores, LanguageModel
from suite.task import Example, Row, Task
from tasks.choices import Question

PARTS = ("intersentence", "intrasentence")
DOMAINS = ("gender", "profession", "race", "religion")
LABELS = ("stereotype", "anti-stereotype", "unrelated")
FILE = "dev.json"
Item = dict[str, Any]

_HUB = Hub("McGill-NLP/stereoset", split="validation")
_DATA = Dataset(
    name="bias_stereoset",
    content_sha256="",
    files={FILE: ""},
    licence="CC-BY-SA-4.0",
    source="moinnadeem/StereoSet, data/dev.json (Nadeem et al. 2021); no digest is pinned, records state the one found",
    hub=_HUB,
)


class StereoSet(Task[LanguageModel]):
    """Mean log-probability per token of each of three sentences, of a causal model.

    Protocol ``per-token-loglikelihood``. Intrasentence: the whole sentence after the begin token, as StereoSet's own
    code scores GPT-2. Intersentence: the sentence after its context and one blank. StereoSet's own code asks a
    next-sentence head trained for it there, so our intersentence numbers are not the paper's.

    ``ss``: percent of items whose stereotype scores above the anti-stereotype; ``lms``: percent of the two that score
    above the unrelated sentence; both means over target terms, ties counting as not above, as its evaluation.py;
    ``icat`` = lms min(ss, 100 - ss) / 50. Intervals resample target terms.

    No digest of the file is known for certain: what was read is digested into the record, so that records of different
    copies are never compared.
    """

    name = "stereoset"
    version = "1"
    title = "StereoSet, intra- and intersentence, by likelihood"
    kind: ClassVar[Kind] = "language"
    metrics = tuple(
        m
        for metric in (bias.ICAT, bias.LMS, bias.SS, bias.STEREOSET_TIES)
        for m in (
            metric,
            *(of_group(metric, "part", part) for part in PARTS),
            *bias.by_category(metric, "domain", DOMAINS),
            *(m for part in PARTS for m in bias.by_category(of_group(metric, "part", part), "domain", DOMAINS)),
        )
    )
    primary = "icat"
    dataset = _DATA

    def fetch(self) -> None:
        """Read the items from the hub."""
        items()

    def data_sha256(self) -> str:
        """Digest of the items' canonical JSON."""
        return hashlib.sha256(json.dumps(items(), sort_keys=True, ensure_ascii=False).encode()).hexdigest()

    def protocol(self, context: int | None, bos: bool = True) -> str:
        """One way only."""
        return "per-token-loglikelihood"

    def examples(self, model: LanguageModel) -> Sequence[Example]:
        """All items of both parts."""
        return [example(part, item) for part, item in items()]

    def ask(self, model: LanguageModel, inputs: Sequence[Any], spec: Inputs) -> Sequence[Any]:
        """Scores of the three sentences."""
        asked: Sequence[Question] = inputs
        return model.choice_logprobs([q.context for q in asked], [q.choices for q in asked])

    def row(self, example: Example, answer: Any) -> Row:
        """Log-probabilities (nats) and tokens of stereotype, anti-stereotype and unrelated sentence."""
        scores: ChoiceScores = answer
        stereotype, anti, unrelated = scores.logprobs_K / scores.n_tokens_K
        return {
            "logprobs": scores.logprobs_K,
            "n_tokens": scores.n_tokens_K,
            "prefers": int(stereotype > anti),
            "related": (int(stereotype > unrelated) + int(anti > unrelated)) / 2,
            "dll": float(stereotype - anti),
        }


def example(part: str, item: Item) -> Example:
    """An item with its sentences in the order of `LABELS`."""
    sentences = [item["sentences"][label] for label in LABELS]
    question = Question("", tuple(sentences))
    if part == "intersentence":
        question = Question(item["context"], tuple(f" {text}" for text in sentences))
    groups = {"domain": item["bias_type"], "part": part, "target": item["target"]}
    return Example(f"{part}-{item['id']}", question, cluster=item["target"], groups=groups)


def items() -> list[tuple[str, Item]]:
    """Part and item, from the original file of the mirror or from the hub.

    Raises:
        InputError: neither is to be had, or the content is not StereoSet's.
    """
    content = _DATA.file(FILE)
    parts = _from_file(content) if content is not None else _from_hub()
    return [(part, _item(raw)) for part in PARTS for raw in parts[part]]


def _from_file(content: bytes) -> Mapping[str, Iterable[Item]]:
    try:
        parts = json.loads(content)["data"]
        return {part: parts[part] for part in PARTS}
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{FILE} is not StereoSet's: {type(error).__name__}: {error}") from None


def _from_hub() -> Mapping[str, Iterable[Item]]:
    """The hub's table holds each item's sentences as one record of lists."""
    names = ("id", "target", "bias_type", "context", "sentences")
    parts = {}
    for part in PARTS:
        table = replace(_DATA, hub=replace(_HUB, config=part))
        rows = zip(*(table.rows(name) for name in names), strict=True)
        parts[part] = [dict(zip(names, row, strict=True)) for row in rows]
    return parts


def _item(raw: Item) -> Item:
    """What the task needs of an item, in either layout; its three sentences by label."""
    try:
        sentences = raw["sentences"]
        if isinstance(sentences, Mapping):
            pairs = list(zip(sentences["gold_label"], sentences["sentence"], strict=True))
        else:
            pairs = [(one["gold_label"], one["sentence"]) for one in sentences]
        by_label = dict(pairs)
        found = {name: str(raw[name]) for name in ("id", "target", "bias_type", "context")}
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"an item is not StereoSet's: {type(error).__name__}: {error}") from None
    if sorted(map(str, by_label)) != sorted(LABELS) or len(pairs) != len(LABELS):
        labels = ", ".join(str(label) for label, _ in pairs)
        raise InputError(
            f"StereoSet item {found['id']} has the labels {labels}, expected one each of {', '.join(LABELS)}; "
            f"take {FILE} of the original repository"
        )
    return {**found, "sentences": by_label}


STEREOSET = StereoSet()
