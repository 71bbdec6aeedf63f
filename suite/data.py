"""Pinned data sets: local mirror ($HALLMARK_DATA), then the Hugging Face cache, then the hub.

A data set is named by files and sha256. The mirror holds the original files in ``$HALLMARK_DATA/<name>/``; what the hub
serves in another container (Parquet rows instead of the text file, say) is brought into the same canonical content,
whose digest is pinned as well. A wrong digest is an error that names both.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from suite.errors import AbsentDataError, InputError

MIRROR_VARIABLE = "HALLMARK_DATA"


@dataclass(frozen=True)
class Hub:
    """Where the hub keeps a data set, for ``datasets.load_dataset``.

    Attributes:
        repo: ``org/name``.
        split: split, slices allowed: ``test[:100]``.
        config: configuration name.
        revision: commit or tag.
        data_files: the one file to take, where the whole would be terabytes.
    """

    repo: str
    split: str
    config: str | None = None
    revision: str | None = None
    data_files: str | None = None


@dataclass(frozen=True)
class Dataset:
    """One pinned data set.

    Attributes:
        name: folder in the mirror.
        content_sha256: digest of the canonical content that the task is made of; goes into records. Empty where no
            digest is known for certain: then the record states that of what was found (`suite.task.Task.data_sha256`).
        files: file name to sha256, as they lie in the mirror; an empty digest: not known, so not checked.
        licence: of the data.
        source: where it comes from, for people.
        hub: where to fetch it when there is no mirror; ``None`` if no hub has it.
        generated: made by a versioned generator of this package, labelled so wherever it is shown.
        bundled: comes with this package or its dependencies, so it is always here.
    """

    name: str
    content_sha256: str
    files: Mapping[str, str] = field(default_factory=dict)
    licence: str = ""
    source: str = ""
    hub: Hub | None = None
    generated: bool = False
    bundled: bool = False

    def missing(self) -> str | None:
        """Why this data set cannot be read here without the network, or ``None``. Looks only for the files' names."""
        if self.bundled or self._mirrored():
            return None
        where = f"not in {self._mirror()}" if mirror() else f"{MIRROR_VARIABLE} is not set"
        return f"{where}; the hub has it as {self.hub.repo}" if self.hub else f"{where}; no hub has it"

    def file(self, name: str) -> bytes | None:
        """The bytes of a pinned file of the mirror, digest checked; ``None`` when there is no mirror of this data set.

        Raises:
            InputError: the digest is not the pinned one (both are named).
        """
        if not self._mirrored():
            return None
        path = self._mirror() / name
        content = path.read_bytes()
        if self.files[name]:
            check_digest(content, self.files[name], f"data set {self.name!r}: {path}")
        return content

    def original(self, name: str) -> bytes:
        """The same, for a data set that only the mirror has.

        Raises:
            InputError: it is not there, or the digest is not the pinned one.
        """
        content = self.file(name)
        if content is None:
            raise AbsentDataError(self._absent())
        return content

    def check_files(self) -> None:
        """Check the digests of all pinned files, if this data set is in the mirror.

        Raises:
            InputError: a digest is not the pinned one (both are named).
        """
        for name in self.files:
            self.file(name)

    def rows(self, column: str, convert: Callable[[Any], Any] = lambda value: value) -> Iterable[Any]:
        """One column of the hub's table, from the Hugging Face cache or the network.

        Raises:
            InputError: no hub has it, or it cannot be reached; says where it was looked for and what to do.
        """
        if self.hub is None:
            raise AbsentDataError(self._absent())
        if self.hub in _UNREACHABLE:
            raise AbsentDataError(_UNREACHABLE[self.hub])
        try:
            from datasets import disable_progress_bars, load_dataset

            disable_progress_bars()
            silence_hub()
            table = load_dataset(
                self.hub.repo,
                self.hub.config,
                split=self.hub.split,
                revision=self.hub.revision,
                data_files=self.hub.data_files and {self.hub.split: self.hub.data_files},
            )
        except Exception as error:  # the hub's client raises many types; the user needs one line
            _UNREACHABLE[self.hub] = (
                f"data set {self.name!r} is not here: looked in {self._looked()}, in the Hugging Face cache and on "
                f"the hub ({self.hub.repo}: {first_line(error)}). Set {MIRROR_VARIABLE} to a folder with {self.name}/"
            )
            raise AbsentDataError(_UNREACHABLE[self.hub]) from None
        return (convert(value) for value in table[column])

    def verified(self, content: bytes) -> bytes:
        """The canonical content, once its digest is the pinned one."""
        check_digest(content, self.content_sha256, f"data set {self.name!r}")
        return content

    def _looked(self) -> str:
        return f"{self._mirror()}" if mirror() else f"${MIRROR_VARIABLE} (not set)"

    def _absent(self) -> str:
        return (
            f"data set {self.name!r} is not here: looked in {self._looked()}; no hub has it. "
            f"Put {', '.join(self.files)} into a folder {self.name}/ and set {MIRROR_VARIABLE} to the folder above"
        )

    def _mirror(self) -> Path:
        return (mirror() or Path()) / self.name

    def _mirrored(self) -> bool:
        return (
            mirror() is not None and bool(self.files) and all((self._mirror() / name).is_file() for name in self.files)
        )


def silence_hub() -> None:
    """Keep the hub's client from telling every retry; call it after the import of ``datasets``, which sets levels."""
    for noisy in ("huggingface_hub", "huggingface_hub.utils._http", "datasets"):
        logging.getLogger(noisy).setLevel(logging.CRITICAL)


_UNREACHABLE: dict[Hub, str] = {}  # what failed once is not tried again by this process: retries take half a minute


def mirror() -> Path | None:
    """The local mirror's folder, or ``None`` when the variable is not set."""
    value = os.environ.get(MIRROR_VARIABLE)
    return Path(value) if value else None


def check_digest(content: bytes, expected: str, what: str) -> None:
    """Raise `InputError` with both digests unless the content's sha256 is the expected one."""
    check(hashlib.sha256(content).hexdigest(), expected, what)


def check(found: str, expected: str, what: str) -> None:
    """Raise `InputError` with both digests unless they are equal."""
    if found != expected:
        raise InputError(f"{what} has sha256 {found}, expected {expected}; the copy is damaged or another version")


def files_digest(files: Mapping[str, str]) -> str:
    r"""Content digest of a data set that is its files: sha256 of the sorted lines ``<sha256>  <name>\n``."""
    return hashlib.sha256("".join(f"{files[name]}  {name}\n" for name in sorted(files)).encode()).hexdigest()


def first_line(error: BaseException) -> str:
    """Type and first line of an exception, for one-line messages."""
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0][:300]}" if text else type(error).__name__
