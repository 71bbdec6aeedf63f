"""Readers of images and label maps: values, axes, spacing, orientation, and what is refused."""

from __future__ import annotations

import gzip
import re
import struct
from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image as Picture

from suite.errors import InputError
from tasks import images

RNG = np.random.default_rng(0)


def nifti(path, array, spacing=(1.0, 1.0, 1.0), flip=False):
    affine = np.diag([*spacing, 1.0])
    if flip:
        affine[0, 0] *= -1
    nibabel.save(nibabel.Nifti1Image(array, affine), path)
    return path


@pytest.mark.parametrize(
    ("mode", "shape", "dtype", "most"),
    [("L", (5, 7), np.uint8, 255), ("RGB", (5, 7, 3), np.uint8, 255), ("I;16", (5, 7), np.uint16, 65535)],
)
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_pictures_are_scaled_to_one(tmp_path, mode, shape, dtype, most, suffix):
    from skimage import io

    values = RNG.integers(0, most + 1, shape).astype(dtype)
    values.flat[0] = most
    Picture.fromarray(values).save(tmp_path / f"a.{suffix}")
    read = images.read_image(tmp_path / f"a.{suffix}")
    assert read.values.dtype == np.float32
    assert read.values.max() == 1
    assert read.spacing_mm is None
    other = io.imread(tmp_path / f"a.{suffix}")  # another reader for TIFF, the same for PNG
    wanted = (other if other.ndim == 3 else other[..., None]).transpose(2, 0, 1) / most
    assert np.allclose(read.values, wanted, atol=1e-7)


def test_alpha_palettes_and_one_bit(tmp_path):
    Picture.fromarray(np.full((2, 2, 4), 255, np.uint8)).save(tmp_path / "alpha.png")
    assert images.read_image(tmp_path / "alpha.png").values.shape == (3, 2, 2)
    picture = Picture.fromarray(np.array([[0, 1], [2, 1]], np.uint8), mode="P")
    picture.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0])
    picture.save(tmp_path / "p.png")
    assert images.read_image(tmp_path / "p.png").values[:, 0, 1].tolist() == [1, 0, 0]
    assert images.read_labels(tmp_path / "p.png").values.tolist() == [[0, 1], [2, 1]]
    Picture.fromarray(np.array([[True, False]])).save(tmp_path / "bit.png")
    assert images.read_labels(tmp_path / "bit.png").values.tolist() == [[1, 0]]
    assert images.read_image(tmp_path / "bit.png").values.tolist() == [[[1, 0]]]


def test_black_and_white_gifs_are_0_and_255(tmp_path):
    Picture.fromarray(np.array([[0, 255]], np.uint8)).save(tmp_path / "a.gif")
    assert images.read_labels(tmp_path / "a.gif").values.tolist() == [[0, 255]]


def test_colour_on_demand(tmp_path):
    Picture.fromarray(np.full((2, 2), 51, np.uint8)).save(tmp_path / "gray.png")
    assert np.allclose(images.read_image(tmp_path / "gray.png", "rgb").values, np.full((3, 2, 2), 0.2))
    Picture.fromarray(np.array([[[255, 0, 0]]], np.uint8)).save(tmp_path / "red.png")
    assert np.allclose(images.read_image(tmp_path / "red.png", "gray").values, 0.299)


def test_tiff_pages_are_a_volume(tmp_path):
    pages = [Picture.fromarray(np.full((3, 4), 10 * page, np.uint8)) for page in range(5)]
    pages[0].save(tmp_path / "stack.tif", save_all=True, append_images=pages[1:])
    read = images.read_image(tmp_path / "stack.tif").values
    assert read.shape == (1, 5, 3, 4)
    assert np.allclose(read[0, :, 0, 0] * 255, [0, 10, 20, 30, 40])
    assert images.read_labels(tmp_path / "stack.tif").values.shape == (5, 3, 4)


def test_nifti_keeps_values_and_reverses_axes(tmp_path):
    array = RNG.normal(size=(2, 3, 4)).astype(np.float32)
    read = images.read_image(nifti(tmp_path / "a.nii.gz", array, (0.5, 1.0, 3.0)))
    assert read.values.shape == (1, 4, 3, 2)
    assert read.values[0, 3, 2, 1] == array[1, 2, 3]
    assert read.spacing_mm == (3.0, 1.0, 0.5)


def test_nifti_channels_are_the_fourth_axis(tmp_path):
    array = RNG.normal(size=(2, 3, 4, 5)).astype(np.float32)
    read = images.read_image(nifti(tmp_path / "a.nii", array)).values
    assert read.shape == (5, 4, 3, 2)
    assert read[4, 3, 2, 1] == array[1, 2, 3, 4]


