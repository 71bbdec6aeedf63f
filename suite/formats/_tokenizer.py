"""Tokenizers beside language models of any format: static fit, loading, context length."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from suite.errors import InputError, UnitError
from suite.formats._errors import one_line
from suite.formats._safetensors import read_json
from suite.manifest import Inputs
from suite.model import Encoded

_FILES = ("tokenizer.json", "tokenizer.model", "spiece.model", "vocab.json", "vocab.txt")


def check_tokenizer(folder: Path, vocabulary: int | None) -> None:
    """Refuse a folder whose tokenizer is absent or makes ids that the model has not.

    Raises:
        InputError: so it is.
    """
    if not any((folder / name).is_file() for name in _FILES):
        raise InputError(
            f"{folder.name} is a model without a tokenizer; add tokenizer.json (tokenizer.save_pretrained)"
        )
    if vocabulary is None or not (folder / "tokenizer.json").is_file():
        return
    highest = _highest_id(read_json(folder / "tokenizer.json"))
    if highest >= vocabulary:
        raise InputError(
            f"tokenizer.json has the id {highest}, the model's vocabulary is {vocabulary}; "
            "take the tokenizer that belongs to the model"
        )


def load_tokenizer(folder: Path) -> Any:
    """The fast tokenizer of a folder; no code of the folder's own is run.

    Raises:
        UnitError: it cannot be loaded, or has no fast form, which alone tells character offsets.
    """
    import transformers

    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:
        raise UnitError(f"the tokenizer of {folder.name} cannot be loaded: {one_line(error)}") from None
    if not tokenizer.is_fast:
        raise UnitError(f"the tokenizer of {folder.name} has no fast form; save it with a tokenizer.json")
    return tokenizer


def encoded(tokenizer: Any, texts: Sequence[str]) -> list[Encoded]:
    """Tokens of each text by a fast tokenizer, no special tokens added; ends never fall."""
    found = []
    for text in texts:
        tokens = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        ends = np.array([end for _, end in tokens["offset_mapping"]], dtype=np.int64)
        found.append(Encoded(np.array(tokens["input_ids"], dtype=np.int64), np.maximum.accumulate(ends)))
    return found


def config_context(folder: Path) -> int | None:
    """Positions that the config.json of a folder states; None without one.

    Raises:
        InputError: a config.json that is not readable.
    """
    return positions(read_json(folder / "config.json")) if (folder / "config.json").is_file() else None


def positions(config: Mapping[str, Any]) -> int | None:
    """Positions that a model's configuration states, under any of the usual names."""
    text = config.get("text_config")
    config = text if isinstance(text, dict) else config
    stated = [config.get(key) for key in ("n_positions", "max_position_embeddings", "n_ctx")]
    return next((number for number in stated if isinstance(number, int)), None)


def context_of(inputs: Inputs, limit: int | None) -> int:
    """Tokens that one sequence may hold: what the manifest says, at most what the model's configuration says.

    Raises:
        InputError: the manifest asks for more than the model has, or neither says anything.
    """
    if limit is None and inputs.context is None:
        raise InputError("the model's configuration states no context length; set inputs.context in the manifest")
    if limit is not None and inputs.context is not None and inputs.context > limit:
        raise InputError(f"inputs.context = {inputs.context} is above the model's {limit} positions; lower it")
    context = inputs.context or limit
    assert context is not None
    return context


def _highest_id(tokenizer: dict[str, Any]) -> int:
    """The highest token id that a tokenizer.json can produce; -1 if its layout does not tell."""
    model = tokenizer.get("model")
    vocabulary = model.get("vocab") if isinstance(model, dict) else None
    ids: list[Any] = list(vocabulary.values()) if isinstance(vocabulary, dict) else []
    if isinstance(vocabulary, list):
        ids.append(len(vocabulary) - 1)
    added = tokenizer.get("added_tokens")
    ids += [token.get("id") for token in added if isinstance(token, dict)] if isinstance(added, list) else []
    return max((number for number in ids if isinstance(number, int)), default=-1)
