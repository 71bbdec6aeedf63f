from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from board_records import compare, describe, family, put
from page_records import charts_of, nothing_as_html, pair, rows, said, score, turn
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from streamlit.testing.v1 import AppTest

from suite.metrics import language

Open = Callable[..., AppTest]


def test_without_records_the_page_says_what_to_do(open_app: Open) -> None:
    page = turn(open_app(), "model")
    assert page.code[0].value.startswith("hallmark run ")


def test_nothing_is_chosen_before_a_reader_does(open_app: Open, tmp_path: Path) -> None:
    family(tmp_path)
    page = turn(open_app(), "model")
    assert "Choose a model" in said(page)
    assert not page.dataframe


def test_an_unknown_model_in_the_link_is_told(open_app: Open, tmp_path: Path) -> None:
    family(tmp_path)
    page = turn(open_app(), "model", submission="<b>gone</b>")
    assert "names a model that is not here" in page.info[0].value
    assert "<b>gone</b>" in {element.value for element in page.text}
    assert not page.dataframe
    page = turn(open_app(), "model", submission="int8", detail="gone", part="odd")
    assert [element.value for element in page.info] == [
        "The link names a task that is not here; it is left out:",
        "The link names a part that is not here; it is left out:",
    ]
    assert page.get("button_group")  # the page shows its first task instead of nothing
    assert "gone" in {element.value for element in page.text}


def test_tasks_with_the_change_from_the_parent_and_the_family(open_app: Open, tmp_path: Path) -> None:
    family(tmp_path)
    page = turn(open_app(), "model", submission="int8")
    tasks, relative, kin = (page.dataframe[i].value for i in range(3))
    assert tasks["change"].iloc[0] == -0.01
    assert tasks["verdict"].iloc[0] == "worse"
    # -0.01 of 0.94 + 0.01
    assert relative["value"].iloc[0] == pytest.approx(-100 * 0.01 / 0.95)
    assert [name.strip("\u2003") for name in kin["submission"]] == ["zebra", "└ int8  ◀ this", "└ int8-pruned"]
    links = {link.proto.label for link in page.get("page_link")}
    assert {"Parent\\: zebra", "Child\\: int8\\-pruned"} <= links


def test_a_decrease_of_a_lower_is_better_metric_is_to_the_right(open_app: Open, tmp_path: Path) -> None:
    describe(tmp_path, primary="nll")
    put(tmp_path, "a", metric="nll", higher=False, value=2.0)
    stem = put(tmp_path, "b", parent="a", metric="nll", higher=False, value=1.5)
    compare(tmp_path, stem, "nll", value=-0.5, low=-0.6, high=-0.4, reason=None)
    page = turn(open_app(), "model", submission="b")
    relative = page.dataframe[1].value.iloc[0]
    assert (relative["value"], relative["low"], relative["high"]) == (25.0, 20.0, 30.0)


def test_groups_beside_the_parents(open_app: Open, tmp_path: Path) -> None:
    pair(tmp_path)
    page = turn(open_app(), "model", submission="int8")
    found = next(d.value for d in page.dataframe if "by site" in d.value)
    mine = found[found["who"] == "this model"].set_index("by site")["value"]
    theirs = found[found["who"] == "its parent"].set_index("by site")["value"]
    assert mine.to_dict() == pytest.approx({"north": 26 / 30, "south": 22 / 30})
    assert theirs.to_dict() == pytest.approx({"north": 24 / 30, "south": 1.0})
    spreads = next(d.value for d in page.dataframe if "number" in d.value)
    gap = spreads.set_index("number").loc["accuracy_gap[site]"]
    assert gap["value"] == pytest.approx(4 / 30)
    assert gap["parent's"] == pytest.approx(6 / 30)


