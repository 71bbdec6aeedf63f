"""Writing files so that they are whole or absent, and errors of the disk in one line."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from suite.errors import InfrastructureError


@contextmanager
def disk_errors(where: Path) -> Iterator[None]:
    """Turn a full disk or a forbidden folder into one line with exit code 5."""
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        advice = "free some space and run the same command again; finished work is kept" if full else "check the folder"
        raise InfrastructureError(f"cannot write under {where}: {error.strerror}; {advice}") from None


def write_synced(path: Path, content: bytes, sync: bool = True) -> None:
    """Write to a temporary name, sync, rename: the file is whole or absent; without `sync` a power cut may empty it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            if sync:
                os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def link(source: Path, target: Path) -> None:
    """Give a file a second name; a name that holds its content's digest may be there already."""
    try:
        os.link(source, target)
    except FileExistsError:
        return  # the name holds the content's digest: it is the same file
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.EXDEV):
            raise
        write_synced(target, source.read_bytes())  # a file system without hard links


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
