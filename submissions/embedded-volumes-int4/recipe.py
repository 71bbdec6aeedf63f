"""Weights of embedded-volumes rounded to 4-bit integers with one scale per tensor: worse, most on scanner B.

Every weight, the first and the last layer's too, becomes one of the levels -7..7 times the largest absolute weight of
its tensor / 7; no data, no training. (One scale per output channel would lose almost nothing.) The file holds ONNX INT4
tensors and DequantizeLinear (opset 21), so the runtime computes in fp32: this saves storage, not time. Needs
embedded-volumes. Run `python submissions/embedded-volumes-int4/recipe.py` from the repository root (seconds).
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import ml_dtypes
import numpy as np
import onnx
from onnx import helper, numpy_helper, version_converter

from submissions import vision_recipes as vision

OPSET = 21  # the first with 4-bit integers
LARGEST = 7


def shrink(model: onnx.ModelProto) -> onnx.ModelProto:
    """Replace every weight by 4-bit levels, a scale, and a DequantizeLinear."""
    model = version_converter.convert_version(model, OPSET)
    graph = model.graph
    for tensor in list(graph.initializer):
        if tensor.name.endswith(".weight"):
            weight = numpy_helper.to_array(tensor)
            scale = np.abs(weight).max() / np.float32(LARGEST)
            levels = np.clip(np.rint(weight / scale), -LARGEST, LARGEST).astype(ml_dtypes.int4)
            names = [f"{tensor.name}.levels", f"{tensor.name}.scale"]
            graph.initializer.remove(tensor)
            graph.initializer.extend(map(numpy_helper.from_array, [levels, np.asarray(scale)], names))
            graph.node.insert(0, helper.make_node("DequantizeLinear", names, [tensor.name]))
    return model


if __name__ == "__main__":
    parent = onnx.load(vision.SUBMISSIONS / "embedded-volumes" / "model.onnx")
    vision.save_onnx(shrink(parent), Path(__file__).with_name("model.onnx"))
    vision.publish(__file__)
