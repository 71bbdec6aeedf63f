"""Writers of the committed 3-D U-Net's files: each puts `embedded-volumes` into one format."""

from __future__ import annotations

import shutil
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(REPOSITORY / "tests/suite/formats"), str(REPOSITORY / "submissions")]
Make = Callable[[Path, Path], Path]


def net() -> Any:
    """The network with the committed weights."""
    import vision_recipes

    return vision_recipes.load("embedded-volumes", vision_recipes.volume_net(_width()))


def _width() -> int:
    import onnx
    import vision_recipes

    stored = onnx.load(REPOSITORY / "submissions/embedded-volumes/model.onnx").graph.initializer
    sizes = {tensor.name: tuple(tensor.dims) for tensor in stored}
    for width in range(1, 129):
        made = type(vision_recipes.volume_net(width))(vision_recipes.volume_net(width).widths, folded=True)
        if all(sizes.get(name) == tuple(value.shape) for name, value in made.state_dict().items()):
            return width
    raise RuntimeError("embedded-volumes has another network than vision_recipes.volume_net")


def _export(module: torch.nn.Module, out: Path) -> Path:
    """A ``.pt2`` of any batch."""
    import torch

    file = out.with_suffix(".pt2")
    sizes = ({0: torch.export.Dim("batch", min=1, max=64)},)
    torch.export.save(torch.export.export(module, (torch.zeros(2, 1, 24, 32, 32),), dynamic_shapes=sizes), file)
    return file


def exported(out: Path, _: Path) -> Path:
    """Float32."""
    return _export(net(), out)


def exported_half(out: Path, _: Path) -> Path:
    """Weights and sums in bfloat16, float32 at both ends."""
    import torch

    class Half(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = net().to(torch.bfloat16)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            whole: torch.Tensor = self.inner(x.to(torch.bfloat16)).float()
            return whole

    return _export(Half().eval(), out)


def weight_only(out: Path, _: Path) -> Path:
    """torchao's int8 weight-only quantiser, which looks for linear layers."""
    from torchao.quantization import Int8WeightOnlyConfig, quantize_

    whole = net()
    quantize_(whole, Int8WeightOnlyConfig())
    return _export(whole, out)


def pt2e(out: Path, _: Path) -> Path:
    """torchao's PT2E int8 with the x86 quantiser, calibrated on 8 volumes."""
    import torch
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e
    from torchao.quantization.pt2e.quantizer import x86_inductor_quantizer as x86

    images = torch.from_numpy(_images(8))
    quantizer = x86.X86InductorQuantizer()
    quantizer.set_global(x86.get_default_x86_inductor_quantization_config())
    sizes = ({0: torch.export.Dim("batch", min=1, max=64)},)
    graph = prepare_pt2e(torch.export.export(net(), (images[:2],), dynamic_shapes=sizes).module(), quantizer)
    with torch.no_grad():
        for image in images:
            graph(image[None])
    file = out.with_suffix(".pt2")
    torch.export.save(torch.export.export(convert_pt2e(graph), (images[:2],), dynamic_shapes=sizes), file)
    return file


def scripted(out: Path, _: Path) -> Path:
    """TorchScript, which is code: expected to be refused."""
    import torch

    file = out.with_suffix(".pt")
    whole = net()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its own deprecation
        torch.jit.trace(whole, torch.zeros(1, *whole.shape)).save(str(file))
    return file


def committed(name: str) -> Make:
    """The graph of a submission of this repository."""
    return lambda out, _: Path(shutil.copy(REPOSITORY / "submissions" / name / "model.onnx", out.with_suffix(".onnx")))


def openvino(half: bool = False) -> Make:
    """The ONNX graph as an IR."""

    def make(out: Path, source: Path) -> Path:
        from openvino_samples import save_openvino

        return save_openvino(source, out, half=half)

    return make


def nncf_int8(out: Path, source: Path) -> Path:
    """NNCF's post-training int8, calibrated on 32 volumes."""
    import nncf
    import openvino as ov

    done = nncf.quantize(ov.convert_model(source), nncf.Dataset(list(_images(32)[:, None])), subset_size=32)
    out.mkdir()
    ov.save_model(done, out / "model.xml", compress_to_fp16=False)
    return out


def _images(count: int) -> Any:
    """Training volumes [N, 1, D, H, W]."""
    from vision_recipes import volume_data

    return volume_data(count)[0].numpy().astype(np.float32)
