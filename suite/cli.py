"""The command line ``hallmark``: verbs only. The one module that imports `tasks`.

Exit codes: 0 fine, 1 findings or a failed unit, 2 usage or bad input found before any unit starts, 3 inconclusive,
4 incomparable, 5 broken infrastructure.
"""

from __future__ import annotations

import atexit
import importlib
import io
import os
import sys
from collections.abc import Sequence

import click

import suite
from suite.errors import HallmarkError, InputError
from suite.verbs.common import Known
from tasks import MEANS, SUITES, TASKS, known_in, load

VERBS = {
    "advise": "advise",
    "board": "board",
    "check": "check",
    "compare": "compare",
    "export": "export",
    "gate": "gate",
    "import": "import_",
    "list": "listing:list_",
    "machine": "machine",
    "rank": "rank",
    "run": "run",
    "show": "show",
    "slices": "slices",
    "verify": "verify",
    "worker": "worker",
}
"""Verb -> its module under `suite.verbs`, and its function there unless that has the module's name."""
KNOWN = Known(TASKS, SUITES, MEANS, load, known_in)


class _Verbs(click.Group):
    """Imports a verb's module when the verb is asked for: a start pays for one of them. Until then its name is held."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The verb; ``None`` if there is none of that name."""
        if cmd_name not in VERBS:
            return None
        module, _, function = VERBS[cmd_name].partition(":")
        found: click.Command = getattr(importlib.import_module(f"suite.verbs.{module}"), function or module)
        return found


@click.group(
    cls=_Verbs,
    commands=[click.Command(name) for name in VERBS],
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.version_option(suite.__version__, prog_name="hallmark")
def app() -> None:
    """Score compressed or trained models into verifiable records, beside their parents."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point: every expected failure is one line on standard error and an exit code."""
    try:
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="replace")
        sys.exit(app(args=arguments, obj=KNOWN, prog_name="hallmark", standalone_mode=False) or 0)
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


if __name__ == "__main__":
    entry()
