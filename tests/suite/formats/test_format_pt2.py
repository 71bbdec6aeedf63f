"""Archives that are cut, incomplete or not as torch.export.save writes them."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch
from format_samples import Net
from pt2_samples import CONSTANTS, LOADER, PROGRAM, WEIGHTS, load, rewrite

from suite.errors import InputError, UnitError
from suite.files import unsafe_files
from suite.formats._pt2 import item_bytes


@pytest.fixture
def source(made: Path) -> Path:
    return made / "classification.pt2"


class TestArchives:
    def test_every_cut(self, source: Path, tmp_path: Path) -> None:
        whole = source.read_bytes()
        for cut in [*range(0, len(whole), 97), len(whole) - 1]:
            (tmp_path / "a.pt2").write_bytes(whole[:cut])
            (finding,) = LOADER.check(tmp_path / "a.pt2")
            assert "may be cut off" in finding

    def test_cut_to_the_archive_within(self, source: Path, tmp_path: Path) -> None:
        """The sample inputs are a zip file of their own, stored as it is."""
        whole = source.read_bytes()
        inner = whole.index(b"PK\5\6") + 22
        assert inner < len(whole)
        (tmp_path / "a.pt2").write_bytes(whole[:inner])
        assert "may be cut off" in LOADER.check(tmp_path / "a.pt2")[0]

    def test_missing_members(self, source: Path, tmp_path: Path) -> None:
        assert "has no models/model.json" in LOADER.check(rewrite(source, tmp_path / "a.pt2", **{PROGRAM: None}))[0]
        lost = rewrite(source, tmp_path / "b.pt2", **{"data/weights/weight_0": None})
        assert "weight_0 is missing" in LOADER.check(lost)[0]

    def test_bad_json(self, source: Path, tmp_path: Path) -> None:
        for name in (PROGRAM, WEIGHTS, CONSTANTS):
            for content in (b"{", b"[]", b"{}", b'{"config": 3}'):
                file = rewrite(source, tmp_path / "a.pt2", **{name: content})
                assert len(LOADER.check(file)) == 1
                with pytest.raises((InputError, UnitError)):
                    load(file)

    def test_short_weights(self, source: Path, tmp_path: Path) -> None:
        file = rewrite(source, tmp_path / "a.pt2", **{"data/weights/weight_0": b"\0" * 8})
        with pytest.raises(UnitError, match=r"cannot load a\.pt2"):
            load(file)

    def test_compiled_code(self, source: Path, tmp_path: Path) -> None:
        file = rewrite(source, tmp_path / "a.pt2", **{"data/aotinductor/model/wrapper.so": b"\x7fELF"})
        assert "AOTInductor" in LOADER.check(file)[0]
        assert "AOTInductor" in unsafe_files(file)[0]

    def test_compressed_members(self, source: Path, tmp_path: Path) -> None:
        assert "are compressed" in LOADER.check(rewrite(source, tmp_path / "a.pt2", compress=True))[0]

    def test_members_elsewhere_or_twice(self, source: Path, tmp_path: Path) -> None:
        outside = rewrite(source, tmp_path / "a.pt2", **{"../../x": b""})
        assert "members outside one folder" in LOADER.check(outside)[0]
        assert "member outside itself" in unsafe_files(outside)[0]
        twice = rewrite(source, tmp_path / "b.pt2")
        with pytest.warns(UserWarning, match="Duplicate name"), zipfile.ZipFile(twice, "a") as archive:
            archive.writestr(archive.namelist()[0], b"other")
        assert "or twice" in LOADER.check(twice)[0]

    def test_folder(self, tmp_path: Path) -> None:
        assert "one .pt2 file" in LOADER.check(tmp_path)[0]


def test_item_bytes_agree_with_torch() -> None:
    for name in ("uint8", "int8", "int64", "float16", "bfloat16", "float64", "bool", "float8_e4m3fn", "complex64"):
        assert item_bytes(name) == torch.empty(0, dtype=getattr(torch, name)).element_size()


def test_checking_imports_no_torch(source: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from suite.formats import LOADERS; "
        "loader, file = LOADERS['torch-export'], Path(sys.argv[1]); "
        "print(loader.check(file), loader.describe(file).dtype, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(source)], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["[]", "float32", "False"]


def test_net_is_what_was_stored(source: Path, nets: dict[str, Net]) -> None:
    assert LOADER.describe(source).parameters == sum(tensor.numel() for tensor in nets["classification"].parameters())