def test_flips_are_counted_and_listed(open_app: Open, tmp_path: Path) -> None:
    pair(tmp_path)
    page = turn(open_app(), "model", submission="int8", part="Flips")
    assert "10 of 60 answers flipped" in said(page)
    cells = next(d.value for d in page.dataframe if "answers" in d.value)
    assert cells["answers"].tolist() == [46, 8, 2, 4, 0]
    items = next(d.value for d in page.dataframe if "flip" in d.value)
    assert items["flip"].tolist() == ["right → wrong"] * 8 + ["wrong → right"] * 2
    assert items["item"].tolist() == [f"item-{i}" for i in range(40, 48)] + ["item-00", "item-01"]
    first = items.iloc[0]
    assert (first["label"], first["parent's answer"], first["child's answer"]) == (0, 0, 1)


def test_calibration_has_both_charts_with_words(open_app: Open, tmp_path: Path) -> None:
    pair(tmp_path)
    page = turn(open_app(), "model", submission="int8", part="Calibration")
    assert len(charts_of(page)) == 2
    words = said(page)
    assert "expected calibration error" in words
    assert "20 % wrong at 100 %" in words
    bins = next(d.value for d in page.dataframe if "confidence" in d.value)
    assert bins.loc[bins["who"] == "this model", "n"].sum() == 60


def test_worst_items_and_those_that_lost_most(open_app: Open, tmp_path: Path) -> None:
    pair(tmp_path)
    page = turn(open_app(), "model", submission="int8", part="Worst cases")
    worst, lost = [d.value for d in page.dataframe if "item" in d.value]
    assert not worst["right"].iloc[:12].any()
    assert worst["right"].iloc[12:].all()
    assert set(lost["item"].iloc[:8]) == {f"item-{i}" for i in range(40, 48)}


def picture(words: str) -> bytes:
    info, buffer = PngInfo(), io.BytesIO()
    info.add_itxt("item", words)
    info.add_itxt("score", "dice 0.1")
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(buffer, "PNG", pnginfo=info)
    return buffer.getvalue()


def test_overlays_are_shown_and_broken_ones_passed_over(open_app: Open, tmp_path: Path) -> None:
    _, child = pair(tmp_path)
    child.with_name(f"{child.stem}.worst-1.png").write_bytes(picture("case [x](javascript:alert(1))"))
    child.with_name(f"{child.stem}.worst-2.png").write_bytes(b"no picture")
    page = turn(open_app(), "model", submission="int8", part="Worst cases")
    assert len(page.get("image")) == 1
    assert "case [x](javascript:alert(1)), dice 0.1" in {element.value for element in page.text}
    nothing_as_html(page)


def test_texts_are_shown_where_the_outcomes_hold_them(open_app: Open, tmp_path: Path) -> None:
    describe(tmp_path, "text", "perplexity")
    made = [
        {"item": f"d{i}", "cluster": f"d{i}", "nll": 3.0 * i, "n_tokens": 3, "n_bytes": 9, "answer": f"words {i}"}
        for i in range(4)
    ]
    about = {"kind": "language"}
    score(tmp_path, "lm", made, task="text", metrics=(language.PERPLEXITY,), manifest=about)
    page = turn(open_app(), "model", submission="lm", part="Worst cases")
    worst = next(d.value for d in page.dataframe if "item" in d.value)
    assert worst["nll per token"].tolist() == [3.0, 2.0, 1.0, 0.0]
    assert worst["answer"].iloc[0] == "words 3"
    page = turn(open_app(), "model", submission="lm", part="Calibration")
    assert "keep no confidences" in said(page)
    page = turn(open_app(), "model", submission="lm", part="Flips")
    assert "it has no parent" in said(page)


def test_provenance_has_every_digest_and_the_command(open_app: Open, tmp_path: Path) -> None:
    _, child = pair(tmp_path)
    page = turn(open_app(), "model", submission="int8", part="Provenance")
    assert page.code[0].value == "hallmark run int8 -t digits --seed 0 --device cpu --threads 2"
    digests = next(d.value for d in page.dataframe if "sha256" in d.value).set_index("what")["sha256"]
    assert digests["record file"].startswith(child.stem.rpartition("-")[2])
    assert all(re.fullmatch("[0-9a-f]{64}", digest) for name, digest in digests.items() if name != "data of the task")
    labels = [button.proto.label for button in page.get("download_button")]
    assert labels[0] == "Download the record (JSON)"
    assert labels[1].startswith("Download the outcomes")


