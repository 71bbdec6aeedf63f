"""The items of a user's classification data set: from folders of images, a table, or arrays.

Images: 8 bits a channel, grey as [1, H, W] and everything else as RGB [3, H, W], in [0, 1]; `resize` and `crop` as
`tasks.images_cls.photograph`. Arrays: uint8 [N, H, W(, C)] becomes [C, H, W] in [0, 1]; other numbers, and uint8
of other shapes, stay as they are, in float32. Tables: the columns of `features`, then one feature for each listed value
of each column of `categorical`; an empty cell has none of them.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suite.errors import InputError, unknown
from tasks.images_cls import channels_first, photograph
from tasks.own import table
from tasks.own.keys import Description
from tasks.own.table import Attributes

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp")


@dataclass(frozen=True)
class Item:
    """One item before its label is a number.

    Attributes:
        item: id.
        input: array, path of an image, or ``None`` where only predictions can be scored.
        label: as the data spell it.
        known: cluster and groups.
        calibration: a temperature is fitted on it.
    """

    item: str
    input: Any
    label: str
    known: Attributes
    calibration: bool = False


@dataclass(frozen=True)
class Items:
    """All of them.

    Attributes:
        items: in the order of the data.
        paths: the files that they are made of.
        numbered: labels are numbers of classes, not names.
    """

    items: list[Item]
    paths: set[Path] = field(default_factory=set)
    numbered: bool = False


def listed(description: Description, folder: Path) -> Items:
    """Every item to be scored, then those of the calibration split; reads tables and arrays, but no image.

    Raises:
        InputError: nothing there, an id without a row or given twice, a cell or array that does not fit.
    """
    found = _part(description, folder, description.where)
    parts = [(found, False)]
    if description.calibration:
        parts.append((_part(description, folder, description.calibration), True))
    if description.calibration_from:
        key = "arrays" if description.arrays else "images" if description.images and not description.file else "table"
        other = description.model_copy(update={key: description.calibration_from})
        parts.append((_part(other, folder, {}), True))
    items = [Item(i.item, i.input, i.label, i.known, split) for part, split in parts for i in part.items]
    seen: set[str] = set()
    for one in items:
        if one.item in seen:
            raise InputError(f"data set {description.name!r}: id {one.item!r} is given twice")
        seen.add(one.item)
    return Items(items, {path for part, _ in parts for path in part.paths}, found.numbered)


def reader(description: Description) -> Any:
    """How the input of an item becomes an array."""
    if description.images is None:
        return _as_it_is
    read = partial(photograph, resize=description.resize, crop=description.crop, grey=True)
    return lambda given: given if isinstance(given, np.ndarray) else read(given)


def digest(items: Items, folder: Path, description: Description) -> str:
    """sha256 over all files and the description's meaning: what records state as the data's."""
    lines = sorted(f"{_sha256(path)}  {Path(os.path.relpath(path, folder)).as_posix()}\n" for path in items.paths)
    files = hashlib.sha256("".join(lines).encode()).hexdigest()
    return hashlib.sha256(f"{files}  files\n{description.meaning_sha256()}  description\n".encode()).hexdigest()


def _part(description: Description, folder: Path, where: Mapping[str, str]) -> Items:
    rows = known = None
    if description.table is not None:
        rows = table.read(folder / description.table)
        known = table.attributes(rows, description.model_copy(update={"where": dict(where)}))
    if description.arrays is not None:
        return _of_arrays(description, folder / description.arrays, known)
    if rows is None or known is None or (description.images and not description.file):
        return _of_folders(description, folder / str(description.images), known, rows)
    return _of_table(description, folder, rows, known)


def _of_folders(
    description: Description, root: Path, known: Mapping[str, Attributes] | None, rows: table.Table | None
) -> Items:
    if not root.is_dir():
        raise InputError(f"no folder {root}; it should hold one folder of images a class")
    paths = sorted(path for path in root.glob("*/*") if path.suffix.lower() in SUFFIXES)
    if not paths:
        raise InputError(f"{root} holds no images in folders, one folder a class; images are {', '.join(SUFFIXES)}")
    names = {path.relative_to(root).as_posix(): path for path in paths}
    if known is not None and rows is not None:
        others = set(rows.text(description.id)) - set(known)  # rows that `where` leaves out
        names = {name: path for name, path in names.items() if name not in others}
        table.of_items(names, known, rows.path)
    items = [Item(n, p, p.parent.name, known[n] if known else Attributes(n, {})) for n, p in names.items()]
    return Items(items, set(names.values()) | ({rows.path} if rows else set()))


def _of_table(description: Description, folder: Path, rows: table.Table, known: Mapping[str, Attributes]) -> Items:
    ids, labels = rows.text(description.id), rows.text(str(description.label))
    files = rows.text(description.file) if description.file else []
    inputs: Any = _features(description, rows) if description.features or description.categorical else [None] * len(ids)
    items, paths = [], {rows.path}
    for at, item in enumerate(ids):
        if item not in known:
            continue
        if not labels[at]:
            raise InputError(f"{rows.path}: item {item!r} has no label in column {description.label!r}")
        given = inputs[at]
        if files:
            given = folder / str(description.images) / files[at]
            if not given.is_file():
                raise InputError(f"{rows.path}: item {item!r} names the image {given}, which is not there")
            paths.add(given)
        items.append(Item(item, given, labels[at], known[item]))
    return Items(items, paths)


def _features(description: Description, rows: table.Table) -> NDArray[np.float32]:
    columns = []
    for name in description.features:
        numbers = rows.numbers(name)
        fits = np.abs(numbers) <= np.finfo(np.float32).max
        if not fits.all():
            row = int(fits.argmin())
            raise InputError(f"{rows.path}: row {row + 1} has {_unfit(numbers[row])} in column {name!r}")
        columns.append(numbers)
    for name, values in description.categorical.items():
        cells = rows.text(name)
        stray = next((cell for cell in cells if cell and cell not in values), None)
        if stray is not None:
            raise unknown(f"value of {name!r} in {rows.path}", stray, values)
        columns += [np.array([cell == value for cell in cells], dtype=np.float64) for value in values]
    return np.stack(columns, axis=1).astype(np.float32)


def _unfit(number: float) -> str:
    return "no number" if np.isnan(number) else f"{number:g}, which is no finite number of float32's range,"


def _of_arrays(description: Description, path: Path, known: Mapping[str, Attributes] | None) -> Items:
    wanted = [description.x, description.y, *([description.ids] if description.ids else [])]
    found = _loaded(path, wanted)
    x, y = found[0], found[1].reshape(-1)
    if x.ndim < 2 or 0 in x.shape[1:]:  # noqa: PLR2004
        raise InputError(
            f"{path}: {description.x!r} has the shape {list(x.shape)}; wanted: [items, ...], one row an item"
        )
    if len(x) != len(y) or not len(x):
        raise InputError(f"{path}: {description.x!r} has {len(x)} items, {description.y!r} {len(y)}")
    if x.dtype.kind not in "uif" or not _fits_float32(x):
        raise InputError(f"{path}: {description.x!r} must hold finite numbers of float32's range, it is {x.dtype}")
    ids = [f"row-{i:06d}" for i in range(len(x))]
    if description.ids:
        ids = [str(one) for one in found[2].reshape(-1).tolist()]
    if len(ids) != len(x):
        raise InputError(f"{path}: {description.x!r} has {len(x)} items, {description.ids!r} {len(ids)} ids")
    if "" in ids:
        raise InputError(f"{path}: row {ids.index('') + 1} has no id in array {description.ids!r}")
    every = table.of_items(ids, known, path) if known is not None else [Attributes(i, {}) for i in ids]
    items = [Item(i, _input(one), str(label), k) for i, one, label, k in zip(ids, x, y.tolist(), every, strict=True)]
    return Items(items, {path}, y.dtype.kind in "ui")


def _loaded(path: Path, wanted: Sequence[str]) -> list[NDArray[Any]]:
    """These arrays of an .npz file."""
    try:
        with path.open("rb") as file:
            arrays = np.load(file, allow_pickle=False)
            names = None if isinstance(arrays, np.ndarray) else arrays.files
            found = [arrays[name] for name in wanted if name in names] if names is not None else []
    except OSError as error:
        raise InputError(f"no arrays at {path}: {error.strerror or error}") from None
    except Exception as error:  # objects, which only a pickle could hold; zip and NumPy raise many types of a bad file
        why = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{path} cannot be read as plain arrays: {why}") from None
    if names is None:
        raise InputError(f"{path} is one array (.npy); wanted: an .npz file with {', '.join(wanted)}")
    lost = next((name for name in wanted if name not in names), None)
    if lost is not None:
        raise InputError(f"{path} has no array {lost!r}; it has {', '.join(sorted(names))}")
    return found


def _fits_float32(numbers: NDArray[Any]) -> bool:
    """Whether every number is finite, and stays so in float32."""
    most = np.finfo(np.float32).max
    return bool(-most <= numbers.min() and numbers.max() <= most)  # NaN is neither


def _input(one: NDArray[Any]) -> NDArray[np.float32]:
    if one.dtype != np.uint8 or one.ndim not in (2, 3):
        return one.astype(np.float32)
    return channels_first(one if one.ndim == 3 else one[..., None])  # noqa: PLR2004


def _as_it_is(given: Any) -> Any:
    return given


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def classes_of(labels: Iterable[str], description: Description, numbered: bool) -> tuple[str, ...]:
    """The declared classes, else the labels that occur, in order (numbers by value).

    Raises:
        InputError: fewer than two.
    """
    if description.classes:
        found = description.classes
    else:
        names = set(labels) - {description.novelty}
        found = tuple(sorted(names, key=int if numbered else str))
        if stray := next((name for name in found if set(name) & set("[],=")), None):
            raise InputError(f"data set {description.name!r}: class {stray!r} holds one of [ ] , =; rename it")
    if len(found) < 2:  # noqa: PLR2004
        raise InputError(f"data set {description.name!r} has {len(found)} class(es): list all with classes = [...]")
    return found
