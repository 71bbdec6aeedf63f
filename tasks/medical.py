"""Published segmentation data sets in their original folder layouts, each described by a TOML file in ``layouts/``.

The files are those of a user's own data set (`tasks.own`) with five keys more, so that a layout can be copied and
changed. Which cases are scored stands in each: the published test cases where their labels are public, else all cases
with labels; then a submission must say what it was trained on.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pydantic import Field

from suite.data import MIRROR_VARIABLE, Dataset, mirror
from suite.errors import AbsentDataError
from suite.metrics.codes import MISSING
from suite.task import AnyTask
from tasks.own.common import parsed, validated
from tasks.own.description import Description
from tasks.own.segmentation import Facts, Files, FolderSegmentation, listed
from tasks.own.table import bands_of

_LAYOUTS = Path(__file__).parent / "layouts"


class Layout(Description):
    """A data set that others publish."""

    dataset: str
    """Its folder under the mirror; all paths are relative to it."""
    channels: int = Field(default=1, ge=1)
    """Of an image."""
    axes: int = Field(ge=2, le=3)
    """Of an image: 2 for pictures, 3 for volumes."""
    group_values: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """Values of the groups that have no bands."""
    table_optional: bool = False
    """Without the table every case counts as of a missing group."""


@dataclass(frozen=True)
class Folder(Dataset):
    """A data set that is a folder of the mirror, with more files than a pin would name."""

    def missing(self) -> str | None:
        """Why it cannot be read here, or ``None``; looks for the folder alone."""
        top = mirror()
        if top is not None and (top / self.name).is_dir():
            return None
        where = f"not in {top / self.name}" if top else f"{MIRROR_VARIABLE} is not set"
        return f"{where}; get it from {self.source} (licence: {self.licence})"


def task_of(layout: Layout) -> FolderSegmentation:
    """The task; nothing is looked for until its data are."""
    dataset = Folder(layout.dataset, layout.sha256 or "", {}, layout.licence, layout.source)

    @cache
    def at(folder: Path) -> Files:
        return listed(layout, folder, table_optional=layout.table_optional)

    def found() -> Files:
        why = dataset.missing()
        if why is not None:
            raise AbsentDataError(f"data set {layout.dataset!r} is not here: {why}")
        return at((mirror() or Path()) / layout.dataset)

    values = {name: layout.group_values.get(name) or _bands(layout, name) for name in layout.groups}
    groups = {name: dict.fromkeys(known, 0) for name, known in values.items()}
    return FolderSegmentation(layout, found, Facts((layout.channels, *(None,) * layout.axes), groups), dataset)


def _bands(layout: Layout, name: str) -> tuple[str, ...]:
    return (*bands_of(layout.bands[name]), MISSING)


def layouts() -> list[Layout]:
    """All of them, in the order of their files' names."""
    return [validated(Layout, parsed(path), path.name) for path in sorted(_LAYOUTS.glob("*.toml"))]


ALL: tuple[AnyTask, ...] = tuple(task_of(layout) for layout in layouts())
