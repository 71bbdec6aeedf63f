"""Digests and the refusal of unsafe files."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from suite.errors import InputError
from suite.files import digest, is_pickle, is_safetensors, total_bytes, unsafe_files


class Crater:
    """Unpickling it creates a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def zipped(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def tarred() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("storages"))
    return buffer.getvalue()


def npy(array: np.ndarray[Any, Any]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()


OBJECTS = np.array([{}, None], dtype=object)
RECORDS = np.zeros(2, dtype=[("a", "f4"), ("b", "O")])
FRAME = (22).to_bytes(8, "little") + b'{"__metadata__": {}}  '


class TestDigest:
    def test_file(self, tmp_path: Path) -> None:
        (tmp_path / "a").write_bytes(b"abc")
        assert digest(tmp_path / "a") == hashlib.sha256(b"abc").hexdigest()

    def test_folder_is_sha256sum_s_listing_sorted(self, tmp_path: Path) -> None:
        names = ["b.txt", "a/z.txt", "a.txt", "B", "a/b/ö.txt", "empty"]
        for name in names:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(name * (name != "empty"))
        (tmp_path / "no-files").mkdir()
        env = {**os.environ, "LC_ALL": "C"}
        run = "find . -type f | sed 's|^./||' | xargs -d '\\n' sha256sum | sort | sha256sum"
        listed = subprocess.run(["bash", "-c", run], cwd=tmp_path, env=env, capture_output=True, text=True, check=True)
        assert digest(tmp_path) == listed.stdout.split()[0]

    def test_any_change_shows(self, tmp_path: Path) -> None:
        seen = {digest(tmp_path)}
        for change in (
            lambda: (tmp_path / "a").write_text("1"),
            lambda: (tmp_path / "a").write_text("2"),
            lambda: (tmp_path / "a").rename(tmp_path / "b"),
            (tmp_path / "c").touch,
        ):
            change()
            seen.add(digest(tmp_path))
        assert len(seen) == 5

    def test_link_to_a_file_counts_as_the_file(self, tmp_path: Path) -> None:
        (tmp_path / "copy").mkdir()
        (tmp_path / "link").mkdir()
        (tmp_path / "copy/a").write_text("x")
        (tmp_path / "link/a").symlink_to(tmp_path / "copy/a")
        assert digest(tmp_path / "link") == digest(tmp_path / "copy")
        (tmp_path / "copy/a").unlink()
        with pytest.raises(InputError, match="link to nothing"):
            digest(tmp_path / "link")

    def test_name_that_could_forge_a_line(self, tmp_path: Path) -> None:
        (tmp_path / "a\nb").touch()
        with pytest.raises(InputError, match="control characters"):
            digest(tmp_path)
        assert unsafe_files(tmp_path) == ["'a\\nb': the name has control characters or is not Unicode; rename it"]

    def test_nothing_there(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="no file or folder"):
            digest(tmp_path / "x")

    def test_total_bytes(self, tmp_path: Path) -> None:
        (tmp_path / "a").mkdir()
        (tmp_path / "a/b").write_bytes(b"12345")
        (tmp_path / "c").write_bytes(b"1")
        assert (total_bytes(tmp_path), total_bytes(tmp_path / "c")) == (6, 1)


class TestRefused:
    @pytest.mark.parametrize(
        ("name", "content", "said"),
        [
            ("model.py", b"", "code (.py)"),
            ("model.PYC", b"", "code (.pyc)"),
            ("lib.so", b"", "code (.so)"),
            ("lib.so.1", b"", "code (.1)"),
            ("lib.dll", b"", "code (.dll)"),
            ("lib.dylib", b"", "code (.dylib)"),
            ("run.sh", b"", "code (.sh)"),
            ("weights.dat", b"\x7fELF\2\1\1", "a compiled program"),
            ("weights.dat", b"MZ" + b"\0" * 62 + b"PE\0\0", "a compiled program"),
            ("pytorch_model.bin", b"", ".bin files are pickles"),
            ("a.pt", b"", ".pt files are pickles"),
            ("a.pth", b"", ".pth files are pickles"),
            ("a.pkl", b"", ".pkl files are pickles"),
            ("a.pickle", b"", ".pickle files are pickles"),
            ("a.joblib", b"", ".joblib files are pickles"),
            ("a.ckpt", b"", ".ckpt files are pickles"),
            ("model.safetensors", pickle.dumps({"a": 1}, protocol=2), "a pickle renamed .safetensors"),
            ("model.safetensors", pickle.dumps([1.5] * 99, protocol=5), "a pickle renamed .safetensors"),
            ("model.onnx", pickle.dumps(Path("a"), protocol=4), "a pickle renamed .onnx"),
            ("model", pickle.dumps(Path("a"), protocol=3), "a pickle renamed to have no suffix"),
            ("notes.txt", pickle.dumps(Path("a"), protocol=0), "a pickle renamed .txt"),
            ("notes.txt", pickle.dumps(Path("a"), protocol=1), "a pickle renamed .txt"),
            ("model.safetensors", zipped(**{"archive/data.pkl": b"", "archive/data/0": b""}), "with a pickle in it"),
            ("model.pt2", zipped(**{"m/code/__torch__.py": b"", "m/data.pkl": b""}), "TorchScript"),
            ("model.pt2", zipped(**{"m/constants.pkl": b""}), "TorchScript"),
            ("model.pt2", zipped(**{"m/data/aotinductor/model/x.cpp": b""}), "AOTInductor"),
            ("model.pt2", zipped(**{"m/extra/x.so": b""}), "AOTInductor"),
            ("model.pt2", zipped(**{"../x": b""}), "a member outside itself"),
            ("a.npz", zipped(**{"a.npy": npy(OBJECTS)}), "NumPy arrays of Python objects"),
            ("a.npy", npy(OBJECTS), "a NumPy file of Python objects"),
            ("a.npy", npy(RECORDS), "a NumPy file of Python objects"),
            ("a.npy", b"\x93NUMPY\x01\x00\x05\x00junk!", "a NumPy file of Python objects"),
            ("weights", tarred(), "a tar archive"),
        ],
    )
    def test_one_file(self, tmp_path: Path, name: str, content: bytes, said: str) -> None:
        (tmp_path / name).write_bytes(content)
        for path in (tmp_path, tmp_path / name):
            (finding,) = unsafe_files(path)
            assert finding.startswith(f"{name}: ")
            assert said in finding
            assert "\n" not in finding
            assert ";" in finding

    def test_nothing_is_unpickled(self, tmp_path: Path) -> None:
        crater = tmp_path / "it-was-run"
        for protocol in range(6):
            (tmp_path / f"{protocol}.safetensors").write_bytes(pickle.dumps(Crater(crater), protocol=protocol))
        assert len(unsafe_files(tmp_path)) == 6
        assert not crater.exists()

    def test_links(self, tmp_path: Path) -> None:
        folder = tmp_path / "weights"
        (folder / "sub").mkdir(parents=True)
        (folder / "real").touch()
        (tmp_path / "outside").touch()
        targets = {"inside": "real", "leaves": "../outside", "absolute": tmp_path / "outside", "dangles": "nowhere",
                   "loop": "loop", "folder": "sub"}  # fmt: skip
        for name, target in targets.items():
            (folder / name).symlink_to(target)
        found = {line.partition(":")[0]: line for line in unsafe_files(folder)}
        assert sorted(found) == ["absolute", "dangles", "folder", "leaves", "loop"]
        assert "leaves the folder (to ../outside)" in found["leaves"]
        assert "link to nothing" in found["dangles"]
        assert "link to a folder" in found["folder"]
        assert unsafe_files(folder / "leaves") == [found["leaves"]]

    def test_link_into_the_hub_cache_s_blobs(self, tmp_path: Path) -> None:
        snapshot = tmp_path / "models--a--b/snapshots/0123"
        snapshot.mkdir(parents=True)
        (tmp_path / "models--a--b/blobs").mkdir()
        (tmp_path / "models--a--b/blobs/ff").write_bytes(FRAME)
        (snapshot / "model.safetensors").symlink_to("../../blobs/ff")
        assert unsafe_files(snapshot) == []
        (snapshot / "b.safetensors").symlink_to("../../refs")
        assert len(unsafe_files(snapshot)) == 1

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
    def test_pipe_is_not_opened(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe")
        assert unsafe_files(tmp_path) == ["pipe: not a regular file; a weights folder holds only files"]
        digest(tmp_path)


class TestAllowed:
    def test_usual_files(self, tmp_path: Path) -> None:
        contents = {
            "config.json": b"{}",
            "pytorch_model.bin.index.json": b"{}",
            "vocab.txt": b"[PAD]\nthe\n",
            "merges.txt": b"#version: 0.2\na b\n",
            "README.md": b"copyright\nnobody\n(see LICENSE).",
            "chat_template.jinja": b"{% for m in messages %}",
            "tokenizer.model": b"\n\x0e\n\x05<unk>\x15\0\0\0\0\x18\x02",
            "model.safetensors": FRAME,
            "model.onnx": b"\x08\x0a\x12\x07pytorch",
            "model.onnx.data": os.urandom(64).replace(b"\x80", b"\0"),
            "a.npy": npy(np.zeros(3)),
            "a.npz": zipped(**{"a.npy": npy(np.zeros(3))}),
            "model.pt2": zipped(**{"m/models/model.json": b"{}", "m/data/sample_inputs/model.pt": b"x"}),
            "empty": b"",
        }
        for name, content in contents.items():
            (tmp_path / name).write_bytes(content)
        assert unsafe_files(tmp_path) == []

    def test_safetensors_whose_length_looks_like_a_pickle(self, tmp_path: Path) -> None:
        """A header of 0x0280 bytes begins as protocol 2 does."""
        header = json.dumps({"__metadata__": {"a": "b" * 500}}).encode().ljust(0x0280)
        content = len(header).to_bytes(8, "little") + header
        assert content.startswith(b"\x80\x02")
        assert is_safetensors(content)
        (tmp_path / "model.safetensors").write_bytes(content)
        assert unsafe_files(tmp_path) == []

    def test_random_bytes_are_no_pickle(self) -> None:
        rng = np.random.default_rng(0)
        found = sum(is_pickle(b"\x80\x02" + rng.bytes(4096)) for _ in range(2000))
        assert found < 200
        assert not any(is_pickle(rng.bytes(4096)) for _ in range(2000))


def test_imports_only_errors() -> None:
    code = "import sys, suite.files; print(sorted(m for m in sys.modules if m.startswith(('suite', 'numpy', 'torch'))))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['suite', 'suite.errors', 'suite.files']"
