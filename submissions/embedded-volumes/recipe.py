"""A 3-D U-Net for the generated volumes of tasks/generators/volumes.py: the parent of the other embedded-volumes-*.

Trained on 500 generated training volumes, one in five from scanner B, then batch normalisation is merged into the
convolutions and the network is written as ONNX fp32, so that parent and children run in one runtime. Run
`python submissions/embedded-volumes/recipe.py` from the repository root (under three minutes on two idle cores).
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import torch

from submissions import vision_recipes as vision

if __name__ == "__main__":
    torch.manual_seed(0)
    net = vision.fit(vision.volume_net(12), vision.volume_data(), steps=950, rate=5e-3)
    vision.export_onnx(net.fold(), Path(__file__).with_name("model.onnx"))
    vision.publish(__file__)
