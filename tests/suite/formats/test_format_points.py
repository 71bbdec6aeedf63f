"""Operating points: one checkpoint, several settings, each with answers of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from format_samples import SHAPE, TEXTS, save_language
from onnx import TensorProto, helper, numpy_helper
from support import Ran, one_line, write_submission

from suite.errors import InputError
from suite.formats import loader_for
from suite.formats.base import Place
from suite.manifest import Inputs, Manifest


class Slim(torch.nn.Module):
    """A network of nested widths: the hidden channels beyond the stated share are put out."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.head = torch.nn.Conv2d(3, 8, 3, padding=1), torch.nn.Linear(8, 4)

    def forward(self, x: torch.Tensor, width: torch.Tensor) -> torch.Tensor:
        hidden = self.conv(x).relu().mean(dim=(2, 3))
        return self.head(hidden * (torch.arange(8) < 8 * width))


@pytest.fixture(scope="module")
def slim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("slim") / "slim.pt2"
    sizes = ({0: torch.export.Dim("batch")}, None)
    torch.export.save(
        torch.export.export(Slim(), (torch.zeros(2, *SHAPE), torch.tensor(1.0)), dynamic_shapes=sizes), file
    )
    return file


@pytest.fixture
def scaled(tmp_path: Path) -> Path:
    """y = (x W) * gain, and a whole number that is added."""
    weight = numpy_helper.from_array(np.array([[1, 2], [3, -1]], dtype=np.float32), "W")
    nodes = [
        helper.make_node("MatMul", ["x", "W"], ["m"]),
        helper.make_node("Mul", ["m", "gain"], ["g"]),
        helper.make_node("Cast", ["shift"], ["s"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["s", "h"], ["t"]),
        helper.make_node("Add", ["g", "t"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes, "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 2]),
         helper.make_tensor_value_info("gain", TensorProto.FLOAT, []),
         helper.make_tensor_value_info("shift", TensorProto.INT64, [1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 2])],
        [weight, numpy_helper.from_array(np.array([1, 0], dtype=np.float32), "h")],
    )  # fmt: skip
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), tmp_path / "m.onnx")
    return tmp_path / "m.onnx"


def answers(format: str, file: Path, point: dict[str, Any], items: list[Any]) -> Any:
    model: Any = loader_for(format, Inputs(), point).load(file, "classification", Inputs(), Place())
    return np.stack(model.predict_proba(items))


def test_torch_export_feeds_the_setting(slim: Path) -> None:
    images = list(np.random.default_rng(0).normal(size=(3, *SHAPE)).astype(np.float32))
    for width in (0.25, 1.0):
        with torch.no_grad():
            wanted = Slim()(torch.from_numpy(np.stack(images)), torch.tensor(width)).double().softmax(1).numpy()
        np.testing.assert_allclose(answers("torch-export", slim, {"width": width}, images), wanted, atol=1e-6)


def test_onnx_feeds_the_settings(scaled: Path) -> None:
    item = np.array([1.0, 2.0], np.float32)
    for gain, shift in ((1.0, 0), (0.5, 3)):
        logits = (item @ np.array([[1, 2], [3, -1]])) * gain + np.array([shift, 0])
        wanted = np.exp(logits) / np.exp(logits).sum()
        np.testing.assert_allclose(
            answers("onnx", scaled, {"gain": gain, "shift": shift}, [item])[0], wanted, atol=1e-6
        )


@pytest.mark.parametrize(("layers", "of"), [(1, 3), (2, 3)])
def test_an_exit_is_the_model_of_the_first_layers(tmp_path: Path, layers: int, of: int) -> None:
    """By another route: the whole model's hidden states after so many layers, its norm and its head."""
    from transformers import AutoModelForCausalLM

    save_language(tmp_path / "m", num_hidden_layers=of)
    model: Any = loader_for("transformers", Inputs(), {"exit": layers}).load(
        tmp_path / "m", "language", Inputs(), Place()
    )
    whole = AutoModelForCausalLM.from_pretrained(tmp_path / "m").eval()
    seen: list[torch.Tensor] = []
    whole.model.layers[layers - 1].register_forward_hook(
        lambda _m, _i, out: seen.append(out[0] if isinstance(out, tuple) else out)
    )
    ids = model.encode(TEXTS[:1])[0].ids_T
    with torch.no_grad():
        whole(torch.tensor(ids)[None])
        logprobs_TV = whole.lm_head(whole.model.norm(seen[0]))[0].double().log_softmax(-1).numpy()[:-1]
    (found,) = model.token_logprobs([ids])
    np.testing.assert_allclose(found.logprobs_T, logprobs_TV[np.arange(len(ids) - 1), ids[1:]], atol=1e-4)
    assert any("stored tensors are not used" in note for note in model.facts.notes)


@pytest.mark.parametrize(
    ("format", "point", "word"),
    [
        ("transformers", {"depth": 4}, "takes {exit = K}"),
        ("transformers", {"exit": 0}, "takes {exit = K}"),
        ("transformers", {"exit": "2"}, "takes {exit = K}"),
        ("tflite", {"width": 1}, "has no operating points"),
    ],
)
def test_settings_that_would_change_nothing_are_refused(format: str, point: dict[str, Any], word: str) -> None:
    with pytest.raises(InputError) as refused:
        loader_for(format, Inputs(), point)
    assert word in str(refused.value)


def test_an_exit_beyond_the_last_layer(tmp_path: Path) -> None:
    save_language(tmp_path / "m")
    assert loader_for("transformers", Inputs(), {"exit": 1}).check(tmp_path / "m") == []
    (found,) = loader_for("transformers", Inputs(), {"exit": 2}).check(tmp_path / "m")
    assert found == "operating_point.exit = 2, but it has 2 layers; an exit lies before the last one"


def test_names_that_the_file_has_not(scaled: Path, slim: Path) -> None:
    (found,) = loader_for("onnx", Inputs(), {"gian": 1.0}).check(scaled)
    assert "operating_point.gian" in found and "x, gain, shift" in found
    item = [np.zeros(2, np.float32)]
    with pytest.raises(Exception, match="settings go into operating_point"):
        answers("onnx", scaled, {"gain": 1.0}, item)
    with pytest.raises(Exception, match="a setting is one number"):
        answers("onnx", scaled, {"gain": "much", "shift": 1}, item)
    for point in ({}, {"depth": 1.0}):
        with pytest.raises(InputError, match="its inputs beside the first are width"):
            answers("torch-export", slim, point, [np.zeros(SHAPE, np.float32)])


def test_one_checkpoint_gives_one_record_a_point(tmp_path: Path, slim: Path, hallmark: Callable[..., Ran]) -> None:
    """The same digest twice, two fingerprints; a setting that the format has not is one line, before anything runs."""
    for name, width in (("half", 0.5), ("whole", 1.0)):
        write_submission(
            tmp_path, name, {"slim.pt2": slim.read_bytes()}, "slim.pt2", format="torch-export", series="slim",
            operating_point={"width": width},
        )  # fmt: skip
        assert hallmark("check", str(tmp_path / name)).code == 0
    half, whole = (Manifest.load(tmp_path / name) for name in ("half", "whole"))
    assert half.sha256 == whole.sha256 and half.fingerprint() != whole.fingerprint()
    file = tmp_path / "half" / "submission.toml"
    file.write_text(file.read_text().replace("torch-export", "tflite"))
    ran = hallmark("check", str(tmp_path / "half"))
    if "ai-edge-litert" not in ran.err:
        one_line(ran, 2, "has no operating points", "remove it")
