"""A 3-D U-Net for the hippocampus and what int8 and pruning leave of it, trained here in a few minutes.

Takes the 24 cases of the Medical Segmentation Decathlon's Task04 that lie in $HALLMARK_DATA/seg_msd_hippocampus/dev:
even places of the sorted names train, odd ones are for scoring and are never read here. Run
`python tests/real/hippocampus/recipe.py OUT` from the repository's root; README.md beside this file goes on from there.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

import numpy as np
import torch
from numpy.typing import NDArray

from submissions import vision_recipes as vision
from suite.manifest import Manifest, Normalisation
from tasks.vision import normalise

HERE = Path(__file__).resolve().parent
NAMES = ("hippocampus-unet", "hippocampus-unet-int8", "hippocampus-unet-pruned")
PATCH = (32, 48, 32)  # (z, y, x), as inputs.patch of the manifests
CROPS, WIDTH, STEPS, REPAIR_STEPS = 20, 12, 400, 150
Case = tuple[NDArray[np.float32], NDArray[np.int64]]


class HippocampusNet(vision.VolumeNet):
    """The embedded suite's U-Net on patches of this task: [B, 1, 32, 48, 32] to logits [B, 3, 32, 48, 32]."""

    shape = (1, *PATCH)


def cases(folder: Path, how: Normalisation | None) -> list[Case]:
    """The training half: images [1, D, H, W] as the manifest has them normalised, and labels [D, H, W]."""
    import nibabel

    found = []
    for path in sorted((folder / "images").glob("*.nii.gz"))[::2]:
        image, label = (
            np.asanyarray(nibabel.load(folder / part / path.name).dataobj).T for part in ("images", "labels")
        )
        found.append((normalise(np.asarray(image[None], dtype=np.float32), how), np.asarray(label, dtype=np.int64)))
    return found


def crops(found: list[Case], seed: int) -> vision.Batch:
    """CROPS random patches of each case: half mirrored left to right, contrast and brightness moved, noise added."""
    rng = np.random.default_rng(seed)
    images, labels = [], []
    for whole, drawn in found * CROPS:
        short = [max(0, p - n) for p, n in zip(PATCH, drawn.shape, strict=True)]
        image = np.pad(whole, [(0, 0), *((0, n) for n in short)])
        label = np.pad(drawn, [(0, n) for n in short])
        corner = [rng.integers(0, n - p + 1) for n, p in zip(label.shape, PATCH, strict=True)]
        box = tuple(slice(c, c + p) for c, p in zip(corner, PATCH, strict=True))
        step = -1 if rng.random() < 0.5 else 1
        x, y = image[(slice(None), *box)][..., ::step], label[box][..., ::step]
        x = x * rng.uniform(0.8, 1.25) + rng.uniform(-0.3, 0.3) + rng.normal(0, 0.1, x.shape)
        images.append(x.astype(np.float32))
        labels.append(y.copy())
    return torch.from_numpy(np.stack(images)), torch.from_numpy(np.stack(labels))


def main(out: Path) -> None:
    """Train, quantise, prune, and write three submission folders."""
    began = time.process_time()
    torch.manual_seed(0)
    for name in NAMES:
        shutil.copytree(HERE / name, out / name, dirs_exist_ok=True)
    manifest = Manifest.load(out / NAMES[0])
    data = Path(os.environ["HALLMARK_DATA"]) / "seg_msd_hippocampus" / "dev"
    batch = crops(cases(data, manifest.inputs.normalisation), seed=0)
    fresh = vision.volume_net(WIDTH)
    net = vision.fit(HippocampusNet({**fresh.widths, "head": 3}), batch, steps=STEPS, rate=5e-3).fold()
    vision.export_onnx(net, out / NAMES[0] / "model.onnx")
    vision.quantise_int8(net, batch[0][:24], out / NAMES[1] / "model.onnx")
    pruned = vision.fit(net.prune(0.5), batch, steps=REPAIR_STEPS, rate=3e-3, teacher=net)
    vision.export_onnx(pruned, out / NAMES[2] / "model.onnx")
    for name in NAMES:
        vision.publish(str(out / name / "recipe.py"))
    print(f"{time.process_time() - began:.0f} processor seconds")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