def test_claims_beside_what_was_found(open_app: Open, tmp_path: Path) -> None:
    claimed = {"compression": {"method": "rtn", "bits": 4}, "reported": {"accuracy": 0.99}}
    counted = {"name": "claim_mismatches", "value": 1.0, "unit": "", "higher_is_better": False, "n": 1}
    weight = {"name": "bits_per_weight", "value": 8.1, "unit": "bit", "higher_is_better": False, "n": 1}
    about = {"provenance": _noted("claim mismatch: claims 4 bits a weight, stores 8.1")}
    score(tmp_path, "liar", rows([0]), manifest=claimed, more=[counted, weight], **about)
    page = turn(open_app(), "model", submission="liar", part="Files and claims")
    assert "1 claim of the manifest is contradicted" in page.warning[0].value
    assert "claims 4 bits a weight, stores 8.1" in said(page)
    beside = next(d.value for d in page.dataframe if "claim" in d.value).set_index("claim")
    assert beside.loc["compression.bits", "found"] == 8.1
    assert beside.loc["reported.accuracy", "found"] == pytest.approx(59 / 60)


def _noted(note: str) -> dict[str, object]:
    from board_records import TEMPLATE

    return {**TEMPLATE["provenance"], "started": "2026-01-01T00:00:00Z", "notes": [note]}


def test_costs_of_another_machine_are_not_held_beside_the_parents(open_app: Open, tmp_path: Path) -> None:
    from board_records import TEMPLATE

    slow = [{"name": "latency_p50_s", "value": 2.0, "unit": "s", "higher_is_better": False, "n": 9}]
    size = [{"name": "bytes", "value": 100.0, "unit": "B", "higher_is_better": False, "n": 1}]
    other = {**TEMPLATE["machine"], "id": "elsewhere"}
    score(tmp_path, "zebra", rows([]), more=[*slow, *size])
    score(tmp_path, "int8", rows([]), parent="zebra", more=[*slow, *size], machine=other)
    page = turn(open_app(), "model", submission="int8", part="Speed and size")
    found = next(d.value for d in page.dataframe if "child / parent" in d.value).set_index("number")
    assert found.loc["bytes", "child / parent"] == 1.0
    assert np.isnan(found.loc["latency_p50_s", "child / parent"])
    assert "another machine" in found.loc["latency_p50_s", "why missing"]
    assert "hallmark run int8 -t efficiency-classification" in said(page)


def test_a_record_whose_file_is_gone_is_told(open_app: Open, tmp_path: Path) -> None:
    _, child = pair(tmp_path)
    child.with_suffix(".parquet").unlink()
    page = turn(open_app(), "model", submission="int8", part="Worst cases")
    assert "is missing" in said(page)


def test_a_limited_record_is_shown_and_said_to_be_one(open_app: Open, tmp_path: Path) -> None:
    put(tmp_path, "whole")
    put(tmp_path, "part", limit=5)
    page = turn(open_app(), "model", submission="part")
    assert "of 5 items only" in "".join(element.value for element in page.info)


def test_every_part_of_a_bare_imported_record_says_what_is_missing(open_app: Open, tmp_path: Path) -> None:
    put(tmp_path, "alone", source="imported", outcomes_sha256=None)
    expected = {
        "Classes and groups": "no numbers by class or group",
        "Calibration": "keeps no outcomes",
        "Flips": "no parent",
        "Worst cases": "keeps no outcomes",
        "Files and claims": "without the static report",
        "Provenance": "imported from another tool",
    }
    for part, words in expected.items():
        page = turn(open_app(), "model", submission="alone", part=part)
        assert words in said(page)


def test_nothing_of_a_record_reaches_markdown(open_app: Open, tmp_path: Path) -> None:
    evil = "<img src=x onerror=alert(1)> [x](javascript:alert(1))"
    manifest = {"title": evil, "compression": {"method": evil, "notes": evil}, "training": evil}
    score(tmp_path, "a", rows([1]), task=evil, manifest=manifest, protocol=evil)
    for part in ("Classes and groups", "Calibration", "Worst cases", "Files and claims", "Provenance"):
        nothing_as_html(turn(open_app(), "model", submission="a", part=part))
