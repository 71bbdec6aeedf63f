"""GGUF: the model's own answers, what the header says, and headers that cannot be."""

from __future__ import annotations

import importlib.util
import struct
import sys
import types
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("gguf", reason="needs the extra: pip install 'hallmark-bench[gguf]'")

from format_samples import TEXTS, save_language
from gguf_samples import save_gguf

from suite.errors import InputError, UnitError
from suite.formats import LOADERS, gguf_format
from suite.formats.base import Place
from suite.manifest import Inputs

LOADER = LOADERS["gguf"]
HAS_LLAMA = importlib.util.find_spec("llama_cpp") is not None
WITH_LLAMA = pytest.mark.skipif(not HAS_LLAMA, reason="needs the extra llama-cpp, which is built from source")
RUNTIMES = ["transformers", pytest.param("llama.cpp", marks=WITH_LLAMA)]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gguf") / "llama"
    save_language(folder, hidden_size=32, intermediate_size=64)
    return folder


@pytest.fixture(scope="module")
def files(source: Path) -> dict[str, Path]:
    return {kind: save_gguf(source, source.parent / kind, kind) for kind in ("F32", "Q8_0", "Q4_0")}


def loaded(folder: Path, runtime: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    if runtime == "transformers":
        monkeypatch.setattr(gguf_format, "_LLAMA", "a_module_that_is_not_there")
    return LOADER.load(folder, "language", Inputs(), Place())


def logprobs(model: Any) -> np.ndarray:
    ids = [encoded.ids_T for encoded in model.encode(TEXTS)]
    return np.concatenate([one.logprobs_T for one in model.token_logprobs(ids)])


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_answers_are_those_of_the_model(
    source: Path, files: dict[str, Path], runtime: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs: Any = LOADERS["transformers"].load(source, "language", Inputs(), Place())
    wanted = logprobs(theirs)
    gaps = {kind: float(np.abs(logprobs(loaded(folder, runtime, monkeypatch)) - wanted).max())
            for kind, folder in files.items()}  # fmt: skip
    assert gaps["F32"] < 5e-3
    assert gaps["F32"] < gaps["Q8_0"] < gaps["Q4_0"]
    ours = loaded(files["F32"], runtime, monkeypatch)
    asked = (["once upon a"], [["\n"]], [8])
    assert ours.generate(*asked) == theirs.generate(*asked)


def test_transformers_is_storage_only(files: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    notes = loaded(files["Q4_0"], "transformers", monkeypatch).facts.notes
    assert any("storage only: q4_0 weights are expanded to float32" in note for note in notes)
    assert not any("storage only" in note for note in loaded(files["F32"], "transformers", monkeypatch).facts.notes)


@WITH_LLAMA
def test_llama_cpp_is_not(files: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    model = loaded(files["Q4_0"], "llama.cpp", monkeypatch)
    assert model.facts.dtype == "q4_0"
    assert not any("storage only" in note for note in model.facts.notes)
    assert model.runtime.alone


def test_what_llama_cpp_is_asked(source: Path, files: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """By a stand-in with llama-cpp-python's interface, over the model itself: reset, eval in pieces, rows of scores."""
    import torch
    from transformers import AutoModelForCausalLM

    whole = AutoModelForCausalLM.from_pretrained(source).eval()

    class Llama:
        def __init__(self, path: str, *, n_ctx: int, n_threads: int, logits_all: bool, **_: Any) -> None:
            assert Path(path).name == "model.gguf" and logits_all and n_threads == 1
            self.scores, self.n_tokens, self.ids = np.full((n_ctx, self.n_vocab()), np.nan, np.float32), 0, list[int]()

        def n_vocab(self) -> int:
            return int(whole.config.vocab_size)

        def reset(self) -> None:
            self.n_tokens, self.ids = 0, []

        def eval(self, tokens: list[int]) -> None:
            self.ids += tokens
            with torch.no_grad():
                logits = whole(torch.tensor([self.ids])).logits[0].numpy()
            self.scores[self.n_tokens : len(self.ids)] = logits[self.n_tokens :]
            self.n_tokens = len(self.ids)

    module = types.ModuleType("llama_cpp")
    module.__spec__, module.__version__ = ModuleSpec("llama_cpp", None), "0"  # type: ignore[attr-defined]
    module.Llama, module.GGML_TYPE_F32 = Llama, 0  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "llama_cpp", module)
    ours: Any = LOADER.load(files["Q4_0"], "language", Inputs(), Place())
    theirs: Any = LOADERS["transformers"].load(source, "language", Inputs(), Place())
    np.testing.assert_allclose(logprobs(ours), logprobs(theirs), atol=1e-4)
    asked = (["once upon a", "the"], [["\n"]] * 2, [8, 5])
    assert ours.generate(*asked) == theirs.generate(*asked)
    assert (ours.facts.dtype, ours.runtime.alone) == ("q4_0", True)
    assert not any("storage only" in note for note in ours.facts.notes)


def test_describe_counts_codes_with_their_scales(source: Path, files: dict[str, Path]) -> None:
    whole = LOADERS["transformers"].describe(source)
    for kind, bits in (("Q8_0", 8.5), ("Q4_0", 4.5)):
        found = LOADER.describe(files[kind])
        assert found.parameters == whole.parameters
        matrices = whole.parameters - found.dtypes["float32"] // 4
        assert found.dtypes[kind.lower()] == matrices * bits / 8
        assert (found.dtype, found.context) == (kind.lower(), 64)


def header(tensors: int = 0, keys: bytes = b"", count: int = 0, version: int = 3) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", version, tensors, count) + keys


def key(name: str, kind: int, value: bytes) -> bytes:
    return struct.pack("<Q", len(name)) + name.encode() + struct.pack("<I", kind) + value


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (header(tensors=2**60) + b"\0" * 64, "states 1152921504606846976 tensors"),
        (header(count=2**40) + b"\0" * 64, "states 1099511627776 keys"),
        (header(keys=key("a", 9, struct.pack("<IQ", 4, 2**50)), count=1) + b"\0" * 64, "list entries"),
        (header(keys=struct.pack("<Q", 2**62), count=1) + b"\0" * 64, "characters"),
        (header(keys=key("a", 9, struct.pack("<IQ", 9, 1)), count=1) + b"\0" * 64, "lists of lists"),
        (header(keys=key("a", 99, b""), count=1) + b"\0" * 64, "unknown type 99"),
        (header(keys=key("a", 4, b"\0" * 4) * 2, count=2) + b"\0" * 64, "comes twice"),
        (header(version=1) + b"\0" * 64, "version 1"),
        (header() + b"\0" * 64, "holds no model"),
        (b"GGUF", "readable"),
    ],
)
def test_absurd_headers_are_refused_in_one_line(tmp_path: Path, content: bytes, word: str) -> None:
    (tmp_path / "m.gguf").write_bytes(content)
    (found,) = LOADER.check(tmp_path / "m.gguf")
    assert word in found and "\n" not in found


def test_a_cut_file(files: dict[str, Path], tmp_path: Path) -> None:
    whole = (files["Q4_0"] / "model.gguf").read_bytes()
    (tmp_path / "m.gguf").write_bytes(whole[:-100])
    assert "is truncated: expected at least" in LOADER.check(tmp_path / "m.gguf")[0]
    draw = np.random.default_rng(0)
    for _ in range(40):
        broken = bytearray(whole)
        for at in draw.integers(0, 4000, size=3):
            broken[at] = int(draw.integers(0, 256))
        (tmp_path / "m.gguf").write_bytes(broken)
        assert all("\n" not in line for line in LOADER.check(tmp_path / "m.gguf"))


def test_several_files(files: dict[str, Path], tmp_path: Path) -> None:
    for name in ("a.gguf", "b.gguf"):
        (tmp_path / name).write_bytes(b"GGUF")
    with pytest.raises(InputError, match=r"found a\.gguf, b\.gguf"):
        LOADER.describe(tmp_path)


def test_an_architecture_that_no_runtime_knows(files: dict[str, Path], tmp_path: Path, monkeypatch: Any) -> None:
    content = (files["F32"] / "model.gguf").read_bytes().replace(b"llama", b"lamma")
    (tmp_path / "m.gguf").write_bytes(content)
    with pytest.raises((UnitError, InputError), match=r"cannot load|context"):
        loaded(tmp_path / "m.gguf", "transformers", monkeypatch)
