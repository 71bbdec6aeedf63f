"""The U-Net of embedded-volumes with a third of the channels, trained from scratch and shorter: visibly worse.

A ninth of the parent's weights; nothing is taken over from the parent. It is the control that pruning has to beat.
Run `python submissions/embedded-volumes-third/recipe.py` from the repository root (about a minute on two idle cores).
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import torch

from submissions import vision_recipes as vision

if __name__ == "__main__":
    torch.manual_seed(0)
    net = vision.fit(vision.volume_net(4), vision.volume_data(), steps=950, rate=1e-2)
    vision.export_onnx(net.fold(), Path(__file__).with_name("model.onnx"))
    vision.publish(__file__)
