"""Image classification on the test sets of `tasks.image_sets`, none of which is shipped: how they are read.

A data set lies in ``$HALLMARK_DATA/<name>/`` in its original layout, unpacked; CIFAR-10 and CIFAR-100 are also had from
the hub as Parquet. Pickles (the "python version" of CIFAR) are never read. No sha256 of these files is known for sure,
so nothing is pinned, and records state the digest of what was found (labels, then pixels).

    cifar10, cifar100    binary version: cifar-10-batches-bin/test_batch.bin; cifar-100-binary/test.bin
    cifar10.1            cifar10.1_v6_data.npy, cifar10.1_v6_labels.npy (Recht 2018)
    cifar10-c-<kind>     <kind>.npy, labels.npy: the 10,000 test images at severities 1 to 5 (Hendrycks 2019)
    medmnist-<name>      <name>.npz (Yang 2023), the test split at 28 x 28; the multi-label set is left out
    imagenet-1k          val/<wnid>/*.JPEG (classes in the order of the wnids)

Values are in [0, 1], channels first; a manifest's normalisation follows. ImageNet: the shorter side becomes 256 pixels
(Pillow's bilinear with its antialiasing, as torchvision's Resize on a picture), then the middle 224 x 224 are cut out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suite.data import MIRROR_VARIABLE, Dataset, check_digest, mirror
from suite.errors import AbsentDataError, InputError
from suite.task import Example
from tasks.classification import Classification
from tasks.metric_sets import Measured

Bytes = NDArray[np.uint8]
CIFAR10_LABELS_SHA256 = "cec8a24a1e92aa2ecaa0bbd3dbfa86bf6cd8759fbd209a832824c8cf0afca9d5"
_SEVERITIES = 5
_SIDE = 32


@dataclass(frozen=True)
class Images:
    """A test set in memory, or mapped from its files.

    Attributes:
        pixels: uint8 [N, H, W, C].
        labels: [N].
        group: name of a group column, and the values of the items; none without a name.
        original: of each item, the image that it was made from; items of one are correlated.
    """

    pixels: Bytes
    labels: Bytes
    group: tuple[str, Sequence[str]] = ("", ())
    original: Sequence[str] = ()

    def digest(self) -> str:
        """sha256 over labels, then pixels, both as bytes."""
        state = hashlib.sha256(np.ascontiguousarray(self.labels, dtype=np.uint8).tobytes())
        for start in range(0, len(self.pixels), 1000):
            state.update(np.ascontiguousarray(self.pixels[start : start + 1000]).tobytes())
        return state.hexdigest()


Load = Callable[[Dataset], Images]


def channels_first(image: Bytes) -> NDArray[np.float32]:
    """Pixels [H, W, C] of 0..255 as float32 [C, H, W] in [0, 1]."""
    return np.ascontiguousarray(image.transpose(2, 0, 1), dtype=np.float32) / np.float32(255)


class ImageSet(Classification):
    """A test set of small images whose pixels are one array."""

    def __init__(self, *, load: Load, **declared: Any) -> None:
        self._images_of = lru_cache(maxsize=1)(partial(load, declared["dataset"]))
        super().__init__(load=self._examples, read=channels_first, **declared)

    def data_sha256(self) -> str:
        """Digest of the labels and pixels that were found, where none is pinned."""
        return self.dataset.content_sha256 or self._images_of().digest()

    def _examples(self) -> Iterator[Example]:
        images = self._images_of()
        name, values = images.group
        for number, (image, label) in enumerate(zip(images.pixels, images.labels.tolist(), strict=True)):
            groups = {name: values[number]} if name else {}
            cluster = images.original[number] if images.original else ""
            yield Example(f"{self.name}-{number:05d}", image, int(label), cluster, groups)


def _array(dataset: Dataset, name: str) -> NDArray[Any]:
    """An original .npy, mapped: never unpickled.

    Raises:
        InputError: it holds objects, or is no such file.
    """
    path = (mirror() or Path()) / dataset.name / name
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)  # type: ignore[no-any-return]
    except FileNotFoundError:
        raise AbsentDataError(f"the data set {dataset.name!r} is not here: no {path}; from {dataset.source}") from None
    except ValueError as error:
        raise InputError(f"{path} is no plain array: {error}") from None


def _records(content: bytes, n_labels: int, where: str) -> tuple[Bytes, Bytes]:
    """CIFAR's binary version: label bytes, then 3 x 32 x 32 pixels, an item."""
    width = n_labels + 3 * _SIDE * _SIDE
    if not content or len(content) % width:
        raise InputError(f"{where} has {len(content)} bytes, no multiple of {width}: not CIFAR's binary version")
    table = np.frombuffer(content, dtype=np.uint8).reshape(-1, width)
    pixels = table[:, n_labels:].reshape(-1, 3, _SIDE, _SIDE).transpose(0, 2, 3, 1)
    return pixels, table[:, n_labels - 1]  # CIFAR-100 has the coarse label first


def cifar(file: str, n_labels: int, column: str, dataset: Dataset) -> Images:
    """The binary version's test file, or the hub's rows."""
    content = dataset.file(file)
    if content is not None:
        return Images(*_records(content, n_labels, file))
    pixels = np.stack([np.asarray(image.convert("RGB"), dtype=np.uint8) for image in dataset.rows("img")])
    return Images(pixels, np.array(list(dataset.rows(column)), dtype=np.uint8))


