"""What a TOML file of kind classification may say."""

from __future__ import annotations

from pydantic import Field, model_validator

from suite.manifest import Normalisation
from tasks.own.common import Common


class Description(Common):
    """A classification data set of images, features, arrays, or a label alone; paths are relative to the TOML file."""

    images: str | None = None
    """Folder of images: one folder a class, or, with ``file``, named by the table."""
    file: str | None = None
    """The table's column of image files, relative to ``images``."""
    features: tuple[str, ...] = ()
    """The table's columns of numbers that are the model's input, in this order."""
    categorical: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """Columns of categories and their values: one more feature each, in this order."""
    arrays: str | None = None
    """An .npz file of arrays."""
    x: str = "x"
    """Its array of inputs [N, ...]."""
    y: str = "y"
    """Its array of labels [N]: numbers of classes, or their names."""
    ids: str | None = None
    """Its array of ids; absent: row-000000 and so on."""
    label: str | None = None
    """The table's column of labels."""
    calibration: dict[str, str] = Field(default_factory=dict)
    """The table's columns and values of the items to fit a temperature on, {split = "val"}; up to 100 classes."""
    calibration_from: str | None = None
    """Folder, table or .npz of such items, laid out as the data; up to 100 classes."""
    positive: str | None = None
    """Two classes: the one that counts as yes; the second without this key."""
    ranking: bool = False
    """A screen with few positives: logAUC, enrichment, BEDROC."""
    novelty: str | None = None
    """The label of items of none of the classes."""
    corruptions: tuple[str, ...] = ()
    """Kinds of CIFAR-10-C to show every image under as well: gaussian_noise, jpeg_compression, occlusion ..."""
    severities: tuple[int, ...] = (1, 3, 5)
    """How severe, 1 to 5; each kind at each of them."""
    attacks: tuple[str, ...] = ()
    """Attacks along a model's own gradients to show every image under as well: fgsm, pgd (torch formats)."""
    attack_eps: tuple[float, ...] = (1, 2, 8)
    """The largest change of a value, in 255ths of the range from 0 to 1; each attack at each of them."""
    attack_steps: int = Field(default=10, ge=3, le=1000)
    """Steps of pgd."""
    metadata: tuple[str, ...] = ()
    """The table's columns that `hallmark slices` may describe errors by; numbers, or text with few values."""
    resize: int | None = Field(default=None, gt=0)
    """Pixels of an image's shorter side, bilinear."""
    crop: int | None = Field(default=None, gt=0)
    """Pixels of the square that is then cut out of the middle."""
    normalisation: Normalisation | None = None
    """For submissions that declare none."""

    @model_validator(mode="after")
    def _fits(self) -> Description:
        tabular = bool(self.features or self.categorical)
        problems = {
            "give one of images, arrays and features": (self.images is not None) + (self.arrays is not None) + tabular
            > 1,
            "give images, arrays, or a table with a label": self.images is None
            and self.arrays is None
            and not self.label,
            "file, label, features and categorical name columns of a table, and no table is given: add table = ...": (
                self.table is None and bool(self.file or self.label or tabular or self.calibration)
            ),
            "file needs images and label": self.file is not None and (self.images is None or self.label is None),
            "give calibration or calibration_from, not both": bool(self.calibration and self.calibration_from),
            "positive is not among the classes": self.positive is not None and self.positive not in self.classes,
            "positive needs two classes": self.positive is not None and len(self.classes) != 2,  # noqa: PLR2004
            "novelty is the label of items of none of the classes": self.novelty in self.classes,
            "metadata names columns of a table, and no table is given: add table = ...": self.metadata
            and self.table is None,
        }
        found = next((line for line, wrong in problems.items() if wrong), None)
        if found:
            raise ValueError(found)
        return self
