"""Inputs: what the harness must know to feed a model; the ``[inputs]`` section of a manifest."""

from __future__ import annotations

from itertools import combinations
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

DEFAULT_OVERLAP = 0.5
_MAX_AXES = 3


class Strict(BaseModel):
    """Frozen; an unknown key or a number that is not finite is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)


class Normalisation(Strict):
    """How a resampled image becomes the model's input: clip or window first, then (x - mean) / std or the z-score."""

    mean: tuple[float, ...] = (0.0,)
    """Per channel, or one value for all."""
    std: tuple[float, ...] = (1.0,)
    """Per channel, or one value for all."""
    clip: tuple[float, float] | None = None
    """[lowest, highest] value; what lies outside is set to them."""
    clip_percentiles: tuple[float, float] | None = None
    """As clip, at these percentiles of each channel of the image, e.g. [0.5, 99.5]."""
    window: tuple[float, float] | None = None
    """CT: [centre, width]; clipped to centre ± width / 2 and scaled to [0, 1] (DICOM's LINEAR_EXACT)."""
    zscore: Literal["image", "nonzero"] | None = None
    """Instead of mean and std: each channel's own; nonzero: over voxels that are not 0, and only those change."""

    @field_validator("std")
    @classmethod
    def _positive(cls, std: tuple[float, ...]) -> tuple[float, ...]:
        if min(std, default=0.0) <= 0:
            raise ValueError("every std must be above 0")
        return std

    @field_validator("clip", "clip_percentiles")
    @classmethod
    def _rising(cls, ends: tuple[float, float] | None) -> tuple[float, float] | None:
        if ends is not None and ends[0] >= ends[1]:
            raise ValueError("the first value must be below the second")
        return ends

    @field_validator("clip_percentiles")
    @classmethod
    def _percent(cls, ends: tuple[float, float] | None) -> tuple[float, float] | None:
        if ends is not None and not 0 <= ends[0] < ends[1] <= 100:  # noqa: PLR2004
            raise ValueError("percentiles lie in [0, 100]")
        return ends

    @field_validator("window")
    @classmethod
    def _wide(cls, window: tuple[float, float] | None) -> tuple[float, float] | None:
        if window is not None and window[1] <= 0:
            raise ValueError("the width must be above 0")
        return window

    @model_validator(mode="after")
    def _one_of_each_step(self) -> Self:
        given = [name for name in ("clip", "clip_percentiles", "window") if getattr(self, name) is not None]
        if given[1:]:
            raise ValueError(f"{' and '.join(given)} say the same step twice; keep one of them")
        if self.zscore is not None and (self.mean, self.std) != ((0.0,), (1.0,)):
            raise ValueError("zscore takes the image's own mean and std; remove zscore, or mean and std")
        return self


