"""A small income classifier on UCI Adult and three compressed children: what does compression do to each group?

    python tests/real/adult/recipe.py FOLDER        # under two minutes; needs HALLMARK_DATA with fair_adult/
    hallmark run FOLDER/adult-mlp* -t adult
    hallmark show FOLDER/adult-mlp-2bit -t adult

Writes four submissions: ``adult-mlp`` (two hidden layers of 64, trained on the 32,561 people of adult.data, ONNX
fp32), ``adult-mlp-int8`` (ONNX Runtime's static quantisation, ranges from 512 training people),
``adult-mlp-int8-dynamic``, and ``adult-mlp-2bit`` (weights rounded to four levels a column, which is harsh). Weights
stay out of the repository.
"""

from __future__ import annotations

import hashlib
import itertools
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_dynamic, quantize_static

from tasks.tabular import ADULT

HIDDEN, EPOCHS, BATCH = 64, 12, 256


def trained(x_NF: np.ndarray, y_N: np.ndarray) -> torch.nn.Sequential:
    """Two hidden layers, AdamW with a linear fall of the rate, seeded."""
    torch.manual_seed(0)
    sizes = [x_NF.shape[1], HIDDEN, HIDDEN]
    layers = [m for a, b in itertools.pairwise(sizes) for m in (torch.nn.Linear(a, b), torch.nn.ReLU())]
    net = torch.nn.Sequential(*layers, torch.nn.Linear(HIDDEN, 2))
    x, y = torch.from_numpy(x_NF), torch.from_numpy(y_N)
    steps = EPOCHS * (len(x) // BATCH)
    optimiser = torch.optim.AdamW(net.parameters(), lr=2e-3, weight_decay=0.05)
    fall = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.01, steps)
    for _ in range(EPOCHS):
        order = torch.randperm(len(x))
        for at in range(0, len(x) - BATCH + 1, BATCH):
            rows = order[at : at + BATCH]
            loss = torch.nn.functional.cross_entropy(net(x[rows]), y[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            fall.step()
    return net.eval()


def as_onnx(layers: list[tuple[np.ndarray, np.ndarray]]) -> onnx.ModelProto:
    """Matrix products with ReLU between them: x [batch, F] to logits [batch, 2]."""
    nodes, weights, last = [], [], "x"
    for i, (weight, bias) in enumerate(layers):
        weights += [numpy_helper.from_array(weight, f"w{i}"), numpy_helper.from_array(bias, f"b{i}")]
        out = "logits" if i == len(layers) - 1 else f"h{i}"
        nodes += [
            helper.make_node("MatMul", [last, f"w{i}"], [f"m{i}"]),
            helper.make_node("Add", [f"m{i}", f"b{i}"], [out]),
        ]
        last = out
        if out != "logits":
            nodes.append(helper.make_node("Relu", [out], [f"r{i}"]))
            last = f"r{i}"
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", len(layers[0][0])])]
    outputs = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 2])]
    graph = helper.make_graph(nodes, "adult", inputs, outputs, weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def two_bits(weight: np.ndarray) -> np.ndarray:
    """Every column at four evenly spaced levels between its smallest and largest weight."""
    low, high = weight.min(axis=0), weight.max(axis=0)
    step = (high - low) / 3
    return (low + np.rint((weight - low) / step) * step).astype(np.float32)


class _People(CalibrationDataReader):
    def __init__(self, x_NF: np.ndarray) -> None:
        self._left = iter(np.array_split(x_NF, 8))

    def get_next(self) -> Any:
        found = next(self._left, None)
        return None if found is None else {"x": found}


def publish(folder: Path, model: Path, title: str, compression: str = "") -> None:
    """A submission folder with this file."""
    folder.mkdir(parents=True, exist_ok=True)
    content = model.read_bytes()
    (folder / "model.onnx").write_bytes(content)
    parent = f'parent = "adult-mlp"\n{compression}\n' if compression else ""
    lines = [
        "schema_version = 1",
        f'name = "{folder.name}"',
        f'title = "{title}"',
        'kind = "classification"',
        'format = "onnx"',
        'weights = "model.onnx"',
        f'sha256 = "{hashlib.sha256(content).hexdigest()}"',
        'licence = "Apache-2.0"',
        'authors = ["Hallmark"]',
        'tasks = ["adult"]',
        f"{parent}[inputs]",
        "shape = [105]",
        "classes = 2",
    ]
    (folder / "submission.toml").write_text("\n".join(lines) + "\n")


def main(out: Path) -> None:
    """Train, export, compress."""
    x_NF, y_N = ADULT.training()
    net = trained(x_NF, y_N)
    linear = [m for m in net if isinstance(m, torch.nn.Linear)]
    layers = [(m.weight.detach().numpy().T.copy(), m.bias.detach().numpy().copy()) for m in linear]
    with tempfile.TemporaryDirectory() as scratch:
        plain, static, dynamic, harsh = (
            Path(scratch) / f"{name}.onnx" for name in ("plain", "static", "dynamic", "two")
        )
        onnx.save(as_onnx(layers), plain)
        onnx.save(as_onnx([(two_bits(weight), bias) for weight, bias in layers]), harsh)
        quantize_static(
            plain,
            static,
            _People(x_NF[:512]),
            quant_format=QuantFormat.QDQ,
            weight_type=QuantType.QInt8,
            per_channel=True,
        )
        quantize_dynamic(plain, dynamic, weight_type=QuantType.QInt8)
        publish(out / "adult-mlp", plain, "Income on Adult, two hidden layers of 64 (parent)")
        said = '[compression]\nmethod = "{}"\nbits = {}\n{}'
        publish(out / "adult-mlp-int8", static, "... int8, static", said.format("onnx-int8-static", 8, ""))
        publish(out / "adult-mlp-int8-dynamic", dynamic, "... int8, dynamic", said.format("onnx-int8-dynamic", 8, ""))
        note = 'notes = "rounded to four levels a column and stored as float32: what 2 bits do, not what they save"'
        publish(out / "adult-mlp-2bit", harsh, "... weights at 2 bits", said.format("rtn-int2", 32, note))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
