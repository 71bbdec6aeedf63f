"""What a TOML file of kind segmentation may say."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator, model_validator

from suite.manifest import Normalisation
from tasks.images import NIFTI
from tasks.own.common import Common

IGNORED = 255  # the label of pixels that are not scored, whatever the files call it
DEFAULT_TOLERANCE = 2.0
UBench = Literal[
    "BUSI", "BUSBRA", "TNSCUI", "ISIC2018", "SkinCancer", "Kvasir", "Robotool", "CHASE", "DRIVE", "DSB",
    "GlaS", "Monusac", "Cell", "Covidquex", "Montgomery", "DCA", "ACDC", "Promise", "Synapse", "Cystoidfluid",
]  # fmt: skip


class Description(Common):
    """A segmentation data set; paths are relative to the TOML file."""

    images: str | tuple[str, ...]
    """Folder, glob, or path with ``{id}``; several of them are the channels of one image."""
    labels: str
    """The same for label maps; with ``{class}`` in it, one mask a class."""
    classes: tuple[str, ...] = Field(min_length=1, max_length=IGNORED - 1)
    """Names of the labels 1, 2, ...; 0 is the background."""
    colour: Literal["rgb", "gray"] | None = None
    """Read every picture as three channels, or as one (ITU-R 601 luma); without this key as its file has them."""
    label_values: tuple[int, ...] = ()
    """Values of the classes in the files, where they are not 1, 2, ...: [255] for black and white masks."""
    others: Literal["refuse", "background"] = "refuse"
    """What a value is that is none of these."""
    ignore_label: int | None = None
    """Value of pixels that are not scored."""
    mask: str | None = None
    """Pattern of masks that are 0 where nothing is scored (a field of view)."""
    instances: bool = False
    """The label maps number the objects of one class: 1, 2, ..."""
    raters: tuple[str, ...] = ()
    """Patterns of label maps by further people; `labels` is the one that counts."""
    regions: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """Nested regions: name and the classes that it unites; they are scored in the place of the classes."""
    spacing: tuple[float, ...] | None = None
    """Millimetres per pixel and axis, (D,) H, W, where the files do not say."""
    tolerance_mm: float | None = Field(default=None, gt=0)
    """Of the surface distance that still counts as right, at least an image's finest spacing; 2 without this key."""
    tolerance_px: float | None = Field(default=None, ge=1)
    """The same in pixels, for images without spacing."""
    failure_dice: float | None = Field(default=None, gt=0, lt=1)
    """A case with a smaller Dice counts as failed."""
    policy: Literal["exclude", "best", "brats"] = "exclude"
    """What empty masks are worth in a second set of Dice, IoU and distances, beside ours (``exclude``)."""
    tubular: tuple[str, ...] = ()
    """Classes or regions whose connectedness matters (vessels): clDice and Betti numbers."""
    lesions: tuple[str, ...] = ()
    """Classes or regions whose single components matter: recall, false positives, FROC."""
    lesion_dilation: int = Field(default=1, ge=0)
    """Steps by which neighbouring lesions merge in BraTS' lesion-wise scores."""
    lesion_least_mm3: float = Field(default=50.0, ge=0)
    """Lesions up to this volume are dropped there; voxels for images without spacing."""
    ubench: UBench | None = None
    """Its name in U-Bench (BUSI, DRIVE, ...), for U-Score by the percentiles that were frozen for it."""
    ids: tuple[str, ...] = ()
    """Only these cases."""
    unlabelled: Literal["refuse", "skip"] = "refuse"
    """What to do with an image without labels, or labels without an image."""
    cluster_from: str | None = None
    """Regular expression: what its first group finds in an id is the cluster, where no table says it."""
    normalisation: Normalisation | None = None
    """For submissions that declare none."""

    @field_validator("spacing")
    @classmethod
    def _positive(cls, spacing: tuple[float, ...] | None) -> tuple[float, ...] | None:
        if spacing is not None and (len(spacing) not in (2, 3) or min(spacing) <= 0):
            raise ValueError("give two or three sizes above 0")
        return spacing

    @field_validator("cluster_from")
    @classmethod
    def _expression(cls, text: str | None) -> str | None:
        try:
            return text if text is None else re.compile(text).pattern
        except re.error as error:
            raise ValueError(f"not a regular expression: {error}") from None

    @model_validator(mode="after")
    def _fits(self) -> Description:
        problems = {
            "give tolerance_mm or tolerance_px, not both": self.tolerance_mm and self.tolerance_px,
            "label_values needs one value a class": self.label_values and len(self.label_values) != len(self.classes),
            "label_values are distinct and not 0": len({0, *self.label_values}) != len(self.label_values) + 1,
            "ignore_label is also the value of a class or of the background": self.ignore_label
            in {0, *self._numbers()},
            "instances need exactly one class": self.instances and len(self.classes) != 1,
            "give cluster or cluster_from, not both": self.cluster and self.cluster_from,
            "no images are given": not self.images,
            "a region has the name of a class": set(self.regions) & set(self.classes),
            "a region's name may not be empty nor hold any of [ ] , =": set("".join(self.regions)) & set("[],="),
        }
        found = next((line for line, wrong in problems.items() if wrong), None)
        if found:
            raise ValueError(found)
        self._check_names()
        return self

    def _check_names(self) -> None:
        scored = tuple(self.regions) or self.classes
        said = {"tubular": (self.tubular, scored), "lesions": (self.lesions, scored)}
        said |= {f"regions.{name}": (members, self.classes) for name, members in self.regions.items()}
        for key, (names, allowed) in said.items():
            stray = [name for name in names if name not in allowed]
            if stray or (not names and key.startswith("regions")):
                raise ValueError(f"{key} names {stray[:1] or 'nothing'}; allowed: {', '.join(allowed)}")

    def _numbers(self) -> tuple[int, ...]:
        return self.label_values or tuple(range(1, len(self.classes) + 1))

    @property
    def values(self) -> dict[int, int]:
        """Value in the files -> label."""
        ignored = {} if self.ignore_label is None else {self.ignore_label: IGNORED}
        return {0: 0, **{value: label for label, value in enumerate(self._numbers(), start=1)}, **ignored}

    @property
    def in_mm(self) -> bool:
        """Whether distances are in millimetres, else in pixels; of a `settled` description."""
        return self.tolerance_mm is not None

    @property
    def tolerance(self) -> float:
        """Of the surface distance, in mm or px; of a `settled` description."""
        return self.tolerance_mm or self.tolerance_px or DEFAULT_TOLERANCE

    def settled(self, image: Path) -> Description:
        """The same with a tolerance in the unit that its images have, of which one is given."""
        if self.tolerance_mm is not None or self.tolerance_px is not None:
            return self
        known = self.spacing is not None or image.name.lower().endswith(NIFTI)
        return self.model_copy(update={"tolerance_mm" if known else "tolerance_px": DEFAULT_TOLERANCE})

    @property
    def ignores(self) -> bool:
        """Whether some pixels may not be scored."""
        return self.ignore_label is not None or self.mask is not None
