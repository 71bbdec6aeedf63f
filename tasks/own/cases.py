"""The cases of a segmentation data set: which files each one has, and how they are read and checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from suite.errors import InputError
from tasks import images
from tasks.own import files
from tasks.own.description import IGNORED, Description
from tasks.scans import Image, Reference

Ints = NDArray[np.int32]
CLASS = "{class}"


@dataclass(frozen=True)
class Case:
    """The files of one item.

    Attributes:
        item: its id.
        channels: one file, or one a channel.
        labels: one file, or one a class.
        raters: of every further rater: one file, or one a class.
        mask: where it is 0, nothing is scored.
    """

    item: str
    channels: tuple[Path, ...]
    labels: tuple[Path, ...]
    raters: tuple[tuple[Path, ...], ...] = ()
    mask: Path | None = None

    @property
    def paths(self) -> list[Path]:
        """All files."""
        return [
            *self.channels,
            *self.labels,
            *(p for one in self.raters for p in one),
            *([self.mask] if self.mask else []),
        ]


def listed(description: Description, folder: Path) -> list[Case]:
    """All cases in the order of their ids; looks for files, and reads none.

    Raises:
        InputError: no case at all, an image without labels, labels without an image, a rater without a case.
    """
    patterns = (description.images,) if isinstance(description.images, str) else description.images
    channels = [files.found(folder, pattern) for pattern in patterns]
    labels = _of_classes(description, folder, description.labels)
    if not channels[0]:
        raise InputError(f"empty data set: no image at {folder / patterns[0]}")
    if not labels[0]:
        raise InputError(f"empty data set: no label map at {folder / description.labels}")
    items = _items(description, [*channels, *labels])
    raters = [_of_classes(description, folder, pattern) for pattern in description.raters]
    masks = files.found(folder, description.mask) if description.mask else {}
    for pattern, found in zip(description.raters, raters, strict=True):
        _refuse_lost(items, found, f"rater {pattern!r} has no file for")
    if description.mask:
        _refuse_lost(items, [masks], f"mask {description.mask!r} has no file for")
    return [
        Case(
            item,
            tuple(one[item] for one in channels),
            tuple(one[item] for one in labels),
            tuple(tuple(one[item] for one in found) for found in raters),
            masks.get(item),
        )
        for item in items
    ]


def image(case: Case, description: Description) -> Image:
    """The image on its own grid, channels in the order of the description.

    Raises:
        InputError: unreadable, a NaN, or channels on different grids.
    """
    parts = _channels(case, description)
    pixels = parts[0].values if len(parts) == 1 else np.concatenate([part.values for part in parts])
    return Image(pixels, _spacing(description, parts[0]))


def reference(case: Case, description: Description, grid: images.Raster | None = None) -> Reference:
    """What people drew, in the task's labels: 0 background, 1 to K the classes, and the ignore label.

    Args:
        case: which one.
        description: how to read it.
        grid: an image of the case that the labels must lie on.

    Raises:
        InputError: unreadable, a label that the description does not declare, or another grid.
    """
    rasters = [images.read_labels(path) for path in case.labels]
    for path, raster in zip(case.labels, rasters, strict=True):
        if grid is not None and (why := images.disagreement(grid, raster)):
            raise InputError(f"{path}: {why}; both must lie on one grid")
    drawn = _labels(case.labels, rasters, description)
    if drawn.min(initial=0) < 0:
        raise InputError(f"{case.labels[0]} holds label {drawn.min()}; objects are numbered 1, 2, ...")
    instances = drawn if description.instances else None
    labels = (drawn > 0).astype(np.int32) if description.instances else drawn
    if description.instances and description.ignore_label is not None:
        labels[drawn == description.ignore_label] = IGNORED
        instances = np.where(labels == IGNORED, 0, drawn)
    if case.mask is not None:
        inside = images.read_labels(case.mask).values
        if inside.shape != labels.shape:
            raise InputError(f"{case.mask}: shape {list(inside.shape)}, the labels have {list(labels.shape)}")
        labels[inside == 0] = IGNORED
    raters = tuple(_rater(paths, description, labels.shape) for paths in case.raters)
    return Reference(labels, _spacing(description, rasters[0]), instances, raters)


def check(case: Case, description: Description) -> tuple[int, int]:
    """Read a case once, so that what is wrong with it is known before any model runs; channels and spatial axes.

    Raises:
        InputError: what `image` and `reference` refuse, grids that differ, or a tolerance below the spacing.
    """
    parts = _channels(case, description)
    raster = parts[0]
    reference(case, description, raster)
    _check_spacing(case.channels[0], raster.values.ndim - 1, _spacing(description, raster), description)
    return sum(len(part.values) for part in parts), raster.values.ndim - 1


def _check_spacing(path: Path, axes: int, spacing: tuple[float, ...] | None, description: Description) -> None:
    if not description.in_mm:
        return
    if spacing is None:
        raise InputError(f"{path} has no spacing: add spacing = [...] in mm, or give tolerance_px for tolerance_mm")
    if len(spacing) != axes:
        raise InputError(f"{path} has {axes} axes, spacing = {list(spacing)} gives {len(spacing)}")
    if description.tolerance < min(spacing) * (1 - images.SPACING_RTOL):
        raise InputError(
            f"tolerance_mm = {description.tolerance:g} is below the spacing of {path}, {min(spacing):g} mm: its grid "
            "cannot tell anything finer; give at least that"
        )


def _channels(case: Case, description: Description) -> list[images.Raster]:
    parts = [images.read_image(path, description.colour) for path in case.channels]
    for path, part in zip(case.channels[1:], parts[1:], strict=True):
        same = images.Raster(part.values[0], part.spacing_mm, part.direction)
        if why := images.disagreement(parts[0], same):
            raise InputError(f"{path}: {why.replace('the labels', 'this channel')}; channels must lie on one grid")
    return parts


def _spacing(description: Description, raster: images.Raster) -> tuple[float, ...] | None:
    return (raster.spacing_mm or description.spacing) if description.in_mm else None


def _of_classes(description: Description, folder: Path, pattern: str) -> list[dict[str, Path]]:
    """The files of a pattern; with ``{class}`` in it, those of every class."""
    if CLASS not in pattern:
        return [files.found(folder, pattern)]
    return [files.found(folder, pattern.replace(CLASS, name)) for name in description.classes]


def _items(description: Description, found: list[dict[str, Path]]) -> list[str]:
    """The ids that all have, once nothing speaks against leaving the others out."""
    if description.ids:
        items = sorted(description.ids)
        _refuse_lost(items, found, "no file for")
        return items
    shared = sorted(set.intersection(*(set(one) for one in found)))
    if not shared:
        raise InputError(
            f"no image has labels: ids of images are like {next(iter(found[0]))!r}, of labels like "
            f"{next(iter(found[-1]), '(none)')!r}; give patterns with {{id}} for the part that both share"
        )
    if description.unlabelled == "refuse":
        every = sorted(set.union(*(set(one) for one in found)))
        channels = 1 if isinstance(description.images, str) else len(description.images)
        for what, some in (("image", found[:channels]), ("labels", found[channels:])):
            _refuse_lost(every, some, f"no {what} of", "; add the file, or leave such cases out: unlabelled = 'skip'")
    return shared


def _refuse_lost(items: list[str], found: list[dict[str, Path]], what: str, then: str = "") -> None:
    lost = [item for item in items if any(item not in one for one in found)]
    if lost:
        more = f" (and {len(lost) - 1} more)" if lost[1:] else ""
        raise InputError(f"{what} {lost[0]!r}{more}{then}")


def _rater(paths: tuple[Path, ...], description: Description, shape: tuple[int, ...]) -> Ints:
    labels = _labels(paths, [images.read_labels(path) for path in paths], description)
    if labels.shape != shape:
        raise InputError(f"{paths[0]}: this rater's map has shape {list(labels.shape)}, the labels {list(shape)}")
    return (labels > 0).astype(np.int32) if description.instances else labels


def _labels(paths: Sequence[Path], rasters: Sequence[images.Raster], description: Description) -> Ints:
    """One map in the task's labels, from one file or from one mask a class (later classes win where they overlap)."""
    first = rasters[0].values
    if CLASS not in description.labels:
        return first if description.instances else _declared(first, description, paths[0])
    made = np.zeros(first.shape, dtype=np.int32)
    for number, (path, raster) in enumerate(zip(paths, rasters, strict=True), start=1):
        if raster.values.shape != made.shape:
            raise InputError(
                f"{path}: shape {list(raster.values.shape)}, that of the first class is {list(made.shape)}"
            )
        made[raster.values != 0] = number
    return made


def _declared(values: Ints, description: Description, path: Path) -> Ints:
    """The file's values as labels; one that is not declared is refused, or background if the description says so."""
    known: Mapping[int, int] = description.values
    made = np.zeros(values.shape, dtype=np.int32)
    for value in np.unique(values).tolist():
        if value in known:
            made[values == value] = known[value]
        elif description.others == "refuse":
            raise InputError(f"{path} holds label {value}; declared: {', '.join(map(str, sorted(known)))}")
    return made
