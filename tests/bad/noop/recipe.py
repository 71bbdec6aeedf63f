"""Deliberately bad: a quantizer that ran, found nothing to do, and saved embedded-digits as it was.

Scores are the parent's, so no test of quality can see it; only the claim "int8" is wrong. Needs embedded-digits. Run
`python tests/bad/noop/recipe.py` from the repository root.
"""

import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from submissions import vision_recipes as vision

if __name__ == "__main__":
    shutil.copyfile(vision.SUBMISSIONS / "embedded-digits" / "model.onnx", Path(__file__).with_name("model.onnx"))
    vision.publish(__file__)
