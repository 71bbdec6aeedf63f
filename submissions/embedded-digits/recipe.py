"""A small convolutional network for scikit-learn's 8 x 8 digits: the parent of the other embedded-digits-*.

Trained on the 900 training images, then batch normalisation is merged into the convolutions and the network is
written as ONNX fp32. Run `python submissions/embedded-digits/recipe.py` from the repository root (under a minute).
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import torch

from submissions import vision_recipes as vision

if __name__ == "__main__":
    torch.manual_seed(0)
    net = vision.fit(vision.digit_net(32), vision.digit_data(), steps=600, rate=1e-2)
    vision.export_onnx(net.fold(), Path(__file__).with_name("model.onnx"))
    vision.publish(__file__)
