"""``hallmark check``."""

from __future__ import annotations

import json

import click

from suite import submission as submissions
from suite.errors import InputError
from suite.verbs.common import AsJson, Known


@click.command(epilog="Example: hallmark check submissions/my-model")
@click.argument("submission", nargs=-1, required=True)
@AsJson
@click.pass_obj
def check(known: Known, submission: tuple[str, ...], as_json: bool) -> None:
    """Check manifest, digest and files of submissions; runs nothing, takes seconds."""
    from suite import text
    from suite.check import check as check_one

    found = [check_one(submissions.find(name), known.tasks) for name in submission]
    if as_json:
        click.echo(json.dumps({"checks": [c.summary() for c in found]}, indent=1, ensure_ascii=False))
    for c in found:
        for problem in c.problems:
            click.echo(f"hallmark: {c.submission.name}: {problem.removeprefix(c.submission.name + ': ')}", err=True)
        if not c.problems and not as_json:
            click.echo(text.fine(c))
    if any(c.problems for c in found):
        raise click.exceptions.Exit(InputError.exit_code)
