"""What the recipes of the embedded language submissions share: data, tokenizer, training loop, manifest digest.

Run a recipe from the repository's root, e.g. ``python submissions/embedded-lm/recipe.py``. Everything is seeded; other
machines or versions of torch give other weights in the last digits.
"""

from __future__ import annotations

import json
import math
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from torch.nn.functional import cross_entropy
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from suite.files import digest
from tasks.generators.language import training_documents

SEED = 0
N_DOCUMENTS = 16_000
CONTEXT = 256
VOCABULARY = 800
LAYERS, HEADS = 4, 4
BATCH = 16
BEGINNING = 110  # tokens of a story's beginning
BEGINNINGS = 0.7  # share of the steps that train on beginnings only, which are cheaper
MATRIX_RATE, REST_RATE, WARM_UP = 4e-3, 6e-3, 40
IGNORED = -100
SPECIAL = ("<s>", "</s>")
BYTE_SCORE = -30.0
NOT_KEPT = {"_name_or_path", "name_or_path", "is_local", "local_files_only"}  # of the JSON files beside the weights

METADATA = "__metadata__"

Loss = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]


def say(text: str) -> None:
    """One line of progress on stderr."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def training_texts() -> list[str]:
    """The stories that every recipe trains on: the same for parent and children."""
    return [document.text for document in training_documents(N_DOCUMENTS, SEED)]


def train_tokenizer(texts: list[str]) -> PreTrainedTokenizerFast:
    """A token for each of the commonest words and for each byte, so that any text can be spelt; begins with <s>."""
    split = pre_tokenizers.ByteLevel(add_prefix_space=False)
    counts = Counter(word for text in texts for word, _ in split.pre_tokenize_str(text))
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    common = sorted((word for word in counts if len(word) > 1), key=lambda word: (-counts[word], word))
    words = common[: VOCABULARY - len(SPECIAL) - len(letters)]
    total = counts.total()
    pieces = [(word, math.log(counts[word] / total)) for word in words]
    pieces = [(token, 0.0) for token in SPECIAL] + [(letter, BYTE_SCORE) for letter in letters] + pieces
    tokenizer = Tokenizer(models.Unigram(pieces))
    tokenizer.add_special_tokens(list(SPECIAL))
    tokenizer.pre_tokenizer, tokenizer.decoder = split, decoders.ByteLevel()
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="</s>", model_max_length=CONTEXT
    )


def new_model(hidden: int, intermediate: int, vocabulary: int) -> LlamaForCausalLM:
    """A small Llama with tied embeddings and seeded random weights."""
    torch.manual_seed(SEED)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=vocabulary,
            hidden_size=hidden,
            intermediate_size=intermediate,
            num_hidden_layers=LAYERS,
            num_attention_heads=HEADS,
            num_key_value_heads=HEADS,
            max_position_embeddings=CONTEXT,
            initializer_range=0.05,
            tie_word_embeddings=True,
            bos_token_id=0,
            eos_token_id=1,
            pad_token_id=1,
        )
    )


def batches(rows: list[list[int]], steps: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Padded input ids and labels: beginnings of stories, and whole ones for the last part of the steps."""
    shuffle = torch.Generator().manual_seed(SEED)
    order: list[int] = []
    for step in range(steps):
        size, length = (BATCH, BEGINNING) if step < BEGINNINGS * steps else (BATCH // 2, CONTEXT)
        if len(order) < size:
            order = torch.randperm(len(rows), generator=shuffle).tolist()
        chosen, order = [torch.tensor(rows[i][:length]) for i in order[:size]], order[size:]
        pad = torch.nn.utils.rnn.pad_sequence
        yield pad(chosen, True, 1), pad(chosen, True, IGNORED)


def next_token_loss(ids: torch.Tensor, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Mean negative log-likelihood of the next token."""
    return cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten(), ignore_index=IGNORED)


def train(model: LlamaForCausalLM, rows: list[list[int]], steps: int, loss_of: Loss = next_token_loss) -> None:
    """Train in place: Muon for the layers' matrices, AdamW for embeddings and norms."""
    named = list(model.named_parameters())
    matrices = [p for name, p in named if p.ndim > 1 and "embed" not in name]
    rest = [p for name, p in named if p.ndim == 1 or "embed" in name]
    optimisers = [
        torch.optim.Muon(matrices, lr=MATRIX_RATE, weight_decay=0.05, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(rest, lr=REST_RATE, betas=(0.9, 0.95), weight_decay=0.0),
    ]
    schedules = [torch.optim.lr_scheduler.LambdaLR(o, lambda step: _rate(step, steps)) for o in optimisers]
    start = time.perf_counter()
    model.train()
    for step, (ids, labels) in enumerate(batches(rows, steps), 1):
        loss = loss_of(ids, model(input_ids=ids).logits, labels)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for each in (*optimisers, *schedules):
            each.step()
        model.zero_grad()
        if step % 100 == 0 or step == steps:
            say(f"step {step}/{steps}, loss {loss.item():.3f}, {time.perf_counter() - start:.0f} s")
    model.eval()


def _rate(step: int, steps: int) -> float:
    """Warm-up, constant, linear decay over the second half."""
    return min((step + 1) / WARM_UP, max(0.02, min(1.0, 2 * (steps - step) / steps)))


def encode(tokenizer: PreTrainedTokenizerBase, texts: list[str]) -> list[list[int]]:
    """Token ids of each story between <s> and </s>."""
    rows: list[list[int]] = [[*ids, 1] for ids in tokenizer(texts)["input_ids"]]
    return rows


def round_to_nearest(
    parent: Path, out: Path, args: Any, *, dtype: str = "float32", format: str = "pack-quantized", inputs: Any = None
) -> None:
    """Write `parent` with rounded linear layers, as the compressed-tensors library stores them; the head is left alone.

    Args:
        parent: a transformers folder.
        out: where to write; the tokenizer is not copied.
        args: ``QuantizationArgs`` of the weights: the largest weight of each group, channel or tensor sets its scale.
        dtype: that the parent is loaded in, and that scales and other layers are stored in.
        format: of compressed-tensors.
        inputs: ``QuantizationArgs`` of activations that the runtime is to round on the fly; None: it does not.
    """
    from compressed_tensors.compressors import ModelCompressor
    from compressed_tensors.quantization import QuantizationConfig, QuantizationScheme, apply_quantization_config
    from compressed_tensors.quantization.utils import calculate_qparams
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(parent, dtype=dtype)
    scheme = QuantizationScheme(targets=["Linear"], weights=args, input_activations=inputs)
    config = QuantizationConfig(config_groups={"layers": scheme}, ignore=["lm_head"], format=format)
    apply_quantization_config(model, config)
    for module in model.modules():
        if hasattr(module, "weight_scale"):
            weight = module.weight.detach()
            shape = {"group": (*weight.shape[:1], -1, args.group_size or 1), "tensor": (-1,)}
            blocks = weight.reshape(shape.get(args.strategy, weight.shape))
            scale, _ = calculate_qparams(blocks.amin(-1), blocks.amax(-1), args)
            module.weight_scale.data.copy_(scale.reshape(module.weight_scale.shape))
    compressor = ModelCompressor(quantization_config=config)
    compressor.compress_model(model)
    model.save_pretrained(out)
    compressor.update_config(str(out))


def order_header(file: Path) -> None:
    """Rewrite a safetensors file with sorted metadata, which the library leaves in another order every time."""
    content = file.read_bytes()
    begin = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:begin])
    tensors = sorted((name for name in header if name != METADATA), key=lambda name: header[name]["data_offsets"])
    notes = {METADATA: dict(sorted(header[METADATA].items()))} if METADATA in header else {}
    ordered = json.dumps(notes | {name: header[name] for name in tensors}, separators=(",", ":")).encode()
    ordered += b" " * (-len(ordered) % 8)
    file.write_bytes(len(ordered).to_bytes(8, "little") + ordered + content[begin:])


def finish(folder: Path, tokenizer: PreTrainedTokenizerBase) -> None:
    """Put the tokenizer beside the saved weights, drop paths, and write the digest to the folder's manifest."""
    weights = folder / "weights"
    tokenizer.save_pretrained(weights)
    for file in weights.glob("*.safetensors"):
        order_header(file)
    (weights / "generation_config.json").unlink(missing_ok=True)
    for file in sorted(weights.glob("*config.json")):
        fields = {k: v for k, v in json.loads(file.read_text()).items() if k not in NOT_KEPT}
        file.write_text(json.dumps(fields, indent=2, sort_keys=True) + "\n")
    for file in weights.iterdir():
        file.chmod(0o644)  # transformers writes safetensors for the owner alone
    manifest = folder / "submission.toml"
    text, found = re.subn(r'(?m)^sha256 = ".*"$', f'sha256 = "{digest(weights)}"', manifest.read_text())
    if found != 1:
        raise SystemExit(f"{manifest}: expected one line 'sha256 = ...', found {found}")
    manifest.write_text(text)
    say(f"{folder.name}: {sum(file.stat().st_size for file in weights.iterdir())} bytes")
