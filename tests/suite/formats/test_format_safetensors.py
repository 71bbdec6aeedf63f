"""Headers of safetensors files: against the safetensors library, and every way of breaking one."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
from format_samples import save_language
from safetensors.numpy import load_file, save_file

from suite.errors import InputError
from suite.formats import LOADERS
from suite.formats._safetensors import describe, model_files, read_header


@pytest.fixture
def file(tmp_path: Path) -> Path:
    target = tmp_path / "model.safetensors"
    arrays = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.zeros(5, np.int8), "e": np.zeros((0, 4), "f2")}
    save_file(arrays, target, metadata={"format": "pt"})
    return target


def frame(header: bytes, data: bytes = b"") -> bytes:
    return len(header).to_bytes(8, "little") + header + data


def entry(begin: int, end: int, shape: list[int], dtype: str = "F32") -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


ONE = json.dumps(entry(0, 4, [1])).encode()


def test_agrees_with_the_library(file: Path) -> None:
    header = read_header(file)
    arrays = load_file(file)
    assert {name: tensor.shape for name, tensor in header.items()} == {name: a.shape for name, a in arrays.items()}
    assert {name: tensor.dtype for name, tensor in header.items()} == {name: str(a.dtype) for name, a in arrays.items()}
    described = describe([file])
    assert described.parameters == 11
    assert described.dtypes == {"float32": 24, "int8": 5, "float16": 0}


def test_every_cut_is_named_truncated(file: Path, tmp_path: Path) -> None:
    whole = file.read_bytes()
    short = tmp_path / "short.safetensors"
    for cut in range(len(whole)):
        short.write_bytes(whole[:cut])
        with pytest.raises(InputError, match=rf"short.safetensors is truncated: .*\b{cut}\b"):
            read_header(short)
    with pytest.raises(InputError, match=f"expected {len(whole)} bytes, found {len(whole) - 1}"):
        read_header(short)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (pickle.dumps({"a": [1.0]}), "a pickle renamed .safetensors"),
        (pickle.dumps(object, protocol=2), "a pickle renamed .safetensors"),
        ((100_000_001).to_bytes(8, "little") + b"{}", "header of 100000001 bytes, allowed are 100000000"),
        (frame(b'{"a": %s, "a": %s}' % (ONE, ONE), b"\0" * 4), "a key appears twice"),
        (frame(b"[1, 2]"), "does not begin with a brace"),
        (frame(b'{"a": '), "bad safetensors header"),
        (frame(b'{"a": 3}'), "bad safetensors header"),
        (frame(b'{"a":' * 5000), "bad safetensors header"),
        (frame(json.dumps({"a": entry(0, 8, [1])}).encode(), b"\0" * 8), "cannot have 8 bytes"),
        (frame(json.dumps({"a": entry(4, 8, [1])}).encode(), b"\0" * 8), "begins at 4"),
        (frame(json.dumps({"a": entry(0, 4, [1]), "b": entry(2, 6, [1])}).encode(), b"\0" * 6), "begins at 2"),
        (frame(json.dumps({"a": entry(0, 4, [1])}).encode(), b"\0" * 6), "2 bytes after its last tensor"),
        (frame(json.dumps({"a": entry(0, 4, [-1])}).encode(), b"\0" * 4), "not whole numbers"),
        (frame(json.dumps({"a": entry(0, 4, [1], "Q9")}).encode(), b"\0" * 4), "unknown dtype"),
        (frame(b'{"a": {"dtype": "F32"}}'), "'data_offsets' is missing"),
    ],
)
def test_bad_files(tmp_path: Path, content: bytes, said: str) -> None:
    bad = tmp_path / "bad.safetensors"
    bad.write_bytes(content)
    with pytest.raises(InputError, match=r"bad\.safetensors") as caught:
        read_header(bad)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_sharded_folder(tmp_path: Path) -> None:
    save_language(tmp_path / "whole")
    arrays = load_file(tmp_path / "whole/model.safetensors")
    names = sorted(arrays)
    folder = tmp_path / "sharded"
    shutil.copytree(tmp_path / "whole", folder)
    (folder / "model.safetensors").unlink()
    parts = {"model-1.safetensors": names[:5], "model-2.safetensors": names[5:]}
    for shard, part in parts.items():
        save_file({name: arrays[name] for name in part}, folder / shard, metadata={"format": "pt"})
    index = {"weight_map": {name: shard for shard, part in parts.items() for name in part}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    loader = LOADERS["transformers"]
    assert loader.check(folder) == []
    assert loader.describe(folder) == loader.describe(tmp_path / "whole")
    (folder / "model-2.safetensors").rename(folder / "elsewhere.safetensors")
    assert "shard model-2.safetensors is missing" in loader.check(folder)[0]
    for wrong in ("../model-1.safetensors", "model-1.bin"):
        (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": wrong}}))
        assert "a shard is a .safetensors file in the same folder" in loader.check(folder)[0]
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"zz": "model-1.safetensors"}}))
    with pytest.raises(InputError, match=r"tensor 'zz' is not in model-1\.safetensors"):
        model_files(folder)
