"""Weights and activations of embedded-volumes as int8: ONNX Runtime's static quantisation, per channel.

No training; the ranges of the activations come from 20 training volumes. Needs embedded-volumes. Run
`python submissions/embedded-volumes-int8/recipe.py` from the repository root (seconds).
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from submissions import vision_recipes as vision

if __name__ == "__main__":
    parent = vision.load("embedded-volumes", vision.volume_net(12))
    vision.quantise_int8(parent, vision.volume_data(20)[0], Path(__file__).with_name("model.onnx"))
    vision.publish(__file__)
