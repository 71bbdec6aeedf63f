"""What strangers send: honest archives come out as they went in, hostile ones end in one line and leave nothing."""

from __future__ import annotations

import gzip
import io
import random
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from suite.errors import InputError
from suite.upload import Limits, beside_manifest, place, submission_in, unpack

FILES = {"submission.toml": b"a = 1\n", "weights/a.bin": b"\0" * 5000, "weights/b.json": b"{}"}


def zipped(files: dict[str, bytes], kind: int = zipfile.ZIP_DEFLATED) -> io.BytesIO:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", kind) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content, compress_type=kind)
    return out


def tarred(
    files: dict[str, bytes], mode: str = "w", change: Callable[[tarfile.TarInfo], None] | None = None
) -> io.BytesIO:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as archive:  # type: ignore[call-overload]
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            if change:
                change(member)
            archive.addfile(member, io.BytesIO(content))
    return out


def tree(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def refused(archive: io.BytesIO, tmp_path: Path, *words: str, limits: Limits | None = None) -> None:
    with pytest.raises(InputError) as error:
        unpack(archive, tmp_path / "out", limits or Limits())
    assert all(word in str(error.value) for word in words), error.value
    assert "\n" not in str(error.value)
    assert {p.name for p in tmp_path.iterdir()} <= {"out"}, "something was written outside"
    assert not [p for p in tmp_path.rglob("*") if p.is_symlink() or not (p.is_file() or p.is_dir())]


ARCHIVES = {
    "zip": lambda: zipped(FILES),
    "zip, stored": lambda: zipped(FILES, zipfile.ZIP_STORED),
    "tar": lambda: tarred(FILES),
    "tar.gz": lambda: tarred(FILES, "w:gz"),
    "in a folder": lambda: tarred({f"./my/{name}": content for name, content in FILES.items()}),
    "with a Mac's additions": lambda: zipped({"__MACOSX/._x": b"x", "a/.DS_Store": b"x", "a/._b": b"", **FILES}),
}


@pytest.mark.parametrize("name", ARCHIVES)
def test_honest_archives_come_out_as_they_went_in(name: str, tmp_path: Path) -> None:
    unpack(ARCHIVES[name](), tmp_path / "out")
    assert tree(submission_in(tmp_path / "out")) == FILES
    assert all(not p.stat().st_mode & 0o111 for p in (tmp_path / "out").rglob("*") if p.is_file())
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize(
    "name", ["../x", "/etc/x", "a/../../x", "C:/x", "a\\..\\x", "a/\nb", "x" * 300, "/".join("abcdefghijklmnopqr")]
)
@pytest.mark.parametrize("pack", [zipped, tarred])
def test_names_that_lead_elsewhere_are_refused(name: str, pack: Callable[..., io.BytesIO], tmp_path: Path) -> None:
    refused(pack({"a": b"", name: b"x"}), tmp_path, "file name")
    with pytest.raises(InputError, match="file name"):
        place([(name, io.BytesIO(b"x"))], tmp_path / "placed")


def _as(kind: bytes, to: str = "") -> Callable[[tarfile.TarInfo], None]:
    def change(member: tarfile.TarInfo) -> None:
        member.type, member.linkname, member.size = kind, to, 0

    return change


@pytest.mark.parametrize("to", ["/etc/passwd", "../..", "submission.toml"])
@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE])
def test_links_in_a_tar_are_refused(kind: bytes, to: str, tmp_path: Path) -> None:
    refused(tarred({"w": b""}, change=_as(kind, to)), tmp_path, "link")


@pytest.mark.parametrize("kind", [tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE])
def test_special_files_in_a_tar_are_refused(kind: bytes, tmp_path: Path) -> None:
    refused(tarred({"w": b""}, change=_as(kind)), tmp_path, "special file")


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFSOCK])
def test_links_and_special_files_in_a_zip_are_refused(kind: int, tmp_path: Path) -> None:
    out, member = io.BytesIO(), zipfile.ZipInfo("w")
    member.create_system, member.external_attr = 3, (kind | 0o777) << 16
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(member, "/etc/passwd")
    refused(out, tmp_path, "link or a special file")


def test_setuid_bits_are_not_taken_over(tmp_path: Path) -> None:
    def change(member: tarfile.TarInfo) -> None:
        member.mode = 0o6777

    unpack(tarred(FILES, change=change), tmp_path / "out")
    assert all(not p.stat().st_mode & 0o7111 for p in (tmp_path / "out").rglob("*") if p.is_file())


@pytest.mark.parametrize("pack", [zipped, lambda files: tarred(files, "w:gz")])
def test_bombs_are_stopped_by_ratio_and_by_size(pack: Callable[..., io.BytesIO], tmp_path: Path) -> None:
    bomb = pack({"zeros": bytes(60_000_000)})
    refused(bomb, tmp_path, "200 times")
    written = sum(p.stat().st_size for p in tmp_path.rglob("*") if p.is_file())
    assert written <= 10_000_000 + 200 * len(bomb.getvalue()) + (1 << 20)


