"""Bad input: one line, exit code 2, nothing half-written."""

from __future__ import annotations

import errno
import json
import os
import pickle
import socket
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support import REAL, REPOSITORY, Ran, one_line, write_submission

Hallmark = Callable[..., Ran]
Fake = Callable[..., Path]
CONSTANT = {"fake": "constant", "probs": [0.1] * 10}


@pytest.fixture(autouse=True)
def nothing_half_written(tmp_path: Path) -> Iterator[None]:
    yield
    assert not [p for p in (tmp_path / "results").rglob("*") if p.suffix in (".json", ".parquet", ".tmp")]


def test_unknown_task(hallmark: Hallmark, fake: Fake) -> None:
    one_line(hallmark("run", fake("m", CONSTANT), "-t", "digit"), 2, "unknown task 'digit'", "did you mean 'digits'")
    one_line(hallmark("run", fake("n", CONSTANT, tasks=["digts"])), 2, "did you mean 'digits'")


def test_unknown_manifest_key(hallmark: Hallmark, fake: Fake) -> None:
    folder = fake("m", CONSTANT, licens="MIT")
    for verb in ("check", "run"):
        one_line(hallmark(verb, folder), 2, "unknown key 'licens'", "did you mean 'licence'")


def test_missing_weights(hallmark: Hallmark, fake: Fake) -> None:
    folder = fake("m", CONSTANT)
    (folder / "fake.json").unlink()
    for verb in ("check", "run"):
        one_line(hallmark(verb, folder), 2, "fake.json", "there is no")


def test_wrong_digest_shows_both(hallmark: Hallmark, fake: Fake) -> None:
    folder = fake("m", CONSTANT, sha256="0" * 64)
    for verb in ("check", "run"):
        one_line(hallmark(verb, folder), 2, "0" * 64, "the manifest says")


def test_weights_outside_the_folder(hallmark: Hallmark, fake: Fake) -> None:
    folder = fake("m", CONSTANT, weights="../other/fake.json")
    one_line(hallmark("check", folder), 2, "leaves the submission's folder")


def safetensors(cut: int | None = None) -> bytes:
    header = json.dumps({"w": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}}).encode()
    return (struct.pack("<Q", len(header)) + header + bytes(16))[:cut]


def folder_with(root: Path, content: bytes) -> Path:
    files = {"weights/config.json": b'{"model_type": "llama"}', "weights/model.safetensors": content}
    return write_submission(root, "m", files, "weights", kind="language", format="transformers")


@pytest.mark.parametrize(
    ("content", "word"),
    [(safetensors(-5), "truncated"), (safetensors(6), "truncated"), (pickle.dumps({"w": [1.0]}), "pickle")],
)
def test_spoilt_safetensors(hallmark: Hallmark, tmp_path: Path, content: bytes, word: str) -> None:
    folder = folder_with(tmp_path / "subs", content)
    for verb in ("check", "run"):
        ran = hallmark(verb, folder, *(["-t", "generated-text"] if verb == "run" else []))
        assert ran.code == 2
        assert word in ran.err
        assert "Traceback" not in ran.err


def test_onnx_with_external_data_outside_its_folder(hallmark: Hallmark, tmp_path: Path) -> None:
    import onnx
    from onnx import TensorProto, helper

    tensor = helper.make_tensor("w", TensorProto.FLOAT, [1], [1.0])
    tensor.ClearField("float_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../secret")
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "w"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])],
        [tensor],
    )
    content = onnx.helper.make_model(graph).SerializeToString()
    folder = write_submission(tmp_path / "subs", "m", {"model.onnx": content}, "model.onnx", format="onnx")
    for verb in ("check", "run"):
        one_line(hallmark(verb, folder), 2, "secret")


def test_a_shape_that_does_not_fit_is_found_before_the_unit_starts(hallmark: Hallmark, fake: Fake) -> None:
    shaped = fake("shaped", CONSTANT, inputs={"shape": [3, 32, 32]})
    one_line(hallmark("run", shaped, "-t", "digits"), 2, "[3, 32, 32]", "[1, 8, 8]")
    classed = fake("classed", CONSTANT, inputs={"classes": 7})
    one_line(hallmark("run", classed, "-t", "digits"), 2, "7 classes")
    assert not Path("results").exists()


def test_a_file_whose_shape_does_not_fit_is_found_before_the_unit_starts(
    hallmark: Hallmark, mirror: Path, tmp_path: Path
) -> None:
    one_line(hallmark("run", REAL / "resnet20-onnx", "-t", "digits"), 2, "[3, 32, 32]")
    import tomllib

    from suite.files import digest

    manifest = tomllib.loads((REAL / "resnet20-pt2" / "submission.toml").read_text())
    del manifest["inputs"]
    del manifest["name"]
    manifest |= {"sha256": digest(mirror / "cv_cifar10_resnets" / "resnet20.pt2")}
    folder = write_submission(tmp_path / "subs", "bare", {}, "", **manifest)
    one_line(hallmark("run", folder, "-t", "digits"), 2, "its file takes", "[any, 3, 32, 32]")


def test_a_task_for_another_kind(hallmark: Hallmark, fake: Fake) -> None:
    one_line(hallmark("run", fake("m", CONSTANT), "-t", "generated-text"), 2, "language", "classification")


