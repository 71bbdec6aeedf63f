"""``hallmark machine``."""

from __future__ import annotations

import json

import click

from suite.verbs.common import AsJson


@click.command(epilog="Example: hallmark machine --measure --threads 2")
@click.option("--measure", is_flag=True, help="Measure bandwidth and FLOP/s again, even if they are known.")
@click.option("--device", type=click.Choice(["cpu", "cuda"]), default="cpu", show_default=True)
@click.option("--threads", type=click.IntRange(1), help="CPU threads [default: OMP_NUM_THREADS, else all cores].")
@AsJson
def machine(measure: bool, device: str, threads: int | None, as_json: bool) -> None:
    """Show this machine, its measured peaks, what the probes see here, and why the others cannot run."""
    from suite import machine as here
    from suite import text
    from suite.probes import PROBES
    from suite.timing import roofline

    found = here.observe(device, threads)
    peaks = dict(roofline.peaks(found, force=measure, busy=True))
    probes = {name: (make().title, make().unavailable()) for name, make in PROBES.items()}
    load = roofline.measured_load(found)
    if as_json:
        rows = {name: {"title": title, "unavailable": why} for name, (title, why) in probes.items()}
        shown = {"machine": found.model_dump(mode="json"), "peaks": peaks, "peaks_load": load, "probes": rows}
        click.echo(json.dumps(shown, indent=1, ensure_ascii=False))
        return
    facts = {name: str(value) for name, value in found.model_dump().items()}
    facts |= {name: f"{peaks[name] / 1e9:.1f} G{unit}" if name in peaks else "could not be measured"
              for name, unit in roofline.UNITS.items()}  # fmt: skip
    click.echo(text.facts(facts) + "\n")
    if roofline.was_busy(found):
        click.echo(f"The peaks were measured at a load average of {load:.1f}: too low, records leave them out; on a "
                   "quiet machine run hallmark machine --measure\n")  # fmt: skip
    body = [[name, title, why or "reads here"] for name, (title, why) in probes.items()]
    click.echo(text.table(["probe", "reads ", "state "], body))
