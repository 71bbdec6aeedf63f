"""How fast the board is in a cold headless Chromium, over the size of the store.

    python tests/bench/board.py --json [--quick] [--records 5000 100000 1000000]

The stores are synthetic: their index is written directly (families of ten models on 40 tasks, intervals, paired changes
of every child), for writing and reading a million record files would measure the disk. Each is served by ``hallmark
board`` in a process of its own. Measured, all in seconds of the wall clock:

    first_visit_s   from the address to the table on the screen, the first visitor of a fresh server: it reads the index
    table_s         the same for a later visitor with a fresh browser, which has nothing cached
    filter_s        from Enter in the search box until the table's summary has changed
    wire_data_mb    what the server sends to the page before the table stands: WebSocket frames
    wire_static_mb  the page's own scripts, fonts and styles, as transferred; cached afterwards
    rss_gb          the server's resident memory at the end

Needs the extra ``board``, playwright and a Chromium (``$CHROMIUM``, else /usr/bin/chromium).
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
from pyarrow import parquet

from suite import index, paired_index
from suite.store import Store

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
TASKS, FAMILY = 40, 10
GRID = 'canvas[data-testid="data-grid-canvas"] >> visible=true'
WAIT_MS = 240_000
METHODS = np.array(["rtn-int8", "rtn-int4", "gptq-int4", "awq-int4", "onnx-int8-static", "channel-pruning", "2:4"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quick", action="store_true", help="5,000 records only")
    parser.add_argument("--records", type=int, nargs="+", default=[5_000, 100_000, 1_000_000])
    given = parser.parse_args()
    found = {str(n): measured(n) for n in ([5_000] if given.quick else given.records)}
    print(json.dumps({"board": found, "chromium": version()}))


def version() -> str:
    return subprocess.run([CHROMIUM, "--version"], capture_output=True, text=True, check=True).stdout.strip()


def measured(n_records: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_store(root, n_records)
        port = free_port()
        started = time.perf_counter()
        command = [sys.executable, "-m", "suite", "board", "--results", str(root), "--port", str(port)]
        with (root / "log").open("w") as log:
            server = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            wait_for(port)
            ready = time.perf_counter() - started
            first = visit(port)
            later = visit(port, search="model-00004")
            return {"server_s": round(ready, 2), "first_visit_s": first["table_s"], **later, "rss_gb": memory(server)}
        finally:
            for process in [*psutil.Process(server.pid).children(recursive=True), psutil.Process(server.pid)]:
                process.terminate()
            server.wait()


def write_store(root: Path, n_records: int) -> None:
    """The index of a synthetic store: models times tasks, every tenth model a parent."""
    rng = np.random.default_rng(0)
    record = np.arange(n_records)
    model, task = record // TASKS, record % TASKS
    is_parent = model % FAMILY == 0
    value = 0.8 - 0.2 * rng.random(n_records) * (~is_parent)
    half = 0.01 + 0.01 * rng.random(n_records)
    name = np.char.mod("model-%05d", model)
    stem = np.char.mod("20260101-%012d", record)
    bits = np.where(is_parent, 32.0, rng.choice([2.0, 3.0, 4.0, 8.0], n_records))
    parent = np.where(is_parent, None, np.char.mod("model-%05d", model - model % FAMILY).astype(object))
    method = np.where(is_parent, None, METHODS[rng.integers(0, len(METHODS), n_records)].astype(object))
    same = {
        "kind": "language", "format": "safetensors", "licence": "Apache-2.0", "task_version": "1", "protocol": "native",
        "data_sha256": "0", "machine": "aaaa", "cpu": "some processor", "device": "cpu", "source": "measured",
        "sandbox": "none", "metric": "accuracy", "primary": "accuracy", "unit": "", "better": "higher",
        "calibration_metric": "ece_15", "outcomes_sha256": "0", "weights_sha256": "0", "title": "a model of the bench",
    }  # fmt: skip
    columns = {
        **{key: pa.array([word]).take(pa.array(np.zeros(n_records, np.int64))) for key, word in same.items()},
        "submission": name, "parent": parent, "method": method, "task": np.char.mod("task-%02d", task), "stem": stem,
        "path": np.char.add(stem, ".json"), "value": value, "low": value - half, "high": value + half,
        "calibration": 0.05 * rng.random(n_records), "bytes": 1e8 * bits * (1 + model % 7), "bits_per_weight": bits,
        "peak_rss_bytes": 2e8 * bits, "items_per_s": 10 + rng.random(n_records), "cores": np.full(n_records, 2),
        "threads": np.full(n_records, 2), "generated": np.zeros(n_records, bool), "n": np.full(n_records, 1000),
        "started": np.char.mod("2026-01-%02dT00:00:00Z", 1 + record % 28),
    }  # fmt: skip
    schema = index.schema()
    arrays = [
        pa.array(columns[field.name], field.type) if field.name in columns else pa.nulls(n_records, field.type)
        for field in schema
    ]
    store = Store(root)
    index.write(store, pa.Table.from_arrays(arrays, schema=schema), elsewhere=True)
    above = record - (model % FAMILY) * TASKS
    child = ~is_parent
    paired = {
        "child": stem[child], "parent": stem[above[child]], "metric": np.full(child.sum(), "accuracy"),
        "value": (value - value[above])[child], "low": (value - value[above] - half)[child],
        "high": (value - value[above] + half)[child], "method": np.full(child.sum(), "bonett-price"),
    }  # fmt: skip
    table = pa.table({key: pa.array(column) for key, column in paired.items()})
    for missing, kind in (("n", pa.int64()), ("n_clusters", pa.int64()), ("reason", pa.string())):
        table = table.append_column(missing, pa.nulls(len(table), kind))
    parquet.write_table(table, paired_index.path(store))


def visit(port: int, search: str | None = None) -> dict[str, float]:
    """One visitor with a fresh browser."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1600, "height": 1000})
        client = page.context.new_cdp_session(page)
        sizes = {"static": 0.0, "data": 0.0}
        client.send("Network.enable")
        client.on("Network.loadingFinished", lambda e: sizes.update(static=sizes["static"] + e["encodedDataLength"]))
        client.on("Network.webSocketFrameReceived", lambda e: sizes.update(data=sizes["data"] + payload(e)))
        started = time.perf_counter()
        page.goto(f"http://localhost:{port}/", wait_until="commit")
        page.wait_for_selector(GRID, timeout=WAIT_MS)
        out = {"table_s": round(time.perf_counter() - started, 2)}
        out |= {f"wire_{kind}_mb": round(size / 1e6, 3) for kind, size in sizes.items()}
        if search:
            out["filter_s"] = filter_time(page, search)
        browser.close()
    return out


