"""The command line ``hallmark``: verbs only. The one module that imports `tasks`.

Exit codes: 0 fine, 1 findings or a failed unit, 2 usage or bad input found before any unit starts, 5 broken
infrastructure.
"""

from __future__ import annotations

import atexit
import io
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

import suite
from suite import submission as submissions
from suite.errors import HallmarkError, InputError, UnitError, unknown
from suite.selection import named, suite_of, tasks_for
from suite.store import Store, Stored
from tasks import MEANS, SUITES, TASKS

RESULTS = Path("results")
AsJson = click.option("--json", "as_json", is_flag=True, help="Print JSON to standard output.")
Results = click.option(
    "--results",
    type=click.Path(file_okay=False, path_type=Path),
    default=RESULTS,
    show_default=True,
    help="Folder of records.",
)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(suite.__version__, prog_name="hallmark")
def app() -> None:
    """Score compressed or trained models into verifiable records, beside their parents."""


@app.command("list", epilog="Example: hallmark list tasks")
@click.argument("what", required=False)
@AsJson
def list_(what: str | None, as_json: bool) -> None:
    """List tasks, suites, submissions, formats, probes or metrics; all of them without an argument."""
    from suite import catalogue, text

    sections = catalogue.sections(TASKS, SUITES)
    if what is not None and what not in sections:
        raise unknown("list", what, sections)
    chosen = {what: sections[what]} if what else sections
    listed = {name: make() for name, make in chosen.items()}
    if as_json:
        click.echo(json.dumps(listed, indent=1, ensure_ascii=False))
        return
    for name, rows in listed.items():
        header = list(rows[0]) if rows else ["name"]
        body = [[str(value) for value in row.values()] for row in rows] or [["(none)"]]
        click.echo(("" if what else f"\n{name}\n") + text.table([f"{column} " for column in header], body))


@app.command(epilog="Example: hallmark check submissions/my-model")
@click.argument("submission", nargs=-1, required=True)
@AsJson
def check(submission: tuple[str, ...], as_json: bool) -> None:
    """Check manifest, digest and files of submissions; runs nothing, takes seconds."""
    from suite import text
    from suite.check import check as check_one

    found = [check_one(submissions.find(name), TASKS) for name in submission]
    if as_json:
        click.echo(json.dumps({"checks": [c.summary() for c in found]}, indent=1, ensure_ascii=False))
    for c in found:
        for problem in c.problems:
            click.echo(f"hallmark: {c.submission.name}: {problem.removeprefix(c.submission.name + ': ')}", err=True)
        if not c.problems and not as_json:
            click.echo(text.fine(c))
    if any(c.problems for c in found):
        raise click.exceptions.Exit(InputError.exit_code)


@app.command(epilog="Example: hallmark run submissions/my-model -t cifar10-100 --results results")
@click.argument("submission", nargs=-1, required=True)
@click.option("-t", "--task", "task", multiple=True, help="Task to score on; several times for several.")
@click.option("--suite", "suite_name", help="Score on all tasks of this suite that fit the model's kind.")
@click.option("--device", type=click.Choice(["cpu", "cuda"]), default="cpu", show_default=True)
@click.option("--threads", type=click.IntRange(1), help="CPU threads of the model's runtime [default: all cores].")
@click.option("--limit", type=click.IntRange(1), help="Only so many items, a seeded random sample; kept off the board.")
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
@Results
@AsJson
def run(
    submission: tuple[str, ...],
    task: tuple[str, ...],
    suite_name: str | None,
    results: Path,
    as_json: bool,
    **options: Any,
) -> None:
    """Score submissions (folders, or names under submissions/) on tasks, each into one record."""
    from suite import index
    from suite.batch import run_all
    from suite.unit import Options, Unit, units

    how = Options(**options)
    work: list[Unit] = []
    for one in [submissions.find(name) for name in submission]:
        chosen, by_name = tasks_for(one.manifest, task, suite_name, TASKS, SUITES)
        work += units([one], chosen, by_name, how, _warn)
    if not work:
        raise InputError("nothing to do: no chosen task takes a model of this kind; see hallmark list tasks")
    say = (lambda line: None) if as_json else click.echo
    stored, failures = run_all(work, Store(results), TASKS, say, lambda line: click.echo(f"hallmark: {line}", err=True))
    index.refresh(Store(results), TASKS)
    if as_json:
        click.echo(_records_json(stored, failures=failures))
    if failures:
        raise click.exceptions.Exit(UnitError.exit_code)


@app.command(epilog="Example: hallmark show my-model -t cifar10-100")
@click.argument("submission", required=False)
@click.option("-t", "--task", "task", multiple=True, help="Only this task; several times for several.")
@click.option("--suite", "suite_name", help="Only this suite's tasks, and their mean where the suite has one.")
@Results
@AsJson
def show(submission: str | None, task: tuple[str, ...], suite_name: str | None, results: Path, as_json: bool) -> None:
    """Show a submission's measurements with intervals, beside its parent's; every family without an argument."""
    store = Store(results)
    if submission is None:
        from suite import family, text

        lines = family.lines(store, {name: named(name, TASKS) for name in task} or TASKS, on_problem=_warn)
        click.echo(_records_json([line.stored for line in lines]) if as_json else family.tables(lines, text.columns()))
        return
    name = submissions.find(submission).name if Path(submission).exists() else submission
    names = sorted({s.record.task for s in store.scan(name, on_problem=_warn)})
    if not names:
        raise InputError(f"no record of {name!r} under {results}; run it first: hallmark run {submission}")
    for wanted in task:
        if wanted not in names:
            raise unknown(f"task in the records of {name}", wanted, names)
    members = suite_of(suite_name, SUITES)
    chosen = task or ([one for one in members if one in names] if suite_name else names)
    latest = [found for one in chosen if (found := store.latest(name, one))]
    from suite import summary

    means = [summary.mean_of(store, name, MEANS[suite_name], TASKS)] if suite_name in MEANS else []
    if as_json:
        click.echo(_records_json(latest, **({"means": [mean.summary() for mean in means]} if means else {})))
        return
    from suite.text import shown

    click.echo("\n\n".join([*(shown(stored, store, TASKS) for stored in latest), *map(summary.shown, means)]) + "\n")


