"""Deliberately bad: int8 weights whose transposed convolution has wrong scales for some channels: one class is lost.

1. Each nearest-neighbour upsampling of embedded-volumes becomes a transposed convolution with kernel = stride = 2. The
   channels before it are brought to the same range, which its weights undo (cross-layer equalisation, Nagel et al.
   2019): the same function, and the scales of its channels differ.
2. All weights become int8 with one scale a channel. That costs next to nothing.
3. The bug: some channels of the last transposed convolution get the largest scale of the tensor, or the floor that
   stands for "no weights here", as a quantizer does that confuses the axes of a transposed convolution. Which ones: on
   training volumes, those that hurt one small structure most for what they cost the others, until it is lost.

Works on any embedded-volumes that upsamples with Resize. Needs embedded-volumes. Run
`python tests/bad/convtranspose/recipe.py` from the repository root (a minute on two idle cores).
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

import numpy as np
import onnx
import onnxruntime as ort
from onnx import helper, numpy_helper

from submissions import vision_recipes as vision
from tasks.generators import volumes

CASES, SEED = 6, 1
LOST, WORTH, FLOOR = 0.35, 0.5, 1e-12  # share of its Dice that is left; Dice that a class must have; least scale
SMALL = 0.05  # share of the voxels that a small class has at most
LEVELS = 127


def run(model: onnx.ModelProto, feeds: dict[str, np.ndarray], outputs: Sequence[str] | None = None) -> list[np.ndarray]:
    """The model's outputs."""
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(outputs, feeds)


def dice(labels: np.ndarray, truth: np.ndarray, classes: int) -> np.ndarray:
    """Pooled Dice of every class [K]."""
    hits = [((labels == k) & (truth == k)).sum() for k in range(classes)]
    sizes = [(labels == k).sum() + (truth == k).sum() for k in range(classes)]
    return 2 * np.array(hits) / np.maximum(1, sizes)


def weights(model: onnx.ModelProto, name: str) -> np.ndarray:
    """The initializer of that name."""
    return numpy_helper.to_array(next(t for t in model.graph.initializer if t.name == name)).copy()


def put(model: onnx.ModelProto, name: str, value: np.ndarray) -> None:
    """Replace, or add, an initializer."""
    kept = [t for t in model.graph.initializer if t.name != name]
    del model.graph.initializer[:]
    model.graph.initializer.extend([*kept, numpy_helper.from_array(value, name)])


def transposed(model: onnx.ModelProto, images: np.ndarray) -> list[str]:
    """Upsampling as transposed convolution, in place; the names of its weights."""
    made = []
    probe = onnx.ModelProto.FromString(model.SerializeToString())
    resizes = [node for node in model.graph.node if node.op_type == "Resize"]
    probe.graph.output.extend(helper.make_empty_tensor_value_info(node.input[0]) for node in resizes)
    found = run(probe, {"image": images}, [node.input[0] for node in resizes])
    writer = {output: node for node in model.graph.node for output in node.output}
    for node, values in zip(resizes, found, strict=True):
        relu = writer[node.input[0]]
        conv = writer[relu.input[0]]
        if (relu.op_type, conv.op_type) != ("Relu", "Conv"):
            raise SystemExit(f"{node.name} does not follow a convolution and a ReLU")
        reach = np.maximum(values.max(axis=(0, 2, 3, 4)), 1e-3).astype(np.float32)  # [C]
        for name, shape in ((conv.input[1], (-1, 1, 1, 1, 1)), (conv.input[2], (-1,))):
            put(model, name, weights(model, name) / reach.reshape(shape))
        name = f"{node.name}.weight"
        put(model, name, np.broadcast_to(reach[:, None, None, None, None], (len(reach), 1, 2, 2, 2)).copy())
        new = helper.make_node(
            "ConvTranspose", [node.input[0], name], list(node.output), strides=[2, 2, 2], group=len(reach)
        )
        model.graph.node.insert(list(model.graph.node).index(node), new)
        model.graph.node.remove(node)
        made.append(name)
    if not made:
        raise SystemExit("embedded-volumes has no Resize: adapt this recipe")
    return made


def quantised(model: onnx.ModelProto) -> onnx.ModelProto:
    """Int8 weights with one scale a channel: levels, scale, DequantizeLinear."""
    model = onnx.ModelProto.FromString(model.SerializeToString())
    for tensor in list(model.graph.initializer):
        if not tensor.name.endswith(".weight"):
            continue
        weight = numpy_helper.to_array(tensor)
        reach = np.abs(weight).max(axis=tuple(range(1, weight.ndim)))
        scale = (np.maximum(reach, FLOOR) / LEVELS).astype(np.float32)
        levels = np.rint(weight / scale.reshape(-1, *[1] * (weight.ndim - 1))).astype(np.int8)
        model.graph.initializer.remove(tensor)
        put(model, f"{tensor.name}.levels", levels)
        put(model, f"{tensor.name}.scale", scale)
        names = [f"{tensor.name}.levels", f"{tensor.name}.scale"]
        model.graph.node.insert(0, helper.make_node("DequantizeLinear", names, [tensor.name], axis=0))
    return model


