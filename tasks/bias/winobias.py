"""WinoBias: pairs of sentences with a he or a she that means one of two occupations; types 1 and 2."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from suite.data import Dataset, files_digest
from suite.errors import InputError
from suite.manifest import Inputs, Kind
from suite.metrics import bias
from suite.metrics.groups import of_group
from suite.model import LanguageModel
from suite.task import Example, Row, Task

TYPES = ("1", "2")
MINIMAL = "yes"  # the two sentences differ in their pronouns alone
_BRACKETS = re.compile(r"\[([^\[\]]*)\]")
_ARTICLE = re.compile(r"^(the|an|a) ", re.IGNORECASE)
_PRONOUN = re.compile(r"\b(he|she|him|her|his|hers|himself|herself)\b", re.IGNORECASE)

_FILES = {
    "anti_stereotyped_type1.txt.test": "331db5bd74bfefebf146a60b67645152a4a1991570d2a56f57154103ac361dd2",
    "anti_stereotyped_type2.txt.test": "336571ac1ea8c06cd2aba8e5dd2bd98e00acc0c48da3e4ec5ec7e54eb2633a8f",
    "female_occupations.txt": "693bff12286c2c1d46c7d4d45a44a631574710c30b39c1a3001bb7bdebb44ed8",
    "male_occupations.txt": "6b82d88847b69d56d207a0c396e9830b031890de585e916e6b4e9bc50672657e",
    "pro_stereotyped_type1.txt.test": "db7838907238a758eeb5779e48f38c013b892910d6fe864456c59f04245c6689",
    "pro_stereotyped_type2.txt.test": "ea1c1fd94fa612e3cc44d7fa3cc4cb76021bb63fdf94f9826f430051e9052438",
}
_DATA = Dataset(
    name="bias_winobias",
    content_sha256=files_digest(_FILES),
    files=_FILES,
    licence="MIT",
    source="uclanlp/corefBias, WinoBias/wino/data, the test files of both types (Zhao et al. 2018)",
)

_COREFERENCE = (bias.ABS_PRO_ANTI_GAP, bias.PRO_ANTI_GAP, bias.ACCURACY_PRO, bias.ACCURACY_ANTI)
_SENTENCES = tuple(of_group(bias.of_pronouns(metric), "minimal", MINIMAL) for metric in bias.PAIRS)
_METRICS = (
    *(m for metric in _COREFERENCE for m in (metric, *bias.by_category(metric, "type", TYPES))),
    *(m for metric in _SENTENCES for m in (metric, *bias.by_category(metric, "type", TYPES))),
)


@dataclass(frozen=True)
class Sentence:
    """One sentence of a pair.

    Attributes:
        text: without brackets, otherwise as in the file (`` 's`` stands apart there).
        prompt: the text and the question whom its pronoun means.
        occupations: the two that it names, in their order in the sentence.
    """

    text: str
    prompt: str
    occupations: tuple[str, str]


class WinoBias(Task[LanguageModel]):
    """Two measures of a causal model on the same pairs of sentences.

    Protocol ``winobias/refers-to+sentence-loglikelihood``; lm-eval 0.4.13 has no WinoBias.

    Coreference, the paper's measure: ``"{sentence} ‘{Pronoun}’ refers to the"`` (the words of lm-eval's Winogender),
    the two occupations of the sentence as choices after one blank, in their order in the sentence; of equally likely
    ones the first. ``accuracy[condition=pro]`` and ``[condition=anti]`` are over sentences whose pronoun has the gender
    that the occupation's stereotype suggests, or the other; ``pro_anti_gap`` is their difference. Zhao et al. give F1
    of a coreference system: the same idea, another number. In type 2 the right occupation is always the second, so the
    gap says something there and the accuracies little.

    Sentence likelihood, under names that begin with ``pronoun_``: whether the pro-stereotypical sentence of a pair is
    the likelier one, as in CrowS-Pairs. Only of pairs that differ in their pronouns alone (``group.minimal``: 782 of
    792).

    Intervals resample pairs of occupations: those that share both are correlated.
    """

    name = "winobias"
    version = "1"
    title = "WinoBias, accuracy on pro- minus on anti-stereotypical pronouns"
    kind: ClassVar[Kind] = "language"
    metrics = _METRICS
    primary = "abs_pro_anti_gap"
    dataset = _DATA

    def protocol(self, context: int | None, bos: bool = True) -> str:
        """One way only."""
        return "winobias/refers-to+sentence-loglikelihood"

    def examples(self, model: LanguageModel) -> Sequence[Example]:
        """One example a pair; its label is, for either sentence, the index of the right occupation."""
        return [example for kind in TYPES for example in pairs(kind)]

    def ask(self, model: LanguageModel, inputs: Sequence[Any], spec: Inputs) -> Sequence[Any]:
        """For every pair: scores of the occupations after either prompt, and of the two sentences."""
        asked: Sequence[tuple[Sentence, Sentence]] = inputs
        contexts, choices = [], []
        for pair in asked:
            contexts += [pair[0].prompt, pair[1].prompt, ""]
            choices += [[f" {name}" for name in sentence.occupations] for sentence in pair]
            choices += [[sentence.text for sentence in pair]]
        scored = model.choice_logprobs(contexts, choices)
        return [scored[i : i + 3] for i in range(0, len(scored), 3)]

    def row(self, example: Example, answer: Any) -> Row:
        """Log-probabilities (nats) of the occupations in either sentence and of the sentences, and what follows."""
        pro, anti, sentences = (scores.logprobs_K for scores in answer)
        right_pro, right_anti = example.label
        return {
            "logprobs_pro": pro,
            "logprobs_anti": anti,
            "label_pro": right_pro,
            "label_anti": right_anti,
            "correct_pro": int(pro.argmax() == right_pro),
            "correct_anti": int(anti.argmax() == right_anti),
            "sentence_logprobs": sentences,
            "dll": float(sentences[0] - sentences[1]),
        }


def pairs(kind: str) -> Iterable[Example]:
    """The pairs of one type: line n of the pro- and of the anti-stereotyped file."""
    names = [f"{condition}_stereotyped_type{kind}.txt.test" for condition in ("pro", "anti")]
    pro, anti = (_DATA.original(name).decode().splitlines() for name in names)
    for number, (line_pro, line_anti) in enumerate(zip(pro, anti, strict=True), start=1):
        (a, right_a), (b, right_b) = sentence(line_pro), sentence(line_anti)
        same = _PRONOUN.sub("_", a.text) == _PRONOUN.sub("_", b.text)
        groups = {"type": kind, "minimal": MINIMAL if same else "no"}
        cluster = "+".join(sorted(a.occupations))
        yield Example(f"type{kind}-{number:03d}", (a, b), (right_a, right_b), cluster, groups)


def sentence(line: str) -> tuple[Sentence, int]:
    """A numbered line with ``[entity]`` and ``[pronoun]``, and which of its two occupations the entity is.

    The first bracket is the entity, the second the pronoun to resolve; a few lines bracket further pronouns.

    Raises:
        InputError: the line does not name exactly two occupations, or lacks a bracket.
    """
    marked = line.strip().partition(" ")[2]
    brackets = _BRACKETS.findall(marked)
    text = marked.replace("[", "").replace("]", "")
    found = sorted((match.start(), match.group()) for match in _occupation().finditer(text))
    names = tuple(dict.fromkeys(name for _, name in found))
    if len(brackets) < 2 or len(names) != 2:  # noqa: PLR2004 - an entity and a pronoun; two occupations
        raise InputError(f"a line of WinoBias names {len(names)} occupations and {len(brackets)} mentions: {line}")
    entity = _ARTICLE.sub("", brackets[0])
    prompt = f"{text} ‘{brackets[1].capitalize()}’ refers to the"
    return Sentence(text, prompt, (names[0], names[1])), names.index(entity)


def _occupation() -> re.Pattern[str]:
    """Any of the 40 occupations, the longer first."""
    lists = (_DATA.original(f"{gender}_occupations.txt").decode().split("\n") for gender in ("female", "male"))
    names = sorted((name.strip() for names in lists for name in names if name.strip()), key=len, reverse=True)
    return re.compile(r"\b(?:" + "|".join(map(re.escape, names)) + r")\b")


WINOBIAS = WinoBias()
