"""Format ``peft``: a folder as ``PeftModel.save_pretrained`` writes it, on the parent's transformers folder."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from suite.errors import HallmarkError, InputError, UnitError
from suite.formats import _safetensors
from suite.formats._causal import causal
from suite.formats._errors import one_line
from suite.formats._torch import torch_device
from suite.formats.base import Description, Loader, Place
from suite.formats.hf import CLASSES, Transformers, pretrained
from suite.manifest import Inputs, Kind
from suite.model import Model

METHODS = ("LORA", "ADALORA", "IA3", "LOHA", "LOKR", "OFT", "BOFT", "VERA", "LN_TUNING")
"""Methods (``peft_type``) that change a model's own layers, so that its engine, cache and head stay what they are."""
_CONFIG, _WEIGHTS = "adapter_config.json", _safetensors.ADAPTER
_PREFIX = "base_model.model."
_FACTORS = {".lora_A.weight": 1, ".lora_B.weight": 0}  # of a matrix [out, in]: the axis that this factor must have


class Peft:
    """A LoRA, or a relative of it, that is kept apart from its base: both together are one submission.

    The base is the manifest's parent, a submission of format transformers whose digest ``base_sha256`` pins. Its bytes
    and parameters count: without them nothing runs. The adapter stays apart in memory too; it is not merged.
    """

    name = "peft"
    title = "PEFT adapter (LoRA, DoRA, IA3, LoHa, LoKr, OFT, ...) on its parent, a transformers folder"
    kinds: tuple[Kind, ...] = ("language",)
    packages: tuple[str, ...] = ("peft", "transformers", "tokenizers", "safetensors", "torch", "torchao")
    extra: str | None = "peft"
    gradients = False

    def __init__(self, base: Path | None = None) -> None:
        self._base = base

    def on(self, base: Path) -> Loader:
        """The loader of an adapter and its base together."""
        return Peft(base)

    def check(self, weights: Path) -> list[str]:
        """Reasons to refuse the adapter or its base: files missing, methods not read, tensors that fit another base."""
        try:
            config = _config(weights)
            tensors = _tensors(weights)
            if self._base is not None:
                found = Transformers().check(self._base)
                if found:
                    return [f"its base: {found[0]}"]
                _same_tree(tensors, self._base, config)
        except InputError as error:
            return [str(error)]
        return []

    def describe(self, weights: Path) -> Description:
        """Tensors of the adapter and of its base."""
        own = _safetensors.describe([weights / _WEIGHTS])
        if self._base is None:
            return own
        base = Transformers().describe(self._base)
        dtypes = {name: base.dtypes.get(name, 0) + own.dtypes.get(name, 0) for name in {*base.dtypes, *own.dtypes}}
        return replace(
            base,
            parameters=base.parameters + own.parameters,
            tensor_bytes=base.tensor_bytes + own.tensor_bytes,
            dtypes=dict(sorted(dtypes.items())),
        )

    def load(self, weights: Path, kind: Kind, inputs: Inputs, place: Place) -> Model:
        """The base with the adapter's layers in place.

        Raises:
            InputError: `check` refuses the folder, or no base was given.
            UnitError: PEFT cannot put the adapter on the base.
        """
        for finding in self.check(weights):
            raise InputError(finding)
        if self._base is None:
            raise InputError(f"{weights.name} is an adapter and nothing without its base; name it as parent")
        device = torch_device(place)
        stored = Transformers().describe(self._base).dtypes
        model, notes = pretrained(self._base, CLASSES[kind])
        method = _put_on(model, weights)
        own = weights if (weights / "tokenizer.json").is_file() else self._base
        tensors = _safetensors.describe([weights / _WEIGHTS])
        said = f"{method} adapter of {tensors.parameters} parameters ({tensors.dtype}), not merged"
        return causal(model.to(device).eval(), own, inputs, stored, (*notes, said))


