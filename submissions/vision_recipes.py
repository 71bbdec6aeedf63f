"""What the recipes of the embedded vision submissions share: two networks, training, pruning, and writing the files.

Every convolution of a network has a name and a list of sources, the layers whose outputs it reads; pruning and
folding work on this wiring and so serve both networks. Everything is seeded; batches are B, classes K, spatial
axes D, H, W.
"""

from __future__ import annotations

import hashlib
import re
import tempfile
import time
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from torch import Tensor, nn
from torch.nn import functional

SUBMISSIONS = Path(__file__).resolve().parent
VOLUMES, VOLUMES_SEED = 500, 0  # training volumes of every network that is trained on them
Batch = tuple[Tensor, Tensor]
Wiring = Mapping[str, tuple[str, ...]]


class Net(nn.Module):
    """Named convolutions with batch normalisation; `head` has none and gives the logits.

    Args:
        widths: output channels of each layer, of ``input`` too.
        folded: without batch normalisation, which `fold` has merged into the convolutions.
    """

    wiring: Wiring
    conv: type[nn.Module]
    norm: type[nn.Module]
    head_kernel: int
    shape: tuple[int, ...]

    def __init__(self, widths: Mapping[str, int], folded: bool = False) -> None:
        super().__init__()
        self.widths = dict(widths)
        self.convs, self.norms = nn.ModuleDict(), nn.ModuleDict()
        for name, sources in self.wiring.items():
            kernel, pad = (self.head_kernel, 0) if name == "head" else (3, 1)
            self.convs[name] = self.conv(sum(widths[s] for s in sources), widths[name], kernel, padding=pad)
            self.norms[name] = nn.Identity() if folded or name == "head" else self.norm(widths[name])

    def layer(self, name: str, *inputs: Tensor) -> Tensor:
        """Convolution, normalisation and ReLU on the concatenated inputs."""
        x = inputs[0] if len(inputs) == 1 else torch.cat(inputs, 1)
        return functional.relu(self.norms[name](self.convs[name](x)))

    def fold(self) -> Net:
        """The same function with batch normalisation merged into the convolutions."""
        net = type(self)(self.widths, folded=True)
        for name, conv in self.convs.items():
            norm = self.norms[name]
            fused = conv if isinstance(norm, nn.Identity) else nn.utils.fuse_conv_bn_eval(conv.eval(), norm.eval())
            net.convs[name].load_state_dict(fused.state_dict())
        return net.eval()

    def prune(self, keep: float) -> Net:
        """A folded network with only the share `keep` of each layer's channels: those with the largest L1 norm."""
        kept = {"input": torch.arange(self.widths["input"]), "head": torch.arange(self.widths["head"])}
        for name, conv in self.convs.items():
            if name != "head":
                norms = conv.weight.abs().flatten(1).sum(1)
                kept[name] = norms.topk(round(keep * len(norms))).indices.sort().values
        net = type(self)({name: len(indices) for name, indices in kept.items()}, folded=True)
        for name, sources in self.wiring.items():
            starts = np.cumsum([0] + [self.widths[s] for s in sources])
            inputs = torch.cat([kept[s] + int(start) for s, start in zip(sources, starts, strict=False)])
            old, new = self.convs[name], net.convs[name]
            new.weight.data = old.weight.data[kept[name]][:, inputs].clone()
            new.bias.data = old.bias.data[kept[name]].clone()
        return net


