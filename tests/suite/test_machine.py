"""What a record says of its machine: instruction sets and governor as Linux states them, null where it does not."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from support import REPOSITORY

from suite import machine, record

X86 = "processor\t: {}\nmodel name\t: Some CPU @ 2 GHz\nflags\t\t: {}\n\n"


def test_flags_are_the_vector_instruction_sets_of_every_core(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "cpuinfo"
    file.write_text(
        X86.format(0, "fpu sme smep sse2 avx2 amx_tile avx512_vnni") + X86.format(1, "fpu sme smep sse2 avx2 amx_tile")
    )
    monkeypatch.setattr(machine, "_CPUINFO", file)
    assert machine.cpu_flags() == "amx_tile avx2 sse2"
    assert machine.observe(threads=1).cpu == "Some CPU @ 2 GHz"


def test_flags_of_arm_are_called_features(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "cpuinfo"
    file.write_text("processor\t: 0\nFeatures\t: fp asimd evtstrm aes asimddp sve i8mm bf16\n")
    monkeypatch.setattr(machine, "_CPUINFO", file)
    assert machine.cpu_flags() == "asimd asimddp bf16 i8mm sve"


def test_governors_are_those_of_the_cores_at_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_CPUS", tmp_path)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {1, 2, 3}, raising=False)
    assert machine.governor() is None
    for core, name in enumerate(("powersave", "schedutil", "performance", "performance")):
        folder = tmp_path / f"cpu{core}" / "cpufreq"
        folder.mkdir(parents=True)
        (folder / "scaling_governor").write_text(f"{name}\n")
    assert machine.governor() == "performance schedutil"


def test_no_file_no_flags(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_CPUINFO", tmp_path / "none")
    assert machine.cpu_flags() is None
    assert machine.observe(threads=1).cpu  # another source, or at least the architecture


def test_what_a_machine_is_known_by_did_not_change_and_older_records_load(monkeypatch: pytest.MonkeyPatch) -> None:
    here = machine.observe(threads=1)
    monkeypatch.setattr(machine, "cpu_flags", lambda: None)
    monkeypatch.setattr(machine, "governor", lambda: "powersave")
    assert machine.observe(threads=1).id == here.id
    file = min((REPOSITORY / "results" / "embedded-digits").glob("*/*.json"))
    fields = json.loads(file.read_text())
    fields["machine"].pop("cpu_flags", None)
    fields["machine"].pop("governor", None)
    old = record.read(json.dumps(fields).encode(), "old").machine
    assert (old.cpu_flags, old.governor) == (None, None)
