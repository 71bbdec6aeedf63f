"""``hallmark run``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from suite import submission as submissions
from suite.errors import InputError, UnitError
from suite.selection import tasks_for
from suite.store import Store
from suite.task import AnyTask
from suite.verbs.common import (
    AsJson,
    Device,
    Junit,
    Known,
    Markdown,
    Results,
    Threads,
    records_json,
    warn,
    write_verdicts,
)

if TYPE_CHECKING:
    from suite.early import Early
    from suite.gate import Gate
    from suite.unit import Unit

_File = click.Path(dir_okay=False, path_type=Path)


@click.command(epilog="Example: hallmark run submissions/my-model -t cifar10-100 --results results")
@click.argument("submission", nargs=-1, required=True)
@click.option("-t", "--task", "task", multiple=True, help="Task to score on; several times for several.")
@click.option("--suite", "suite_name", help="Score on all tasks of this suite that fit the model's kind.")
@click.option(
    "--data",
    "data",
    multiple=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="Score on a data set of your own: the TOML file that describes it; several times for several.",
)
@Device
@Threads
@click.option(
    "--limit",
    type=click.IntRange(1),
    help="At most so many items, whole clusters drawn by the seed; kept off the board.",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the bootstrap and of sampling.")
@click.option(
    "--time-limit",
    "time_limit_s",
    type=click.FloatRange(min=0, min_open=True),
    default=3600.0,
    show_default=True,
    help="Seconds for one unit.",
)
@click.option("--again", is_flag=True, help="Run units once more that have a record already.")
@click.option(
    "--overlays/--no-overlays", default=True, show_default=True, help="Keep small pictures of the three worst cases."
)
@click.option("--activations", is_flag=True, help="Count zero activations and dead units on a sample of 32 items.")
@click.option(
    "--until-decided", is_flag=True, help="Score items in a random order until a policy's verdicts are clear."
)
@click.option("--policy", type=_File, help="With --until-decided: the policy [default: gate.toml].")
@click.option("--baseline", help="With --until-decided: compared with this [default: the policy's, else the parent].")
@Junit
@Markdown
@Results
@AsJson
@click.pass_obj
def run(  # noqa: PLR0913 - a declaration, always by keyword
    known: Known,
    /,
    *,
    submission: tuple[str, ...],
    task: tuple[str, ...],
    suite_name: str | None,
    data: tuple[Path, ...],
    results: Path,
    as_json: bool,
    **options: Any,
) -> None:
    """Score submissions (folders, or names under submissions/) on tasks, each into one record.

    With --until-decided, one submission is scored only as far as `hallmark gate` would need to decide: the verdicts are
    printed (and written: --junit, --markdown), and the exit codes are the gate's.
    """
    from suite import indexing
    from suite.batch import run_all
    from suite.unit import Options, units

    files = _files(options)
    early = _early(submission, results, options)
    how, store, own = Options(**options), Store(results), _own(known, data)
    tasks = known.tasks_of(store, own)
    if early and not (task or suite_name or own):
        task = tuple(early.tasks(tasks))
    work: list[Unit] = []
    for one in [submissions.find(name) for name in submission]:
        work += units([one], own, True, how, warn)
        if task or suite_name or not own:
            chosen, by_name = tasks_for(one.manifest, task, suite_name, tasks, known.suites)
            work += units([one], [each for each in chosen if each not in own], by_name, how, warn)
    if not work:
        raise InputError("nothing to do: no chosen task takes a model of this kind; see hallmark list tasks")
    work = _ruled(early, work, tasks) if early else work
    say = (lambda line: None) if as_json else click.echo
    stored, failures = run_all(work, store, tasks, say, lambda line: click.echo(f"hallmark: {line}", err=True))
    gate = early.gate(work, stored) if early and not failures else None
    if gate:
        write_verdicts(gate, *files)
    if as_json:
        click.echo(records_json(stored, failures=failures, **({"gate": gate.summary()} if gate else {})))
    elif gate:
        _show(gate)
    indexing.refresh(store, tasks)  # of a large folder it takes a while: after all that is waited for
    code = UnitError.exit_code if failures else gate.exit_code if gate else 0
    if code:
        raise click.exceptions.Exit(code)


def _files(options: dict[str, Any]) -> tuple[Path | None, Path | None]:
    """Where the verdicts go; takes these options out of the others."""
    files = options.pop("junit"), options.pop("markdown")
    if any(files) and not options["until_decided"]:
        raise InputError("--junit and --markdown hold verdicts: they belong to --until-decided, or to hallmark gate")
    return files


def _show(gate: Gate) -> None:
    """Print the verdicts of an early decision."""
    from suite.reports import terminal

    click.echo("\n" + terminal.gate(gate))


def _early(submission: tuple[str, ...], results: Path, options: dict[str, Any]) -> Early | None:
    """What decides when the run may stop; takes its options out of the others."""
    asked, policy, baseline = (options.pop(name) for name in ("until_decided", "policy", "baseline"))
    if not asked:
        given = [name for name, value in (("--policy", policy), ("--baseline", baseline)) if value is not None]
        if given:
            raise InputError(f"{given[0]} belongs to --until-decided; of finished records: hallmark gate")
        return None
    if len(submission) > 1:
        raise InputError("--until-decided judges one submission; run it once for each")
    from suite import early
    from suite import policy as policies

    chosen = policies.read(policy or Path("gate.toml"))
    return early.early(submissions.find(submission[0]), baseline, chosen, results)


def _ruled(early: Early, work: list[Unit], tasks: Mapping[str, AnyTask]) -> list[Unit]:
    """The units, each with its rule; says what will need all items."""
    from suite.early import slow

    ruled = early.units(work, tasks)
    for line in slow(ruled):
        click.echo(f"hallmark: {line}", err=True)
    return ruled


def _own(known: Known, data: tuple[Path, ...]) -> list[AnyTask]:
    """The tasks on the user's own data, no two of one name."""
    own = {task.name: task for task in map(known.load, data)}
    if len(own) < len(data):
        raise InputError(f"two of the --data files have the same name; names: {', '.join(own)}")
    return list(own.values())