class DigitNet(Net):
    """Three convolutions and two poolings: [B, 1, 8, 8] to logits [B, 10]."""

    wiring: ClassVar[Wiring] = {"a": ("input",), "b": ("a",), "c": ("b",), "head": ("c",)}
    conv, norm, head_kernel, shape = nn.Conv2d, nn.BatchNorm2d, 2, (1, 8, 8)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of the ten digits."""
        x = functional.max_pool2d(self.layer("b", self.layer("a", x)), 2)
        x = functional.max_pool2d(self.layer("c", x), 2)
        return self.convs["head"](x).flatten(1)


class VolumeNet(Net):
    """A 3-D U-Net of three resolutions: [B, 1, 24, 32, 32] to logits [B, 6, 24, 32, 32]."""

    wiring: ClassVar[Wiring] = {
        **{"down1a": ("input",), "down1b": ("down1a",), "down2a": ("down1b",), "down2b": ("down2a",)},
        **{"floor_a": ("down2b",), "floor_b": ("floor_a",)},
        **{"up2a": ("floor_b", "down2b"), "up2b": ("up2a",), "up1a": ("up2b", "down1b"), "up1b": ("up1a",)},
        "head": ("up1b",),
    }
    conv, norm, head_kernel, shape = nn.Conv3d, nn.BatchNorm3d, 1, (1, 24, 32, 32)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of background and the five structures, for each voxel."""
        one = self.layer("down1b", self.layer("down1a", x))
        two = self.layer("down2b", self.layer("down2a", functional.max_pool3d(one, 2)))
        x = self.layer("floor_b", self.layer("floor_a", functional.max_pool3d(two, 2)))
        x = self.layer("up2b", self.layer("up2a", functional.interpolate(x, scale_factor=2.0), two))
        x = self.layer("up1b", self.layer("up1a", functional.interpolate(x, scale_factor=2.0), one))
        return self.convs["head"](x)


def digit_net(width: int) -> DigitNet:
    """A fresh network; `width` channels in the first layer."""
    return DigitNet({"input": 1, "a": width, "b": 2 * width, "c": 3 * width, "head": 10})


def volume_net(width: int) -> VolumeNet:
    """A fresh network; `width` channels at full resolution, twice and four times that below."""
    factor = {"down1": 1, "down2": 2, "floor_": 4, "up2": 2, "up1": 1}
    widths = {name: width * factor[name[:-1]] for name in VolumeNet.wiring if name != "head"}
    return VolumeNet({"input": 1, **widths, "head": 6})


def digit_data() -> Batch:
    """All training images [B, 1, 8, 8] and labels [B]."""
    from tasks.generators import digits

    items = digits.training_items()
    return torch.from_numpy(np.stack([i.image for i in items])), torch.tensor([i.label for i in items])


def volume_data(n: int = VOLUMES) -> Batch:
    """N training volumes [B, 1, D, H, W] and labels [B, D, H, W]."""
    from tasks.generators import volumes

    cases = list(volumes.training_cases(n, seed=VOLUMES_SEED))
    images = torch.from_numpy(np.stack([case.image for case in cases]))[:, None]
    return images, torch.from_numpy(np.stack([case.label for case in cases])).long()


def digit_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy."""
    return functional.cross_entropy(logits, target)


def volume_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy plus one minus the soft Dice of each structure over the batch."""
    hot = functional.one_hot(target, logits.shape[1]).movedim(-1, 1).float()
    p = logits.softmax(1)
    axes = (0, 2, 3, 4)
    dice = (2 * (p * hot).sum(axes) + 1) / (p.sum(axes) + hot.sum(axes) + 1)
    return functional.cross_entropy(logits, target) + (1 - dice[1:]).mean()


def fit(net: Net, data: Batch, steps: int, rate: float, teacher: Net | None = None) -> Net:
    """Train in place with AdamW and a one-cycle rate; with a teacher, also towards its probabilities."""
    loss_of, size = (volume_loss, 2) if isinstance(net, VolumeNet) else (digit_loss, 64)
    optimiser = torch.optim.AdamW(net.parameters(), weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=steps)
    began = time.perf_counter()
    net.train()
    for step, (x, y) in enumerate(_batches(data, size, steps)):
        logits = net(x)
        loss = loss_of(logits, y)
        if teacher is not None:
            with torch.no_grad():
                wanted = teacher(x).softmax(1)
            loss = loss + functional.cross_entropy(logits, wanted)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        if (step + 1) % 100 == 0:
            print(f"step {step + 1}/{steps} loss {loss.item():.3f} {time.perf_counter() - began:.0f} s")  # noqa: T201
    return net.eval()