def _config(folder: Path) -> dict[str, Any]:
    """The adapter's configuration, once nothing in it asks for more than is read here."""
    if not (folder / _CONFIG).is_file():
        raise InputError(f"{folder.name} has no {_CONFIG}; save the adapter with PeftModel.save_pretrained")
    config = _safetensors.read_json(folder / _CONFIG)
    method = config.get("peft_type")
    if method not in METHODS:
        raise InputError(f"{_CONFIG}: peft_type {method!r} is not read; allowed: {', '.join(METHODS)}")
    for key in ("megatron_config", "alora_invocation_tokens", "layer_replication", "auto_mapping"):
        if config.get(key) and not (key == "auto_mapping" and _plain_mapping(config[key])):
            raise InputError(f"{_CONFIG}: {key} is not read; merge the adapter and save the whole model")
    if config.get("task_type") not in (None, "CAUSAL_LM"):
        raise InputError(f"{_CONFIG}: task_type {config['task_type']!r} is not read; allowed: CAUSAL_LM")
    return config


def _plain_mapping(mapping: Any) -> bool:
    """Whether a mapping only names a class of transformers; it is never imported from here."""
    library = mapping.get("parent_library") if isinstance(mapping, dict) else None
    return isinstance(library, str) and library.split(".")[0] == "transformers"


def _tensors(folder: Path) -> dict[str, _safetensors.Tensor]:
    if not (folder / _WEIGHTS).is_file():
        raise InputError(f"{folder.name} has no {_WEIGHTS}; save the adapter with PeftModel.save_pretrained")
    return dict(_safetensors.read_header(folder / _WEIGHTS))


def _same_tree(tensors: dict[str, _safetensors.Tensor], base: Path, config: dict[str, Any]) -> None:
    """Refuse an adapter whose factors are for layers that the base has not, or has in another size."""
    theirs = {name: tensor for file in _safetensors.model_files(base) for name, tensor in
              _safetensors.read_header(file).items()}  # fmt: skip
    said = config.get("base_model_name_or_path")
    made_for = f" (it was made for {said!r})" if isinstance(said, str) and said else ""
    for name, axis, module in _factors(tensors):
        stored = theirs.get(f"{module}.weight")
        if stored is None:
            if any(key.startswith(f"{module}.") for key in theirs):
                continue  # the base keeps codes there
            raise InputError(f"the adapter changes {module}, which its parent has not{made_for}; name its own base")
        wide = tensors[name].shape[axis]
        whole = len(stored.shape) == 2 and stored.dtype.startswith(("float", "bfloat"))  # noqa: PLR2004
        if whole and not config.get("fan_in_fan_out") and stored.shape[1 if axis == 1 else 0] != wide:
            raise InputError(
                f"the adapter takes {module} to be {wide} {'wide' if axis else 'high'}, its parent's is "
                f"{list(stored.shape)}{made_for}; name its own base"
            )


def _factors(tensors: dict[str, _safetensors.Tensor]) -> Iterator[tuple[str, int, str]]:
    """Low-rank factors: their name, the axis that the base's matrix shares, and the module that they change."""
    for name in tensors:
        for ending, axis in _FACTORS.items():
            if name.startswith(_PREFIX) and name.endswith(ending):
                yield name, axis, name.removeprefix(_PREFIX).removesuffix(ending)


def _put_on(model: Any, folder: Path) -> str:
    """Put the adapter's layers into a model; the method's name."""
    import peft
    from safetensors.torch import load_file

    try:
        config = peft.PeftConfig.from_pretrained(str(folder))
        config.inference_mode = True
        together = peft.get_peft_model(model, config)
        found: Any = peft.set_peft_model_state_dict(together, load_file(folder / _WEIGHTS))
    except HallmarkError:
        raise
    except Exception as error:
        said = f"peft {peft.__version__} cannot put the adapter on its parent: {one_line(error)}"
        raise UnitError(said) from None
    if found.unexpected_keys:
        raise UnitError(f"the adapter has tensors that its parent has no place for, e.g. {found.unexpected_keys[0]}")
    own = {name for name, _ in together.named_parameters() if ".default" in name}
    missing = sorted(own & set(found.missing_keys))
    if missing:
        raise UnitError(f"the adapter lacks {len(missing)} tensors of its configuration, e.g. {missing[0]}")
    return str(config.peft_type.value)
