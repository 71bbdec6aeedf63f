"""Upload: what a stranger sent becomes plain files in an empty folder, or one line says why not.

Archives are zip, tar and tar.gz. Only regular files and folders are made, with this process's permissions, never a
link, a device or a name that leads outside. What comes out is counted while it is written, so that an archive cannot
say less than it holds: bytes, files, and bytes out for bytes in (bombs). Nothing is executed or imported.
"""

from __future__ import annotations

import stat
import struct
import tarfile
import tempfile
import tomllib
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from gzip import BadGzipFile, GzipFile
from io import SEEK_CUR, SEEK_END
from pathlib import Path, PurePosixPath
from typing import IO

from suite.disk import disk_errors
from suite.errors import InputError
from suite.manifest import FILE_NAME

ARCHIVES = ("zip", "tar", "gz", "tgz")
_CHUNK = 1 << 20
_MOST_AT_ONCE = 1 << 23  # a tar header that asks for more is no honest one
_FREE_BYTES = 10_000_000  # small archives may shrink as well as they can
_DIRECTORY_MARK = b"PK\x01\x02"  # of one entry in a zip's directory
_MOST_DIRECTORY_MARKS = 100_000  # archives inside an archive have some too
_NAME_BYTES, _DEPTH = 255, 16
_TAR_BLOCKS = 3 * 512  # header, filling and a long name of one small file
_JUNK = ("__MACOSX", ".DS_Store")
_BROKEN = (
    *(zipfile.BadZipFile, tarfile.TarError, BadGzipFile, zlib.error, struct.error),
    *(EOFError, ValueError, NotImplementedError, RuntimeError),
)


@dataclass(frozen=True)
class Limits:
    """What an upload may hold.

    Attributes:
        files: regular files.
        total_bytes: bytes of all of them, unpacked.
        ratio: bytes unpacked for each byte of the archive, above the first ten megabytes.
    """

    files: int = 2000
    total_bytes: int = 8_000_000_000
    ratio: int = 200


LIMITS = Limits()


class _Budget:
    """Counts what was written, and stops at the first byte too many."""

    def __init__(self, limits: Limits, archive_bytes: int | None) -> None:
        self._limits, self._archive_bytes = limits, archive_bytes
        self._files = self._bytes = 0

    def file(self) -> None:
        self._files += 1
        if self._files > self._limits.files:
            raise InputError(f"more than {self._limits.files} files; a submission is a manifest and its weights")

    def grow(self, size: int) -> None:
        self._bytes += size
        if self._bytes > self._limits.total_bytes:
            raise InputError(
                f"more than {self._limits.total_bytes / 1e6:.6g} MB unpacked; name a folder on the server instead, "
                "or weights on the hub (hub:org/name@revision)"
            )
        if self._archive_bytes is not None:
            allowed = _FREE_BYTES + self._limits.ratio * self._archive_bytes
            if self._bytes > allowed:
                raise InputError(
                    f"more than {self._limits.ratio} times its size when unpacked; send the files themselves"
                )


def unpack(archive: IO[bytes], into: Path, limits: Limits = LIMITS) -> None:
    """Unpack an archive into a folder that is made.

    Raises:
        InputError: no such archive, a broken one, one that is too large, or one with a member that is not allowed.
        InfrastructureError: the disk is full.
    """
    size = archive.seek(0, SEEK_END)
    archive.seek(0)
    head = archive.read(512)
    archive.seek(0)
    budget = _Budget(limits, size)
    with disk_errors(into):
        into.mkdir(parents=True)
    try:
        if head.startswith(b"PK"):
            _unzip(archive, into, budget)
        elif head.startswith(b"\x1f\x8b"):
            with tempfile.TemporaryFile(dir=into.parent) as plain:
                _gunzip(archive, plain, limits, size)
                _untar(plain, into, budget)
        elif head[257:262] == b"ustar":
            _untar(archive, into, budget)
        else:
            raise InputError("this is no zip, tar or tar.gz archive; send one of those, or the files themselves")
    except _BROKEN as error:
        raise InputError(f"the archive cannot be read ({' '.join(str(error).split())}); make it again") from None


def place(files: Iterable[tuple[str, IO[bytes]]], into: Path, limits: Limits = LIMITS) -> None:
    """Write files that were sent one by one into a folder that is made; a name may hold folders (``weights/a.json``).

    Raises:
        InputError: a name that is not allowed, two files of one name, or too much.
        InfrastructureError: the disk is full.
    """
    budget = _Budget(limits, None)
    with disk_errors(into):
        into.mkdir(parents=True)
    for name, content in files:
        content.seek(0)
        _write(_inside(name), content, into, budget)