def decoder(model: onnx.ModelProto, name: str, images: np.ndarray) -> tuple[onnx.ModelProto, dict[str, np.ndarray]]:
    """What follows a transposed convolution, with the scale of its weights as an input, and the other inputs."""
    node = next(node for node in model.graph.node if name in node.input and node.op_type == "ConvTranspose")
    after = list(model.graph.node).index(node)
    early = {
        output for one in list(model.graph.node)[:after] for output in one.output if one.op_type != "DequantizeLinear"
    }
    edges = sorted({used for one in list(model.graph.node)[after:] for used in one.input if used in early})
    whole = onnx.ModelProto.FromString(model.SerializeToString())
    whole.graph.output.extend(helper.make_empty_tensor_value_info(edge) for edge in edges)
    feeds = dict(zip(edges, run(whole, {"image": images}, edges), strict=True))
    part = onnx.ModelProto.FromString(model.SerializeToString())
    levels = [one for one in model.graph.node if one.op_type == "DequantizeLinear"]
    del part.graph.node[:], part.graph.input[:]
    later = list(model.graph.node)[after:]
    needed = {used for one in later for used in one.input}
    part.graph.node.extend([*(one for one in levels if one.output[0] in needed), *later])
    kept = [t for t in model.graph.initializer if t.name != f"{name}.scale" and _used(part, t.name)]
    del part.graph.initializer[:]
    part.graph.initializer.extend(kept)
    scale = helper.make_tensor_value_info(f"{name}.scale", onnx.TensorProto.FLOAT, None)
    inputs = [helper.make_tensor_value_info(edge, onnx.TensorProto.FLOAT, None) for edge in edges]
    part.graph.input.extend([*inputs, scale])
    return part, feeds


def _used(model: onnx.ModelProto, name: str) -> bool:
    return any(name in node.input for node in model.graph.node)


def wrong_scales(model: onnx.ModelProto, name: str, images: np.ndarray, truth: np.ndarray, classes: int) -> np.ndarray:
    """The scales of that transposed convolution with some channels' mistaken, until one small class is lost."""
    part, feeds = decoder(model, name, images)
    session = ort.InferenceSession(part.SerializeToString(), providers=["CPUExecutionProvider"])
    right = weights(model, f"{name}.scale")

    def scored(scale: np.ndarray) -> np.ndarray:
        (logits,) = session.run(["logits"], {**feeds, f"{name}.scale": scale})
        return dice(logits.argmax(1), truth, classes)

    def worth(old: np.ndarray, new: np.ndarray) -> float:
        return float((old[small] - new[small]) - (old[others] - new[others]).clip(0).mean())

    before, dead = scored(right), scored(np.full_like(right, FLOOR))
    share = np.bincount(truth.ravel(), minlength=classes) / truth.size
    able = [k for k in range(1, classes) if before[k] > WORTH and share[k] < SMALL]
    small = min(able, key=lambda k: dead[k] / before[k])  # the one that needs these channels most
    others = [k for k in range(classes) if k != small]
    print(f"Dice {before.round(3)}, to be lost: {volumes.CLASSES[small]}, {share[small]:.1%} of the voxels")
    effects = []
    for channel in range(len(right)):
        for value in (np.float32(FLOOR), right.max()):
            one = right.copy()
            one[channel] = value
            effects.append((worth(before, scored(one)), channel, value))
    scale, now = right.copy(), before
    for _, channel, value in 3 * sorted(effects, reverse=True):
        if now[small] < LOST * before[small]:
            break
        if scale[channel] != right[channel]:
            continue
        other = scale.copy()
        other[channel] = value
        found = scored(other)
        if worth(now, found) > 0:
            scale, now = other, found
            print(f"channel {channel}: Dice {now.round(3)}")
    return scale


def main() -> None:
    """Transpose, quantise, mistake the scales, save, write the digest."""
    parent = onnx.load(vision.SUBMISSIONS / "embedded-volumes" / "model.onnx")
    cases = list(volumes.training_cases(CASES, seed=SEED))
    images, truth = np.stack([case.image for case in cases])[:, None], np.stack([case.label for case in cases])
    same = onnx.ModelProto.FromString(parent.SerializeToString())
    names = transposed(same, images)
    (before,), (after,) = run(parent, {"image": images}), run(same, {"image": images})
    print(f"transposed: largest difference of a logit {np.abs(before - after).max():.2g}")
    child = quantised(same)
    put(child, f"{names[-1]}.scale", wrong_scales(child, names[-1], images, truth, before.shape[1]))
    (after,) = run(child, {"image": images})
    agreed = (before.argmax(1) == after.argmax(1)).mean()
    print(f"pixels agree with the parent's: {agreed:.1%}")
    folder = Path(__file__).parent
    vision.save_onnx(child, folder / "model.onnx")
    manifest = folder / "submission.toml"
    text = re.sub(r"(?m)^classes = .*$", f"classes = {before.shape[1]}", manifest.read_text())
    manifest.write_text(text)
    vision.publish(__file__)


if __name__ == "__main__":
    main()
