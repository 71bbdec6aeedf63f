"""Products of torch models, counted by torch's ``FlopCounterMode`` in a process of its own.

A transformers folder is counted on its configuration alone: the architecture without data (device ``meta``), in eager
attention, unquantised, for counters miss the kernels of quantised modules. A ``.pt2`` is loaded from a cleaned copy.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from suite.static import apart
from suite.static.macs import Product

FORMATS = ("transformers", "torch-export")
_CODES = ("weight", "weight_packed", "qweight", "_weight_qdata")
_CLASSES = {
    "language": "AutoModelForCausalLM",
    "classification": "AutoModelForImageClassification",
    "segmentation": "AutoModelForSemanticSegmentation",
}


def products(weights: Path, format_name: str, kind: str, shape: tuple[int, ...]) -> list[Product]:
    """The products of one forward pass.

    Raises:
        Undefined: torch cannot build or run it.
    """
    from suite.formats import _masked

    masked = format_name == "transformers" and kind == "language" and _masked.is_masked(weights)
    class_name = _masked.CLASS if masked else _CLASSES[kind]
    order = {"weights": str(weights.resolve()), "format": format_name, "class": class_name, "shape": shape}
    return [Product(macs, weight) for macs, weight in apart.ask(__name__, order, "torch")]


def counted(order: dict[str, Any]) -> list[tuple[int, str | None]]:
    """The products of one order, in this process."""
    return (_of_folder if order["format"] == "transformers" else _of_archive)(order)


def _of_folder(order: dict[str, Any]) -> list[tuple[int, str | None]]:
    """Products by module; a module's weight is found under the names that quantisers give to its codes."""
    import torch
    import transformers
    from torch.utils.flop_counter import FlopCounterMode

    from suite.static.safetensors_layers import layers

    folder = Path(order["weights"])
    config = transformers.AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    with torch.device("meta"):
        model = getattr(transformers, order["class"]).from_config(config, attn_implementation="eager")
    model = model.to(torch.float32).eval()
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        model(**_feed(order["shape"]))
    stored = {layer.name for layer in layers(folder)}
    tied = {id(p): name for name, p in model.named_parameters(remove_duplicate=True)}
    found: list[tuple[int, str | None]] = []
    counts = counter.get_flop_counts()
    rest = counter.get_total_flops()
    for name, module in model.named_modules():
        weight = getattr(module, "weight", None)
        flops = sum(counts.get(f"{type(model).__name__}.{name}", {}).values())
        if flops and weight is not None and not list(module.children()):
            stem = tied.get(id(weight), f"{name}.weight").removesuffix(".weight")
            names = [f"{s}.{code}" for s in (stem, name) for code in _CODES if f"{s}.{code}" in stored]
            found.append((flops // 2, names[0] if names else f"{name}.weight"))
            rest -= flops
    return [*found, (rest // 2, None)]


def _feed(shape: list[int]) -> dict[str, Any]:
    """Inputs without data: pixels, or tokens with a whole mask, since no mask can be worked out without data."""
    import torch

    if len(shape) != 2:  # noqa: PLR2004
        return {"pixel_values": torch.zeros(shape, device="meta")}
    rows, tokens = shape
    mask = torch.zeros((rows, 1, tokens, tokens), device="meta")
    return {"input_ids": torch.zeros(shape, dtype=torch.int64, device="meta"), "attention_mask": mask}


def _of_archive(order: dict[str, Any]) -> list[tuple[int, str | None]]:
    """Products by node of the graph; its weight is the payload of the parameter that the node reads."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from suite.formats._pt2 import Archive

    archive = Archive.open(Path(order["weights"]))
    with tempfile.TemporaryDirectory(prefix="hallmark-") as scratch:
        archive.write_clean(Path(scratch) / "model.pt2")
        program = torch.export.load(Path(scratch) / "model.pt2")
    payload = _payloads(archive)
    signature = program.graph_signature
    names = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
    found: list[tuple[int, str | None]] = []
    counter = FlopCounterMode(display=False)

    class Counting(torch.fx.Interpreter):
        def run_node(self, node: torch.fx.Node) -> Any:
            before = counter.get_total_flops()
            result = super().run_node(node)
            flops = counter.get_total_flops() - before
            if flops:
                weights = [names[n.name] for n in node.all_input_nodes if n.name in names]
                matrices = [w for w in weights if program.state_dict[w].dim() > 1] if weights else []
                found.append((flops // 2, payload.get(matrices[0], matrices[0]) if matrices else None))
            return result

    values = {**program.state_dict, **program.constants}
    known = {**names, **signature.inputs_to_lifted_tensor_constants}

    def given(made: Any) -> torch.Tensor:
        """An input of the stated shape; a setting of an operating point has one of its own."""
        return torch.ones(order["shape"] if made.dim() == len(order["shape"]) else made.shape, dtype=made.dtype)

    feed = [values[known[n.name]] if n.name in known else given(n.meta["val"])
            for n in program.graph.nodes if n.op == "placeholder"]  # fmt: skip
    with counter, torch.no_grad():
        Counting(program.graph_module).run(*feed)
    return found


def _payloads(archive: Any) -> dict[str, str]:
    """Name of a parameter to the stored tensor that holds it."""
    stored = archive._json("data/weights/model_weights_config.json")["config"]
    return {name: str(meta["path_name"]) for name, meta in stored.items()}


if __name__ == "__main__":
    apart.answer(counted)
