"""Parts of a model's page that tell of costs, claims and origin: speed and size, files, provenance. Streamlit."""

from __future__ import annotations

import json

import pandas as pd
import streamlit as st

from leaderboard import claims, costs, grid, opened, provenance, roofline, text
from leaderboard.board import Board
from leaderboard.parts import Detail
from suite.errors import HallmarkError
from suite.record import Record
from suite.store import Stored


def speed(detail: Detail) -> None:
    """Size, speed and memory of this record; timings and the machine's roofline where a task timed the model."""
    record = detail.stored.record
    parent = detail.parent.record if isinstance(detail.parent, Stored) else None
    if record.contended:
        st.warning("The machine was busy with something else while this was timed:")
        st.text(record.contended)
    rows = costs.readings(record, parent)
    if len(rows):
        st.caption("Beside the parent's only where both were measured on the same machine, device and threads.")
        grid.plain(rows, "Size, speed and memory", first="number")
    timed = _timed(detail.board, detail.stored)
    if timed is None:
        again = f"hallmark run {record.manifest.name} -t {opened.EFFICIENCY}{record.manifest.kind}"
        grid.note(f"latency and throughput were not measured: {again}")
        return
    _timings(timed)


def _timed(board: Board, stored: Stored) -> Stored | None:
    """The record that times this model: this one, or its newest one of an efficiency task."""
    record = stored.record
    if len(costs.scenarios(record)):
        return stored
    rows = opened.whole(board, record.manifest.name, f"{opened.EFFICIENCY}{record.manifest.kind}")
    found = opened.record(board, rows["path"].iloc[-1]) if len(rows) else None
    return found if isinstance(found, Stored) else None


def _timings(timed: Stored) -> None:
    machine = timed.record.machine
    st.text(
        f"Timed by {timed.record.task} on {machine.cpu}, {machine.device}, {text.count(machine.threads, 'thread')}: "
        f"a latency ratio below 1 and a throughput ratio above 1 are faster than the parent."
    )
    grid.plain(costs.scenarios(timed.record), "Timings by scenario", first="scenario")
    for line in costs.missing(timed.record):
        grid.note(f"not here: {line}")
    columns = opened.columns(timed)
    found = columns if isinstance(columns, str) else roofline.points(columns)
    if isinstance(found, str):
        grid.note(f"no roofline: {found}")
        return
    shown = found[["scenario", "intensity", "flops", "attainable", "share", "limit"]]
    heads = {"intensity": "FLOP/B", "flops": "FLOP/s", "attainable": "attainable FLOP/s", "share": "share of it"}
    grid.figure(roofline.chart(found, "Roofline of the machine"), roofline.describe(found), shown.rename(columns=heads))


def files(detail: Detail) -> None:
    """What the files hold, and what the manifest claims of them."""
    record = detail.stored.record
    lines, said = claims.mismatches(record)
    if lines:
        st.warning(said)
        st.text("\n".join(lines))
    else:
        grid.note(said)
    beside = claims.beside(record)
    if len(beside):
        st.caption("Claimed by its author beside what was found here; 'reported' numbers come from elsewhere.")
        grid.plain(beside.astype({"claimed": float, "found": float}), "Claims beside measurements", first="claim")
    counted = [m for name in claims.STATIC if (m := record.measurement(name)) is not None]
    if counted:
        found = pd.DataFrame([{"number": m.name, "unit": m.unit, "value": m.value, "why": m.reason} for m in counted])
        st.caption("Counted in the files, tensor by tensor")
        grid.plain(found.astype({"value": float}), "What the files hold", first="number")
    _manifest(record)


def _manifest(record: Record) -> None:
    manifest = record.manifest
    said = [manifest.training, manifest.compression.notes if manifest.compression else None]
    for line in said:
        if line:
            st.text(line)


def measurements(detail: Detail) -> None:
    """Every number of the record, with the parent's."""
    before = {m.name: m for m in detail.parents}
    rows = [
        {
            **{"measurement": m.name, "unit": m.unit, "value": m.value, "low": m.low, "high": m.high},
            "parent's": before[m.name].value if m.name in before else None,
            **{"n": m.n or None, "clusters": m.n_clusters, "interval by": m.method, "why missing": m.reason},
        }
        for m in detail.stored.record.measurements
    ]
    numbers = dict.fromkeys(("value", "low", "high", "parent's"), "float64")
    found = pd.DataFrame(rows).astype({**numbers, "n": "Int64", "clusters": "Int64"})
    grid.plain(found, "All measurements", first="measurement")


def origin(detail: Detail) -> None:
    """How the record came about, every digest, the command that makes it again, and its files."""
    stored = detail.stored
    again = provenance.command(stored)
    if again is not None:
        st.caption("The command that scores the same again")
        st.code(again, language=None)
    if stored.record.source in provenance.NOT_ALONE:
        st.text(provenance.NOT_ALONE[stored.record.source])
    grid.plain(provenance.digests(stored), "Digests", first="what")
    grid.plain(provenance.facts(stored), "How the record came about", first="what")
    with st.expander("The manifest as it was"):
        st.code(json.dumps(stored.record.manifest.model_dump(mode="json"), indent=1, ensure_ascii=False), None)
    downloads(stored)


def downloads(stored: Stored) -> None:
    """The record's JSON, and its outcomes where they are here."""
    with st.container(horizontal=True):
        st.download_button(
            "Download the record (JSON)", stored.path.read_bytes, stored.path.name, "application/json",
            on_click="ignore", key="download record",
        )  # fmt: skip
        if stored.record.outcomes_sha256 is None:
            return
        try:
            there = stored.outcomes_path.stat().st_size
        except (OSError, HallmarkError):
            grid.note("its outcomes are not here")
            return
        st.download_button(
            f"Download the outcomes (Parquet, {there / 1e6:.3g} MB)", stored.outcomes_path.read_bytes,
            stored.outcomes_path.name, "application/vnd.apache.parquet", on_click="ignore", key="download outcomes",
        )  # fmt: skip
