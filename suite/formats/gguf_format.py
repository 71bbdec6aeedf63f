"""Format ``gguf``: a ``.gguf`` file, or a folder with one, run by llama.cpp if it is installed, else by transformers.

llama.cpp computes with the codes as they are stored. transformers expands every weight on load: what it measures of
speed and memory is not the file's, so such records are marked storage only. Both give the file's quality.
Shape suffixes: B batch, T tokens, V vocabulary.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from suite.errors import InputError, UnitError
from suite.formats import _gguf_file
from suite.formats._causal import causal
from suite.formats._errors import one_line
from suite.formats._files import reasons
from suite.formats._generate import Step, stepping
from suite.formats._tokenizer import context_of, load_tokenizer
from suite.formats._torch import torch_device
from suite.formats.base import Description, Place
from suite.manifest import Inputs, Kind
from suite.model import Array, Facts, Ints, Model

if TYPE_CHECKING:
    import torch

_LLAMA = "llama_cpp"
_BATCH = 512  # tokens of one call of llama.cpp


class Gguf:
    """A language model in llama.cpp's file format; a ``tokenizer.json`` beside it goes before the one inside."""

    name = "gguf"
    title = "GGUF file (llama.cpp), run by llama-cpp-python if installed, else expanded by transformers"
    kinds: tuple[Kind, ...] = ("language",)
    packages: tuple[str, ...] = ("gguf", "transformers", "tokenizers", "torch")
    extra: str | None = "gguf"
    gradients = False

    def check(self, weights: Path) -> list[str]:
        """Reasons to refuse the file: not GGUF, cut off, or with numbers that cannot be."""
        return reasons(lambda: _gguf_file.findings(weights))

    def describe(self, weights: Path) -> Description:
        """Tensors by GGML type, scales counted with the codes."""
        return _gguf_file.read_header(_gguf_file.model_file(weights)).described()

    def load(self, weights: Path, kind: Kind, inputs: Inputs, place: Place) -> Model:
        """The model in llama.cpp, or in transformers where that is not installed.

        Raises:
            InputError: `check` refuses the file.
            UnitError: the runtime cannot load it.
        """
        for finding in self.check(weights):
            raise InputError(finding)
        file, found = _gguf_file.model_file(weights), self.describe(weights)
        if importlib.util.find_spec(_LLAMA) is not None and place.device == "cpu":
            return _with_llama(file, found, inputs, place)
        return _with_transformers(file, found, inputs, place)


def _with_transformers(file: Path, found: Description, inputs: Inputs, place: Place) -> Model:
    import transformers

    device = torch_device(place)
    transformers.utils.logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        model: Any = transformers.AutoModelForCausalLM.from_pretrained(
            file.parent, gguf_file=file.name, dtype="float32", local_files_only=True, trust_remote_code=False
        )
    except Exception as error:
        said = f"transformers {transformers.__version__} cannot load {file.name}: {one_line(error)}"
        raise UnitError(said) from None
    wide = found.dtype.startswith(("float", "bfloat"))
    notes = () if wide else (f"storage only: {found.dtype} weights are expanded to float32 by this runtime",)
    more = f"run by transformers; llama-cpp-python, which runs {found.dtype} as it is stored, is not installed"
    return causal(model.to(device).eval(), _tokenizer(file), inputs, found.dtypes, (*notes, more))


def _tokenizer(file: Path) -> Any:
    """The tokenizer beside the file, else the one inside it."""
    if (file.parent / "tokenizer.json").is_file():
        return load_tokenizer(file.parent)
    import transformers

    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(
            file.parent, gguf_file=file.name, local_files_only=True, trust_remote_code=False
        )
    except Exception as error:
        raise UnitError(f"the tokenizer inside {file.name} cannot be read ({one_line(error)}); put its tokenizer.json "
                        "beside the file and make weights the folder") from None  # fmt: skip
    return tokenizer


def _with_llama(file: Path, found: Description, inputs: Inputs, place: Place) -> Model:
    import llama_cpp
    import torch

    from suite.formats._language import CausalModel, Runtime

    torch.set_num_threads(place.threads)  # of the softmax; llama.cpp has its own
    context = context_of(inputs, found.context)
    try:
        llama = llama_cpp.Llama(
            str(file), n_ctx=context, n_batch=min(_BATCH, context), n_threads=place.threads, logits_all=True,
            n_threads_batch=place.threads, n_gpu_layers=0, verbose=False,
            type_k=llama_cpp.GGML_TYPE_F32, type_v=llama_cpp.GGML_TYPE_F32,  # float16, its default, moves answers
        )  # fmt: skip
    except (ValueError, RuntimeError, AssertionError) as error:
        raise UnitError(f"llama.cpp cannot load {file.name}: {one_line(error)}") from None
    tokenizer, vocabulary = _tokenizer(file), llama.n_vocab()

    def body(ids_BT: torch.Tensor, _mask_BT: torch.Tensor | None) -> torch.Tensor:
        return torch.stack([_logits(llama, row) for row in ids_BT.tolist()])

    runtime = Runtime(body, lambda rows: rows, width=vocabulary, alone=True)
    said = (f"run by llama.cpp (llama-cpp-python {llama_cpp.__version__}) as it is stored, one request a forward, keys "
            "and values in float32")  # fmt: skip
    facts = Facts(found.dtype, "plain", context, vocabulary, tokenizer.bos_token_id, (said,))
    return CausalModel(facts, tokenizer, runtime, generator=stepping(lambda: _begin(llama)))


def _logits(llama: Any, ids: list[int]) -> torch.Tensor:
    """Logits [T, V] of one sequence from its beginning."""
    import torch

    llama.reset()
    llama.eval(ids)
    return torch.from_numpy(np.array(llama.scores[: len(ids)], dtype=np.float32))


def _begin(llama: Any) -> Step:
    """A new sequence in llama.cpp's own cache."""
    llama.reset()

    def step(ids_1T: Ints, _cached: int) -> Array:
        llama.eval(ids_1T[0].tolist())
        last: Array = llama.scores[None, llama.n_tokens - 1 : llama.n_tokens]
        return last

    return step
