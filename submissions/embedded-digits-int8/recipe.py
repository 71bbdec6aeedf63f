"""Weights and activations of embedded-digits as int8: ONNX Runtime's static quantisation, per channel.

No training; the ranges of the activations come from 200 training images. Needs embedded-digits. Run
`python submissions/embedded-digits-int8/recipe.py` from the repository root (seconds).
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from submissions import vision_recipes as vision

if __name__ == "__main__":
    parent = vision.load("embedded-digits", vision.digit_net(32))
    vision.quantise_int8(parent, vision.digit_data()[0][:200], Path(__file__).with_name("model.onnx"))
    vision.publish(__file__)
