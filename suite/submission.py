"""Submission: a manifest with its folder, its weights on this disk, and its parent."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from suite import data
from suite.errors import InputError, unknown
from suite.files import digest
from suite.manifest import FILE_NAME, Manifest

FOLDER = Path("submissions")
_HUB_PATTERNS = [
    *("*.safetensors", "*.json", "*.txt", "*.model"),
    *("*.onnx", "*.onnx_data", "*.onnx.data", "*.pt2", "*.gguf", "*.tflite", "*.xml"),
]


@dataclass(frozen=True)
class Submission:
    """One submission on this disk.

    Attributes:
        manifest: what it says.
        folder: where its manifest lies.
    """

    manifest: Manifest
    folder: Path

    @property
    def name(self) -> str:
        """The manifest's name."""
        return self.manifest.name

    def weights(self) -> Path:
        """The model's file or folder on this disk; fetched from the hub where the manifest says so.

        Raises:
            InputError: it is not there; says where it was looked for.
        """
        where = self.manifest.weights
        if where.startswith("data:"):
            return _in_mirror(where.removeprefix("data:"), self.name)
        if where.startswith("hub:"):
            return _from_hub(where.removeprefix("hub:"), self.name)
        path = self.folder / where
        if Path(where).is_absolute() or not path.resolve().is_relative_to(self.folder.resolve()):
            raise InputError(f"{self.name}: weights = {where!r} leaves the submission's folder; put the file inside it")
        if not path.exists():
            raise InputError(f"{self.name}: weights = {where!r} but there is no {path}")
        return path

    def verified_weights(self) -> Path:
        """The weights, once their digest is the manifest's.

        Raises:
            InputError: not there, or another digest (both are shown).
        """
        path = self.weights()
        found = digest(path)
        if found != self.manifest.sha256:
            raise InputError(
                f"{self.name}: the weights at {path} have sha256 {found}, the manifest says {self.manifest.sha256}"
            )
        return path

    def parent(self) -> Submission | None:
        """The parent: a folder beside this one first, then under ``submissions/``; None for a parent itself.

        Raises:
            InputError: it is named but found in neither place.
        """
        name = self.manifest.parent
        if name is None:
            return None
        places = [self.folder.resolve().parent / name, FOLDER / name]
        found = next((place for place in places if (place / FILE_NAME).is_file()), None)
        if found is None:
            raise InputError(
                f"{self.name}: parent = {name!r} is neither {places[0]} nor {places[1]}; add it, or correct the name"
            )
        parent = load(found)
        if parent.manifest.kind != self.manifest.kind or name == self.name:
            what = "it names itself" if name == self.name else f"that is a {parent.manifest.kind} model"
            raise InputError(
                f"{self.name}: parent = {name!r} but {what}; name the {self.manifest.kind} model it was made from"
            )
        return parent


def load(folder: Path) -> Submission:
    """The submission in a folder."""
    folder = folder.parent if folder.name == FILE_NAME else folder
    return Submission(Manifest.load(folder), folder)


def find(name_or_folder: str) -> Submission:
    """A submission by folder, or by name under ``submissions/``.

    Raises:
        InputError: there is none, with the nearest names.
    """
    path = Path(name_or_folder)
    if (path / FILE_NAME).exists() or path.is_file():
        return load(path)
    if len(path.parts) == 1 and (FOLDER / path / FILE_NAME).is_file():
        return load(FOLDER / path)
    if len(path.parts) > 1:
        raise InputError(f"no submission at {path}; a submission is a folder with a {FILE_NAME}")
    raise unknown(
        "submission", name_or_folder, [found.name for found in folders()], hint=f" (under {FOLDER}/, or a folder)"
    )


def folders() -> list[Path]:
    """Every folder with a manifest under ``submissions/``."""
    return sorted(path.parent for path in FOLDER.glob(f"*/{FILE_NAME}"))


def _in_mirror(where: str, name: str) -> Path:
    root = data.mirror()
    if root is None:
        raise InputError(
            f"{name}: weights = 'data:{where}' but {data.MIRROR_VARIABLE} is not set; set it to the mirror's folder"
        )
    path = root / where
    if not path.resolve().is_relative_to(root.resolve()):
        raise InputError(f"{name}: weights = 'data:{where}' leaves the mirror {root}")
    if not path.exists():
        raise InputError(f"{name}: weights = 'data:{where}' but there is no {path}")
    return path


def _from_hub(where: str, name: str) -> Path:
    repo, _, revision = where.partition("@")
    if not revision or repo.count("/") != 1:
        raise InputError(f"{name}: weights = 'hub:{where}' must read hub:org/name@revision; pin the revision")
    try:
        from huggingface_hub import snapshot_download

        return Path(snapshot_download(repo, revision=revision, allow_patterns=_HUB_PATTERNS))
    except Exception as error:  # the hub's client raises many types; the user needs one line
        raise InputError(
            f"{name}: cannot get {repo} at {revision} from the hub or its cache: {data.first_line(error)}; "
            "run the same command again when the hub can be reached: what was fetched is kept"
        ) from None
