"""Format ``torch-export``: a ``.pt2`` file written by ``torch.export.save``, or a folder with one.

Shape suffixes: B batch, T tokens, V vocabulary.
"""

from __future__ import annotations

import inspect
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from suite.errors import HallmarkError, InputError, UnitError
from suite.formats import _expanded, _vision
from suite.formats._causal import unrolled
from suite.formats._errors import one_line
from suite.formats._pt2 import Archive
from suite.formats._tokenizer import config_context
from suite.formats._torch import observed_dtype, torch_device
from suite.formats.base import Description, Loader, Place, Point
from suite.manifest import KINDS, Inputs, Kind
from suite.model import Array, Facts, Model

if TYPE_CHECKING:
    import torch

_LARGE_SAMPLES = 1 << 20
_MASK = "attention_mask"


class TorchExport:
    """An exported graph of tensor operators, run by torch; a language model has its tokenizer beside it, in a folder.

    A language model's program takes input_ids (and attention_mask) [B, T] of any length and gives logits [B, T, V]; it
    has no cache, so that every new token costs the whole sequence. The file's sample inputs are a pickle: they are left
    out, unread, before torch sees the file.
    """

    name = "torch-export"
    title = "PyTorch exported program (.pt2 of torch.export.save, or a folder with one)"
    kinds: tuple[Kind, ...] = KINDS
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
            return replace(Archive.open(weights).describe(), context=config_context(weights))
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
            program = _Program.load(archive, device, self._point, fed=kind == "language")
        except HallmarkError:
            raise
        except Exception as error:
            raise UnitError(f"torch {torch.__version__} cannot load {weights.name}: {one_line(error)}") from None
        signature = archive.describe().signature
        fixed = signature.input_shape if signature else ()
        samples = archive.sample_bytes
        notes = (f"stored sample inputs of {samples} bytes were not read",) if samples > _LARGE_SAMPLES else ()
        facts = Facts(observed_dtype(program.module), notes=(*notes, *program.notes))
        if kind == "language":
            return unrolled(_logits_of(program, fixed), weights, inputs, facts, threads=place.threads)

        def forward(batch: NDArray[np.float32]) -> Array:
            with torch.no_grad():
                array: Array = program(torch.from_numpy(batch).to(device)).to("cpu", torch.float32).numpy()
            return array

        model = _vision.network(kind, forward, inputs, facts, fixed[0] if fixed else None)
        return _vision.with_gradients(model, program, device)


@dataclass(frozen=True)
class _Program:
    """A loaded program.

    Attributes:
        module: the callable graph of the inputs that are fed.
        name: of the file.
        device: where it computes.
        masked: language: it takes an attention_mask beside the tokens.
        notes: that its graph expands its weights.
    """

    module: Any
    name: str
    device: str
    masked: bool = False
    notes: tuple[str, ...] = ()

    @classmethod
    def load(cls, archive: Archive, device: str, point: Point, fed: bool) -> _Program:
        """From a cleaned copy of the file, its inputs beside the first (and the mask, if fed) set to the point."""
        import torch
        from torch.export.passes import move_to_device_pass

        with tempfile.TemporaryDirectory(prefix="hallmark-") as folder:
            clean = Path(folder) / "model.pt2"
            archive.write_clean(clean)
            program = torch.export.load(clean)
        if device != "cpu":
            program = move_to_device_pass(program, device)
        guards = {"check_guards": False} if "check_guards" in inspect.signature(program.module).parameters else {}
        masked = fed and _MASK in program.graph_signature.user_inputs[1:2]
        module = _set(program.module(**guards), program, point, device, 1 + masked)
        return cls(module, archive.path.name, device, masked, _expanded.of_program(program))

    def __call__(self, *given: torch.Tensor) -> torch.Tensor:
        """The first output."""
        import torch

        try:
            output = self.module(*given)
        except (RuntimeError, AssertionError, TypeError) as error:
            raise UnitError(f"{self.name} fails on shape {tuple(given[0].shape)}: {one_line(error)}") from None
        while isinstance(output, (tuple, list)) and output:
            output = output[0]
        if not isinstance(output, torch.Tensor):
            raise UnitError(f"{self.name} gives a {type(output).__name__}; the first output must be a tensor")
        return output


def _logits_of(program: _Program, fixed: Sequence[int | None]) -> Callable[[Array, Array], Array]:
    """Tokens and their mask [B, T] to logits [B, T, V].

    Raises:
        UnitError: the program takes sequences of one length, or batches of one size above 1.
    """
    if len(fixed) != 2 or fixed[1] is not None or fixed[0] not in (None, 1):  # noqa: PLR2004
        raise UnitError(
            f"{program.name} takes {list(fixed)}; a language model takes tokens [batch, length] of any length: export "
            "it with dynamic_shapes"
        )

    def logits_of(ids_BT: Array, mask_BT: Array) -> Array:
        import torch

        feed = [
            torch.from_numpy(one).to(program.device) for one in ((ids_BT, mask_BT) if program.masked else (ids_BT,))
        ]
        rows = [[one[i : i + 1] for one in feed] for i in range(len(ids_BT))] if fixed[0] == 1 else [feed]
        with torch.no_grad():
            logits: Array = torch.cat([program(*row) for row in rows]).to("cpu", torch.float32).numpy()
        return logits

    return logits_of


def _set(module: Any, program: Any, point: Point, device: str, fed: int) -> Any:
    """The program as a module of its first `fed` inputs.

    Raises:
        InputError: a setting that the program has no input for, an input without a setting, or not one number.
    """
    import torch
    from torch.utils._pytree import tree_unflatten

    made = {node.name: node.meta.get("val") for node in program.graph.nodes if node.op == "placeholder"}
    names = [str(name) for name in program.graph_signature.user_inputs]
    if len(names) == fed and not point:
        return module
    if set(names[fed:]) != set(point):
        raise InputError(
            f"its inputs beside {', '.join(names[:fed]) if fed > 1 else 'the first'} are "
            f"{', '.join(names[fed:]) or 'none'}, operating_point sets {', '.join(point) or 'none'}; set each of them"
        )
    settings = []
    for name in names[fed:]:
        value = made.get(name)
        if not isinstance(value, torch.Tensor) or value.numel() != 1 or isinstance(point[name], str):
            raise InputError(f"operating_point.{name} = {point[name]!r}, but that input is no tensor of one number")
        settings.append(torch.full(tuple(value.shape), point[name], dtype=value.dtype, device=device))  # type: ignore[arg-type]

    class OnePoint(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.whole = module

        def forward(self, *inputs: torch.Tensor) -> Any:
            given, named = tree_unflatten([*inputs, *settings], program.call_spec.in_spec)
            return self.whole(*given, **named)

    return OnePoint()
