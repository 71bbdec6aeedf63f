"""Winogender: sentences, pronouns and the gotcha rule, and what models of one mind score."""

from __future__ import annotations

import csv
import re
from collections import Counter
from pathlib import Path

import pytest
from bias_samples import outcomes, preferring, values

from suite.errors import InputError
from suite.task import Example
from tasks.bias import winogender
from tasks.bias.winogender import WINOGENDER, gotcha


@pytest.mark.parametrize(
    ("pronoun", "means_occupation", "women", "expected"),
    [
        ("female", True, 20.0, "yes"),
        ("female", True, 50.0, "no"),
        ("female", False, 20.0, "no"),
        ("female", False, 80.0, "yes"),
        ("male", True, 80.0, "yes"),
        ("male", True, 20.0, "no"),
        ("male", False, 50.0, "no"),
        ("male", False, 20.0, "yes"),
        ("neutral", True, 20.0, ""),
    ],
)
def test_gotcha(pronoun: str, means_occupation: bool, women: float, expected: str) -> None:
    assert gotcha(pronoun, means_occupation, women) == expected


def test_a_template_has_one_kind_of_pronoun() -> None:
    assert winogender._form("Ask $ACC_PRONOUN.")["neutral"] == "them"
    with pytest.raises(InputError, match="0 kinds of pronoun"):
        winogender._form("Ask nobody.")


@pytest.fixture(scope="module")
def examples() -> list[Example]:
    return list(WINOGENDER.examples(None))


@pytest.mark.usefixtures("mirror")
class TestReal:
    def test_the_items(self, examples: list[Example]) -> None:
        assert len(examples) == len({e.item for e in examples}) == 720
        assert len({e.cluster for e in examples}) == 60
        assert Counter(e.groups["pronoun"] for e in examples) == {"male": 240, "female": 240, "neutral": 240}
        assert Counter(e.groups["gotcha"] for e in examples) == {"": 240, "yes": 240, "no": 240}

    def test_every_prompt_is_the_filled_in_template(self, examples: list[Example], mirror: Path) -> None:
        """By another route: the templates, not the sentences, make the prompts."""
        forms = {"NOM": ("he", "she", "they"), "POSS": ("his", "her", "their"), "ACC": ("him", "her", "them")}
        expected = set()
        with (mirror / "bias_winogender/templates.tsv").open() as lines:
            for row in csv.DictReader(lines, delimiter="\t"):
                occupation, other = row["occupation(0)"], row["other-participant(1)"]
                (kind,) = [kind for kind in forms if f"${kind}_PRONOUN" in row["sentence"]]
                for pronoun in forms[kind]:
                    for participant in (other, "someone"):
                        text = row["sentence"].replace("$OCCUPATION", occupation).replace(f"${kind}_PRONOUN", pronoun)
                        named = text.replace("$PARTICIPANT", other)
                        unnamed = re.sub(r"\b(a|the) \$PARTICIPANT", "someone", text)
                        unnamed = re.sub(r"^The \$PARTICIPANT", "Someone", unnamed)
                        sentence = (named if participant == other else unnamed).replace("they was", "they were")
                        prompt = f"{sentence} ‘{pronoun.title()}’ refers to the"
                        expected.add((prompt, f" {occupation}", f" {participant}", int(row["answer"])))
        assert {(e.input.context, *e.input.choices, e.label) for e in examples} == expected

    def test_a_model_that_follows_the_statistics_fails_on_every_gotcha(self, examples: list[Example]) -> None:
        def typical(e: Example) -> int:
            return e.label if e.groups["gotcha"] != "yes" else 1 - e.label

        c = outcomes(WINOGENDER, examples, lambda e: (e.input, preferring(typical(e), 2)))
        names = ("accuracy", "accuracy[gotcha=yes]", "accuracy[gotcha=no]", "accuracy[pronoun=neutral]")
        assert values(WINOGENDER, c, *names) == pytest.approx((2 / 3, 0, 1, 1))
        names = ("accuracy[gotcha=yes,pronoun=female]", "accuracy_gap[gotcha]", "accuracy_gap[pronoun]")
        assert values(WINOGENDER, c, *names) == pytest.approx((0, 1, 0.5))

    def test_a_model_that_always_says_the_occupation(self, examples: list[Example]) -> None:
        c = outcomes(WINOGENDER, examples, lambda e: (e.input, preferring(0, 2)))
        assert values(WINOGENDER, c, "accuracy", "accuracy_gap[pronoun]", "accuracy_gap[gotcha]") == (0.5, 0, 0)
