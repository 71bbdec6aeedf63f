"""Writes the generated parts of the documentation; ``make docs`` calls it and a test compares."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from suite import manifest, record

BEGIN, END = "<!-- generated: make docs -->\n", "<!-- end of the generated part -->\n"


def with_generated(text: str, generated: str) -> str:
    """The text with the part between the two marks replaced.

    Raises:
        ValueError: the marks are not there.
    """
    before, found, rest = text.partition(BEGIN)
    _, ended, after = rest.partition(END)
    if not found or not ended:
        raise ValueError(f"the marks {BEGIN.strip()} and {END.strip()} are not in the text")
    return before + BEGIN + generated + END + after


RECORD_TYPES = (record.Record, record.Measurement, record.Machine, record.Provenance)
MANIFEST_TYPES = (manifest.Manifest, manifest.Compression, manifest.Inputs, manifest.Normalisation)
PAGES: dict[str, Sequence[type[BaseModel]]] = {
    "results/README.md": RECORD_TYPES,
    "submissions/README.md": MANIFEST_TYPES,
}


def fields(models: Sequence[type[BaseModel]]) -> str:
    """The fields of stored types as Markdown, from the docstrings under them."""
    parts = []
    for model in models:
        rows = [f"| `{n}` | {_type(f.annotation)} | {f.description} |" for n, f in model.model_fields.items()]
        table = "| field | type | meaning |\n|---|---|---|\n" + "\n".join(rows)
        parts.append(f"### {model.__name__}\n\n{model.__doc__}\n\n{table}")
    return "\n\n".join(parts) + "\n"


def _type(annotation: Any) -> str:
    bare = isinstance(annotation, type) and not hasattr(annotation, "__args__")
    text = annotation.__name__ if bare else str(annotation)
    for noise in ("suite.record.", "suite.manifest.", "suite.inputs.", "typing."):
        text = text.replace(noise, "")
    return text.replace("NoneType", "null").replace("None", "null").replace("|", "or").replace("...", "…")


def main() -> None:
    """Rewrite the generated part of every page."""
    for name, models in PAGES.items():
        path = Path(name)
        path.write_text(with_generated(path.read_text(encoding="utf-8"), fields(models)), encoding="utf-8")


if __name__ == "__main__":
    main()