def _batches(data: Batch, size: int, steps: int) -> Iterator[Batch]:
    images, labels = data
    order = torch.empty(0, dtype=torch.long)
    for _ in range(steps):
        if len(order) < size:
            order = torch.randperm(len(images))
        chosen, order = order[:size], order[size:]
        x, y = images[chosen], labels[chosen]
        if images.ndim == 4:  # digits are moved by up to a pixel each way  # noqa: PLR2004
            down, right = torch.randint(0, 3, (2,)).tolist()
            x = functional.pad(x, (1, 1, 1, 1))[:, :, down : down + 8, right : right + 8]
        yield x, y


def load(name: str, net: Net) -> Net:
    """The network stored in a submission as written by `export_onnx`; `net` says which, and how wide."""
    folded = type(net)(net.widths, folded=True)
    stored = onnx.load(SUBMISSIONS / name / "model.onnx").graph.initializer
    weights = {tensor.name: torch.from_numpy(numpy_helper.to_array(tensor).copy()) for tensor in stored}
    folded.load_state_dict({key: weights[key] for key in folded.state_dict()})
    return folded.eval()


def export_onnx(net: Net, path: Path) -> None:
    """Save as ONNX with a free batch size."""
    batch = torch.export.Dim("batch", min=1, max=1024)
    program = torch.onnx.export(
        net.eval(),
        (torch.zeros(2, *net.shape),),
        dynamic_shapes=({0: batch},),
        input_names=["image"],
        output_names=["logits"],
        opset_version=18,
        dynamo=True,
        verbose=False,
    )
    program.optimize()
    save_onnx(program.model_proto, path)


def save_onnx(model: onnx.ModelProto, path: Path) -> None:
    """Save without what the exporter notes about source files, which would name paths of this machine."""
    graph = model.graph
    for part in (model, graph, *graph.node, *graph.input, *graph.output, *graph.initializer):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    graph.ClearField("value_info")
    model.producer_name, model.producer_version = "hallmark", ""
    onnx.checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString(deterministic=True))


def quantise_int8(net: Net, images: Tensor, path: Path) -> None:
    """Static int8 (QDQ, weights per channel) with ONNX Runtime, ranges taken from training images.

    Weights use 7 of the 8 bits: processors without VNNI add pairs of products in 16 bits, which 8 bits overflow, and
    the submission would not score the same everywhere.
    """
    with tempfile.TemporaryDirectory() as folder:
        plain, ready, done = (Path(folder) / name for name in ("plain.onnx", "ready.onnx", "done.onnx"))
        export_onnx(net, plain)
        quant_pre_process(plain, ready, skip_symbolic_shape=True)
        quantize_static(
            ready,
            done,
            _Calibration(images),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
        save_onnx(onnx.load(done), path)


class _Calibration(CalibrationDataReader):
    """Feeds training images to the calibration, one at a time."""

    def __init__(self, images: Tensor) -> None:
        self._left = iter(images.split(1))

    def get_next(self) -> dict[str, np.ndarray] | None:
        """The next input, or ``None`` at the end."""
        image = next(self._left, None)
        return None if image is None else {"image": image.numpy()}


def publish(recipe: str) -> None:
    """Write the digest of the weights beside a recipe into its manifest, and say what was made."""
    folder = Path(recipe).resolve().parent
    manifest = folder / "submission.toml"
    text = manifest.read_text(encoding="utf-8")
    weights = folder / tomllib.loads(text)["weights"]
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    manifest.write_text(re.sub(r'(?m)^sha256 = ".*"$', f'sha256 = "{digest}"', text), encoding="utf-8")
    print(f"{weights.name}: {weights.stat().st_size} bytes, sha256 {digest}")  # noqa: T201
