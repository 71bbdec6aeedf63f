"""Arrays as a user's data set: what is refused in one line, and when bytes are pixels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from suite.errors import InputError
from tasks.own import load

ABC = np.array(list("abc"))


def described(folder: Path, more: str = "") -> Path:
    path = folder / "set.toml"
    path.write_text('name = "mine"\nkind = "classification"\narrays = "a.npz"\n' + more)
    return path


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"x": np.zeros((3, 2)), "name": ABC[:2]}, "'x' has 3 items, 'name' 2 ids"),
        ({"x": np.zeros((3, 2)), "name": np.array(list("abcd"))}, "'x' has 3 items, 'name' 4 ids"),
        ({"x": np.zeros((3, 2)), "name": np.array(["a", "", "c"])}, "row 2 has no id in array 'name'"),
        ({"x": np.float64(1), "name": ABC}, r"'x' has the shape \[\]; wanted: \[items, ...\]"),
        ({"x": np.zeros(3), "name": ABC}, r"'x' has the shape \[3\]"),
        ({"x": np.zeros((3, 0)), "name": ABC}, "'x' has the shape"),
        ({"x": np.full((3, 2), 1e40), "name": ABC}, "finite numbers of float32's range"),
        ({"x": np.full((3, 2), np.nan), "name": ABC}, "finite numbers"),
        ({"x": np.full((3, 2), -np.inf), "name": ABC}, "finite numbers"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(tmp_path: Path, arrays: dict[str, Any], words: str) -> None:
    np.savez(tmp_path / "a.npz", y=np.array([0, 1, 0]), **arrays)
    with pytest.raises(InputError, match=words) as caught:
        load(described(tmp_path, 'ids = "name"\nclasses = ["a", "b"]\n'))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("kind", "words"), [("cut", "plain arrays"), ("empty", "plain arrays"), ("npy", "one array")])
def test_files_that_are_no_npz_are_refused(tmp_path: Path, kind: str, words: str) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, x=np.zeros((3, 2)), y=np.array([0, 1, 0]))
    if kind == "npy":
        with path.open("wb") as file:
            np.save(file, np.zeros((3, 2)))
    else:
        path.write_bytes(path.read_bytes()[: {"cut": 300, "empty": 0}[kind]])
    with pytest.raises(InputError, match=words) as caught:
        load(described(tmp_path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("shape", "wanted", "value"),
    [((4, 6), (6,), 51.0), ((4, 6, 5), (1, 6, 5), 0.2), ((4, 6, 5, 3), (3, 6, 5), 0.2), ((4, 2, 2, 2, 1), None, 51.0)],
)
def test_bytes_are_pixels_only_in_pictures(
    tmp_path: Path, shape: tuple[int, ...], wanted: tuple[int, ...] | None, value: float
) -> None:
    """[N, F] of bytes is a table and stays as it is; [N, H, W] are grey pictures in [0, 1]."""
    np.savez(tmp_path / "a.npz", x=np.full(shape, 51, dtype=np.uint8), y=np.arange(4) % 2)
    made = load(described(tmp_path)).examples(None)[0].input
    assert (made.shape, made.dtype) == (wanted or shape[1:], np.float32)
    assert np.allclose(made, value)
