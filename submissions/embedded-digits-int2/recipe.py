"""Weights of embedded-digits rounded to the nearest of -s, 0, s and stored as 2-bit integers: visibly worse.

One scale s per output channel, the one that leaves the least squared error; no data, no training. The first
convolution (288 weights) and the biases stay fp32. The file holds ONNX INT2 tensors and DequantizeLinear (opset 25),
so the runtime computes in fp32: this saves storage, not time. Needs embedded-digits. Run
`python submissions/embedded-digits-int2/recipe.py` from the repository root (seconds).
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import ml_dtypes
import numpy as np
import onnx
from onnx import helper, numpy_helper, version_converter

from submissions import vision_recipes as vision

OPSET = 25  # the first with 2-bit integers
KEPT = "convs.a.weight"


def ternary(weight_OI: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Levels -1, 0, 1 and one scale per row, of 50 tried the one with the least squared error."""
    rows_OI = weight_OI.reshape(len(weight_OI), -1)
    scales_SO1 = np.linspace(0.05, 1, 50)[:, None, None] * np.abs(rows_OI).max(1)[:, None]
    levels_SOI = np.clip(np.rint(rows_OI / scales_SO1), -1, 1)
    best_O = ((levels_SOI * scales_SO1 - rows_OI) ** 2).sum(2).argmin(0)
    rows = np.arange(len(rows_OI))
    levels = levels_SOI[best_O, rows].reshape(weight_OI.shape).astype(ml_dtypes.int2)
    return levels, scales_SO1[best_O, rows, 0].astype(np.float32)


def shrink(model: onnx.ModelProto) -> onnx.ModelProto:
    """Replace every weight but the first convolution's by 2-bit levels, a scale, and a DequantizeLinear."""
    model = version_converter.convert_version(model, OPSET)
    graph = model.graph
    for tensor in list(graph.initializer):
        if tensor.name.endswith(".weight") and tensor.name != KEPT:
            levels, scales = ternary(numpy_helper.to_array(tensor))
            names = [f"{tensor.name}.levels", f"{tensor.name}.scales"]
            graph.initializer.remove(tensor)
            graph.initializer.extend(map(numpy_helper.from_array, [levels, scales], names))
            graph.node.insert(0, helper.make_node("DequantizeLinear", names, [tensor.name], axis=0))
    return model


if __name__ == "__main__":
    parent = onnx.load(vision.SUBMISSIONS / "embedded-digits" / "model.onnx")
    vision.save_onnx(shrink(parent), Path(__file__).with_name("model.onnx"))
    vision.publish(__file__)