def cifar10(dataset: Dataset) -> Images:
    """The same, whose labels are known."""
    images = cifar("cifar-10-batches-bin/test_batch.bin", 1, "label", dataset)
    check_digest(images.labels.tobytes(), CIFAR10_LABELS_SHA256, "the labels of CIFAR-10's test set")
    return images


def cifar10_1(dataset: Dataset) -> Images:
    """Version 6."""
    return Images(_array(dataset, "cifar10.1_v6_data.npy"), _array(dataset, "cifar10.1_v6_labels.npy").astype(np.uint8))


def cifar10_c(kind: str, dataset: Dataset) -> Images:
    """All severities of one corruption."""
    pixels, labels = _array(dataset, f"{kind}.npy"), _array(dataset, "labels.npy").astype(np.uint8)
    each = len(pixels) // _SEVERITIES
    severities = np.repeat(np.arange(1, _SEVERITIES + 1), each).astype(str).tolist()
    originals = [f"image-{i % each:05d}" for i in range(len(pixels))]
    return Images(pixels, labels[: len(pixels)], ("severity", severities), originals)


def medmnist(name: str, dataset: Dataset) -> Images:
    """The test split of an original file."""
    path = (mirror() or Path()) / dataset.name / f"{name}.npz"
    try:
        with np.load(path, allow_pickle=False) as arrays:
            pixels, labels = arrays["test_images"], arrays["test_labels"].reshape(-1).astype(np.uint8)
    except FileNotFoundError:
        raise AbsentDataError(f"the data set {dataset.name!r} is not here: no {path}; from {dataset.source}") from None
    except (ValueError, KeyError) as error:
        raise InputError(f"{path} is no file of MedMNIST: {error}") from None
    return Images(pixels if pixels.ndim == 4 else pixels[..., None], labels)  # noqa: PLR2004


class Photographs(Dataset):
    """A folder of photographs, one folder a class."""

    def missing(self) -> str | None:
        """Where the folder was looked for, if it is not there."""
        folder = self.folder
        if folder is not None and folder.is_dir():
            return None
        return f"no folder {self.name}/val in {mirror() or f'${MIRROR_VARIABLE} (not set)'}; {self.source}"

    def check_files(self) -> None:
        """Nothing is pinned: the digest of what was found goes into the record."""

    @property
    def folder(self) -> Path | None:
        """``val`` of the mirror."""
        root = mirror()
        return None if root is None else root / self.name / "val"


class ImageNet(Classification):
    """ImageNet-1k's validation images, read one by one."""

    def __init__(self, dataset: Photographs, classes: int = 1000) -> None:
        self._photographs = dataset
        super().__init__(
            name="imagenet-1k",
            title="ImageNet-1k, the 50,000 validation images",
            version="1",
            dataset=dataset,
            shape=(3, 224, 224),
            measured=Measured(tuple(f"{k:04d}" for k in range(classes))),
            load=self._examples,
            read=partial(photograph, resize=256, crop=224),
            protocol="resize256-bilinear/crop224",
        )

    @cached_property
    def _files(self) -> list[tuple[Path, int]]:
        folder = self._photographs.folder
        if folder is None or not folder.is_dir():
            raise AbsentDataError(f"the data of task {self.name!r} are not here: {self.dataset.missing()}")
        wnids = sorted(path.name for path in folder.iterdir() if path.is_dir())
        classes = len(self._measured.classes)
        if len(wnids) != classes:
            raise InputError(f"{folder} has {len(wnids)} folders, ImageNet-1k has {classes} classes, one folder each")
        return [(path, k) for k, wnid in enumerate(wnids) for path in sorted((folder / wnid).glob("*.JPEG"))]

    def fetch(self) -> None:
        """List the files."""
        if not self._files:
            raise AbsentDataError(f"{self._photographs.folder} holds no *.JPEG")

    @cached_property
    def _digest(self) -> str:
        lines = (f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {k}/{path.name}\n" for path, k in self._files)
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    def data_sha256(self) -> str:
        """Digest of the files that were found, with their classes."""
        return self._digest

    def _examples(self) -> Iterable[Example]:
        return (Example(path.stem, path, k) for path, k in self._files)


def photograph(path: Path, resize: int | None, crop: int | None, grey: bool = False) -> NDArray[np.float32]:
    """A picture file as RGB in [0, 1], [3, H, W]: the shorter side resized, then the middle cut out.

    Args:
        path: JPEG, PNG, ...
        resize: pixels of the shorter side, bilinear; ``None``: as it is.
        crop: pixels of both sides of the cut; ``None``: all.
        grey: a grey picture stays one, [1, H, W].

    Raises:
        InputError: it cannot be read, or is smaller than the cut.
    """
    from PIL import Image

    try:
        with Image.open(path) as opened:
            picture = opened.convert("L" if grey and opened.mode in ("1", "L") else "RGB")
    except OSError as error:
        raise InputError(f"{path} cannot be read as a picture: {error}") from None
    width, height = picture.size
    if resize is not None:
        short = min(width, height)
        width, height = int(resize * width / short), int(resize * height / short)
        picture = picture.resize((width, height), Image.Resampling.BILINEAR)
    if crop is not None:
        if min(width, height) < crop:
            raise InputError(f"{path} has {width} x {height} pixels, the cut needs {crop}")
        left, top = round((width - crop) / 2), round((height - crop) / 2)
        picture = picture.crop((left, top, left + crop, top + crop))
    pixels = np.asarray(picture, dtype=np.uint8)
    return channels_first(pixels if pixels.ndim == 3 else pixels[..., None])  # noqa: PLR2004
