"""What the machine can do at most: measured once, on a quiet machine, and plausible."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from suite import machine
from suite.timing import roofline


def test_peaks_are_measured_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(roofline.CACHE_VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setattr("os.getloadavg", lambda: (0.5, 0.5, 0.5))
    here, asked = machine.observe(threads=1), []

    def measured(one: Any) -> dict[str, float]:
        asked.append(one)
        return {"bandwidth_bytes_per_s": 1e10 * len(asked), "fp32_flops_per_s": 1e11, "bf16_flops_per_s": 1e11}

    monkeypatch.setattr(roofline, "measure", measured)
    assert roofline.cached(here) is None
    first = roofline.peaks(here)
    assert roofline.peaks(here) == first == roofline.cached(here)
    assert len(asked) == 1
    assert roofline.peaks(here, force=True)["bandwidth_bytes_per_s"] == 2e10
    (file,) = (tmp_path / "cache").iterdir()
    file.write_text("rubbish")
    assert roofline.cached(here) is None


def test_peaks_of_a_busy_machine_are_shown_but_in_no_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(roofline.CACHE_VARIABLE, str(tmp_path / "cache"))
    here, load = machine.observe(threads=1), [100.0]
    found = {"bandwidth_bytes_per_s": 1e9, "fp32_flops_per_s": 1e9, "bf16_flops_per_s": 1e9}
    monkeypatch.setattr("os.getloadavg", lambda: (load[0], 0.0, 0.0))
    monkeypatch.setattr(roofline, "measure", lambda _: found)
    assert roofline.peaks(here, busy=True) == found
    assert roofline.was_busy(here)
    assert roofline.peaks(here) == {}
    load[0] = 0.0
    assert roofline.peaks(here) == found  # measured again
    assert not roofline.was_busy(here)


def test_peaks_of_this_machine_are_plausible(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(roofline._ARRAY_BYTES, "cpu", 1 << 22)
    monkeypatch.setitem(roofline._SIDE, "cpu", 128)
    monkeypatch.setattr(roofline, "_LEAST_S", 0.01)
    found = roofline._measured(1, "cpu")
    assert found.keys() == roofline.UNITS.keys()
    assert 1e7 < found["bandwidth_bytes_per_s"] < 1e13
    assert 1e7 < found["fp32_flops_per_s"] < 1e14