@pytest.mark.parametrize("pack", [zipped, tarred, lambda files: tarred(files, "w:gz")])
def test_too_much_and_too_many_are_refused(pack: Callable[..., io.BytesIO], tmp_path: Path) -> None:
    (tmp_path / "size").mkdir()
    (tmp_path / "count").mkdir()
    refused(pack({"a": bytes(4000), "b": bytes(4000)}), tmp_path / "size", "MB", limits=Limits(10, 6000))
    many = {f"f{i}": b"" for i in range(11)}
    refused(pack(many), tmp_path / "count", "more than 10 files", limits=Limits(10))
    with pytest.raises(InputError, match="more than 10 files"):
        place([(name, io.BytesIO()) for name in many], tmp_path / "placed", Limits(10))


def test_a_size_that_lies_is_found_out(tmp_path: Path) -> None:
    content = zipped({"a": bytes(100_000)}).getvalue()
    at = content.index(b"PK\x01\x02") + 24
    refused(io.BytesIO(content[:at] + (7).to_bytes(4, "little") + content[at + 4 :]), tmp_path, "archive")


def test_a_directory_of_very_many_entries_is_not_read(tmp_path: Path) -> None:
    refused(io.BytesIO(b"PK\x01\x02" * 100_001), tmp_path, "too many entries")


def test_a_header_cannot_ask_for_all_memory(tmp_path: Path) -> None:
    member = tarfile.TarInfo("x")
    member.type, member.size = tarfile.XHDTYPE, 1 << 31
    content = io.BytesIO(member.tobuf(tarfile.USTAR_FORMAT) + bytes(1024))
    refused(content, tmp_path, "header of unusual size")


def test_encrypted_and_unusual_members_are_refused(tmp_path: Path) -> None:
    content = bytearray(zipped({"a": b"x"}).getvalue())
    content[content.index(b"PK\x01\x02") + 8] |= 1
    refused(io.BytesIO(bytes(content)), tmp_path, "encrypted")
    (tmp_path / "out").rmdir()
    refused(zipped({"a": b"x" * 100}, zipfile.ZIP_LZMA), tmp_path, "unusual")


@pytest.mark.parametrize(
    "files", [[("a", b"1"), ("a", b"2")], [("a", b"1"), ("a/b", b"2")], [("a/b", b"1"), ("a", b"2")]]
)
def test_two_files_of_one_name_are_refused(files: list[tuple[str, bytes]], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="two files are called"):
        place([(name, io.BytesIO(content)) for name, content in files], tmp_path / "out")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"hello",
        b"PK",
        b"PK\x03\x04rubbish" * 50,
        gzip.compress(b"hello", mtime=0),
        b"\x1f\x8b rubbish",
        b"\0" * 600,
    ],
)
def test_what_is_no_archive_is_refused(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="archive"):
        unpack(io.BytesIO(content), tmp_path / "out")
        submission_in(tmp_path / "out")
        raise InputError("archive without anything")


@pytest.mark.parametrize("pack", [zipped, tarred, lambda files: tarred(files, "w:gz")])
def test_archives_cut_anywhere_never_break(pack: Callable[..., io.BytesIO], tmp_path: Path) -> None:
    whole = pack(FILES).getvalue()
    for i, at in enumerate(range(1, len(whole), max(1, len(whole) // 40))):
        try:
            unpack(io.BytesIO(whole[:at]), tmp_path / str(i))
        except InputError as error:
            assert "\n" not in str(error)


@pytest.mark.parametrize("pack", [zipped, tarred, lambda files: tarred(files, "w:gz")])
def test_damaged_archives_never_break_and_never_leave_the_folder(
    pack: Callable[..., io.BytesIO], tmp_path: Path
) -> None:
    whole, rng = pack(FILES).getvalue(), random.Random(0)
    for i in range(150):
        damaged = bytearray(whole)
        for _ in range(rng.randint(1, 8)):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        try:
            unpack(io.BytesIO(bytes(damaged)), tmp_path / "in" / str(i))
        except InputError as error:
            assert "\n" not in str(error)
    assert [p.name for p in tmp_path.iterdir()] == ["in"]
    assert not [p for p in tmp_path.rglob("*") if p.is_symlink() or not (p.is_file() or p.is_dir())]


def test_the_manifest_may_be_missing(tmp_path: Path) -> None:
    unpack(zipped({"a/x": b"", "b/submission.toml": b""}), tmp_path / "out")
    with pytest.raises(InputError, match=r"no submission\.toml"):
        submission_in(tmp_path / "out")


@pytest.mark.parametrize(
    ("weights", "sent", "expected"),
    [
        ('"model.onnx"', ["model.onnx"], ["model.onnx"]),
        ('"weights"', ["a.json", "b.safetensors"], ["weights/a.json", "weights/b.safetensors"]),
        ('"hub:a/b@c"', ["recipe.py"], ["recipe.py"]),
        ("3", ["a"], ["a"]),
        ("broken", ["a"], ["a"]),
    ],
)
def test_files_without_folders_are_the_weights(weights: str, sent: list[str], expected: list[str]) -> None:
    manifest = io.BytesIO(f"weights = {weights}".encode())
    named = beside_manifest(manifest, [(name, io.BytesIO()) for name in sent])
    assert [name for name, _ in named] == ["submission.toml", *expected]


def test_a_weights_folder_cannot_lead_out(tmp_path: Path) -> None:
    named = beside_manifest(io.BytesIO(b'weights = "../../x"'), [("a", io.BytesIO())])
    with pytest.raises(InputError, match="leads out"):
        place(named, tmp_path / "out")
