"""Format ``transformers``: a folder as ``save_pretrained`` writes it, safetensors only, no code of its own."""

from __future__ import annotations

import contextlib
import importlib.util
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from suite.engine import check
from suite.engine.runtime import transformers_forward
from suite.errors import HallmarkError, InputError, UnitError
from suite.formats import _masked, _safetensors, _vision
from suite.formats._attack import Gradable
from suite.formats._errors import one_line
from suite.formats._generate import caching
from suite.formats._language import CausalModel, Runtime
from suite.formats._tokenizer import check_tokenizer, config_context, context_of, load_tokenizer, positions
from suite.formats._torch import observed_dtype, torch_device
from suite.formats.base import Description, Place
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
_CLASSES = {
    "language": "AutoModelForCausalLM",
    "classification": "AutoModelForImageClassification",
    "segmentation": "AutoModelForSemanticSegmentation",
}
_HEAD_TOLERANCE = 1e-4
_PROBE_TOKENS = 8
_CUDA_TOKENS = 16384  # of one forward


class Transformers:
    """A model of the transformers library; its own quantised forms (compressed-tensors, torchao) included."""

    name = "transformers"
    title = "transformers folder: config.json, safetensors, tokenizer"
    kinds: tuple[Kind, ...] = KINDS
    packages: tuple[str, ...] = ("transformers", "tokenizers", "safetensors", "torch", "torchao", "compressed-tensors")
    extra: str | None = None
    gradients = True

    def check(self, weights: Path) -> list[str]:
        """Reasons to refuse the folder: files missing or cut off, code asked for, or a tokenizer that does not fit."""
        found = []
        for step in (_check_config, _check_weights, _check_text):
            try:
                step(weights)
            except InputError as error:
                found.append(str(error))
            if found and step is _check_config:
                break
        return found

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
        model, notes = _from_pretrained(weights, _masked.CLASS if masked else _CLASSES[kind])
        model = model.to(device).eval()
        stored = self.describe(weights).dtype
        if masked:
            return _masked.masked(model, weights, inputs, notes)
        if kind == "language":
            return _language(model, weights, inputs, stored, notes)
        facts = Facts(observed_dtype(model), notes=notes)
        gradable = _vision_gradable(model, kind == "segmentation")
        found = _vision.network(kind, _vision_forward(gradable, device), inputs, facts)
        return _vision.with_gradients(found, gradable, device)


def _check_config(folder: Path) -> None:
    if not folder.is_dir():
        raise InputError(f"{folder.name} is not a folder; weights of format transformers are a folder")
    if not (folder / "config.json").is_file():
        raise InputError(f"{folder.name} has no config.json; save the model with save_pretrained")
    if (folder / "adapter_config.json").exists():
        raise InputError(f"{folder.name} is an adapter for another model; merge it and save the whole model")
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
        if method not in QUANTIZATIONS:
            raise InputError(
                f"{name}: quantisation {method!r} cannot be read here; allowed: {', '.join(QUANTIZATIONS)}"
            )
        module = QUANTIZATIONS[method]
        if importlib.util.find_spec(module) is None:
            raise InputError(
                f"{name}: quantisation {method!r} needs {module}, which is not installed: pip install {module}"
            )


def _check_weights(folder: Path) -> None:
    for file in sorted(folder.glob("*.safetensors")):
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


