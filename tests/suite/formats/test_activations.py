"""Activations on a sample: zeros and dead units, by hand, by another path through the network, and in records."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from support import REPOSITORY, Ran

from suite.formats._activations import Sites, see_graph, watched

Hallmark = Callable[..., Ran]


class Net(torch.nn.Module):
    """A convolution whose third channel never fires, and two linear layers that activate by a function."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.act = torch.nn.Conv2d(1, 4, 3), torch.nn.ReLU()
        self.linear = torch.nn.Linear(4 * 36, 5)
        with torch.no_grad():
            self.conv.weight[2] = 0
            self.conv.bias[2] = -1

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden = self.act(self.conv(x)).flatten(1)
        return torch.relu(self.linear(hidden)) + torch.nn.functional.gelu(self.linear(hidden))


def counted(call: Callable[[], Any]) -> dict[str, list[float]]:
    sites = Sites()
    with watched(sites), torch.inference_mode():
        call()
    return sites.series()


def test_a_vector_by_hand() -> None:
    x = torch.tensor([[-1.0, 2.0, 0.0, -3.0], [-1.0, -2.0, 5.0, -3.0]])
    assert counted(lambda: torch.relu(x)) == {
        "activation_zeros": [6.0],
        "activations": [8.0],
        "dead_units": [2.0],  # the first and the last column
        "units": [4.0],
    }


def test_calls_of_one_place_are_one_site_and_a_unit_that_ever_fired_is_alive() -> None:
    act = torch.nn.ReLU()

    def twice() -> None:
        act(torch.tensor([[-1.0, 1.0]]))
        act(torch.tensor([[1.0, -1.0]]).to(torch.bfloat16))

    assert counted(twice) == {"activation_zeros": [2.0], "activations": [4.0], "dead_units": [0.0], "units": [2.0]}


def test_a_network_and_its_export_count_what_its_layers_give() -> None:
    torch.manual_seed(0)
    net, x = Net().eval(), torch.randn(3, 1, 8, 8)
    exported = torch.export.export(net, (x,)).module()
    found = counted(lambda: (net(x[:2]), net(x[2:])))
    with torch.inference_mode():
        first = net.act(net.conv(x))
        second = torch.relu(net.linear(first.flatten(1)))
    assert found["activation_zeros"] == [float((first == 0).sum()), float((second == 0).sum())]
    assert found["activations"] == [float(first.numel()), float(second.numel())]
    assert found["dead_units"] == [1.0, float((second == 0).all(dim=0).sum())]
    assert found["units"] == [4.0, 5.0]
    assert counted(lambda: exported(x)) == found


def test_nothing_is_watched_afterwards_nor_after_a_failure() -> None:
    def fail() -> None:
        raise ValueError

    sites = Sites()
    with pytest.raises(ValueError), watched(sites):
        fail()
    torch.nn.ReLU()(torch.zeros(2))
    assert sites.series() == {}


def test_a_model_without_exact_zeros_has_no_sites() -> None:
    assert counted(lambda: torch.nn.functional.silu(torch.randn(4))) == {}


def test_a_graph_is_run_again_with_its_activations(tmp_path: Path) -> None:
    import onnxruntime

    weights = np.array([[1.0, -1.0, 0.0]], dtype=np.float32)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["h"]), helper.make_node("Relu", ["h"], ["r"]),
         helper.make_node("Neg", ["r"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 3])],
        [numpy_helper.from_array(weights, "w")],
    )  # fmt: skip
    file = tmp_path / "m.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), file)
    session, sites = onnxruntime.InferenceSession(str(file)), Sites()
    see_graph(session, {"x": np.ones((2, 1), dtype=np.float32)}, file)  # nobody watches
    with watched(sites):
        see_graph(session, {"x": np.array([[1.0], [2.0]], dtype=np.float32)}, file)
        see_graph(session, {"x": np.array([[3.0]], dtype=np.float32)}, file)
    assert sites.series() == {
        "activation_zeros": [6.0],
        "activations": [9.0],
        "dead_units": [2.0],
        "units": [3.0],
    }


def test_records_hold_them_where_asked_for_and_say_else_why_not(hallmark: Hallmark) -> None:
    model = REPOSITORY / "submissions" / "embedded-digits"

    def run(*more: str) -> dict[str, Any]:
        ran = hallmark("run", model, "-t", "digits", "--limit", "40", "--json", *more)
        assert ran.code == 0, ran
        (record,) = ran.json["records"]
        return {m["name"]: m for m in record["measurements"]}

    plain, watching = run(), run("--activations")
    assert plain["activation_sparsity"]["value"] is None
    assert "hallmark run --activations" in plain["dead_unit_rate"]["reason"]
    assert 0.3 < watching["activation_sparsity"]["value"] < 0.8
    assert watching["dead_unit_rate"]["value"] == 0
    assert plain["accuracy"] == watching["accuracy"]
    assert hallmark("verify").code == 0
