"""The child's side: what a loaded model is asked, what it holds, what a meter says."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import REPOSITORY

from suite import submission
from suite.errors import HallmarkError, UnitError
from suite.fakes import build
from suite.manifest import Inputs
from suite.model import Facts, Signature
from suite.probes.memory import Memory
from suite.probes.rapl import Rapl
from suite.static.report import report
from suite.timing import meter
from suite.timing.scenario import LANGUAGE, VISION, Scenario, input_shape
from suite.timing.steps import step_of
from suite.timing.stopwatch import Watch


class Counting:
    """A network that keeps the shapes that it was given."""

    def __init__(self, batch: int | None = None) -> None:
        self.facts, self.batch, self.shapes = Facts("float32"), batch, []  # type: ignore[var-annotated]

    def forward(self, array: Any) -> Any:
        self.shapes.append(array.shape)
        return array


def watch(tmp_path: Path, spec: dict[str, Any], kind: Any, shape: list[int] | None = None) -> Watch:
    file = tmp_path / "fake.json"
    file.write_text(json.dumps(spec))
    order = {"format": "fake", "weights": str(file), "device": "cpu", "threads": 1, "inputs": {"shape": shape}}
    return Watch(build(spec, kind), order, {"rss": 100, "anon": 50, "file": 50}, {"peak": 300, "anon": 90, "file": 200})


def ask(one: Watch, what: str, scenario: Scenario, seconds: float = 0.01) -> dict[str, Any]:
    fields = {name: getattr(scenario, name) for name in ("name", "batch", "tokens", "new")}
    return one.answer({"what": what, "seconds": seconds, **fields})


def test_a_vision_step_is_the_loaders_forward_at_the_asked_batch() -> None:
    model = Counting()
    step_of(model, VISION[1], 8, (3, 4, 4))()
    assert model.shapes == [(8, 3, 4, 4)]


def test_a_file_that_fixes_its_batch_is_called_as_often_as_needed() -> None:
    model = Counting(batch=3)
    step_of(model, VISION[1], 8, (1, 2, 2))()
    assert model.shapes == [(3, 1, 2, 2)] * 3


def test_inputs_are_seeded() -> None:
    seen: list[Any] = []
    model: Any = Counting()
    model.forward = lambda array: seen.append(array.copy())
    for _ in range(2):
        step_of(model, VISION[0], 1, (2, 2))()
    assert np.array_equal(seen[0], seen[1])


def test_sizes_come_from_the_manifest_else_from_the_file() -> None:
    assert input_shape(Inputs(shape=(3, 8, 8)), Signature((None, 1, 4, 4), (None, 2))) == (3, 8, 8)
    assert input_shape(Inputs(), Signature((None, 1, 4, 4), (None, 2))) == (1, 4, 4)
    assert input_shape(Inputs(patch=(8, 8)), Signature((None, 2, None, None), (None, 2))) == (2, 8, 8)
    assert input_shape(Inputs(), Signature((None, 1, None, 4), (None, 2))) is None
    assert input_shape(Inputs(), None) is None
    with pytest.raises(UnitError, match=r"inputs\.shape"):
        step_of(Counting(), VISION[0], 1, None)


def test_a_burst_of_a_fake(tmp_path: Path) -> None:
    one = watch(tmp_path, {"fake": "constant", "probs": [0.7, 0.3], "delay_s": 0.002}, "classification", [1, 4, 4])
    found = ask(one, "burst", VISION[0])
    assert found["seconds"].min() >= 0.002
    assert np.median(found["cpu_seconds"]) < 0.002  # it sleeps; pytest's other threads may not
    assert found["batch"] == 1
    assert found["warmups"] >= 10
    assert found["threads"] == 1


@pytest.mark.parametrize("name", ["embedded-digits", "embedded-digits-int2"])
def test_a_burst_tells_the_weights_in_their_original_shapes(name: str) -> None:
    found = submission.load(REPOSITORY / "submissions" / name)
    order = {"format": found.manifest.format, "weights": str(found.weights()), "device": "cpu", "threads": 1,
             "inputs": found.manifest.inputs.model_dump(mode="json")}  # fmt: skip
    counted = report(found.weights(), found.manifest.format).parameters
    assert Watch(Counting(), order)._parameters == counted > 10_000


def test_offline_takes_the_largest_batch_within_a_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("suite.timing.stopwatch.CAP_S", 0.03)
    one = watch(tmp_path, {"fake": "constant", "probs": [0.7, 0.3]}, "classification", [1, 4, 4])
    answer = one.model.predict_proba
    clock = itertools.count()

    def slow(items: Any) -> Any:  # 4 ms an item by the watch's own clock
        next(clock)
        return answer(items)

    one.model.predict_proba = slow
    now = [0.0]
    one._clock.wall = lambda: now[0]
    monkeypatch.setattr(one.model, "predict_proba", lambda items: now.__setitem__(0, now[0] + 0.004 * len(items)) or [])
    assert ask(one, "burst", VISION[2])["batch"] == 4  # 8 items take 32 ms


def scripted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: Any) -> Watch:
    """A classifier whose n-th call of a batch takes, by the watch's own clock, what `seconds` says."""
    monkeypatch.setattr("suite.timing.stopwatch.CAP_S", 0.03)
    one = watch(tmp_path, {"fake": "constant", "probs": [0.7, 0.3]}, "classification", [1, 4, 4])
    now, calls = [0.0], dict.fromkeys((2**n for n in range(8)), 0)

    def answer(items: Any) -> Any:
        calls[len(items)] += 1
        now[0] += seconds(len(items), calls[len(items)])
        return []

    one._clock.wall = lambda: now[0]
    monkeypatch.setattr(one.model, "predict_proba", answer)
    return one


