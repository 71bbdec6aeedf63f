"""Format ``transformers``: a folder as ``save_pretrained`` writes it, safetensors only, no code of its own."""

from __future__ import annotations

import importlib.util
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from suite.errors import InputError, UnitError
from suite.formats import _elastic, _masked, _safetensors, _schemes, _vision
from suite.formats._attack import Gradable
from suite.formats._causal import causal
from suite.formats._errors import one_line
from suite.formats._tokenizer import check_tokenizer, config_context
from suite.formats._torch import observed_dtype, torch_device
from suite.formats.base import Description, Loader, Place, Point
from suite.manifest import KINDS, Inputs, Kind
from suite.model import Array, Facts, Model

if TYPE_CHECKING:
    import torch

QUANTIZATIONS = {  # what transformers can load without fetching code: quant_method -> module that it needs
    "compressed-tensors": "compressed_tensors",
    "torchao": "torchao",
    "bitsandbytes": "bitsandbytes",
    "gptq": "gptqmodel",
    "awq": "gptqmodel",
    "auto-round": "auto_round",
    "quanto": "optimum",
    "hqq": "hqq",
    "aqlm": "aqlm",
}
EXTRAS = {"bitsandbytes": "bitsandbytes", "gptq": "gptq", "awq": "gptq"}
"""Quantisations with an extra of their own."""
_BUILDS = {
    "gptq": " (built beside torch: pip install pypcre, then this, with BUILD_CUDA_EXT=0 set, --no-build-isolation)"
}
CLASSES = {  # kind -> class of transformers
    "language": "AutoModelForCausalLM",
    "classification": "AutoModelForImageClassification",
    "segmentation": "AutoModelForSemanticSegmentation",
}


class Transformers:
    """A model of the transformers library; its own quantised forms (compressed-tensors, torchao) included."""

    name = "transformers"
    title = "transformers folder: config.json, safetensors, tokenizer"
    kinds: tuple[Kind, ...] = KINDS
    packages: tuple[str, ...] = ("transformers", "tokenizers", "safetensors", "torch", "torchao", "compressed-tensors")
    extra: str | None = None
    gradients = True

    def __init__(self, layers: int | None = None, bits: int | None = None) -> None:
        self._layers, self._bits = layers, bits

    def at(self, point: Point) -> Loader:
        """What one checkpoint can be set to.

        ``{"exit": K}``: an early exit after the first K layers, through the last norm and head (as LayerSkip).
        ``{"bits": N}``: the N highest bits of its integer codes (`suite.formats._elastic`). Both may be given.
        """
        whole = all(isinstance(value, int) and not isinstance(value, bool) and value > 0 for value in point.values())
        if not set(point) <= {"exit", "bits"} or not whole:
            raise InputError(
                f"operating_point = {dict(point)}; format transformers takes {{exit = K}}, {{bits = N}} or both, whole "
                "numbers from 1"
            )
        return Transformers(point.get("exit"), point.get("bits"))  # type: ignore[arg-type]

    def check(self, weights: Path) -> list[str]:
        """Reasons to refuse the folder: files missing or cut off, code asked for, or a tokenizer that does not fit."""
        found = []
        for step in (_check_config, _check_weights, _check_text, self._check_exit, self._check_bits):
            try:
                step(weights)
            except InputError as error:
                found.append(str(error))
            except OSError as error:
                found.append(f"a file of {weights.name} cannot be read ({one_line(error)}); copy the folder again")
            if found and step is _check_config:
                break
        return found

    def _check_exit(self, weights: Path) -> None:
        if self._layers is None:
            return
        config = _safetensors.read_json(weights / "config.json")
        has = config.get("num_hidden_layers", config.get("n_layer"))
        if not isinstance(has, int) or self._layers >= has:
            said = f"it has {has} layers" if isinstance(has, int) else "its config.json states no num_hidden_layers"
            raise InputError(f"operating_point.exit = {self._layers}, but {said}; an exit lies before the last one")

    def _check_bits(self, weights: Path) -> None:
        if self._bits is not None:
            _elastic.check(weights, self._bits)

    def describe(self, weights: Path) -> Description:
        """Tensors as the safetensors headers state them."""
        stored = _safetensors.describe(_safetensors.model_files(weights))
        return replace(stored, context=config_context(weights), masked=_masked.is_masked(weights))

    def load(self, weights: Path, kind: Kind, inputs: Inputs, place: Place) -> Model:
        """The model, in the dtype that its files state.

        Raises:
            InputError: `check` refuses the folder, or the manifest asks for more context than the model has.
            UnitError: transformers cannot load it, or its weights do not cover the architecture.
        """
        for finding in self.check(weights):
            raise InputError(finding)
        device = torch_device(place)
        masked = kind == "language" and _masked.is_masked(weights)
        model, notes = self._built(weights, _masked.CLASS if masked else CLASSES[kind])
        model = model.to(device).eval()
        stored = self.describe(weights).dtypes
        if masked:
            return _masked.masked(model, weights, inputs, notes)
        if kind == "language":
            return causal(model, weights, inputs, stored, notes)
        facts = Facts(observed_dtype(model), notes=notes)
        gradable = _vision_gradable(model, kind == "segmentation")
        found = _vision.network(kind, _vision_forward(gradable, device), inputs, facts)
        return _vision.with_gradients(found, gradable, device)

    def _built(self, weights: Path, class_name: str) -> tuple[Any, tuple[str, ...]]:
        """The model at the operating point, and notes."""
        if self._bits is None:
            return pretrained(weights, class_name, self._layers)
        with tempfile.TemporaryDirectory(prefix="hallmark-") as scratch:
            copy = Path(scratch) / weights.name
            _elastic.write(weights, copy, self._bits)
            model, notes = pretrained(copy, class_name, self._layers)
        return model, (*notes, f"read at {self._bits} of its {_elastic.stored_bits(weights)} bits")


