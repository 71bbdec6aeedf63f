"""The generated stories: pinned, balanced, and without a sentence shared between training and test."""

from __future__ import annotations

import random
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tasks.generators import language

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = language.test_documents()
ITEMS = language.choice_items()


def sentences(text: str) -> list[str]:
    return re.findall(r"[^.]+\.", text.replace(". ", "."))


def told(item: language.ChoiceItem, choice: int) -> str:
    return f"{item.context}{item.choices[choice]}."


def recipe_documents() -> list[language.Document]:
    recipe = (ROOT / "submissions" / "language_recipes.py").read_text(encoding="utf-8")
    n, seed = (int(re.search(rf"(?m)^{name} = ([\d_]+)$", recipe).group(1)) for name in ("N_DOCUMENTS", "SEED"))
    return language.training_documents(n, seed)


def check_no_overlap(training: list[language.Document]) -> None:
    seen = {sentence for document in training for sentence in sentences(document.text)}
    tests = [document.text for document in DOCUMENTS] + [told(item, item.gold) for item in ITEMS]
    shared = {sentence for text in tests for sentence in sentences(text)} & seen
    assert not shared
    for item in ITEMS:  # a wrong answer may be a training sentence, but never after this context
        assert not set(sentences(told(item, 0))[:-1]) & seen


def test_digests_are_pinned() -> None:
    assert language.digest(DOCUMENTS) == language.DIGESTS["documents"]
    assert language.digest(ITEMS) == language.DIGESTS["items"]


def test_same_text_again_whatever_the_global_seed_and_the_hash_seed() -> None:
    random.seed(5)
    assert language.test_documents() == DOCUMENTS
    assert language.choice_items() == ITEMS
    code = "from tasks.generators import language as g; print(g.digest(g.choice_items()))"
    for hash_seed in ("1", "2"):
        command = [sys.executable, "-c", code]
        out = subprocess.run(
            command, cwd=ROOT, env={"PYTHONHASHSEED": hash_seed}, capture_output=True, text=True, check=True
        )
        assert out.stdout.strip() == language.DIGESTS["items"]


def test_training_seeds_differ_and_repeat() -> None:
    first = language.training_documents(20, 0)
    assert first == language.training_documents(20, 0)
    assert not {d.text for d in first} & {d.text for d in language.training_documents(20, 1)}


def test_no_test_sentence_in_training() -> None:
    check_no_overlap(language.training_documents(1000, 0))


@pytest.mark.slow
def test_no_test_sentence_in_what_the_recipe_trains_on() -> None:
    training = recipe_documents()
    assert len(training) >= 1000
    check_no_overlap(training)


def test_overlap_check_sees_an_overlap() -> None:
    leaked = language.Document("leak", sentences(DOCUMENTS[0].text)[3].strip(), {"dialect": "north"})
    with pytest.raises(AssertionError):
        check_no_overlap([leaked])


def test_documents() -> None:
    assert (
        len(DOCUMENTS)
        == language.N_DOCUMENTS
        == len({d.document for d in DOCUMENTS})
        == len({d.text for d in DOCUMENTS})
    )
    assert Counter(d.groups["dialect"] for d in DOCUMENTS) == {"north": 60, "south": 60}
    assert all(150 <= len(d.text.split()) <= 200 for d in DOCUMENTS)


def test_south_is_a_minority_in_training() -> None:
    dialects = Counter(d.groups["dialect"] for d in language.training_documents(2000, 0))
    assert 0.14 < dialects["south"] / 2000 < 0.20


def test_items_have_four_distinct_choices_and_a_balanced_answer() -> None:
    assert len(ITEMS) == sum(language.N_ITEMS.values()) >= 480
    assert len({item.item for item in ITEMS}) == len({(item.context, item.choices) for item in ITEMS}) == len(ITEMS)
    for item in ITEMS:
        assert len(set(item.choices)) == language.N_CHOICES
        assert all(choice.startswith(" ") and choice.strip() == choice[1:] for choice in item.choices)
        assert item.context == item.context.strip()
        assert not any(a != b and b.startswith(a) for a in item.choices for b in item.choices)
    assert Counter(item.gold for item in ITEMS) == dict.fromkeys(range(4), len(ITEMS) // 4)
    assert len({len(choice.split()) for item in ITEMS for choice in item.choices}) > 2


def test_groups() -> None:
    counts = Counter((item.groups["dialect"], item.groups["skill"]) for item in ITEMS)
    assert counts == {(d, s): n // 2 for d in language.DIALECTS for s, n in language.N_ITEMS.items()}


def test_answers_are_right() -> None:
    """A second route to the answer, from the text alone."""
    checked = Counter[str]()
    for item in ITEMS:
        answer = item.choices[item.gold].strip()
        if match := re.search(r"The ([a-z ]+) of ((?:\w+ )?\w+) was$", item.context, re.IGNORECASE):
            thing, person = match.groups()
            assert f"{person} had a {answer} {thing}" in item.context
            checked["colour"] += 1
        elif match := re.search(
            r"\. (?:[A-Z][a-z ]+, )?((?:Uncle |Aunt )?\w+) and the ([a-z ]+) were at the$", item.context
        ):
            person, thing = match.groups()
            assert re.findall(rf"{person} took the {thing} to the ([a-z ]+)\.", item.context)[-1] == answer
            checked["place"] += 1
        elif match := re.search(r"(\w+) knew that (\w+) lies in$", item.context):
            stated = {a for d in DOCUMENTS for a in re.findall(rf"{match[2]} lies in ([A-Za-z ]+)\.", d.text)}
            assert stated <= {answer}
            checked["land"] += 1
    assert min(checked[kind] for kind in ("colour", "place", "land")) > 15
