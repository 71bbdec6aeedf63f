"""``hallmark check``."""

from __future__ import annotations

import json
from pathlib import Path

import click

from suite import submission as submissions
from suite.errors import InputError
from suite.verbs.common import AsJson, Known

_FINDINGS = 1


@click.command(epilog="Example: hallmark check submissions/my-model --static")
@click.argument("submission", nargs=-1, required=True)
@click.option(
    "--static", is_flag=True, help="Count every tensor (zeros, N:M, distinct values, entropy), zstd and MACs."
)
@click.option(
    "--strip",
    "out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write a copy without paths and sample inputs to OUT/<name>, once its answers are seen to be equal.",
    metavar="OUT",
)
@AsJson
@click.pass_obj
def check(known: Known, submission: tuple[str, ...], static: bool, out: Path | None, as_json: bool) -> None:
    """Check manifest, digest, files and claims of submissions; runs nothing without --strip, takes seconds.

    Exit code 2: refused. 1: a claim that the files contradict. What the files tell of the machine that made them is
    said, and changes no exit code.
    """
    from suite import statement
    from suite.check import check as check_one
    from suite.strip import strip

    found = [check_one(submissions.find(name), known.tasks, static) for name in submission]
    if as_json:
        click.echo(json.dumps({"checks": [c.summary() for c in found]}, indent=1, ensure_ascii=False))
    for c in found:
        for problem in (*c.problems, *c.mismatches):
            click.echo(f"hallmark: {c.submission.name}: {problem.removeprefix(c.submission.name + ': ')}", err=True)
        if not c.problems and not as_json:
            click.echo(statement.checked(c))
        if out is not None and not c.problems:
            click.echo(
                f"{c.submission.name}: stripped copy with equal answers at {strip(c.submission, out)}", err=as_json
            )
    if any(c.problems for c in found):
        raise click.exceptions.Exit(InputError.exit_code)
    if any(c.mismatches for c in found):
        raise click.exceptions.Exit(_FINDINGS)