def beside_manifest(manifest: IO[bytes], files: Sequence[tuple[str, IO[bytes]]]) -> list[tuple[str, IO[bytes]]]:
    """Names for a manifest and files that were sent without folders: they are the weights' folder, if it wants one.

    A file that bears the very name of ``weights`` stands beside the manifest, and so do all the others then.
    """
    try:
        weights = tomllib.loads(manifest.read().decode()).get("weights")
    except ValueError:  # for the check to explain
        weights = None
    folder = ""
    if isinstance(weights, str) and not weights.startswith(("data:", "hub:")) and weights not in dict(files):
        folder = weights.rstrip("/") + "/"
    return [(FILE_NAME, manifest), *((folder + name, content) for name, content in files if name != FILE_NAME)]


def submission_in(folder: Path) -> Path:
    """The folder with the manifest: this one, or the only one in it.

    Raises:
        InputError: there is none.
    """
    inner = [path for path in folder.iterdir() if path.is_dir()]
    for place_ in [folder, *(inner if len(inner) == 1 else [])]:
        if (place_ / FILE_NAME).is_file():
            return place_
    raise InputError(f"no {FILE_NAME} among the files, nor in the one folder that holds them all; add it")


def _inside(name: str) -> PurePosixPath:
    """A member's name as a path that stays inside."""
    path = PurePosixPath(name)
    why = None
    if not name.strip() or any(ord(sign) < ord(" ") or "\ud800" <= sign <= "\udfff" for sign in name):
        why = "is empty, has control characters or is not Unicode"
    elif path.is_absolute() or ".." in path.parts or "\\" in name or ":" in "".join(path.parts[:1]):
        why = "leads out of the folder, or is of another system (use /)"
    elif len(path.parts) > _DEPTH or any(len(part.encode()) > _NAME_BYTES for part in path.parts):
        why = "is too long"
    if why:
        raise InputError(f"the file name {name[:100]!r} {why}; rename it")
    return path


def _junk(path: PurePosixPath) -> bool:
    """What a desktop adds without being asked."""
    return not path.parts or path.parts[0] in _JUNK or path.name in _JUNK or path.name.startswith("._")


def _write(path: PurePosixPath, content: IO[bytes], into: Path, budget: _Budget) -> None:
    """Write one new file; `into` holds nothing but what was written here, so no part of the path is a link."""
    if _junk(path):
        return
    budget.file()
    target = into / path
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        file = target.open("xb")
    except (FileExistsError, NotADirectoryError):
        raise InputError(f"two files are called {str(path)!r}; send each once") from None
    with disk_errors(into), file:
        for chunk in _chunks(content):
            budget.grow(len(chunk))
            file.write(chunk)


def _chunks(content: IO[bytes]) -> Iterator[bytes]:
    while chunk := content.read(_CHUNK):
        yield chunk


def _unzip(source: IO[bytes], into: Path, budget: _Budget) -> None:
    if sum(chunk.count(_DIRECTORY_MARK) for chunk in _chunks(source)) > _MOST_DIRECTORY_MARKS:
        raise InputError("the archive has too many entries; a submission is a manifest and its weights")
    with zipfile.ZipFile(source) as archive:
        for member in archive.infolist():
            path = _inside(member.filename)
            kind = stat.S_IFMT(member.external_attr >> 16)
            if member.is_dir():
                continue
            if kind not in (0, stat.S_IFREG):
                raise InputError(f"{str(path)!r} is a link or a special file; put the file itself in its place")
            if member.flag_bits & 1:
                raise InputError(f"{str(path)!r} is encrypted; send an archive without a password")
            if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise InputError(f"{str(path)!r} is compressed in an unusual way; use plain zip (deflate)")
            with archive.open(member) as content:
                _write(path, content, into, budget)


def _gunzip(source: IO[bytes], plain: IO[bytes], limits: Limits, size: int) -> None:
    """Decompress to a file first, counted: headers of a tar are read whole, and may be as large as they like."""
    budget = _Budget(Limits(limits.files, limits.total_bytes + _TAR_BLOCKS * limits.files, limits.ratio), size)
    with GzipFile(fileobj=source) as unzipped:
        for chunk in _chunks(unzipped):  # type: ignore[arg-type]
            budget.grow(len(chunk))
            with disk_errors(Path(tempfile.gettempdir())):
                plain.write(chunk)
    plain.seek(0)


class _Guarded:
    """A tar's file in which no single read is large: a header cannot ask for all memory."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= _MOST_AT_ONCE:
            raise InputError("the archive has a header of unusual size; make it again with tar")
        return self._file.read(size)

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.seek(0, SEEK_CUR)


def _untar(source: IO[bytes], into: Path, budget: _Budget) -> None:
    with tarfile.open(fileobj=_Guarded(source), mode="r:") as archive:  # type: ignore[call-overload]
        for member in archive:
            path = _inside(member.name)
            if member.isdir():
                continue
            if not member.isreg() or member.issparse():
                raise InputError(f"{str(path)!r} is a link or a special file; put the file itself in its place")
            content = archive.extractfile(member)
            if content is not None:
                _write(path, content, into, budget)
