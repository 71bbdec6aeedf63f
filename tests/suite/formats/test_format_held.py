"""What a real child process holds of a checkpoint, and how it decodes: dense as stored, expanded where packed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from format_samples import SHAPE, Net, save_language, save_pt2
from safetensors.numpy import load_file, save_file

from suite.child import Child
from suite.remote import RemoteClassifier, RemoteLanguageModel
from suite.timing.scenario import Scenario

pytestmark = pytest.mark.slow


def asked(folder: Path, *orders: dict[str, Any]) -> list[Any]:
    """What a fresh child answers."""
    order = {"format": "transformers", "weights": str(folder), "kind": "language", "inputs": {}}
    with Child({**order, "device": "cpu", "threads": 1}, 120.0) as child:
        return list(RemoteLanguageModel(child).timed(orders))


def order(what: str, new: int = 0) -> dict[str, Any]:
    scenario = Scenario("s", tokens=8, new=new)
    return {"what": what, "seconds": 0.01, "name": "s", "batch": 1, "tokens": scenario.tokens, "new": new}


def test_a_dense_checkpoint_is_held_as_stored_and_every_token_is_timed(tmp_path: Path) -> None:
    save_language(tmp_path, hidden_size=64, intermediate_size=512)
    memory, prefill, decode = asked(tmp_path, order("memory"), order("burst"), order("burst", new=5))
    assert memory["held"][0] == pytest.approx(memory["stored"][0], rel=0.05)
    assert memory["forward_anon"][0] + memory["forward_file"][0] > 0
    parameters = memory["stored"][0] / 4
    assert prefill["flops"][0] > 8 * parameters  # 2 a weight and token, but for the embedding and the head
    assert prefill["flops"][0] < 3 * 8 * parameters
    assert len(decode["first_seconds"]) == len(decode["seconds"])
    assert (decode["first_seconds"] > 0).all()
    assert (decode["first_seconds"] < decode["last_seconds"]).all()
    assert (decode["last_seconds"] <= decode["seconds"]).all()


def test_an_exported_graph_keeps_its_open_sizes(tmp_path: Path) -> None:
    """Asking the example values inside it for their storage once fixed the batch at that of the export."""
    save_pt2(Net(dense=False).eval(), tmp_path / "net.pt2")
    order = {"format": "torch-export", "weights": str(tmp_path / "net.pt2"), "kind": "classification"}
    asks = [{"what": what, "seconds": 0.01, "name": "s", "batch": n, "tokens": 0, "new": 0}
            for what, n in (("memory", 1), ("burst", 1), ("burst", 3))]  # fmt: skip
    with Child({**order, "inputs": {"shape": SHAPE}, "device": "cpu", "threads": 1}, 120.0) as child:
        memory, one, three = RemoteClassifier(child).timed(asks)
    assert memory["held"][0] >= memory["stored"][0] > 0
    assert three["flops"][0] == pytest.approx(3 * one["flops"][0])


def test_packed_weights_that_this_runtime_expands_are_seen(tmp_path: Path) -> None:
    pytest.importorskip("compressed_tensors")
    save_language(tmp_path, hidden_size=64, intermediate_size=2048)
    stored = load_file(tmp_path / "model.safetensors")
    for name, array in list(stored.items()):
        if name.endswith("proj.weight"):
            scale = (np.abs(array).max(axis=1, keepdims=True) / 127).astype(np.float32)
            stored[name] = np.round(array / scale).astype(np.int8)
            stored[name.replace("weight", "weight_scale")] = scale
    save_file(stored, tmp_path / "model.safetensors", metadata={"format": "pt"})
    weights = {"num_bits": 8, "type": "int", "symmetric": True, "strategy": "channel", "dynamic": False}
    group = {"targets": ["Linear"], "weights": weights, "format": "int-quantized"}
    scheme = {"quant_method": "compressed-tensors", "format": "int-quantized", "quantization_status": "compressed",
              "ignore": ["lm_head"], "config_groups": {"group_0": group}}  # fmt: skip
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"quantization_config": scheme}))
    (memory,) = asked(tmp_path, order("memory"))
    assert memory["held"][0] > 1.5 * memory["stored"][0]