def _check_config(folder: Path) -> None:
    if not folder.is_dir():
        raise InputError(f"{folder.name} is not a folder; weights of format transformers are a folder")
    if not (folder / "config.json").is_file():
        raise InputError(f"{folder.name} has no config.json; save the model with save_pretrained")
    if (folder / "adapter_config.json").exists():
        raise InputError(
            f"{folder.name} is an adapter: its format is peft, its base its parent; or save the merged model"
        )
    for name in ("config.json", "tokenizer_config.json"):
        if (folder / name).is_file():
            _check_keys(name, _safetensors.read_json(folder / name))


def _check_keys(name: str, config: dict[str, Any]) -> None:
    if "auto_map" in config:
        raise InputError(f"{name} asks for code of its own (auto_map), which is never run; use a built-in architecture")
    for key, value in config.items():
        if key.endswith("_implementation") and "/" in str(value):
            raise InputError(f"{name}: {key} = {value!r} would download code; remove the key")
    quantization = config.get("quantization_config")
    if quantization is not None:
        method = quantization.get("quant_method") if isinstance(quantization, dict) else None
        if not isinstance(method, str) or method not in QUANTIZATIONS:
            raise InputError(
                f"{name}: quantisation {method!r} cannot be read here; allowed: {', '.join(QUANTIZATIONS)}"
            )
        module = QUANTIZATIONS[method]
        if importlib.util.find_spec(module) is None:
            raise InputError(
                f"{name}: quantisation {method!r} needs {module}, which is not installed: pip install {_brings(method)}"
            )
        _schemes.check(name, quantization)


def _brings(method: str) -> str:
    """What to install for a quantisation: an extra that was tried, else the distribution."""
    extra = EXTRAS.get(method)
    if extra is None:
        return QUANTIZATIONS[method].replace("_", "-")
    return f"'hallmark-bench[{extra}]'{_BUILDS.get(extra, '')}"


def _check_weights(folder: Path) -> None:
    for file in _safetensors.files_in(folder):
        _safetensors.read_header(file)
    _safetensors.model_files(folder)


def _check_text(folder: Path) -> None:
    config = _safetensors.read_json(folder / "config.json")
    architectures = config.get("architectures")
    vision = isinstance(architectures, list) and any(
        str(name).endswith(("ImageClassification", "SemanticSegmentation")) for name in architectures
    )
    if not vision:
        text = config.get("text_config")
        size = (text if isinstance(text, dict) else config).get("vocab_size")
        check_tokenizer(folder, size if isinstance(size, int) else None)


def pretrained(folder: Path, class_name: str, layers: int | None = None) -> tuple[Any, tuple[str, ...]]:
    """The model, cut after so many layers if at all, and notes on weights that it did not use."""
    import transformers

    transformers.utils.logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        config = {} if layers is None else {"config": _cut(folder, layers)}
        model, info = getattr(transformers, class_name).from_pretrained(
            folder,
            dtype="auto",
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            output_loading_info=True,
            **config,
        )
    except Exception as error:
        said = f"transformers {transformers.__version__} cannot load {folder.name}: {one_line(error)}"
        raise UnitError(said) from None
    missing = sorted(info["missing_keys"])
    if missing:
        raise UnitError(
            f"{folder.name} lacks {len(missing)} tensors of its architecture, e.g. {missing[0]}; save it again"
        )
    unused = sorted(info["unexpected_keys"])
    return model, (f"{len(unused)} stored tensors are not used, e.g. {unused[0]}",) if unused else ()


def _cut(folder: Path, layers: int) -> Any:
    """The configuration of a model's first layers."""
    import transformers

    config = transformers.AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    config.num_hidden_layers = layers
    if getattr(config, "layer_types", None):
        config.layer_types = config.layer_types[:layers]
    return config


def _vision_gradable(model: Any, upsample: bool) -> Gradable:
    """Pixels to logits, for whoever takes gradients."""

    def gradable(pixels: torch.Tensor) -> torch.Tensor:
        import torch

        try:
            logits: torch.Tensor = model(pixel_values=pixels.to(model.dtype)).logits.float()
        except (RuntimeError, ValueError, AttributeError) as error:
            raise UnitError(f"the model fails on a batch of shape {tuple(pixels.shape)}: {one_line(error)}") from None
        if upsample and logits.shape[2:] != pixels.shape[2:]:
            logits = torch.nn.functional.interpolate(logits, pixels.shape[2:], mode="bilinear", align_corners=False)
        return logits

    return gradable


def _vision_forward(gradable: Gradable, device: str) -> _vision.Forward:
    def forward(batch: NDArray[np.float32]) -> Array:
        import torch

        with torch.no_grad():
            array: Array = gradable(torch.from_numpy(batch).to(device)).cpu().numpy()
        return array

    return forward
