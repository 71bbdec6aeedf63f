"""Reading what other tools wrote: a file, a folder or a tar archive of lm-eval results, a CSV or a Markdown table."""

from __future__ import annotations

import hashlib
import json
import os
import tarfile
from collections.abc import Callable, Iterable, Iterator, Sequence
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


def read(paths: Sequence[Path], mapping: str | None, name: str | None, warn: Callable[[str], None]) -> list[Imported]:
    """Everything in files, folders and archives; nothing is written.

    Samples of lm-eval (``samples_<task>_<date>.jsonl``) belong to the result of the same date beside them, whether they
    are named or found in a folder. What is given twice is read once.

    Args:
        paths: result JSON of lm-eval with or without its samples, folders or tar archives of such, CSV or Markdown.
        mapping: how to read a foreign table: a built-in one's name or a TOML file.
        name: of the submission, where results of lm-eval are imported; of one model only.
        warn: takes a line about a file of a folder that was passed over.

    Raises:
        InputError: there is nothing to import, or something in it cannot be read.
    """
    documents: dict[Path | str, Document] = {}
    for path in {path.resolve(): path for path in paths}.values():
        found = list(_documents(path, warn))
        if not found and not harness_json.is_samples(path):
            raise InputError(f"nothing to import in {path}: no result of lm-eval (*.json) in it")
        for number, document in enumerate(found):
            documents.setdefault(document.path.resolve() if document.path else f"{path} {number}", document)
    _check_samples(paths, documents.values(), warn)
    imported = [one for document in documents.values() for one in _read(document, mapping, name)]
    titles = sorted({one.record.manifest.title for one in imported})
    if name is not None and len(titles) > 1:
        raise InputError(
            f"--name {name} is for one model, and these are of {len(titles)}: {', '.join(titles[:3])}, ..."
        )
    return imported


def publish(found: Sequence[Imported], store: Store) -> list[Path]:
    """Write the records; one that is there already is not written again. All are made before the first is written."""
    ready = []
    for one in found:
        tables, record = {}, one.record
        if one.rows:
            tables[".parquet"] = outcomes.to_parquet(outcomes.to_table(one.rows))
            record = record.model_copy(update={"outcomes_sha256": outcomes.digest(tables[".parquet"])})
        ready.append((record, tables))
    paths = [store.add(record, tables) for record, tables in ready]
    os.sync()
    return paths


def _documents(path: Path, warn: Callable[[str], None]) -> Iterator[Document]:
    if path.is_dir():
        yield from _in_folder(path, warn)
    elif path.name.endswith(_ARCHIVES):
        yield from _members(path)
    elif path.suffix in (".json", *_SHEETS):
        yield _document(path)
    elif not path.exists():
        raise InputError(f"no file or folder at {path}")
    elif not harness_json.is_samples(path):
        raise InputError(
            f"{path} is none of .json, .csv, .md, .tar, .tar.gz, samples_*.jsonl beside their result, or a folder"
        )


def _in_folder(folder: Path, warn: Callable[[str], None]) -> Iterator[Document]:
    """The results of lm-eval below a folder; one that is cut off is told, other JSON is none of them."""
    for file in sorted(folder.rglob("*.json")):
        document = _document(file)
        content = _json_or_none(document.text)
        if content is None and file.name.startswith("results"):
            raise InputError(f"{file} is no JSON (cut off?); take it out of {folder}, or write it again")
        if harness_json.is_result(content):
            yield document
        elif content is None:
            warn(f"{file} is no JSON")


def _check_samples(paths: Sequence[Path], documents: Iterable[Document], warn: Callable[[str], None]) -> None:
    """Samples need a result that takes them: those of a folder are passed over without, named ones are refused."""
    taken = {
        file.resolve()
        for document in documents
        if document.path is not None
        for file in harness_json.samples_of(document.path, _json_or_none(document.text)).values()
    }
    alone = "no result of its date beside it"
    for path in paths:
        if harness_json.is_samples(path) and path.resolve() not in taken:
            raise InputError(f"{path} has {alone} that was given: give results_<date>.json, too")
        for file in sorted(path.rglob("samples_*.jsonl")) if path.is_dir() else ():
            if file.resolve() not in taken:
                warn(f"{file}: {alone}")


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
        raise InputError(f"{document.path or document.name} is no JSON")
    figures = harness_json.figures(content, str(document.path or document.name), name)
    tool, date = harness_json.tool_of(content), harness_json.date_of(content, document.date)
    found = [Imported(one) for one in records(figures, Source(document.name, digest, date, tool))]
    files = harness_json.samples_of(document.path, content) if document.path else {}
    items = {task: harness_json.samples(file, content, task) for task, file in files.items()}
    return [replace(one, rows=harness_json.rows_of(content, _task(one), items)) for one in found]


def _task(one: Imported) -> str:
    """Its name in lm-eval."""
    return one.record.task.removeprefix(harness_json.PREFIX).split("@")[0]


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
