"""What the verbs share: the tasks that are known, common options, and how records are printed as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from suite import submission as submissions
from suite.disk import disk_errors
from suite.manifest import FILE_NAME
from suite.store import TASKS, Store, Stored
from suite.task import AnyTask

if TYPE_CHECKING:
    from suite.gate import Gate

RESULTS = Path("results")
AsJson = click.option("--json", "as_json", is_flag=True, help="Print JSON to standard output.")
Device = click.option("--device", type=click.Choice(["cpu", "cuda"]), default="cpu", show_default=True)
Threads = click.option(
    "--threads",
    type=click.IntRange(1),
    help="CPU threads of the model's runtime [default: OMP_NUM_THREADS, else all cores].",
)
Results = click.option(
    "--results",
    type=click.Path(file_okay=False, path_type=Path),
    default=RESULTS,
    show_default=True,
    help="Folder of records.",
)


def recorded_name(given: str) -> str:
    """The name in records of what a user gave: a submission's folder or file, or a name.

    A folder of that name without a manifest, such as the model's that was evaluated elsewhere, is not meant.
    """
    path = Path(given)
    only_a_name = path.name == given and path.is_dir() and not (path / FILE_NAME).exists()
    return given if only_a_name or not path.exists() else submissions.find(given).name


@dataclass(frozen=True)
class Known:
    """What `suite.cli` hands to the verbs, none of which imports a task.

    Attributes:
        tasks: by name.
        suites: name to the tasks' names.
        means: suites whose mean is reported, and the tasks that it is taken over.
        load: TOML file -> the task on a user's data that it describes.
        known_in: folder of tasks' descriptions, tasks on users' data -> all tasks: ours, these, and the described ones.
    """

    tasks: Mapping[str, AnyTask]
    suites: Mapping[str, tuple[str, ...]]
    means: Mapping[str, tuple[str, ...]]
    load: Callable[[Path], AnyTask]
    known_in: Callable[[Path, Sequence[AnyTask]], Mapping[str, AnyTask]]

    def tasks_of(self, store: Store, own: Sequence[AnyTask] = ()) -> Mapping[str, AnyTask]:
        """The tasks, those on users' data that are given, and those that have records in a store."""
        return self.known_in(store.root / TASKS, own)


def announce(address: str) -> None:
    """Print an address as JSON."""
    click.echo(json.dumps({"address": address}))


def warn(line: str) -> None:
    """Say on standard error what was passed over."""
    click.echo(f"hallmark: passed over: {line}", err=True)


def records_json(stored: Sequence[Stored], **more: Any) -> str:
    """The records in the stored form, with what else belongs to the answer."""
    records = [one.record.model_dump(mode="json") for one in stored]
    return json.dumps({"records": records, **more}, indent=1, ensure_ascii=False)


class Report(click.Path):
    """A file to be written in a folder that is there: a missing one is told before any work, and never made."""

    def __init__(self) -> None:
        super().__init__(dir_okay=False, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path.

        Raises:
            BadParameter: it is a folder, or the folder that it lies in is not there.
        """
        path = Path(str(super().convert(value, param, ctx)))
        if not path.parent.is_dir():
            self.fail(f"there is no folder {path.parent} to write {path.name} in; make it first.", param, ctx)
        return path


Junit = click.option("--junit", type=Report(), help="Write the verdicts as JUnit XML.")
Markdown = click.option("--markdown", type=Report(), help="Write the verdicts as Markdown, for a pull request.")


def write(path: Path | None, content: bytes) -> None:
    """Write a report where it is asked for."""
    if path is None:
        return
    with disk_errors(path.parent):
        path.write_bytes(content)


def write_verdicts(found: Gate, junit: Path | None, markdown: Path | None) -> None:
    """Write a gate's verdicts in the forms that are asked for."""
    from suite.reports import junit as xml
    from suite.reports import markdown as text

    write(junit, xml.junit(found))
    write(markdown, text.markdown(found).encode())