def _from_pretrained(folder: Path, class_name: str) -> tuple[Any, tuple[str, ...]]:
    """The model, and notes on weights that it did not use."""
    import transformers

    transformers.utils.logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        model, info = getattr(transformers, class_name).from_pretrained(
            folder,
            dtype="auto",
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            output_loading_info=True,
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


def _language(model: Any, folder: Path, inputs: Inputs, stored: str, notes: tuple[str, ...]) -> CausalModel:
    tokenizer = load_tokenizer(folder)
    context = context_of(inputs, positions(model.config.to_dict()))
    try:
        runtime, vocabulary = _split(model)
    except HallmarkError:
        raise
    except Exception as error:
        raise UnitError(f"{folder.name} fails on its first tokens: {type(error).__name__}: {one_line(error)}") from None
    rows = model.get_input_embeddings().weight.shape[0]
    if len(tokenizer) > min(rows, vocabulary) and max(tokenizer.get_vocab().values()) >= min(rows, vocabulary):
        raise UnitError(
            f"the tokenizer has {len(tokenizer)} ids, the model only {min(rows, vocabulary)}; they do not fit"
        )
    observed = observed_dtype(model)
    stated: tuple[str, ...] = ()
    expanded = stored.startswith(("int", "uint", "float8")) and observed != stored
    if expanded and not observed.startswith(("int", "uint")):
        stated = (f"storage only: {stored} weights are expanded to {observed} by this runtime",)
    verdict = check.choose(runtime, min(rows, vocabulary), context, model.config.to_dict())
    notes = (*notes, verdict.note, *stated)
    facts = Facts(observed, verdict.engine, context, vocabulary, tokenizer.bos_token_id, notes)
    return CausalModel(facts, tokenizer, runtime, verdict.shared, generator=caching(model))


def _split(model: Any) -> tuple[Runtime, int]:
    """Body and head of a model if they give its logits, else the whole model; and the width of the logits."""
    import torch

    device = model.device
    tokens = _CUDA_TOKENS if device.type == "cuda" else 0
    ids_BT = torch.arange(_PROBE_TOKENS).remainder(model.get_input_embeddings().weight.shape[0])[None, :]

    features = transformers_forward(model.base_model, "last_hidden_state", device, model.dtype)
    logits = transformers_forward(model, "logits", device, model.dtype)

    def body(ids_BT: torch.Tensor, _mask_BT: torch.Tensor | None) -> torch.Tensor:
        return features(ids_BT)  # padding comes last, where no causal model looks: no mask, as in lm-eval

    def whole(ids_BT: torch.Tensor, _mask_BT: torch.Tensor | None) -> torch.Tensor:
        return logits(ids_BT)

    with torch.no_grad():
        logits_TV = whole(ids_BT, None)[0].float()
        if bool(torch.isnan(logits_TV).any()):
            raise UnitError("the model's logits are not numbers; its weights are broken")
        gaps: list[tuple[float, Callable[[Any], Any]]] = []
        with contextlib.suppress(RuntimeError, AttributeError, TypeError, ValueError):  # another kind of model
            features_TD = body(ids_BT, None)[0]
            gaps = [(float((head(features_TD).float() - logits_TV).abs().max()), head) for head in _heads(model)]
    gap, head = min(gaps, key=lambda pair: pair[0], default=(math.inf, None))
    if head is not None and gap <= _HEAD_TOLERANCE * max(1.0, float(logits_TV.abs().max())):
        return Runtime(body, head, 0, features, tokens), logits_TV.shape[1]
    return Runtime(whole, lambda rows: rows, logits_TV.shape[1], logits, tokens), logits_TV.shape[1]


def _heads(model: Any) -> list[Callable[[Any], Any]]:
    """Ways in which models turn features into logits."""
    linear = model.get_output_embeddings()
    config = model.config.get_text_config()
    if linear is None or model.base_model is model:
        return []
    heads: list[Callable[[Any], Any]] = [linear]
    cap = getattr(config, "final_logit_softcapping", None)
    if cap:
        heads.append(lambda rows: (linear(rows) / cap).tanh() * cap)
    scale = getattr(config, "logit_scale", None)
    if isinstance(scale, (int, float)):
        heads.append(lambda rows: linear(rows) * scale)
    divisor = getattr(config, "logits_scaling", None)
    if isinstance(divisor, (int, float)):
        heads.append(lambda rows: linear(rows) / divisor)
    return heads


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
