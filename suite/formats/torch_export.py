"""Format ``torch-export``: a ``.pt2`` file written by ``torch.export.save``."""

from __future__ import annotations

import inspect
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from suite.errors import HallmarkError, InputError, UnitError
from suite.formats import _vision
from suite.formats._errors import one_line
from suite.formats._pt2 import Archive
from suite.formats._torch import observed_dtype, torch_device
from suite.formats.base import Description, Loader, Place, Point
from suite.manifest import Inputs, Kind
from suite.model import Array, Facts, Model

if TYPE_CHECKING:
    import torch

_LARGE_SAMPLES = 1 << 20


class TorchExport:
    """An exported graph of tensor operators, run by torch.

    The file's sample inputs are a pickle: they are left out, unread, before torch sees the file.
    """

    name = "torch-export"
    title = "PyTorch exported program (.pt2 of torch.export.save)"
    kinds: tuple[Kind, ...] = ("classification", "segmentation")
    packages: tuple[str, ...] = ("torch", "numpy")
    extra: str | None = None
    gradients = True

    def __init__(self, point: Point | None = None) -> None:
        self._point = dict(point or {})

    def at(self, point: Point) -> Loader:
        """Every setting is fed to the program's input of that name, a tensor of one number."""
        return TorchExport(point)

    def check(self, weights: Path) -> list[str]:
        """Reasons to refuse the archive: cut off, pickled weights, compiled code, or text that torch would execute."""
        try:
            archive = Archive.open(weights)
            found = archive.findings()
            if not found:
                archive.describe()
        except InputError as error:
            return [str(error)]
        return found

    def describe(self, weights: Path) -> Description:
        """Tensors and shapes as the archive's JSON states them."""
        try:
            return Archive.open(weights).describe()
        except (StopIteration, ValueError, KeyError, TypeError, RecursionError) as error:
            raise InputError(f"{weights.name}: its program is unreadable: {one_line(error)}; export it again") from None

    def load(self, weights: Path, kind: Kind, inputs: Inputs, place: Place) -> Model:
        """The program, loaded from a cleaned copy.

        Raises:
            InputError: `check` refuses the file.
            UnitError: torch cannot load it.
        """
        import torch

        archive = Archive.open(weights)
        for finding in archive.findings():
            raise InputError(finding)
        device = torch_device(place)
        try:
            module = _module(archive, device, self._point)
        except HallmarkError:
            raise
        except Exception as error:
            raise UnitError(f"torch {torch.__version__} cannot load {weights.name}: {one_line(error)}") from None

        def gradable(pixels: torch.Tensor) -> torch.Tensor:
            try:
                output = module(pixels)
            except (RuntimeError, AssertionError, TypeError) as error:
                raise UnitError(f"{weights.name} fails on shape {tuple(pixels.shape)}: {one_line(error)}") from None
            while isinstance(output, (tuple, list)) and output:
                output = output[0]
            if not isinstance(output, torch.Tensor):
                raise UnitError(f"{weights.name} gives a {type(output).__name__}; the first output must be a tensor")
            return output

        def forward(batch: NDArray[np.float32]) -> Array:
            with torch.no_grad():
                array: Array = gradable(torch.from_numpy(batch).to(device)).to("cpu", torch.float32).numpy()
            return array

        signature = archive.describe().signature
        batch = signature.input_shape[0] if signature and signature.input_shape else None
        samples = archive.sample_bytes
        notes = (f"stored sample inputs of {samples} bytes were not read",) if samples > _LARGE_SAMPLES else ()
        model = _vision.network(kind, forward, inputs, Facts(observed_dtype(module), notes=notes), batch)
        return _vision.with_gradients(model, gradable, device)


def _module(archive: Archive, device: str, point: Point) -> Any:
    """The callable graph of its first input, on `device`, its other inputs set to the operating point."""
    import torch
    from torch.export.passes import move_to_device_pass

    with tempfile.TemporaryDirectory(prefix="hallmark-") as folder:
        clean = Path(folder) / "model.pt2"
        archive.write_clean(clean)
        program = torch.export.load(clean)
    if device != "cpu":
        program = move_to_device_pass(program, device)
    guards = {"check_guards": False} if "check_guards" in inspect.signature(program.module).parameters else {}
    return _set(program.module(**guards), program, point, device)


def _set(module: Any, program: Any, point: Point, device: str) -> Any:
    """The program as a module of one input.

    Raises:
        InputError: a setting that the program has no input for, an input without a setting, or not one number.
    """
    import torch
    from torch.utils._pytree import tree_unflatten

    made = {node.name: node.meta.get("val") for node in program.graph.nodes if node.op == "placeholder"}
    names = [str(name) for name in program.graph_signature.user_inputs]
    if len(names) == 1 and not point:
        return module
    if set(names[1:]) != set(point):
        raise InputError(
            f"its inputs beside the first are {', '.join(names[1:]) or 'none'}, operating_point sets "
            f"{', '.join(point) or 'none'}; set each of them"
        )
    settings = []
    for name in names[1:]:
        value = made.get(name)
        if not isinstance(value, torch.Tensor) or value.numel() != 1 or isinstance(point[name], str):
            raise InputError(f"operating_point.{name} = {point[name]!r}, but that input is no tensor of one number")
        settings.append(torch.full(tuple(value.shape), point[name], dtype=value.dtype, device=device))  # type: ignore[arg-type]

    class OnePoint(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.whole = module

        def forward(self, pixels: torch.Tensor) -> Any:
            given, named = tree_unflatten([pixels, *settings], program.call_spec.in_spec)
            return self.whole(*given, **named)

    return OnePoint()
