"""Images and label maps from files: PNG, TIFF, JPEG, BMP and GIF through Pillow, NIfTI through nibabel.

Values: 8- and 16-bit images are scaled to [0, 1] (divided by 255 and 65535), one-bit ones are 0 and 1; NIfTI voxels and
TIFFs of 32 bits keep their values (NIfTI after its own scale and offset), in float32. Alpha is dropped, palettes become
RGB. Nothing is reoriented or resampled.

Axes: photographs are (H, W); a TIFF of several pages is a volume (page, H, W). NIfTI is stored (x, y, z): the axes are
reversed to (D, H, W) = (z, y, x), as SimpleITK and nnU-Net read it (MONAI keeps (x, y, z)). A fourth NIfTI axis holds
the channels. Spacing follows the same order.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from suite.errors import InputError

NIFTI = (".nii", ".nii.gz")
PICTURES = (".png", ".tif", ".tiff", ".jpg", ".jpeg", ".bmp", ".gif")
SUFFIXES = NIFTI + PICTURES
DICOM = (".dcm", ".dicom", ".ima")
SPACING_RTOL = 1e-3  # headers are float32, and written by many programs
DIRECTION_ATOL = 1e-2
_VOLUME, _CHANNELS = 3, 4  # NIfTI axes
_SCALE = {"1": 1.0, "L": 255.0, "RGB": 255.0, "I;16": 65535.0, "I;16B": 65535.0, "I;16L": 65535.0}
_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)
_FREED = {"P": "RGB", "RGBA": "RGB", "LA": "L", "PA": "RGB", "CMYK": "RGB", "YCbCr": "RGB", "RGBX": "RGB"}


@dataclass(frozen=True)
class Raster:
    """The content of one file.

    Attributes:
        values: [C, (D,) H, W] of an image, [(D,) H, W] of labels.
        spacing_mm: per spatial axis; ``None`` where the format has none.
        direction: [3, 3] direction cosines of the axes; ``None`` where the format has none.
    """

    values: NDArray[Any]
    spacing_mm: tuple[float, ...] | None = None
    direction: NDArray[np.float64] | None = None


def stem(path: Path) -> str:
    """A file's name without its suffix, of which ``.nii.gz`` is one."""
    suffix = next((s for s in SUFFIXES if path.name.lower().endswith(s)), path.suffix)
    return path.name[: len(path.name) - len(suffix)]


def is_image(path: Path) -> bool:
    """Whether the name is one of a format that can be read.

    Raises:
        InputError: it is DICOM.
    """
    if path.name.lower().endswith(DICOM):
        raise InputError(f"{path} is DICOM, which is not read: convert it to NIfTI, e.g. with dcm2niix")
    return path.name.lower().endswith(SUFFIXES)


def read_image(path: Path, colour: Literal["rgb", "gray"] | None = None) -> Raster:
    """An image as float32, [C, (D,) H, W].

    Args:
        path: of the file.
        colour: ``rgb`` repeats the one channel of a gray picture, ``gray`` makes the ITU-R 601 luma of a coloured one.

    Raises:
        InputError: the file is not there, not readable, of no such format, or holds a NaN or an infinity.
    """
    raster = _nifti(path) if _is_nifti(path) else Raster(_pages(path, _scaled))
    values = raster.values
    if _is_nifti(path):
        values = np.moveaxis(values, -1, 0) if values.ndim == _CHANNELS else values[None]
        values = _reversed(values.astype(np.float32), first=1)
    if not np.isfinite(values).all():
        raise InputError(f"{path} holds {int((~np.isfinite(values)).sum())} values that are NaN or infinite")
    if not _is_nifti(path) and colour is not None:
        values = _in_colour(values, colour)
    return Raster(np.ascontiguousarray(values), raster.spacing_mm, raster.direction)


def read_labels(path: Path) -> Raster:
    """A label map as whole numbers, [(D,) H, W]; palettes give their indices.

    Raises:
        InputError: the file is not there, not readable, of no such format, has channels, or holds fractions.
    """
    raster = _nifti(path) if _is_nifti(path) else Raster(_pages(path, _indices))
    values = raster.values
    if values.ndim == _CHANNELS and values.shape[-1] == 1:
        values = values[..., 0]
    if values.ndim not in (2, _VOLUME) or (not _is_nifti(path) and _coloured(path)):
        raise InputError(f"{path} has shape {list(values.shape)}; a label map has one value per pixel, no colours")
    if values.dtype.kind == "f" and not np.array_equal(values, np.rint(values)):
        raise InputError(f"{path} holds values that are no whole numbers (NaN or fractions); labels are whole numbers")
    whole = values.astype(np.int32)
    return Raster(np.ascontiguousarray(_reversed(whole) if _is_nifti(path) else whole), *_grid(raster))


