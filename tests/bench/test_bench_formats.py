"""The matrix of formats: its rows are whole, resumable, and told from a table measured earlier."""

from __future__ import annotations

import importlib
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import REPOSITORY

from suite.formats import LOADERS
from suite.timing.fakes import Metronome


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Any:
    before = list(sys.path)
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    yield importlib.import_module("formats")
    sys.path[:] = before
    for name in ("formats", "format_bench", "format_rows", "format_speed", "format_table", "llama_files", "unet_files"):
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
    first = bench.run(bench.Wanted(names, bench.QUICKLY, out))
    assert len(out.read_text().splitlines()) == len(asked) == 3
    again = bench.run(bench.Wanted(names, bench.QUICKLY, out))
    assert again == first
    assert asked[3:] == ["small/hqq-int4"]  # what was missing may be there by now
    bench.run(bench.Wanted({"unet/onnx"}, bench.Settings(), out))  # other settings: another measurement
    assert asked[4:] == ["unet/onnx"]
    assert json.loads(out.read_text().splitlines()[0])["row"]["name"] == "unet/onnx"  # the small models first


def test_differences_from_the_table_are_listed(bench: Any) -> None:
    table = importlib.import_module("format_table")
    row = vars(measured(bench, "mid/torch-bf16", bytes=222_300_000, bits_per_weight=32.0, peak_bytes=244e6))
    lines = table.differences([row, vars(bench.Measured("mid/bnb-nf4", "missing"))])
    assert lines[0] == "2 figures are within 25% of the table measured earlier, 3 are not:"
    assert [line.split()[1] for line in lines[1:]] == ["bits", "first", "second"]
    assert "here 2, earlier 3.36 (0.60 x)" in lines[2]


def test_a_quantiser_that_does_nothing_is_told(bench: Any) -> None:
    row = bench.Measured("unet/pt2e-int8", loss=[0.0] * 3, changed=[0.0] * 3)
    assert bench.line(row).endswith("answers are those of unet/pt2: nothing was quantised")
    assert "nothing was" not in bench.line(replace(row, name="unet/pt2"))
    assert "nothing was" not in bench.line(replace(row, changed=[0.0, 0.0, 1e-5]))
    assert "nothing was" not in bench.line(replace(row, loss=None, changed=None))


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


def speed(bench: Any, child: Metronome, other: Metronome, pairs: int = 30, kind: str = "language") -> Any:
    module = importlib.import_module("format_speed")
    model = bench.MODELS["small" if kind == "language" else "unet"]
    settings = bench.Settings(pairs=pairs, processes=max(2, min(pairs, 6)))
    return module.timings(child, other, kind, model.scenarios, settings)


def test_the_settings_are_the_protocol_and_rows_are_timed_by_its_code(bench: Any) -> None:
    settings, module = bench.Settings(), importlib.import_module("format_speed")
    assert settings.pairs >= 30
    assert settings.seconds >= 10
    assert module.share(settings) == pytest.approx(1)
    assert module.share(bench.QUICKLY) < 1
    found = speed(bench, Metronome(0.01, 1), Metronome(0.02, 2))
    assert set(found.speed) == set(found.milliseconds) == {"prefill-128", "decode-64"}
    for value, low, high in found.speed.values():  # half the parent's time: twice as fast
        assert low < value < high
        assert value == pytest.approx(2.0, rel=0.1)
    assert found.milliseconds["prefill-128"] == sorted(found.milliseconds["prefill-128"])
    assert found.milliseconds["prefill-128"][0] == pytest.approx(10, rel=0.1)
    assert found.memory == {"peak": 150}
    assert found.contended is None


def test_pairs_are_as_many_as_asked_and_none_is_memory_alone(bench: Any) -> None:
    class Counting(Metronome):
        seen = 0

        def timed(self, orders: Any) -> Any:
            self.seen += len(orders)
            return super().timed(orders)

    child, other = Counting(0.01), Counting(0.01)
    speed(bench, child, other, 5, "segmentation")
    assert (child.seen, other.seen) == (1 + 2 * 5, 2 * 5)  # memory, and two scenarios
    alone = speed(bench, Counting(0.01), Counting(0.01), 0)
    assert (alone.speed, alone.contended, alone.memory, alone.notes) == ({}, None, {"peak": 150}, [])


