"""U-Score of a run: a user's data set that is one of U-Bench's, a real network, and the speed record of its weights."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from scan_folders import describe, write
from support import write_submission

from suite.derived import EFFICIENCY, LATENCY
from suite.masks.uscore import IOU_PERCENTILES, u_score
from suite.record import Measurement
from suite.store import Store
from tasks import TASKS
from tasks.own.description import UBench

SIDE = 256


def network(root: Path) -> Path:
    """One convolution of 3 x 3 from 1 to 2 channels at 256 x 256: class 1 where the image is above a half."""
    weight, bias = np.zeros((2, 1, 3, 3), np.float32), np.array([0, -20], np.float32)
    weight[1, 0, 1, 1] = 40
    image, answer = (helper.make_tensor_value_info(n, TensorProto.FLOAT, ["n", c, SIDE, SIDE])
                     for n, c in (("x", 1), ("p", 2)))  # fmt: skip
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["y"], pads=[1, 1, 1, 1]),
        helper.make_node("Softmax", ["y"], ["p"], axis=1),
    ]
    tensors = [numpy_helper.from_array(weight, "w"), numpy_helper.from_array(bias, "b")]
    graph = helper.make_graph(nodes, "g", [image], [answer], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    inputs = {"patch": [SIDE, SIDE], "classes": 2, "output": "probabilities"}
    files = {"model.onnx": model.SerializeToString()}
    onnx.checker.check_model(model)
    return write_submission(root, "net", files, "model.onnx", kind="segmentation", format="onnx", inputs=inputs)


def pictures(folder: Path, **fields: object) -> Path:
    """Two pictures of which a fifth of the tumour is too dark to be seen."""
    for item, low in (("a", 20), ("b", 100)):
        labels = np.zeros((SIDE, SIDE), np.uint8)
        labels[low : low + 50, 30:90] = 255
        write(folder / "labels" / f"{item}.png", labels)
        labels[low : low + 10] = 0
        write(folder / "images" / f"{item}.png", labels)
    return describe(folder, classes=["tumour"], label_values=[255], tolerance_mm=None, **fields)


def test_a_run_has_macs_and_with_its_speed_a_u_score(tmp_path, hallmark) -> None:
    model, data = network(tmp_path / "subs"), pictures(tmp_path / "set", ubench="BUSI")
    (done,) = hallmark("run", model, "--data", data, "--json").json["records"]
    numbers = {m["name"]: m["value"] for m in done["measurements"]}
    macs = 2 * 9 * SIDE * SIDE
    assert (numbers["iou"], numbers["macs"]) == (0.8, macs)
    assert numbers["effective_macs"] == pytest.approx(macs / 18)
    alone = hallmark("show", "net").out
    assert f"no record of {EFFICIENCY} of these" in " ".join(alone.split())
    (stored,) = Store(Path("results")).scan("net")
    speed = Measurement(name=LATENCY, value=0.02, unit="s", higher_is_better=False, n=30)
    Store(Path("results")).add(stored.record.model_copy(update={"task": EFFICIENCY, "measurements": (speed,)}), {})
    expected = u_score(0.8, numbers["unpacked_parameters"] / 1e6, macs / 1e9, 50.0, IOU_PERCENTILES["BUSI"])
    shown = hallmark("show", "net", "-t", "my-set").out
    assert f"{expected:.4g}" in next(line for line in shown.splitlines() if line.startswith("u_score ")).split()


def test_the_names_are_those_with_percentiles_and_published_sets_bear_theirs() -> None:
    assert set(get_args(UBench)) == set(IOU_PERCENTILES)
    named = {name: task.ubench for name, task in TASKS.items() if task.ubench}
    assert named == {
        "acdc": "ACDC",
        "drive": "DRIVE",
        "isic2018": "ISIC2018",
        "seg_dsb2018_nuclei": "DSB",
        "synapse": "Synapse",
    }


@pytest.mark.parametrize(("low", "high"), IOU_PERCENTILES.values(), ids=list(IOU_PERCENTILES))
def test_percentiles_are_shares_in_order(low, high) -> None:
    assert 0 < low < high < 1
