"""Weights that a graph stores narrow and computes with wide are marked, those that it computes with are not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from format_samples import CLASSES

from suite.formats import LOADERS, _expanded
from suite.formats.base import Place
from suite.manifest import Inputs

BYTES = torch.int8


class Stored(torch.nn.Module):
    """A linear layer whose weight is stored in another type."""

    def __init__(self, dtype: torch.dtype, how: str) -> None:
        super().__init__()
        self.how = how
        self.register_buffer("weight", torch.ones(4, 6).to(dtype))
        self.register_buffer("scale", torch.full((4, 1), 0.5))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weight: Any = self.weight
        if self.how == "narrow":
            return (x.to(weight.dtype) @ weight.t()).float()
        wide = weight * self.scale if self.how == "scaled" else weight.t().to(torch.float32).t()
        return x @ wide.t()


def program(module: torch.nn.Module) -> Any:
    return torch.export.export(module, (torch.zeros(2, 6),), dynamic_shapes=({0: torch.export.Dim("batch")},))


@pytest.mark.parametrize(
    ("dtype", "how", "said"),
    [
        (torch.float16, "cast", "float16"),
        (torch.bfloat16, "cast", "bfloat16"),
        (BYTES, "cast", "int8"),
        (BYTES, "scaled", "int8"),
        (torch.bfloat16, "narrow", None),
        (torch.float32, "cast", None),
        (torch.float32, "scaled", None),
    ],
)
def test_a_program_that_casts_its_weights(dtype: torch.dtype, how: str, said: str | None) -> None:
    whole = program(Stored(dtype, how).eval())
    expected = (f"storage only: {said} weights are expanded to float32 on every forward",) if said else ()
    assert _expanded.of_program(whole) == expected
    assert _expanded.of_program(whole.run_decompositions()) == expected


def test_a_weight_that_is_also_computed_with_as_it_is_stored() -> None:
    class Both(Stored):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x) + (x.to(torch.float16) @ self.weight.t()).float()

    assert _expanded.of_program(program(Both(torch.float16, "cast").eval())) == ()


def test_the_loader_notes_it(tmp_path: Path) -> None:
    torch.export.save(program(Stored(torch.float16, "cast").eval()), tmp_path / "a.pt2")
    inputs = Inputs(shape=(6,), classes=4)
    model: Any = LOADERS["torch-export"].load(tmp_path / "a.pt2", "classification", inputs, Place())
    assert model.facts.notes == ("storage only: float16 weights are expanded to float32 on every forward",)


def test_a_tflite_graph_that_expands_its_kernels(made: Path, tmp_path: Path) -> None:
    pytest.importorskip("ai_edge_litert", reason="needs the extra tflite")
    from tflite_samples import Writer

    write = Writer()
    x = write.tensor([1, 2, 2, 3], "FLOAT32")
    half = write.constant(np.ones((CLASSES, 3), np.float16), "FLOAT16")
    weight = write.operator("DEQUANTIZE", [half], write.tensor([CLASSES, 3], "FLOAT32"))
    axes = write.constant(np.array([1, 2], np.int32), "INT32")
    mean = write.operator("MEAN", [x, axes], write.tensor([1, 3], "FLOAT32"), "ReducerOptions", keepDims=False)
    out = write.tensor([1, CLASSES], "FLOAT32")
    y = write.operator("FULLY_CONNECTED", [mean, weight, -1], out, "FullyConnectedOptions")
    file = write.save(tmp_path / "a.tflite", x, y)
    inputs = Inputs(shape=(3, 2, 2), classes=CLASSES, layout="channels_last")
    model = LOADERS["tflite"].load(file, "classification", inputs, Place())
    assert model.facts.notes == ("storage only: float16 weights are expanded to float32 by the graph",)
    inputs = Inputs(shape=(3, 8, 8), classes=CLASSES, layout="channels_last")
    same = LOADERS["tflite"].load(made / "classification.tflite", "classification", inputs, Place())
    assert same.facts.notes == ()