@app.command(epilog="Example: hallmark verify my-model")
@click.argument("what", nargs=-1, metavar="[SUBMISSION | RECORD.json]...")
@click.option(
    "--against", type=click.Path(file_okay=False, path_type=Path), help="Compare with a fresh run in this folder."
)
@click.option(
    "--tolerance",
    default=0.005,
    show_default=True,
    help="Relative difference from the fresh run that passes; what one flipped answer moves does too.",
)
@Results
@AsJson
def verify(what: tuple[str, ...], against: Path | None, tolerance: float, results: Path, as_json: bool) -> None:
    """Recompute every number of records from their outcomes and check every digest; all records without an argument."""
    from suite.agreement import agreement, unrecorded
    from suite.verify import selected
    from suite.verify import verify as verify_one

    problems: list[dict[str, str]] = []

    def report(where: str, line: str) -> None:
        problems.append({"record": where, "problem": line})
        click.echo(f"hallmark: {where}: {line.removeprefix(where + ': ')}", err=True)

    stored, names = selected(what, Store(results), report)
    for one in stored:
        fresh = agreement(one, Store(against), TASKS, tolerance) if against else None
        lines = verify_one(one, TASKS) + list(fresh.problems if fresh else ())
        for line in lines:
            report(str(one.path), line)
        if not lines and not as_json:
            note = f"; {fresh.note}" if fresh and fresh.note else ""
            click.echo(f"{one.path}: every digest and all {len(one.record.measurements)} measurements hold{note}")
    for line in unrecorded(stored, Store(against), names) if against else ():
        report(str(results), line)
    if as_json:
        click.echo(_records_json(stored, problems=problems))
    if problems:
        raise click.exceptions.Exit(1)
    if not stored:
        raise InputError(f"no records under {results}; name some, or give --results DIR")


@app.command(epilog="Example: hallmark board --results results --port 8501")
@click.option("--port", type=click.IntRange(1, 65535), default=8501, show_default=True)
@Results
@AsJson
def board(port: int, results: Path, as_json: bool) -> None:
    """Open the leaderboard of a folder of records in the browser; --json prints its address and ends with it."""
    from suite import board as opened

    opened.serve(Store(results), port, TASKS, announce=_announce if as_json else click.echo)


@app.command(epilog="Example: hallmark machine --json")
@AsJson
def machine(as_json: bool) -> None:
    """Show this machine, what the probes see here, and why the others cannot run."""
    from suite import machine as here
    from suite import text
    from suite.probes import PROBES

    found = here.observe()
    probes = {name: (make().title, make().unavailable()) for name, make in PROBES.items()}
    if as_json:
        rows = {name: {"title": title, "unavailable": why} for name, (title, why) in probes.items()}
        click.echo(json.dumps({"machine": found.model_dump(mode="json"), "probes": rows}, indent=1, ensure_ascii=False))
        return
    click.echo(text.facts({name: str(value) for name, value in found.model_dump().items()}) + "\n")
    body = [[name, title, why or "reads here"] for name, (title, why) in probes.items()]
    click.echo(text.table(["probe", "reads ", "state "], body))


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point: every expected failure is one line on standard error and an exit code."""
    try:
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="replace")
        sys.exit(app(args=arguments, prog_name="hallmark", standalone_mode=False) or 0)
    except HallmarkError as error:
        _fail(str(error), error.exit_code)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        sys.exit(InputError.exit_code)
    except click.ClickException as error:
        verb = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else "hallmark"
        _fail(f"{error.format_message()} See {verb} --help.", InputError.exit_code)
    except (click.Abort, KeyboardInterrupt):
        _fail("interrupted; run the same command again to continue", 130)


def entry() -> None:
    """`main` as a program: ends at once when all is written.

    The thread pools of pyarrow and torch can abort a process while Python takes it down ("terminate called without an
    active exception", 3 of 60 runs of ``hallmark verify`` on a loaded machine), after everything has been done.
    """
    code = 0
    try:
        main()
    except SystemExit as done:
        code = done.code if isinstance(done.code, int) else int(done.code is not None)
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _fail(line: str, code: int) -> None:
    click.echo("hallmark: " + " ".join(line.split()), err=True)
    sys.exit(code)


def _announce(address: str) -> None:
    click.echo(json.dumps({"address": address}))


def _warn(line: str) -> None:
    click.echo(f"hallmark: passed over: {line}", err=True)


def _records_json(stored: Sequence[Stored], **more: Any) -> str:
    records = [one.record.model_dump(mode="json") for one in stored]
    return json.dumps({"records": records, **more}, indent=1, ensure_ascii=False)


if __name__ == "__main__":
    entry()
