"""Reading what other tools wrote: a file, a folder or a tar archive of lm-eval results, a CSV or a Markdown table."""

from __future__ import annotations

import hashlib
import json
import os
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

from suite import outcomes
from suite.errors import InputError
from suite.exchange import harness_json, sheet
from suite.exchange.figure import Imported, Source, records
from suite.store import Store

_SHEETS = (".csv", ".md", ".markdown")
_ARCHIVES = (".tar", ".tar.gz", ".tgz")
_LARGEST_BYTES = 1 << 28


@dataclass(frozen=True)
class Document:
    """One text to import, wherever it came from: its name, its text, when it was made, and its file if it has one."""

    name: str
    text: str
    date: datetime
    path: Path | None = None


def read(path: Path, mapping: str | None = None, name: str | None = None) -> list[Imported]:
    """Everything in a file, a folder or an archive; nothing is written.

    Args:
        path: a result JSON of lm-eval, a folder or tar archive of such, a CSV, or a Markdown file.
        mapping: how to read a foreign table: a built-in one's name or a TOML file.
        name: of the submission, where a result of lm-eval is imported.

    Raises:
        InputError: there is nothing to import, or something in it cannot be read.
    """
    found = [imported for document in _documents(path) for imported in _read(document, mapping, name)]
    if not found:
        raise InputError(f"nothing to import in {path}: no result of lm-eval (*.json) in it")
    return found


def publish(found: list[Imported], store: Store) -> list[Path]:
    """Write the records; one that is there already is not written again."""
    paths = []
    for one in found:
        tables = {}
        record = one.record
        if one.rows:
            tables[".parquet"] = outcomes.to_parquet(outcomes.to_table(one.rows))
            record = record.model_copy(update={"outcomes_sha256": outcomes.digest(tables[".parquet"])})
        paths.append(store.add(record, tables))
    os.sync()
    return paths


def _documents(path: Path) -> Iterator[Document]:
    if path.is_dir():
        for file in sorted(path.rglob("*.json")):
            if harness_json.is_result(_json_or_none(_text(file))):
                yield _document(file)
    elif path.name.endswith(_ARCHIVES):
        yield from _members(path)
    elif path.suffix in (".json", *_SHEETS):
        yield _document(path)
    elif not path.exists():
        raise InputError(f"no file or folder at {path}")
    else:
        raise InputError(f"{path} is none of .json, .csv, .md, .tar, .tar.gz, or a folder of .json files")


def _document(file: Path) -> Document:
    text = _text(file)
    return Document(file.name, text, datetime.fromtimestamp(int(file.stat().st_mtime), UTC), file)


def _members(path: Path) -> Iterator[Document]:
    """The JSON files of an archive, read in memory: nothing is unpacked, so no member can lead out of a folder."""
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                if not member.isfile() or not member.name.endswith(".json"):
                    continue
                if member.size > _LARGEST_BYTES:
                    raise InputError(f"{path}: {member.name} has {member.size} bytes, at most {_LARGEST_BYTES}")
                file = archive.extractfile(member)
                text = file.read().decode("utf-8", errors="replace") if file else ""
                if harness_json.is_result(_json_or_none(text)):
                    yield Document(PurePosixPath(member.name).name, text, datetime.fromtimestamp(member.mtime, UTC))
    except (tarfile.TarError, EOFError, OSError) as error:
        raise InputError(f"{path} cannot be read as a tar archive: {error}") from None


def _read(document: Document, mapping: str | None, name: str | None) -> list[Imported]:
    digest = hashlib.sha256(document.text.encode()).hexdigest()
    if document.name.endswith(_SHEETS):
        layout = sheet.mapping(mapping) if mapping else None
        rows = sheet.rows_of(document.text, document.name, layout.table if layout else 1)
        folder = document.path.parent if document.path else Path()
        figures = sheet.mapped(rows, layout, document.name, folder) if layout else sheet.native(rows, document.name)
        return [Imported(one) for one in records(figures, Source(document.name, digest, document.date, "a table"))]
    content = _json_or_none(document.text)
    if content is None:
        raise InputError(f"{document.name} is no JSON")
    figures = harness_json.figures(content, document.name, name)
    tool, date = harness_json.tool_of(content), harness_json.date_of(content, document.date)
    found = [Imported(one) for one in records(figures, Source(document.name, digest, date, tool))]
    return [_with_items(one, document.path) for one in found]


def _with_items(one: Imported, path: Path | None) -> Imported:
    task = one.record.task.removeprefix(harness_json.PREFIX).split("@")[0]
    return replace(one, rows=harness_json.samples(path, task)) if path else one


def _text(file: Path) -> str:
    try:
        if file.stat().st_size > _LARGEST_BYTES:
            raise InputError(f"{file} has {file.stat().st_size} bytes, at most {_LARGEST_BYTES}")
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise InputError(f"no file at {file} ({error.strerror})") from None


def _json_or_none(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None
