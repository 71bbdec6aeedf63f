"""Static report of a generated Llama checkpoint of 445 MB: seconds, processor seconds, peak memory.

    python tests/bench/static.py --json            # 111 million float32 parameters, as the matrix of formats has
    python tests/bench/static.py --json --quick    # 28 million

The report runs in a process of its own, so that its peak resident memory is its own. One object on the last line.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

_HIDDEN, _INNER, _VOCABULARY, _LAYERS = 1024, 2816, 4096, 8
_REPORT = """
import json, os, sys, time
from pathlib import Path
from suite.probes.memory import peak_rss_bytes, rss_bytes
from suite.static import report
before = rss_bytes(os.getpid())
wall, cpu = time.perf_counter(), time.process_time()
found = report(Path(sys.argv[1]), "transformers")
seconds, cpu_seconds = time.perf_counter() - wall, time.process_time() - cpu
peak = peak_rss_bytes(os.getpid())
summary = found.summary() | {"layers": len(found.layers)}
print(json.dumps({"seconds": seconds, "cpu_seconds": cpu_seconds, "rss_before_bytes": before,
                  "peak_rss_bytes": peak, **summary}))
"""


def checkpoint(folder: Path, layers: int) -> int:
    """A random Llama as safetensors; gives its bytes."""
    from safetensors.numpy import save_file

    random = np.random.default_rng(0)
    shapes = {"model.embed_tokens.weight": (_VOCABULARY, _HIDDEN), "lm_head.weight": (_VOCABULARY, _HIDDEN)}
    for i in range(layers):
        stem = f"model.layers.{i}"
        shapes |= {f"{stem}.self_attn.{n}_proj.weight": (_HIDDEN, _HIDDEN) for n in "qkvo"}
        shapes |= {f"{stem}.mlp.{n}_proj.weight": (_INNER, _HIDDEN) for n in ("gate", "up")}
        shapes |= {f"{stem}.mlp.down_proj.weight": (_HIDDEN, _INNER), f"{stem}.input_layernorm.weight": (_HIDDEN,)}
    tensors = {name: 0.02 * random.standard_normal(shape, np.float32) for name, shape in shapes.items()}
    save_file(tensors, folder / "model.safetensors")
    (folder / "config.json").write_text('{"model_type": "llama"}')
    return (folder / "model.safetensors").stat().st_size


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="only the object on the last line")
    parser.add_argument("--quick", action="store_true", help="two layers instead of eight")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        size = checkpoint(Path(folder), 2 if asked.quick else _LAYERS)
        done = subprocess.run([sys.executable, "-c", _REPORT, folder], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    if not asked.json:
        print(f"{size / 1e6:.1f} MB in {found['seconds']:.1f} s, peak {found['peak_rss_bytes'] / 1e6:.0f} MB")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
