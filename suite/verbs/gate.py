"""``hallmark gate``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from suite.errors import InputError
from suite.store import Store
from suite.verbs.common import AsJson, Junit, Known, Markdown, Results, write, write_verdicts

_File = click.Path(dir_okay=False, path_type=Path)


@click.command(epilog="Example: hallmark gate my-model-int8 --baseline my-model --policy gate.toml --junit gate.xml")
@click.argument("candidate", required=False)
@click.option("--baseline", help="A submission, a folder of records, or a pinned file [default: the policy's].")
@click.option("--policy", "policy_path", type=_File, default=Path("gate.toml"), show_default=True)
@Junit
@Markdown
@click.option("--limited", is_flag=True, help="Let records of limited runs decide (same limit on both sides).")
@click.option("--init", is_flag=True, help="Write a commented policy from the baseline's own noise, and stop.")
@Results
@AsJson
@click.pass_obj
def gate(known: Known, /, candidate: str | None, init: bool, results: Path, **options: Any) -> None:
    """Judge CANDIDATE's records against a baseline's by a policy: may it ship?

    Each metric is regressed, non-inferior or inconclusive. Exit codes: 0 passed; 1 a metric regressed; 3 a primary
    metric is inconclusive; 4 a metric of the policy, primary or not, cannot be compared, and none regressed: what was
    not looked at has not passed; 2 bad input; 5 broken infrastructure. No model is loaded: `hallmark run` first.
    """
    from suite import policy as policies
    from suite import sides
    from suite.gate import gate as judged

    path, given = options["policy_path"], options["baseline"]
    if init:
        _init(known, path, given or candidate, results)
        return
    if candidate is None:
        raise InputError("no candidate; name one: hallmark gate CANDIDATE --baseline NAME, or --init to write a policy")
    policy = policies.read(path)
    if given is None and policy.baseline is None:
        raise InputError(f"no baseline: give --baseline NAME, or baseline = NAME in {path}")
    one = sides.find(candidate, results)
    found = judged(
        one,
        sides.find(given or policy.baseline or "", results, one),
        policy,
        known.tasks_of(Store(results)),
        options["limited"],
    )
    from suite.reports import terminal

    write_verdicts(found, options["junit"], options["markdown"])
    if options["as_json"]:
        click.echo(json.dumps(found.summary(), indent=1, ensure_ascii=False))
    else:
        click.echo(terminal.gate(found))
    for note in found.notes:
        if "UNPAIRED" in note:
            click.echo(f"hallmark: {note}", err=True)
    if found.exit_code:
        raise click.exceptions.Exit(found.exit_code)


def _init(known: Known, path: Path, baseline: str | None, results: Path) -> None:
    if baseline is None:
        raise InputError("--init needs the baseline whose noise the margins come from: --baseline NAME")
    if path.exists():
        raise InputError(f"{path} is there already; remove it first, or write elsewhere: --policy FILE")
    if not path.parent.is_dir():
        raise InputError(f"there is no folder {path.parent} to write {path.name} in; make it first")
    from suite import policy as policies
    from suite import sides

    text = policies.suggested(sides.find(baseline, results), known.tasks_of(Store(results)))
    write(path, text.encode())
    click.echo(f"{path} written; read it, then: hallmark gate CANDIDATE --policy {path}")
