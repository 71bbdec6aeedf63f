"""Two language models that are to be compared token by token: what their files say against it.

Only what surely gives other tokens is refused here, before anything runs: another size of the vocabulary, or other ids
for the same tokens. That both cut a text alike is seen when they do.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from suite.formats._safetensors import read_json

INSTEAD = "such models are compared per byte or per item, never per token"


def other_tokens(child: Path, parent: Path) -> str | None:
    """Why the tokens of two models' folders are not the same ones; None if nothing speaks against it.

    Args:
        child: file or folder of weights; a tokenizer lies in a folder only.
        parent: the same of its parent.
    """
    sizes = [_vocabulary_size(folder) for folder in (child, parent)]
    if None not in sizes and sizes[0] != sizes[1]:
        return f"its vocabulary has {sizes[0]} tokens and its parent's {sizes[1]}; {INSTEAD}"
    ours, theirs = (_ids(folder) for folder in (child, parent))
    if ours is None or theirs is None or ours == theirs:
        return None
    token = min(token for token, _ in ours.items() ^ theirs.items())
    return (
        f"it has another tokenizer than its parent ({token!r} has id {ours.get(token, 'none')}, "
        f"there {theirs.get(token, 'none')}); {INSTEAD}"
    )


def _vocabulary_size(folder: Path) -> int | None:
    config = _json(folder / "config.json")
    text = config.get("text_config")
    size = (text if isinstance(text, dict) else config).get("vocab_size")
    return size if isinstance(size, int) else None


def _ids(folder: Path) -> dict[str, int] | None:
    """Token to id, as the folder's tokenizer.json states it, without the tokens that were added to it later."""
    model = _json(folder / "tokenizer.json").get("model")
    vocabulary = model.get("vocab") if isinstance(model, dict) else None
    if isinstance(vocabulary, list):  # of pairs (token, score), ids in their order
        return {str(pair[0]): number for number, pair in enumerate(vocabulary)}
    return vocabulary if isinstance(vocabulary, dict) else None


def _json(path: Path) -> dict[str, Any]:
    return read_json(path) if path.is_file() else {}
