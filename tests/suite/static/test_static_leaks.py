"""What an export leaks is said; the stripped copy leaks nothing and answers as the original."""

from __future__ import annotations

import json
import tomllib
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from support import REPOSITORY, Ran, one_line, write_submission

from suite import strip as stripping
from suite.formats._pt2 import SAMPLES, Archive
from suite.static.leaks import leaks, path_in

Hallmark = Callable[..., Ran]
SHAPE = {"shape": [3, 8, 8], "classes": 4}
TRACE = 'File "/srv/people/ann/secret-project/net.py", line 3, in forward'


@pytest.mark.parametrize(
    ("text", "path"),
    [
        (TRACE, "/srv/people/ann/secret-project/net.py"),
        ("C:\\Users\\ann\\net.py:3", "C:\\Users\\ann\\net.py:3"),
        ("saved from /data/models/llama", "/data/models/llama"),
        ("/layer1/layer1.0/conv/Conv_output_0", None),
        ("https://example.org/opt/page.json", None),
        ("org/model", None),
        ("a/b/c.py", None),
    ],
)
def test_paths_are_told_from_names(text: str, path: str | None) -> None:
    assert path_in(text) == path


class Net(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = torch.nn.Conv2d(3, 8, 3, padding=1)
        self.head = torch.nn.Linear(8, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.head(torch.relu(self.conv(x)).mean(dim=(2, 3)))
        return out


@pytest.fixture(scope="module")
def pt2(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """As torch writes it, stack traces of this very file included."""
    file = tmp_path_factory.mktemp("pt2") / "model.pt2"
    sizes = ({0: torch.export.Dim("batch")},)
    torch.export.save(torch.export.export(Net(), (torch.zeros(2, 3, 8, 8),), dynamic_shapes=sizes), file)
    return file.read_bytes()


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    file = tmp_path_factory.mktemp("onnx") / "model.onnx"
    sizes = ({0: torch.export.Dim("batch")},)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of torch's own
        torch.onnx.export(
            Net().eval(), (torch.zeros(2, 3, 8, 8),), file, dynamo=True, dynamic_shapes=sizes, external_data=False,
            verbose=False,
        )  # fmt: skip
    model = onnx.load(file)
    model.graph.node[0].doc_string = TRACE
    model.metadata_props.add(key="classes", value="cat,dog")
    return bytes(model.SerializeToString())


def stripped(hallmark: Hallmark, folder: Path, tmp_path: Path) -> Path:
    ran = hallmark("check", folder, "--strip", tmp_path / "out")
    assert ran.code == 0, ran
    assert "stripped copy with equal answers" in ran.out
    again = hallmark("check", tmp_path / "out" / folder.name, "--json")
    (check,) = again.json["checks"]
    assert (again.code, check["problems"], check["leaks"]) == (0, [], [])
    manifests = [tomllib.loads((f / "submission.toml").read_text()) for f in (folder, tmp_path / "out" / folder.name)]
    assert manifests[0].pop("sha256") != manifests[1].pop("sha256")
    assert manifests[0] == manifests[1]
    assert not [p for p in (tmp_path / "out").iterdir() if p.name.startswith(".")]
    return tmp_path / "out" / folder.name


def test_archive(hallmark: Hallmark, tmp_path: Path, pt2: bytes) -> None:
    folder = write_submission(tmp_path / "s", "m", {"model.pt2": pt2}, "model.pt2", format="torch-export", inputs=SHAPE)
    (folder / "recipe.py").write_text('"""How."""')
    said = hallmark("check", folder)
    assert said.code == 0
    assert "sample inputs that it was exported with" in said.out
    assert Path(__file__).name in said.out  # the trace of this very test
    clean = stripped(hallmark, folder, tmp_path)
    assert (clean / "recipe.py").read_text() == '"""How."""'
    content = (clean / "model.pt2").read_bytes()
    assert str(Path(__file__).parent).encode() not in content
    assert Archive.open(clean / "model.pt2").sample_bytes == 0
    x = torch.rand(3, 3, 8, 8)
    loaded = torch.export.load(clean / "model.pt2").module()  # users may load it with torch alone
    assert torch.equal(loaded(x), Net()(x))


def test_graph(hallmark: Hallmark, tmp_path: Path, graph: bytes) -> None:
    folder = write_submission(tmp_path / "s", "m", {"model.onnx": graph}, "model.onnx", format="onnx", inputs=SHAPE)
    assert TRACE.split('"')[1] in hallmark("check", folder).out
    clean = onnx.load(stripped(hallmark, folder, tmp_path) / "model.onnx")
    assert not any(node.doc_string or node.metadata_props for node in clean.graph.node)
    assert [(e.key, e.value) for e in clean.metadata_props] == [("classes", "cat,dog")]  # no path in it
    original = onnx.load_from_string(graph)
    assert [n.op_type for n in clean.graph.node] == [n.op_type for n in original.graph.node]
    assert str(Path(__file__).parent).encode() not in clean.SerializeToString()


@pytest.mark.slow
def test_folder_of_transformers(hallmark: Hallmark, tmp_path: Path) -> None:
    from safetensors.numpy import load_file, save_file

    source = REPOSITORY / "submissions" / "embedded-lm-half" / "weights"
    files = {f"weights/{p.name}": p.read_bytes() for p in source.iterdir()}
    config = json.loads(files["weights/config.json"]) | {"_name_or_path": "/srv/people/ann/checkpoint-300"}
    files["weights/config.json"] = json.dumps(config).encode()
    save_file(load_file(source / "model.safetensors"), tmp_path / "w", {"format": "pt", "run": TRACE})
    files["weights/model.safetensors"] = (tmp_path / "w").read_bytes()
    folder = write_submission(tmp_path / "s", "m", files, "weights", kind="language", format="transformers")
    said = hallmark("check", folder).out
    assert "config.json carries paths" in said
    assert "model.safetensors carries metadata" in said
    clean = stripped(hallmark, folder, tmp_path) / "weights"
    assert json.loads((clean / "config.json").read_text()) == config | {"_name_or_path": ""}
    before, after = (load_file(f / "model.safetensors") for f in (source, clean))
    assert all(np.array_equal(before[name], after[name]) for name in before)
    assert before.keys() == after.keys()


def test_a_copy_that_answers_otherwise_is_not_kept(
    hallmark: Hallmark, tmp_path: Path, graph: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_submission(tmp_path / "s", "m", {"model.onnx": graph}, "model.onnx", format="onnx", inputs=SHAPE)
    whole = stripping.write_clean

    def spoil(weights: Path, format_name: str, target: Path, members: tuple[str, ...]) -> None:
        whole(weights, format_name, target, members)
        model = onnx.load(target)
        for tensor in model.graph.initializer:
            if tensor.dims == [4]:
                tensor.raw_data = np.arange(4, dtype=np.float32).tobytes()
        onnx.save(model, target)

    monkeypatch.setattr(stripping, "write_clean", spoil)
    one_line_at_the_end(hallmark("check", folder, "--strip", tmp_path / "out"), "answers otherwise")
    assert list((tmp_path / "out").iterdir()) == []


def one_line_at_the_end(ran: Ran, word: str) -> None:
    one_line(Ran(ran.code, "", ran.err), 2, word)


def test_nothing_is_overwritten_and_other_formats_are_named(hallmark: Hallmark, tmp_path: Path, fake: Any) -> None:
    folder = fake("m", {"fake": "constant", "probs": [0.1] * 10})
    one_line_at_the_end(hallmark("check", folder, "--strip", tmp_path / "out"), "format 'fake' cannot be stripped")
    (tmp_path / "out" / "m").mkdir(parents=True)
    one_line_at_the_end(hallmark("check", folder, "--strip", tmp_path / "out"), "exists already")


def test_large_sample_inputs_are_said_with_their_size(tmp_path: Path, pt2: bytes) -> None:
    (tmp_path / "a.pt2").write_bytes(pt2)
    root = Archive.open(tmp_path / "a.pt2").root
    with (
        zipfile.ZipFile(tmp_path / "a.pt2") as old,
        zipfile.ZipFile(tmp_path / "b.pt2", "w", zipfile.ZIP_STORED) as new,
    ):
        for info in old.infolist():
            samples = info.filename == f"{root}/{SAMPLES}model.pt"
            new.writestr(info.filename, bytes(3_000_000) if samples else old.read(info))
    (leak,) = [leak for leak in leaks(tmp_path / "b.pt2", "torch-export") if "sample" in leak.what]
    assert "3000000 bytes" in leak.example
