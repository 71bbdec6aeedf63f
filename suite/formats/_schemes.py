"""Schemes of quantised checkpoints: whether ``quantization_config`` has the form that its library reads.

By hand, for a check takes seconds: compressed-tensors' own model costs nine seconds of imports. Keys left out take the
library's defaults; keys not named here are the library's to judge on load.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from suite.errors import InputError

_ARGUMENTS = ("weights", "input_activations", "output_activations")
_TYPES = ("int", "float")


def check(name: str, scheme: Mapping[str, Any]) -> None:
    """Refuse a scheme of another form.

    Args:
        name: of the file that states it.
        scheme: its ``quantization_config``.

    Raises:
        InputError: the first key that cannot be read, what it holds, and what is allowed.
    """
    rules = _RULES.get(str(scheme.get("quant_method")))
    found = rules(scheme) if rules else None
    if found:
        raise InputError(f"{name}: quantization_config.{found}; save the model again with its quantiser")


def _compressed_tensors(scheme: Mapping[str, Any]) -> str | None:
    groups = scheme.get("config_groups")
    if groups is not None and not isinstance(groups, dict):
        return _not("config_groups", groups, "an object of groups")
    for group, held in (groups or {}).items():
        if found := _group(f"config_groups.{group}", held):
            return found
    if "format" in scheme and not isinstance(scheme["format"], str):
        return _not("format", scheme["format"], "a string")
    if scheme.get("ignore") is not None and not _texts(scheme["ignore"]):
        return _not("ignore", scheme["ignore"], "a list of strings")
    return None


def _group(at: str, group: Any) -> str | None:
    """One group: its targets, for a scheme known by its name, or an object."""
    if _texts(group):
        return None
    if not isinstance(group, dict):
        return _not(at, group, "an object with targets")
    if not _texts(group.get("targets")):
        return _not(f"{at}.targets", group.get("targets"), "a list of strings")
    for name in _ARGUMENTS:
        if group.get(name) is not None and (found := _arguments(f"{at}.{name}", group[name])):
            return found
    return None


def _arguments(at: str, held: Any) -> str | None:
    """How one tensor of every target is quantised."""
    if not isinstance(held, dict):
        return _not(at, held, "an object with num_bits")
    bits, kind, strategy = held.get("num_bits", 8), held.get("type", "int"), held.get("strategy")
    if type(bits) is not int or bits < 1:
        return _not(f"{at}.num_bits", bits, "a whole number from 1")
    if not isinstance(kind, str) or kind not in _TYPES:
        return _not(f"{at}.type", kind, " or ".join(map(repr, _TYPES)))
    if strategy is not None and not isinstance(strategy, str):
        return _not(f"{at}.strategy", strategy, "a string or null")
    return None


def _bitsandbytes(scheme: Mapping[str, Any]) -> str | None:
    for name in ("load_in_4bit", "load_in_8bit"):
        if not isinstance(scheme.get(name, False), bool):
            return _not(name, scheme[name], "true or false")
    if not isinstance(scheme.get("bnb_4bit_quant_type", ""), str):
        return _not("bnb_4bit_quant_type", scheme["bnb_4bit_quant_type"], "a string")
    return None


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _not(at: str, held: Any, allowed: str) -> str:
    return f"{at} = {repr(held)[:80]}, allowed: {allowed}"


_RULES: dict[str, Callable[[Mapping[str, Any]], str | None]] = {
    "compressed-tensors": _compressed_tensors,
    "bitsandbytes": _bitsandbytes,
}
