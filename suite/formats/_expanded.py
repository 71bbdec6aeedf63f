"""Weights that a graph stores narrow and computes with wide: they save space on disk, and neither memory nor time."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

_MOST = 0.5  # of the stored bytes of matrices and kernels, above which a graph is said to expand its weights
_SHAPES = frozenset({"view", "reshape", "permute", "transpose", "t", "unsqueeze", "squeeze", "detach", "clone", "alias",
                     "contiguous", "sub", "mul"})  # fmt: skip
_CASTS = frozenset({"to", "_to_copy", "type_as", "float", "convert_element_type", "sub", "mul"})
_ASSERTION = "_assert_tensor_metadata"


def note(dtypes: Iterable[str], narrow: int, total: int, when: str) -> tuple[str, ...]:
    """What a record says of it; nothing where most weights are computed with as they are stored.

    Args:
        dtypes: of the weights that are expanded.
        narrow: bytes of those.
        total: bytes of all matrices and kernels.
        when: they are expanded.

    >>> note(["float16"], 6, 10, "on every forward"), note(["int8"], 5, 10, "")
    (('storage only: float16 weights are expanded to float32 on every forward',), ())
    """
    if narrow <= _MOST * total:
        return ()
    return (f"storage only: {', '.join(sorted(set(dtypes)))} weights are expanded to float32 {when}",)


def of_program(program: Any) -> tuple[str, ...]:
    """What a record says of a ``torch.export`` program, whose graph shows what is done with every weight.

    A weight counts where all that reads it is a cast, a dequantisation or a multiplication by scales whose result is
    of a wider float type. That it is stored in float16 alone says nothing: the graph may compute in float16.
    """
    signature = program.graph_signature
    stored = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
    stored |= signature.inputs_to_lifted_tensor_constants
    narrow, total, dtypes = 0, 0, list[str]()
    for node in program.graph.nodes:
        value = node.meta.get("val") if node.op == "placeholder" and node.name in stored else None
        if value is None or value.dim() < 2:  # noqa: PLR2004
            continue
        size = value.numel() * value.element_size()
        total += size
        if _is_widened(node, value.element_size()):
            narrow += size
            dtypes.append(str(value.dtype).removeprefix("torch."))
    return note(dtypes, narrow, total, "on every forward")


def _is_widened(node: Any, width: int) -> bool:
    """Whether every reader of a tensor makes a wider float tensor of it."""
    readers = [reader for reader in node.users if _name(reader) != _ASSERTION]
    return bool(readers) and all(_widens(reader, width) for reader in readers)


def _widens(reader: Any, width: int) -> bool:
    made = reader.meta.get("val")
    if reader.op != "call_function" or not hasattr(made, "element_size"):
        return False
    name = _name(reader)
    if made.is_floating_point() and made.element_size() > width:
        return name in _CASTS or name.startswith("dequantize")
    return name in _SHAPES and _is_widened(reader, width)


def _name(reader: Any) -> str:
    """Of its operator."""
    return str(getattr(reader.target, "_opname", getattr(reader.target, "__name__", "")))