def test_a_busy_machine_is_marked_and_its_rows_can_be_measured_again(bench: Any, tmp_path: Path) -> None:
    waiting = speed(bench, Metronome(0.01, waiting=2.0), Metronome(0.01), 5)
    assert "2.00 x its processor time" in waiting.contended
    assert "load average was 9.0" in speed(bench, Metronome(0.01, load=9.0), Metronome(0.01), 5).contended
    row = measured(bench, "unet/onnx", contended=waiting.contended, bits_compressed=4.5)
    assert "CONTENDED: a call took 2.00 x" in bench.line(row)
    assert " 8.00  4.50 bit" in bench.line(row)
    out = tmp_path / "rows.jsonl"
    rows = [row, measured(bench, "unet/ov"), measured(bench, "unet/onnx-int8", contended="busy")]
    rows.append(measured(bench, "unet/onnx-int8"))  # measured once more: the last one counts
    out.write_text("".join(json.dumps({"settings": vars(bench.Settings()), "row": vars(one)}) + "\n" for one in rows))
    assert set(bench.kept(out, bench.Settings())) == {"unet/onnx", "unet/ov", "unet/onnx-int8"}
    assert set(bench.kept(out, bench.Settings(), again=True)) == {"unet/ov", "unet/onnx-int8"}


def test_speed_against_torch_goes_by_way_of_the_runtime(bench: Any) -> None:
    own, root = {"batch-1": [2.0, 1.0, 4.0]}, {"batch-1": [3.0, 1.5, 6.0]}
    found = {
        "unet/onnx": measured(bench, "unet/onnx", against_own={"batch-1": [1.0, 0.9, 1.1]}, against_torch=root),
        "unet/onnx-int8": measured(bench, "unet/onnx-int8", against_own=own, against_torch={}),
        "unet/pt2-bf16": measured(bench, "unet/pt2-bf16", against_own=own, against_torch={}),
    }
    assert bench.against_torch(found, bench.ROWS["unet/onnx"]) == root
    assert bench.against_torch(found, bench.ROWS["unet/pt2-bf16"]) == own
    (value, low, high) = bench.against_torch(found, bench.ROWS["unet/onnx-int8"])["batch-1"]
    factor = 2 ** (2**0.5)  # of ln 2 and ln 2
    assert (value, low, high) == pytest.approx((6.0, 6.0 / factor, 6.0 * factor))
    del found["unet/onnx"]
    assert bench.against_torch(found, bench.ROWS["unet/onnx-int8"]) == {}


def test_the_estimate_counts_what_is_timed(bench: Any) -> None:
    names = ["unet/onnx", "unet/onnx-int8"]  # the first is timed beside two others, in two scenarios
    whole, none = bench.expected_s(names, bench.Settings()), bench.expected_s(names, bench.Settings(pairs=0))
    fresh_s = bench.MODELS["unet"].fresh_s
    assert whole - none == pytest.approx(3 * (2 * 10 * bench.WARM + bench.Settings().processes * fresh_s))


def test_bits_of_quantised_layers_leave_the_others_out(bench: Any) -> None:
    bits = importlib.import_module("format_bench").compressed_bits
    weights = REPOSITORY / "submissions"
    assert 8 < bits(weights / "embedded-volumes-int8/model.onnx", "onnx") < 8.5
    assert bits(weights / "embedded-volumes/model.onnx", "onnx") is None


def test_files_stay_and_are_written_once(
    bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tried = list[str]()

    def make(out: Path, source: Path) -> Path:
        tried.append(out.name)
        if "int8" in out.name:
            out.mkdir()
            (out / "half").write_text("")
            raise RuntimeError("no such kernel")
        out.with_suffix(".onnx").write_text("graph")
        return out.with_suffix(".onnx")

    for name in ("unet/onnx", "unet/ov", "unet/ov-int8"):
        row = bench.replace(bench.ROWS[name], make=make, needs=())
        monkeypatch.setitem(bench.ROWS, name, row)
    wanted = bench.Wanted({"unet/ov", "unet/ov-int8"}, bench.Settings(), files=tmp_path)
    bench.prepare(wanted)
    assert tried == ["unet-onnx", "unet-ov", "unet-ov-int8"]  # what it is made of, too
    assert not (tmp_path / "unet/unet-ov-int8").exists()
    said = capsys.readouterr().out
    assert "unet/ov                  is written" in said
    assert "unet/ov-int8             cannot be made here: RuntimeError: no such kernel" in said
    bench.prepare(wanted)
    assert tried[3:] == ["unet-ov-int8"]