def test_a_parent_that_does_not_exist(hallmark: Hallmark, fake: Fake) -> None:
    folder = fake("m", CONSTANT, parent="nobody")
    for verb in ("check", "run"):
        one_line(hallmark(verb, folder), 2, "parent = 'nobody'")


def test_a_data_set_that_is_not_there(hallmark: Hallmark, fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    lm = fake("lm", {"fake": "uniform"}, kind="language")
    monkeypatch.delenv("HALLMARK_DATA", raising=False)
    one_line(hallmark("run", lm, "-t", "tinystories"), 2, "HALLMARK_DATA is not set", "tinystories_sample_cs336.txt")
    monkeypatch.setenv("HALLMARK_DATA", "/nowhere")
    one_line(hallmark("run", lm, "-t", "tinystories"), 2, "/nowhere/text_tinystories_sample")


def test_a_damaged_data_set(hallmark: Hallmark, fake: Fake, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    data = tmp_path / "mirror" / "text_tinystories_sample"
    data.mkdir(parents=True)
    (data / "tinystories_sample_cs336.txt").write_bytes(b"half of i")  # an interrupted download
    monkeypatch.setenv("HALLMARK_DATA", str(tmp_path / "mirror"))
    ran = hallmark("run", fake("lm", {"fake": "uniform"}, kind="language"), "-t", "tinystories")
    one_line(ran, 2, "has sha256", "expected defaedb5")


@pytest.fixture
def cutting_server() -> Iterator[str]:
    """A server on this machine that breaks every connection off in the middle of its answer."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            connection.recv(4096)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n{")
            connection.close()

    threading.Thread(target=serve, daemon=True).start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    listener.close()


def test_an_interrupted_download(start: Any, tmp_path: Path, fake: Fake, cutting_server: str) -> None:
    folder = fake("m", CONSTANT, weights="hub:someone/something@main")
    environment = {"HF_ENDPOINT": cutting_server, "HF_HOME": str(tmp_path / "hf"), "HF_HUB_ETAG_TIMEOUT": "2"}
    old = {name: os.environ.get(name) for name in environment}
    os.environ.update(environment)
    try:
        process: subprocess.Popen[bytes] = start("run", folder, "-t", "digits")
    finally:
        for name, value in old.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
    _, err = process.communicate(timeout=120)
    one_line(Ran(process.returncode, "", err.decode()), 2, "cannot get someone/something", "again")


def test_a_hub_reference_without_a_revision(hallmark: Hallmark, fake: Fake) -> None:
    one_line(hallmark("check", fake("m", CONSTANT, weights="hub:someone/something")), 2, "pin the revision")


def test_a_full_disk(hallmark: Hallmark, fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    folder = fake("m", CONSTANT)
    monkeypatch.setattr(os, "fsync", full)
    one_line(hallmark("run", folder, "-t", "digits"), 5, "No space left", "free some space")


def test_a_really_full_disk(hallmark: Hallmark, fake: Fake, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(small)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("mounting a small tmpfs needs root")
    try:
        one_line(hallmark("run", fake("m", CONSTANT), "-t", "digits", "--results", small), 5, "No space left")
        left = [p for p in small.rglob("*") if p.is_file() and not {".journal", "tasks"} & set(p.parts)]
        assert not left
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_unwritable_results(hallmark: Hallmark, fake: Fake, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    ran = hallmark("run", fake("m", CONSTANT), "-t", "digits", "--results", tmp_path / "file" / "results")
    one_line(ran, 5, "cannot write under")


def test_usage(hallmark: Hallmark, fake: Fake) -> None:
    folder = fake("m", CONSTANT)
    one_line(hallmark("run"), 2, "SUBMISSION", "--help")
    one_line(hallmark("rum"), 2, "rum")
    one_line(hallmark("run", folder, "--threads", "100000"), 2, "cores")
    one_line(hallmark("run", folder, "--suite", "embeded"), 2, "did you mean 'embedded'")
    one_line(hallmark("list", "task"), 2, "did you mean 'tasks'")
    one_line(hallmark("run", "nobody"), 2, "unknown submission 'nobody'")
    one_line(hallmark("run", "some/where"), 2, "no submission at some/where")
    one_line(hallmark("show", "nobody"), 2, "no record of 'nobody'")
    one_line(hallmark("verify", "nothing.json"), 2, "no record at nothing.json")


def test_cuda_where_there_is_none(hallmark: Hallmark, fake: Fake) -> None:
    if Path("/dev/nvidiactl").exists():
        pytest.skip("this machine has an NVIDIA driver")
    one_line(hallmark("run", fake("m", CONSTANT), "--device", "cuda"), 2, "no NVIDIA driver")


def test_the_repository_is_not_written_to(tmp_path: Path) -> None:
    assert REPOSITORY not in tmp_path.parents


def test_threads_default_to_what_every_runtime_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    from suite import machine

    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert machine.observe().threads == 1
    monkeypatch.setenv("OMP_NUM_THREADS", "100000")
    assert machine.observe().threads == machine.cores()
    for unset in ("", "many"):
        monkeypatch.setenv("OMP_NUM_THREADS", unset)
        assert machine.observe().threads == machine.cores()
