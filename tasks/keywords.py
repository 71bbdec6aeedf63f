"""Keyword spotting of MLPerf Tiny: 1,000 real sounds of Speech Commands, as the benchmark's own features."""

from __future__ import annotations

import io
from collections.abc import Iterable

import numpy as np

from suite.data import Dataset, files_digest
from suite.task import Example
from tasks.classification import Classification
from tasks.metric_sets import Measured

_FILES = {"kws01.npz": "ad5da3af242b747011062cd68047a160a7beb5f9e3a9a901db16eec713056c3f"}
_WORDS = ("down", "go", "left", "no", "off", "on", "right", "stop", "up", "yes", "silence", "unknown")
SCALE, ZERO_POINT = 0.5847029, 83  # of the quantised features, which are those that the int8 reference model takes
SHAPE = (49, 10, 1)

_DATA = Dataset(
    name="cv_mlperf_tiny",
    content_sha256=files_digest(_FILES),
    files=_FILES,
    licence="CC-BY-4.0 (Speech Commands v2)",
    source="1,000 test sounds of Speech Commands v2 as MFCC features: eembc/energyrunner, datasets/kws01",
)


def _examples() -> Iterable[Example]:
    with np.load(io.BytesIO(_DATA.original("kws01.npz")), allow_pickle=False) as arrays:
        coded, labels, names = arrays["x"], arrays["y"], arrays["name"]
    for one, label, name in zip(coded, labels.tolist(), names.tolist(), strict=True):
        features = (one.astype(np.float32) - np.float32(ZERO_POINT)) * np.float32(SCALE)
        yield Example(name.removesuffix(".bin"), features.reshape(SHAPE), int(label))


MLPERF_TINY_KWS = Classification(
    name="mlperf-tiny-kws",
    title="Keyword spotting, 12 words, 1,000 sounds (MLPerf Tiny)",
    version="1",
    dataset=_DATA,
    shape=SHAPE,
    measured=Measured(_WORDS),
    load=_examples,
    protocol="mfcc-49x10x1/float",
)
