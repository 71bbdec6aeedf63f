"""Format ``onnx``: an ``.onnx`` file, or a folder with one, run by ONNX Runtime."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from suite.errors import InputError, UnitError
from suite.formats import _activations, _onnx_file, _vision
from suite.formats._errors import one_line
from suite.formats._tokenizer import check_tokenizer, config_context, context_of, load_tokenizer
from suite.formats.base import Description, Place
from suite.manifest import KINDS, Inputs, Kind
from suite.model import Array, Facts, Model

if TYPE_CHECKING:
    import torch

_TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(double)": np.float64}


class Onnx:
    """An ONNX graph of standard and ``com.microsoft`` operators; a language model has its tokenizer beside it."""

    name = "onnx"
    title = "ONNX graph (.onnx, or a folder with one), run by ONNX Runtime"
    kinds: tuple[Kind, ...] = KINDS
    packages: tuple[str, ...] = ("onnxruntime", "onnx", "numpy")
    extra: str | None = None
    gradients = False

    def check(self, weights: Path) -> list[str]:
        """Reasons to refuse the file: not ONNX, operators from elsewhere, or external data outside the folder."""
        try:
            return _onnx_file.findings(weights)
        except InputError as error:
            return [str(error)]

    def describe(self, weights: Path) -> Description:
        """Initializers and constants by dtype; shapes of the first input and output."""
        return _onnx_file.describe(weights)

    def load(self, weights: Path, kind: Kind, inputs: Inputs, place: Place) -> Model:
        """A session on the CPU provider, or the CUDA one where the place says so.

        Raises:
            InputError: `check` refuses the file.
            UnitError: ONNX Runtime cannot load it.
        """
        for finding in self.check(weights):
            raise InputError(finding)
        session = _session(_onnx_file.model_file(weights), place)
        facts = Facts(self.describe(weights).dtype)
        if kind == "language":
            import torch

            torch.set_num_threads(place.threads)  # of the softmax; the graph has its own
            return _language(session, weights, inputs, facts)
        first = session.get_inputs()[0]
        if first.type not in _TYPES or len(session.get_inputs()) != 1:
            raise UnitError(f"{weights.name} needs {len(session.get_inputs())} inputs, the first {first.type}; "
                            "expected one float tensor")  # fmt: skip
        batch = first.shape[0] if first.shape and isinstance(first.shape[0], int) else None

        def forward(array: NDArray[np.float32]) -> Array:
            return _run(session, {first.name: array.astype(_TYPES[first.type], copy=False)})

        return _vision.network(kind, forward, inputs, facts, batch)


def _session(file: Path, place: Place) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = place.threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    provider = "CUDAExecutionProvider" if place.device == "cuda" else "CPUExecutionProvider"
    if provider not in onnxruntime.get_available_providers():
        raise UnitError(f"this ONNX Runtime has no {provider}; install onnxruntime-gpu or use --device cpu")
    try:
        return onnxruntime.InferenceSession(str(file), options, providers=[provider])
    except Exception as error:
        raise UnitError(f"ONNX Runtime {onnxruntime.__version__} cannot load {file.name}: {one_line(error)}") from None


def _run(session: Any, feed: dict[str, Array]) -> Array:
    """The first output."""
    _activations.see_graph(session, feed)
    try:
        output: Array = session.run([session.get_outputs()[0].name], feed)[0]
    except Exception as error:
        shapes = ", ".join(f"{name} {array.shape}" for name, array in feed.items())
        raise UnitError(f"the graph fails on {shapes}: {one_line(error)}") from None
    return output


def _language(session: Any, weights: Path, inputs: Inputs, facts: Facts) -> Model:
    """A causal model from a graph input_ids (, attention_mask, position_ids) -> logits."""
    import torch

    from suite.formats._language import CausalModel, Runtime

    if not weights.is_dir():
        raise InputError(f"{weights.name}: a language model needs its tokenizer beside it; make weights the folder")
    names = [value.name for value in session.get_inputs()]
    if "input_ids" not in names or not set(names) <= {"input_ids", "attention_mask", "position_ids"}:
        raise UnitError(f"the graph's inputs are {', '.join(names)}; expected input_ids, attention_mask, position_ids")
    context = context_of(inputs, config_context(weights))

    def body(ids_BT: torch.Tensor, mask_BT: torch.Tensor | None) -> torch.Tensor:
        mask = torch.ones_like(ids_BT) if mask_BT is None else mask_BT
        positions = torch.arange(ids_BT.shape[1]).expand_as(ids_BT)
        feed = {"input_ids": ids_BT, "attention_mask": mask, "position_ids": positions}
        return torch.from_numpy(_run(session, {name: feed[name].contiguous().numpy() for name in names}))

    vocabulary = int(body(torch.zeros((1, 2), dtype=torch.int64), None).shape[-1])
    check_tokenizer(weights, vocabulary)
    tokenizer = load_tokenizer(weights)
    facts = Facts(facts.dtype, "plain", context, vocabulary, tokenizer.bos_token_id)
    return CausalModel(facts, tokenizer, Runtime(body, lambda rows: rows, width=vocabulary))