def test_offline_is_not_sized_by_the_first_call_which_compiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = scripted(tmp_path, monkeypatch, lambda items, call: 5.0 if call == 1 else 0.004 * items)
    assert ask(one, "burst", VISION[2])["batch"] == 4  # 8 items take 32 ms


def test_a_batch_that_runs_out_of_memory_is_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch, emptied = pytest.importorskip("torch"), []
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: emptied.append(1))

    def seconds(items: int, _: int) -> float:
        if items > 2:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nGPU 0 has ...")
        return 0.001

    assert ask(scripted(tmp_path, monkeypatch, seconds), "burst", VISION[2])["batch"] == 2
    assert emptied


def test_offline_on_cuda_looks_at_the_devices_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch, peak = pytest.importorskip("torch"), [100]
    for name in ("synchronize", "reset_peak_memory_stats"):
        monkeypatch.setattr(torch.cuda, name, lambda: None)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda: 100)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda: peak[0])
    monkeypatch.setattr("suite.timing.stopwatch.CAP_BYTES", 1000)

    def seconds(items: int, _: int) -> float:
        peak[0] = 100 + 250 * items
        return 0.001

    one = scripted(tmp_path, monkeypatch, seconds)
    one.order = {**one.order, "device": "cuda"}
    assert one._largest(VISION[2]) == 4  # 8 items add 2000 bytes


def test_metered_calls_wait_for_the_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, queued, done = tmp_path / "joules", [0], [0]
    file.write_text("0")
    monkeypatch.setenv(meter.METER_VARIABLE, str(file))
    one = watch(tmp_path, {"fake": "constant", "probs": [0.7, 0.3]}, "classification", [1, 4, 4])
    monkeypatch.setattr(one.model, "predict_proba", lambda _: queued.__setitem__(0, queued[0] + 1) or [])

    def settle() -> None:
        if queued[0]:
            done[0] += queued[0]
            file.write_text(str(2.0 * done[0]))  # joules of what is done, not of what is queued
            queued[0] = 0

    one._clock.settle = settle
    found = ask(one, "energy", VISION[0], 0.05)
    assert found["energy_j"][0] == pytest.approx(2.0 * found["energy_calls"][0])


