"""The matrix of formats: its rows are whole, resumable, and told from a table measured earlier."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from suite.formats import LOADERS


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Any:
    before = list(sys.path)
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    yield importlib.import_module("formats")
    sys.path[:] = before
    for name in ("formats", "format_bench", "format_rows", "format_table", "llama_files", "unet_files"):
        sys.modules.pop(name, None)


def test_rows_name_what_they_are_made_of_and_compared_with(bench: Any) -> None:
    assert all(name == row.name and row.model in bench.MODELS for name, row in bench.ROWS.items())
    for row in bench.ROWS.values():
        model = bench.MODELS[row.model]
        assert row.format in LOADERS and model.kind in LOADERS[row.format].kinds
        for other in filter(None, (row.parent, row.source, model.reference)):
            assert bench.ROWS[other].model == row.model
        assert bench.ROWS[row.parent].parent == row.parent  # a runtime's own float32 row
    assert {LOADERS[row.format].name for row in bench.ROWS.values()} >= {
        "transformers", "gguf", "onnx", "openvino", "torch-export"
    }  # fmt: skip
    table = importlib.import_module("format_table")
    assert set(table.EARLIER) <= set(bench.ROWS)
    assert all(len(figures) == len(table.FIELDS) for figures in table.EARLIER.values())


def test_intervals_and_dice_by_hand(bench: Any) -> None:
    middle, low, high = importlib.import_module("format_bench").interval([1.0, 2.0, 3.0, 4.0, 100.0])
    assert (middle, low >= 1, high <= 100, low < middle < high) == (3.0, True, True, True)
    mask, label = np.array([[0, 1, 1], [2, 2, 0]]), np.array([[0, 1, 0], [2, 2, 2]])
    assert importlib.import_module("format_bench").dice(mask, label) == pytest.approx((2 / 3 + 4 / 5) / 2)


def measured(bench: Any, name: str, **more: Any) -> Any:
    speeds = {"a": [2.0, 1.9, 2.1], "b": [0.5, 0.4, 0.6]}
    figures = {"bytes": 10**6, "bits_per_weight": 8.0, "against_torch": speeds, "against_own": speeds}
    return bench.Measured(name, **{**figures, "loss": [0.0] * 3, "changed": [0.0] * 3, **more})


def test_a_row_is_written_at_once_and_not_measured_again(
    bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = list[str]()

    def one_row(_: Any, row: Any) -> Any:
        asked.append(row.name)
        why = "hqq is not installed" if "hqq" in row.name else None
        return measured(bench, row.name, why_not=why)

    monkeypatch.setattr(bench, "one_row", one_row)
    names, out = {"small/torch-bf16", "small/hqq-int4", "unet/onnx"}, tmp_path / "rows.jsonl"
    first = bench.run(names, bench.QUICKLY, out)
    assert len(out.read_text().splitlines()) == len(asked) == 3
    again = bench.run(names, bench.QUICKLY, out)
    assert again == first
    assert asked[3:] == ["small/hqq-int4"]  # what was missing may be there by now
    bench.run({"unet/onnx"}, bench.Settings(), out)  # other settings: another measurement
    assert asked[4:] == ["unet/onnx"]
    assert json.loads(out.read_text().splitlines()[0])["row"]["name"] == "small/torch-bf16"


def test_differences_from_the_table_are_listed(bench: Any) -> None:
    table = importlib.import_module("format_table")
    row = vars(measured(bench, "mid/torch-bf16", bytes=222_300_000, bits_per_weight=32.0, peak_bytes=244e6))
    lines = table.differences([row, vars(bench.Measured("mid/bnb-nf4", "missing"))])
    assert lines[0] == "2 figures are within 25% of the table measured earlier, 3 are not:"
    assert [line.split()[1] for line in lines[1:]] == ["bits", "first", "second"]
    assert "here 2, earlier 3.36 (0.60 x)" in lines[2]


def test_what_converters_print_goes_to_a_file(bench: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    import os

    with importlib.import_module("format_bench").quiet(tmp_path / "log"):
        os.write(1, b"from C\nValueError: no such kernel\n")
    print("afterwards")
    assert capfd.readouterr().out == "afterwards\n"
    assert bench.cause(RuntimeError("see the report above"), tmp_path / "log") == (
        "ValueError: no such kernel (RuntimeError)"
    )
    assert bench.cause(RuntimeError("it broke"), tmp_path / "log") == "RuntimeError: it broke"
