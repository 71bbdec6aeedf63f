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
from suite.formats.base import Description, Place
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
            module = _module(archive, device)
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


def _module(archive: Archive, device: str) -> Any:
    """The callable graph, on `device`."""
    import torch
    from torch.export.passes import move_to_device_pass

    with tempfile.TemporaryDirectory(prefix="hallmark-") as folder:
        clean = Path(folder) / "model.pt2"
        archive.write_clean(clean)
        program = torch.export.load(clean)
    if device != "cpu":
        program = move_to_device_pass(program, device)
    if "check_guards" in inspect.signature(program.module).parameters:
        return program.module(check_guards=False)
    return program.module()