def test_memory_is_above_what_the_process_took_before_the_model(tmp_path: Path) -> None:
    if Memory().unavailable():
        pytest.skip("this system has no /proc")
    one = watch(tmp_path, {"fake": "constant", "probs": [0.7, 0.3]}, "classification", [1, 4, 4])
    found = ask(one, "memory", VISION[0])
    assert (found["load_peak"], found["load_anon"], found["load_file"]) == (200, 40, 150)
    assert found["forward_peak"] > 1 << 20  # of this very process


def test_peak_memory_begins_anew() -> None:
    code = (
        "import numpy as np\n"
        "from suite.probes.memory import reset_peak, resident\n"
        "array = np.ones(8_000_000)\n"
        "high = resident()['peak']\n"
        "del array\n"
        "print(int(reset_peak()), high, resident()['peak'], resident()['anon'], resident()['file'])\n"
    )
    if Memory().unavailable():
        pytest.skip("this system has no /proc")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=REPOSITORY)
    could, high, now, anon, file = map(int, done.stdout.split())
    if not could:
        pytest.skip("/proc/self/clear_refs cannot be written here")
    assert high - now > 0.9 * 64_000_000
    assert 0 < anon < now
    assert 0 < file < now


def test_nothing_else_can_be_ordered(tmp_path: Path) -> None:
    one = watch(tmp_path, {"fake": "uniform"}, "language")
    with pytest.raises(HallmarkError, match="'cook'"):
        ask(one, "cook", LANGUAGE[0])


def test_energy_of_a_meters_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, used = tmp_path / "joules", [0.0]
    file.write_text("5.0")
    monkeypatch.setenv(meter.METER_VARIABLE, str(file))

    def call() -> None:
        used[0] += 2.5
        file.write_text(f"{5 + used[0]}")

    found = meter.energy(call, 0.02)
    assert found["energy_source"] == "meter"
    assert found["energy_j"] == pytest.approx(2.5 * found["energy_calls"])
    assert found["idle_w"] == 0
    assert found["energy_s"] >= 0.02


def test_energy_without_a_counter_is_a_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(meter.METER_VARIABLE, str(tmp_path / "none"))
    found = meter.energy(lambda: None, 0.0)
    assert found["energy_source"] == ""
    assert "holds no number of joules" in found["energy_reason"]
    assert "energy_j" not in found


def test_rapl_joules_count_the_wrap_around(tmp_path: Path) -> None:
    package = tmp_path / "intel-rapl:0"
    package.mkdir()
    (package / "name").write_text("package-0\n")
    (package / "max_energy_range_uj").write_text("999999")
    (package / "energy_uj").write_text("900000")
    counter = Rapl(tmp_path)
    assert counter.joules() == 0
    (package / "energy_uj").write_text("100000")
    assert counter.joules() == pytest.approx(0.2)
    (package / "energy_uj").write_text("400000")
    assert counter.joules() == pytest.approx(0.5)


def test_a_peak_that_cannot_begin_anew_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = watch(tmp_path, {"fake": "constant", "probs": [0.7, 0.3]}, "classification", [1, 4, 4])
    one.loaded = {"anon": 90, "file": 200}
    mib = 1 << 20
    now = {"rss": 100 * mib, "anon": 50 * mib, "file": 50 * mib, "peak": 5000 * mib}
    monkeypatch.setattr("suite.timing.stopwatch.resident", lambda: now)
    found = ask(one, "memory", VISION[0])
    assert not {"load_peak", "forward_peak"} & set(found)
    assert found["forward_anon"] == 50 * mib - 50
    monkeypatch.setattr("suite.timing.stopwatch.reset_peak", lambda: False)
    monkeypatch.setattr("suite.timing.stopwatch.MOST", 2)
    assert ask(one, "burst", VISION[2])["batch"] == 2  # not stopped by the old peak