def filter_time(page: Any, search: str) -> float:
    """Search for a part of a name, three times with other words; the median."""
    times = []
    box = page.get_by_test_id("stTextInputField").first
    for words in (search, "task-07", "gptq"):
        before = page.get_by_text("newest record of").inner_text()
        box.fill(words)
        started = time.perf_counter()
        box.press("Enter")
        page.wait_for_function(
            "(before) => [...document.querySelectorAll('[data-testid=\"stText\"]')].every(e => e.innerText !== before)"
            " && document.body.innerText.includes('newest record of')",
            arg=before,
            timeout=WAIT_MS,
        )
        times.append(time.perf_counter() - started)
        page.wait_for_timeout(1500)
    return round(float(np.median(times)), 2)


def payload(event: dict[str, Any]) -> int:
    """Bytes of a WebSocket frame: binary frames come base64-encoded."""
    data = event["response"]["payloadData"]
    return len(data) * 3 // 4 if event["response"]["opcode"] == 2 else len(data)


def memory(server: subprocess.Popen[bytes]) -> float:
    own = psutil.Process(server.pid)
    return round(sum(p.memory_info().rss for p in own.children(recursive=True)) / 1e9, 3)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def wait_for(port: int) -> None:
    for _ in range(600):
        with socket.socket() as one:
            if one.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)
    raise SystemExit("the server does not answer")


if __name__ == "__main__":
    main()
