"""embedded-digits with half of the channels of every layer cut out, then fine-tuned.

The channels with the largest L1 norm stay; the tensors really shrink, to about a quarter. 300 steps towards the
labels and the parent's probabilities repair the damage. Needs embedded-digits. Run
`python submissions/embedded-digits-pruned/recipe.py` from the repository root (under half a minute).
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import torch

from submissions import vision_recipes as vision

if __name__ == "__main__":
    torch.manual_seed(0)
    parent = vision.load("embedded-digits", vision.digit_net(32))
    net = vision.fit(parent.prune(0.5), vision.digit_data(), steps=300, rate=3e-3, teacher=parent)
    vision.export_onnx(net, Path(__file__).with_name("model.onnx"))
    vision.publish(__file__)