def disagreement(image: Raster, labels: Raster) -> str | None:
    """How the grids of an image and its label map differ, or ``None``; rounding of headers is let through."""
    shape = image.values.shape[1:]
    if shape != labels.values.shape:
        return f"the image has shape {list(shape)}, the labels {list(labels.values.shape)}"
    a, b = image.spacing_mm, labels.spacing_mm
    if a is not None and b is not None and not np.allclose(a, b, rtol=SPACING_RTOL, atol=0):
        return f"the image has spacing {_text(a)} mm, the labels {_text(b)} mm"
    if image.direction is None or labels.direction is None:
        return None
    if not np.allclose(image.direction, labels.direction, atol=DIRECTION_ATOL):
        return f"the image is oriented {_axes(image.direction)}, the labels {_axes(labels.direction)}"
    return None


def _is_nifti(path: Path) -> bool:
    return path.name.lower().endswith(NIFTI)


def _grid(raster: Raster) -> tuple[tuple[float, ...] | None, NDArray[np.float64] | None]:
    return raster.spacing_mm, raster.direction


def _reversed(values: NDArray[Any], first: int = 0) -> NDArray[Any]:
    """Spatial axes the other way round; those before `first` stay."""
    return values.transpose(*range(first), *reversed(range(first, values.ndim)))


def _nifti(path: Path) -> Raster:
    """Voxels in the file's own order (x, y, z, channel), spacing and direction in that of the arrays."""
    try:
        import nibabel
    except ImportError:
        raise InputError(f"{path} is NIfTI, which needs nibabel: pip install 'hallmark-bench[medical]'") from None
    if not path.is_file():
        raise InputError(f"no image at {path}")
    try:
        with nibabel.imageglobals.LoggingOutputSuppressor():
            file: Any = nibabel.load(path)
            values, affine = np.asanyarray(file.dataobj), np.asarray(file.affine, dtype=np.float64)
        with nibabel.openers.ImageOpener(str(path)) as raw:  # as written: nibabel's own header makes 1 mm of 0
            zooms = np.abs(type(file.header).from_fileobj(raw, check=False)["pixdim"][1:])
    except Exception as error:  # nibabel, gzip and zlib raise many types; the user needs one line
        raise InputError(f"{path} is not a readable NIfTI file: {(str(error).splitlines() or [''])[0]}") from None
    space = min(values.ndim, _VOLUME)
    if values.ndim not in (2, _VOLUME, _CHANNELS) or not values.size:
        raise InputError(f"{path} has shape {list(values.shape)}; allowed: 2, 3, or 4 axes with the channels last")
    spacing = tuple(float(size) for size in reversed(zooms[:space]))
    if not all(np.isfinite(size) and size > 0 for size in spacing):
        raise InputError(f"{path} has spacing {_text(spacing)} mm in its header; every one must be above 0")
    with np.errstate(invalid="ignore", divide="ignore"):
        direction = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    return Raster(values, spacing, direction if np.isfinite(direction).all() else None)


def _pages(path: Path, convert: Any) -> NDArray[Any]:
    """A picture, or all pages of one as a volume: channels first if `convert` gives them."""
    from PIL import Image as Picture
    from PIL import ImageSequence

    if not is_image(path):
        raise InputError(f"{path} is of no format that can be read; allowed: {', '.join(SUFFIXES)}")
    try:
        with Picture.open(path) as file:
            pages = [convert(page) for page in ImageSequence.Iterator(file)]
    except FileNotFoundError:
        raise InputError(f"no image at {path}") from None
    except (OSError, ValueError, SyntaxError, Picture.DecompressionBombError) as error:
        raise InputError(f"{path} is not a readable image: {(str(error).splitlines() or [''])[0]}") from None
    if len({page.shape for page in pages}) > 1:
        raise InputError(f"{path} has pages of different sizes")
    return np.stack(pages, axis=pages[0].ndim - 2 if convert is _scaled else 0) if pages[1:] else pages[0]


def _scaled(page: Any) -> NDArray[np.float32]:
    """[C, H, W] float32."""
    page = page.convert(_FREED[page.mode]) if page.mode in _FREED else page
    values = np.asarray(page, dtype=np.float32)
    values = values / np.float32(_SCALE.get(page.mode, 1.0))
    return values[None] if values.ndim == 2 else values.transpose(2, 0, 1)  # noqa: PLR2004 - (H, W)


def _indices(page: Any) -> NDArray[Any]:
    """[H, W]; of a GIF the gray values, for its writer chooses the palette."""
    return np.asarray(page.convert("L") if page.format == "GIF" else page)


def _in_colour(values: NDArray[np.float32], colour: Literal["rgb", "gray"]) -> NDArray[np.float32]:
    if colour == "rgb":
        return np.repeat(values, len(_LUMA), axis=0) if len(values) == 1 else values
    return values if len(values) == 1 else np.tensordot(_LUMA, values, axes=1)[None]


def _coloured(path: Path) -> bool:
    from PIL import Image as Picture

    with Picture.open(path) as file:
        return len(file.getbands()) > 1


def _text(numbers: tuple[float, ...]) -> str:
    return " x ".join(f"{number:g}" for number in numbers)


def _axes(direction: NDArray[np.float64]) -> str:
    from nibabel import orientations

    affine = np.eye(_CHANNELS)
    affine[:_VOLUME, :_VOLUME] = direction
    codes: Any = orientations.aff2axcodes  # untyped
    return "".join(map(str, codes(affine)))
