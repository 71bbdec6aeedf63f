"""The documentation is complete, and its generated parts are what the code says."""

from __future__ import annotations

import re

import pytest
from support import REPOSITORY

from suite import document
from suite.cli import VERBS

MODELS = [model for models in document.PAGES.values() for model in models]


@pytest.mark.parametrize("model", MODELS, ids=lambda m: m.__name__)
def test_every_field_is_documented(model: type[document.BaseModel]) -> None:
    assert model.__doc__
    for name, field in model.model_fields.items():
        assert field.description, f"{model.__name__}.{name}"


@pytest.mark.parametrize("page", document.PAGES)
def test_the_generated_part_is_up_to_date(page: str) -> None:
    """``make docs`` writes it."""
    text = (REPOSITORY / page).read_text()
    assert document.with_generated(text, document.fields(document.PAGES[page])) == text


def test_the_readme_names_every_verb() -> None:
    text = (REPOSITORY / "README.md").read_text()
    assert not [verb for verb in VERBS if f"| `{verb}` |" not in text]
    rows = re.findall(r"^\| `(\w+)` \|", text, flags=re.MULTILINE)
    assert sorted(rows) == sorted(VERBS)


def test_links_lead_somewhere() -> None:
    for page in ("README.md", *document.PAGES):
        path = REPOSITORY / page
        for target in re.findall(r"\]\(([^)#:]+)\)", path.read_text()):
            assert (path.parent / target).exists(), (page, target)
