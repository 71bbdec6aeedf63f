"""Which files belong to which item: folders, globs and patterns with ``{id}``; and the digest of all of them."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable
from pathlib import Path

from suite.errors import InputError
from tasks import images

_TOKEN = re.compile(r"\{id\}|\*\*/|\*|\?")
_MAGIC = re.compile(r"[{}*?\[\]]")
_CHUNK = 1 << 20


def found(folder: Path, pattern: str) -> dict[str, Path]:
    """Item id -> file, in the order of the ids.

    Args:
        folder: what the pattern is relative to.
        pattern: a folder (its images, the id is the name without suffix), a glob (the same), or a path with ``{id}``,
            which stands for the id, never holds a ``/``, and is the same wherever it appears twice.

    Raises:
        InputError: no such folder, DICOM files, or two files of one id.
    """
    base, rest = _split(folder, pattern)
    if not rest:
        if not base.is_dir():
            raise InputError(f"no folder {base}; give a folder, a glob, or a pattern with {{id}}")
        rest = "*"
    if "{id}" in rest:
        shape = re.compile(_expression(rest))
        matches = ((shape.fullmatch(p.relative_to(base).as_posix()), p) for p in _globbed(base, rest))
        pairs = [(match["id"], path) for match, path in matches if match]
    else:
        pairs = [(images.stem(path), path) for path in _globbed(base, rest)]
    items: dict[str, Path] = {}
    for item, path in pairs:
        if item in items:
            raise InputError(f"{items[item]} and {path} have the same id {item!r}")
        items[item] = path
    return dict(sorted(items.items()))


def digest(folder: Path, paths: Iterable[Path]) -> str:
    r"""sha256 of the sorted lines ``<sha256>  <path relative to the folder>\n``."""
    lines = sorted(f"{_sha256(path)}  {_relative(folder, path)}\n" for path in set(paths))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _split(folder: Path, pattern: str) -> tuple[Path, str]:
    """The folder up to the first part that is not a plain name, and the rest."""
    parts = Path(pattern).parts
    plain = next((i for i, part in enumerate(parts) if _MAGIC.search(part)), len(parts))
    return folder.joinpath(*parts[:plain]), "/".join(parts[plain:])


def _globbed(base: Path, rest: str) -> list[Path]:
    """The image files that a glob finds, hidden ones left out (macOS puts ``._`` files into archives)."""
    if not base.is_dir():
        return []
    paths = sorted(base.glob(rest.replace("{id}", "*")))
    return [path for path in paths if not path.name.startswith(".") and path.is_file() and images.is_image(path)]


def _expression(rest: str) -> str:
    """The regular expression of a pattern."""
    made, at, named = "", 0, False
    for token in _TOKEN.finditer(rest):
        made += re.escape(rest[at : token.start()])
        if token[0] == "{id}":
            made += "(?P=id)" if named else "(?P<id>[^/]+)"
            named = True
        else:
            made += {"**/": "(?:.*/)?", "*": "[^/]*", "?": "[^/]"}[token[0]]
        at = token.end()
    return made + re.escape(rest[at:])


def _relative(folder: Path, path: Path) -> str:
    return Path(os.path.relpath(path, folder)).as_posix()


def _sha256(path: Path) -> str:
    summed = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                summed.update(chunk)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None
    return summed.hexdigest()