def test_nifti_scale_and_offset_are_applied(tmp_path):
    image = nibabel.Nifti1Image(np.array([[[1, 2]]], np.int16), np.eye(4))
    image.header.set_slope_inter(2, -10)
    nibabel.save(image, tmp_path / "a.nii")
    raw = np.asanyarray(nibabel.load(tmp_path / "a.nii").dataobj)
    assert np.array_equal(images.read_image(tmp_path / "a.nii").values[0], raw.T)


def test_real_crops_agree_with_the_bytes_of_the_file(mirror):
    path = mirror / "seg_msd_hippocampus/dev/images/hippocampus_017.nii.gz"
    raw = gzip.decompress(path.read_bytes())
    sizes, kind = struct.unpack_from("<3h", raw, 42), struct.unpack_from("<h", raw, 70)[0]
    start, slope = int(struct.unpack_from("<f", raw, 108)[0]), struct.unpack_from("<f", raw, 112)[0]
    assert (kind, slope) in {(16, 1.0), (16, 0.0)} or np.isnan(slope)  # float32, not scaled
    read = images.read_image(path)
    assert np.array_equal(read.values[0].ravel(), np.frombuffer(raw, "<f4", offset=start))
    assert read.values.shape == (1, *reversed(sizes))
    assert read.spacing_mm == struct.unpack_from("<3f", raw, 80)[::-1]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.nii.gz", b"not a nifti", "not a readable NIfTI"),
        ("a.nii", b"", "not a readable NIfTI"),
        ("a.png", b"\x89PNG broken", "not a readable image"),
        ("a.dcm", b"", "convert it to NIfTI"),
        ("a.npy", b"", "no format that can be read"),
    ],
)
@pytest.mark.parametrize("read", [images.read_image, images.read_labels])
def test_unreadable_files_are_one_line(tmp_path, name, content, words, read):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=words) as refused:
        read(tmp_path / name)
    assert "\n" not in str(refused.value)
    with pytest.raises(InputError, match=r"no image|convert|no format"):
        read(tmp_path / f"absent-{name}")


def test_a_cut_nifti_is_one_line(tmp_path):
    path = nifti(tmp_path / "a.nii.gz", RNG.normal(size=(16, 16, 16)))
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(InputError, match="not a readable NIfTI"):
        images.read_image(path)


def test_nan_fractions_and_colours_are_refused(tmp_path):
    path = nifti(tmp_path / "a.nii", np.array([[[1.0, np.nan, np.inf]]]))
    with pytest.raises(InputError, match="holds 2 values that are NaN or infinite"):
        images.read_image(path)
    with pytest.raises(InputError, match="no whole numbers"):
        images.read_labels(path)
    with pytest.raises(InputError, match="no whole numbers"):
        images.read_labels(nifti(tmp_path / "b.nii", np.array([[[0.5]]])))
    Picture.fromarray(np.zeros((2, 2, 3), np.uint8)).save(tmp_path / "c.png")
    with pytest.raises(InputError, match="no colours"):
        images.read_labels(tmp_path / "c.png")


def test_a_spacing_of_zero_is_refused(tmp_path):
    image = nibabel.Nifti1Image(np.zeros((2, 2, 2)), np.eye(4))
    nibabel.save(image, tmp_path / "a.nii")
    raw = bytearray((tmp_path / "a.nii").read_bytes())
    raw[80:84] = np.float32(0).tobytes()  # pixdim[1]
    (tmp_path / "a.nii").write_bytes(raw)
    with pytest.raises(InputError, match="above 0"):
        images.read_image(tmp_path / "a.nii")


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ({"array": np.zeros((2, 3, 5), np.uint8)}, r"shape \[4, 3, 2\], the labels \[5, 3, 2\]"),
        ({"spacing": (1, 1, 2)}, "1 x 1 x 1 mm, the labels 2 x 1 x 1 mm"),
        ({"flip": True}, "RAS, the labels LAS"),
        ({"spacing": (1, 1, 1.0005)}, None),
    ],
)
def test_grids_must_agree(tmp_path, labels, words):
    image = images.read_image(nifti(tmp_path / "image.nii", np.zeros((2, 3, 4))))
    given = {"array": np.zeros((2, 3, 4), np.uint8), **labels}
    why = images.disagreement(image, images.read_labels(nifti(tmp_path / "labels.nii", **given)))
    assert why is None if words is None else re.search(words, why)


def test_stems():
    assert [images.stem(Path(name)) for name in ("a.nii.gz", "b.x.png", "c.TIF")] == ["a", "b.x", "c"]