class Inputs(Strict):
    """What the harness must know to feed the model."""

    context: int | None = Field(default=None, gt=0)
    """Language: tokens that one sequence may hold; absent: what the model's configuration says."""
    shape: tuple[int, ...] | None = None
    """Vision: one input without the batch dimension, e.g. [3, 32, 32]."""
    spacing: tuple[float, ...] | None = None
    """Segmentation: millimetres per voxel that the model expects, by spatial axis; other images are resampled to it."""
    normalisation: Normalisation | None = None
    """Vision: absent means that the model takes the task's values as they are ([0, 1], where the task does not say)."""
    patch: tuple[int, ...] | None = None
    """Segmentation: voxels by spatial axis that the model takes at once; sliding windows with Gaussian blending."""
    overlap: float | None = Field(default=None, ge=0, lt=1)
    """Segmentation: share of a window that the next one covers again; 0.5 if absent. Only with patch."""
    flips: tuple[int, ...] | tuple[tuple[int, ...], ...] = ()
    """Segmentation: test-time flips, averaged with the image as it is. [0, 1]: every combination of these spatial
    axes; [[0], [1]]: these flips alone. Axis 0 is the first spatial one. Each costs a forward."""
    pad_to_multiple: int | None = Field(default=None, gt=1)
    """Segmentation: whole images are padded with 0 to a multiple of this on every spatial axis, the answer cropped."""
    ensemble: tuple[str, ...] = ()
    """Vision: files of several networks (folds) in the folder that weights names; their probabilities are averaged."""
    layout: Literal["channels_last"] | None = None
    """Vision: channels_last where the file takes [H, W, C] and gives [H, W, K]; absent: channels first."""
    classes: int | None = Field(default=None, gt=1)
    """Number of classes, the background counted."""
    output: Literal["logits", "probabilities"] = "logits"
    """What the file's last layer gives; logits go through a float64 softmax."""
    scores: str | None = None
    """Predictions: the .npz array, or the beginning of the columns' names, that holds the scores."""
    calibration_scores: str | None = None
    """Predictions: the .npz array that holds the scores of the task's calibration split."""
    ids: str | None = None
    """Predictions: the array or column of item ids; absent in a .npz: rows are in the data's order."""
    data_sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    """Predictions: digest of the data that they were made on, as records and `hallmark list` state it."""

    @field_validator("spacing", "patch")
    @classmethod
    def _above_0(cls, sizes: tuple[float, ...] | None) -> tuple[float, ...] | None:
        if sizes is not None and min(sizes, default=0) <= 0:
            raise ValueError("every entry must be above 0")
        return sizes

    @field_validator("ensemble")
    @classmethod
    def _different_files(cls, files: tuple[str, ...]) -> tuple[str, ...]:
        for name in files:
            parts = name.split("/")
            if not name or name.startswith("/") or ".." in parts or "." in parts or "" in parts or "\\" in name:
                raise ValueError(f"{name!r} must be the path of a file inside the weights folder")
        if len(set(files)) < len(files):
            raise ValueError("a file is named twice; every member counts once")
        return files

    @model_validator(mode="after")
    def _no_contradiction(self) -> Self:
        for why in (*_patch_problems(self), *_flip_problems(self)):
            raise ValueError(why)
        return self

    @property
    def flip_axes(self) -> tuple[tuple[int, ...], ...]:
        """The spatial axes of every forward that flips cost, the one without a flip first.

        >>> Inputs(flips=(0, 1)).flip_axes, Inputs(flips=((1,),)).flip_axes
        (((), (0,), (1,), (0, 1)), ((), (1,)))
        """
        lists = [entry for entry in self.flips if isinstance(entry, tuple)]
        if lists:
            return ((), *lists)
        axes = [entry for entry in self.flips if isinstance(entry, int)]
        return tuple(chosen for count in range(len(axes) + 1) for chosen in combinations(axes, count))

    def decides(self) -> dict[str, Any]:
        """What is part of a fingerprint: every key, those of later versions only where they are set."""
        fields = self.model_dump(mode="json")
        parts = [fields, fields["normalisation"]] if fields["normalisation"] else [fields]
        for part in parts:
            for name in _LATER & part.keys():
                if part[name] is None or part[name] == []:
                    del part[name]
        return fields


_LATER = {"patch", "overlap", "flips", "pad_to_multiple", "ensemble", "layout"}
_LATER |= {"clip", "clip_percentiles", "window", "zscore"}


def _patch_problems(inputs: Inputs) -> list[str]:
    """Contradictions about what the model takes at once."""
    found = []
    dims = {len(sizes) for sizes in (inputs.patch, inputs.spacing) if sizes is not None}
    dims |= {len(inputs.shape) - 1} if inputs.shape is not None and (inputs.patch or inputs.spacing) else set()
    if len(dims) > 1:
        found.append("patch, spacing and shape (without its channels) must have one entry for each spatial axis")
    elif inputs.patch is not None and inputs.shape is not None and inputs.shape[1:] != inputs.patch:
        found.append(
            f"shape = {list(inputs.shape)} is not a channel count and patch = {list(inputs.patch)}; remove one"
        )
    if inputs.overlap is not None and inputs.patch is None:
        found.append("overlap is that of sliding windows; say their size in patch, or remove it")
    if inputs.pad_to_multiple is not None and (inputs.patch is not None or inputs.shape is not None):
        found.append("pad_to_multiple is for whole images; patch or shape fix the size already, keep one of them")
    return found


def _flip_problems(inputs: Inputs) -> list[str]:
    """Flips of no axis, of one axis twice, or of axes that the image does not have."""
    sized = next((sizes for sizes in (inputs.patch, inputs.spacing) if sizes is not None), None)
    dims = len(sized) if sized else len(inputs.shape) - 1 if inputs.shape else _MAX_AXES
    for axes in inputs.flip_axes[1:]:
        if not axes or len(set(axes)) < len(axes):
            return [f"flips: {list(axes)} must name one or more different axes"]
        if min(axes) < 0 or max(axes) >= dims:
            return [f"flips: {list(axes)} names an unknown axis; allowed are 0 to {dims - 1}, the spatial ones"]
    if len(set(map(frozenset, inputs.flip_axes))) < len(inputs.flip_axes):
        return ["flips: one flip is named twice; every one counts once"]
    return []
