"""``hallmark gate``: the three verdicts, every form of output, the bad children, and all bad input in one line."""

from __future__ import annotations

import json
import shutil
import tomllib
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from gate_records import FIXTURE, answers, digits_columns, put
from support import REPOSITORY, Ran, one_line, write_submission

N = 900
POLICY = """
schema_version = 1
baseline = "old"
[[metric]]
task = "digits"
name = "accuracy"
margin = {margin}
unit = "absolute"
primary = true
"""
MORE = '[[metric]]\nname = "{name}"\nmargin = {margin}\nunit = "{unit}"\n'


def spoilt(right: int, lost: int, gained: int = 0) -> list[dict]:
    said, labels = answers(N, right)
    said[:lost] = (labels[:lost] + 3) % 10
    said[right : right + gained] = labels[right : right + gained]
    return digits_columns(said, labels)


@pytest.fixture
def gate(tmp_path: Path, hallmark: Callable[..., Ran]) -> Callable[..., Ran]:
    """Gate a child that loses and gains so many of 900 answers, 800 of which the baseline has right."""
    put(tmp_path / "results", "old", spoilt(800, 0), readings={"bytes": 1000.0, "peak_rss_bytes": 1e6})

    def call(lost: int, gained: int, *more: str, margin: float = 0.02, extra: str = "", changes: dict | None = None,
             **readings: float) -> Ran:  # fmt: skip
        (tmp_path / "gate.toml").write_text(POLICY.format(margin=margin) + extra)
        shutil.rmtree(tmp_path / "results" / "new", ignore_errors=True)
        put(
            tmp_path / "results",
            "new",
            spoilt(800, lost, gained),
            readings={"bytes": 500.0} | readings,
            **changes or {},
        )
        return hallmark("gate", "new", *more)

    return call


@pytest.mark.parametrize(
    ("lost", "gained", "margin", "code", "word"),
    [
        (60, 2, 0.02, 1, "regressed"),
        (2, 3, 0.02, 0, "non-inferior"),
        (0, 60, 0.0, 0, "non-inferior"),  # better passes without any margin
        (0, 0, 0.0, 0, "identical answers"),  # two runs of one model
        (30, 14, 0.02, 3, "would decide"),
    ],
)
def test_three_verdicts(gate: Callable[..., Ran], lost: int, gained: int, margin: float, code: int, word: str) -> None:
    ran = gate(lost, gained, margin=margin)
    assert ran.code == code, ran
    assert word in ran.out


def test_json_holds_the_decision(gate: Callable[..., Ran]) -> None:
    ran = gate(60, 2, "--json")
    found = ran.json
    assert (ran.code, found["exit_code"], found["verdict"], found["passed"]) == (1, 1, "regressed", False)
    (verdict,) = found["verdicts"]
    assert (verdict["baseline"], verdict["margin"]) == (pytest.approx(8 / 9), 0.02)
    assert verdict["high"] < -0.02
    assert verdict["p_regressed"] < 0.025


def test_numbers_without_error_are_gated_by_value(gate: Callable[..., Ran]) -> None:
    extra = MORE.format(name="bytes", margin=0.1, unit="relative")
    assert gate(0, 0, extra=extra, bytes=1100.0).code == 0
    ran = gate(1, 1, extra=extra, bytes=1101.0)
    assert ran.code == 1
    assert "bytes" in ran.out.splitlines()[-1]


def test_memory_of_another_machine_is_incomparable(gate: Callable[..., Ran]) -> None:
    extra = MORE.format(name="peak_rss_bytes", margin=0.1, unit="relative")
    assert gate(0, 0, extra=extra, peak_rss_bytes=1.05e6).code == 0
    assert gate(1, 0, extra=extra, peak_rss_bytes=1.2e6).code == 1
    machine = {"machine": {**FIXTURE["machine"], "id": "another"}}
    ran = gate(1, 0, extra=extra, peak_rss_bytes=1e6, changes=machine)
    assert ran.code == 4
    assert "another machine" in ran.out


def test_secondary_metrics_must_not_regress_and_need_not_be_proven(gate: Callable[..., Ran]) -> None:
    extra = '[[metric]]\ntask = "digits"\nname = "{}"\nmargin = {}\nunit = "absolute"\n'
    ran = gate(3, 3, "--json", extra=extra.format("ece_15", 0.0001))
    by_name = {v["metric"]: v["verdict"] for v in ran.json["verdicts"]}
    assert by_name == {"accuracy": "non-inferior", "ece_15": "inconclusive"}
    assert ran.code == 0
    ran = gate(60, 60, "--json", extra=extra.format("nll", 0.5))
    assert ran.code in (0, 3)


def test_margins_relative_and_in_standard_errors(tmp_path: Path, gate: Callable[..., Ran]) -> None:
    gate(2, 2)
    record = json.loads(next((tmp_path / "results" / "old" / "digits").glob("*.json")).read_text())
    accuracy = next(m for m in record["measurements"] if m["name"] == "accuracy")
    for unit, expected in (("relative", 0.5 * 8 / 9), ("se", 0.5 * (accuracy["high"] - accuracy["low"]) / 3.919928)):
        text = POLICY.format(margin=0.5).replace('"absolute"', f'"{unit}"')
        (tmp_path / "gate.toml").write_text(text)
        from suite.cli import main

        with pytest.raises(SystemExit):
            main(["gate", "new", "--json", "--markdown", "out.md"])
        assert f"({0.5:g} {unit})" in (tmp_path / "out.md").read_text()
        from suite import gate as gates
        from suite import policy, sides
        from tasks import TASKS

        new = sides.find("new", tmp_path / "results")
        old = sides.find("old", tmp_path / "results", new)
        found = gates.gate(new, old, policy.read(tmp_path / "gate.toml"), TASKS)
        assert found.verdicts[0].margin == pytest.approx(expected, rel=1e-5)


def test_reports_say_the_same(tmp_path: Path, gate: Callable[..., Ran]) -> None:
    extra = MORE.format(name="bytes", margin=0, unit="relative")
    (tmp_path / "out").mkdir()
    ran = gate(60, 2, "--junit", "out/gate.xml", "--markdown", "out/gate.md", extra=extra)
    assert ran.code == 1
    root = ET.parse(tmp_path / "out" / "gate.xml").getroot()
    assert (root.get("tests"), root.get("failures"), root.get("errors")) == ("2", "1", "0")
    case = root.find(".//testcase[@name='accuracy']")
    assert case is not None
    failure = case.find("failure")
    assert failure is not None
    assert "regressed" in str(failure.get("message"))
    markdown = (tmp_path / "out" / "gate.md").read_text()
    assert "❌ Hallmark gate: FAIL" in markdown
    rows = [line for line in markdown.splitlines() if line.startswith("|")]
    assert len({line.count("|") for line in rows}) == 1  # a table whose rows all have the same cells
    assert "accuracy" in rows[2]  # what decides comes first


def test_a_report_that_cannot_be_written_is_infrastructure(tmp_path: Path, gate: Callable[..., Ran]) -> None:
    one_line(gate(0, 1, "--junit", "/dev/full"), 5, "cannot write")


@pytest.mark.parametrize("option", ["--junit", "--markdown"])
def test_a_report_goes_into_a_folder_that_is_there(tmp_path: Path, gate: Callable[..., Ran], option: str) -> None:
    """Told before anything is judged: also where the candidate is unknown. Nothing is made."""
    (tmp_path / "file").write_text("")
    one_line(gate(0, 1, option, "out/gate.xml"), 2, option, "no folder out", "gate.xml")
    one_line(gate(0, 1, option, "file/gate.xml"), 2, "no folder file")
    one_line(gate(0, 1, option, "results"), 2, "is a directory")
    assert not (tmp_path / "out").exists()


def test_baselines_are_names_folders_and_files(tmp_path: Path, gate: Callable[..., Ran]) -> None:
    gate(2, 2)
    put(tmp_path / "tag" / "results", "new", spoilt(800, 0))  # a checkout of another tag: the same submission in it
    record = put(tmp_path / "pin", "base", spoilt(800, 0))
    from suite.cli import main

    def code(baseline: str) -> int:
        with pytest.raises(SystemExit) as done:
            main(["gate", "new", "--baseline", baseline])
        return int(done.value.code or 0)

    assert [code(b) for b in ("old", "tag", "tag/results", str(record), "results")] == [0, 0, 0, 0, 2]


def test_init_writes_a_policy_that_works(
    tmp_path: Path, hallmark: Callable[..., Ran], gate: Callable[..., Ran]
) -> None:
    gate(0, 1)
    (tmp_path / "gate.toml").unlink()
    ran = hallmark("gate", "--init", "--baseline", "old")
    assert ran.code == 0, ran.err
    written = tomllib.loads((tmp_path / "gate.toml").read_text())
    assert written["baseline"] == "old"
    assert [m["name"] for m in written["metric"] if m.get("primary")] == ["accuracy"]
    assert "1 standard error = 0.01" in (tmp_path / "gate.toml").read_text()
    assert hallmark("gate", "new").code == 0
    one_line(hallmark("gate", "--init", "--baseline", "old"), 2, "there already")
    one_line(hallmark("gate", "--init"), 2, "--baseline")


@pytest.mark.parametrize(
    ("n", "right", "clusters", "words"),
    [
        (12, 10, 12, ("12 items: with fewer than 20 the gate decides nothing",)),
        (60, 50, 60, ("lets pass a loss of", "more than a sensible 2%")),
        (5000, 4500, 4, ("4 clusters say little",)),
        (5000, 4500, 5000, ()),
    ],
)
def test_init_marks_margins_that_the_noise_cannot_justify(
    tmp_path: Path, hallmark: Callable[..., Ran], n: int, right: int, clusters: int, words: tuple[str, ...]
) -> None:
    said, labels = answers(n, right)
    rows = [{**row, "cluster": f"c{i % clusters:05d}"} for i, row in enumerate(digits_columns(said, labels))]
    put(tmp_path / "results", "old", rows)
    assert hallmark("gate", "--init", "--baseline", "old").code == 0
    text = (tmp_path / "gate.toml").read_text()
    tomllib.loads(text)
    accuracy = text[text.index("# accuracy") : text.index("[[metric]]")]
    for word in words:
        assert word in accuracy
    assert ("CAREFUL" in accuracy) == bool(words)
    one_line(hallmark("gate", "--init", "--baseline", "old", "--policy", "no/gate.toml"), 2, "no folder no")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ("schema_version",)),
        ("schema_version = 1\nmetrics = 1", ("did you mean 'metric'",)),
        (POLICY.format(margin=0.01).replace('unit = "absolute"\n', ""), ("accuracy", "has no unit", "relative")),
        (POLICY.format(margin=-1), ("accuracy", "margin = -1", "want at least 0")),
        (POLICY.format(margin=0.01).replace("0.01", '"little"'), ('margin = "little": want a number',)),
        (POLICY.format(margin=0.01).replace("0.01", "inf"), ("margin", "want a finite number")),
        (POLICY.format(margin=0.01).replace("true", '"perhaps"'), ('primary = "perhaps": want true or false',)),
        (POLICY.format(margin=0.01).replace('"old"', "3"), ("baseline = 3: want text in quotes",)),
        (POLICY.format(margin=0.01).replace("[[metric]]", "[metric]"), ("metric", "want a list")),
        ("schema_version = 1\nmetric = []", ("metric", "want at least 1")),
        ("schema_version = 1\nmetric = [3]", ("metric 1", "want a table")),
        (POLICY.format(margin=0.01).replace('"absolute"', '"percent"'), ("unit", "percent", "want 'absolute', 'rel")),
        (POLICY.format(margin=0.01).replace('"accuracy"', '"acuracy"'), ("did you mean 'accuracy'",)),
        (POLICY.format(margin=0.01).replace('"digits"', '"digit"'), ("did you mean 'digits'",)),
        (POLICY.format(margin=0.01).replace("primary = true", ""), ("none is primary",)),
        (POLICY.format(margin=0.01) + POLICY.format(margin=1).split('"old"')[1], ("gated twice",)),
        (
            POLICY.format(margin=0.01) + POLICY.format(margin=1).split('"old"')[1].replace("accuracy", "nll"),
            ("two primary",),
        ),
        (POLICY.format(margin=0.01) + MORE.format(name="parameters", margin=0, unit="relative"), ("parameters",)),
        ("schema_version = 2", ("schema_version = 2: want 1",)),
        ("=", ("not valid TOML",)),
        (
            POLICY.format(margin=0.01).replace("digits", "generated-text").replace("accuracy", "nll"),
            ("generated-text",),
        ),
    ],
)
def test_a_bad_policy_is_one_line(
    tmp_path: Path, hallmark: Callable[..., Ran], text: str, words: tuple[str, ...]
) -> None:
    put(tmp_path / "results", "old", spoilt(800, 0), readings={"parameters": 3.0})
    put(tmp_path / "results", "new", spoilt(800, 1), readings={"parameters": 3.0})
    (tmp_path / "gate.toml").write_text(text)
    ran = hallmark("gate", "new")
    one_line(ran, 2, *words)
    assert "Input should" not in ran.err


def test_other_bad_input_is_one_line(tmp_path: Path, hallmark: Callable[..., Ran], gate: Callable[..., Ran]) -> None:
    gate(1, 0)
    one_line(hallmark("gate"), 2, "no candidate")
    one_line(hallmark("gate", "new", "--policy", "none.toml"), 2, "--init")
    one_line(hallmark("gate", "old"), 2, "its own baseline")
    one_line(hallmark("gate", "nobody"), 2, "nobody")
    one_line(hallmark("gate", "new", "--baseline", "results"), 2, "own baseline")
    folder = write_submission(tmp_path / "subs", "fresh", {"fake.json": b'{"fake": "oracle"}'}, "fake.json")
    one_line(hallmark("gate", folder), 2, "hallmark run", "fresh")
    put(tmp_path / "results", "few", spoilt(800, 0), limit=900)
    one_line(hallmark("gate", "few"), 2, "--limit 900", "--limited")
    assert hallmark("gate", "few", "--limited").code == 4  # another limit than the baseline's


def test_a_baseline_without_outcomes_is_unpaired_and_said_loudly(tmp_path: Path, gate: Callable[..., Ran]) -> None:
    path = put(tmp_path / "other", "pin", spoilt(800, 0))
    (tmp_path / "pin.json").write_text(json.dumps({"records": [json.loads(path.read_text())]}))
    ran = gate(60, 2, "--baseline", "pin.json")
    assert ran.code == 1
    assert "UNPAIRED" in ran.err
    assert gate(20, 0, "--baseline", "old", margin=0.001).code == 1
    assert gate(20, 1, "--baseline", "pin.json", margin=0.001).code == 3  # the same loss, not provable unpaired


def test_a_child_that_claims_and_changed_nothing_fails(tmp_path: Path, gate: Callable[..., Ran]) -> None:
    record = json.loads(put(tmp_path / "results", "old", spoilt(800, 0)).read_text())
    extra = MORE.format(name="claim_mismatches", margin=0, unit="absolute")
    assert gate(0, 0, extra=extra).code == 0
    same = {"sha256": record["manifest"]["sha256"], "parent": "old", "compression": {"method": "rtn", "bits": 8}}
    provenance = {**FIXTURE["provenance"], "started": "2026-02-01T00:00:00Z"}
    ran = gate(0, 0, extra=extra, changes={"manifest": same, "provenance": provenance})
    assert ran.code == 1
    assert "it claims rtn, but its weights are the baseline's" in ran.out


def test_claims_are_read_from_the_files_where_they_are_here(tmp_path: Path, hallmark: Callable[..., Ran]) -> None:
    """A record alone shows no contradiction; the folder's files do."""
    spec = json.dumps({"fake": "oracle"}).encode()
    write_submission(tmp_path / "subs", "old", {"fake.json": spec}, "fake.json")
    folder = write_submission(
        tmp_path / "subs",
        "new",
        {"fake.json": spec},
        "fake.json",
        parent="old",
        compression={"method": "rtn", "bits": 8},
    )
    from suite import submission

    now = submission.load(folder).manifest.model_dump(mode="json")
    put(tmp_path / "results", "new", spoilt(800, 1), manifest=now)
    put(tmp_path / "results", "base", spoilt(800, 0))
    extra = MORE.format(name="claim_mismatches", margin=0, unit="absolute")
    (tmp_path / "gate.toml").write_text(POLICY.format(margin=0.02) + extra)
    ran = hallmark("gate", folder, "--baseline", "base")
    assert ran.code == 1, ran
    assert "equal sha256" in ran.out


BAD = {
    "noop": ("embedded-digits", "claim_mismatches"),
    "rtn3": ("embedded-lm", "perplexity"),
    "convtranspose": ("embedded-volumes", "dice[class="),
}


@pytest.mark.parametrize("name", BAD)
def test_what_must_be_caught_is_caught(
    name: str, hallmark: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exactly the command that gate.toml names, from a checkout."""
    parent, named = BAD[name]
    monkeypatch.chdir(REPOSITORY)
    ran = hallmark("gate", f"tests/bad/{name}", "--baseline", parent, "--policy", "tests/bad/gate.toml")
    assert ran.code == 1, ran
    assert any(line.startswith("regressed") and named in line for line in ran.out.splitlines()), ran.out


@pytest.mark.parametrize("name", ["rtn3", "convtranspose"])
def test_the_bad_children_are_records_like_any_other(name: str) -> None:
    from suite.store import Store
    from suite.verify import verify
    from tasks import TASKS

    stored = list(Store(REPOSITORY / "tests" / "bad" / "results").scan(name))
    assert stored
    assert [line for one in stored for line in verify(one, TASKS)] == []


def test_the_quantizer_that_did_nothing_answers_as_its_parent() -> None:
    from suite.store import Store

    noop = Store(REPOSITORY / "tests" / "bad" / "results").latest("noop", "digits")
    parent = Store(REPOSITORY / "results").latest("embedded-digits", "digits")
    assert noop is not None
    assert parent is not None
    assert noop.record.outcomes_sha256 == parent.record.outcomes_sha256


def test_one_small_class_is_lost_and_the_pixels_agree() -> None:
    """On the task's own volumes, which the recipe has not seen; a gate on pixels alone would have let it pass."""
    import onnxruntime as ort

    from tasks.generators import volumes

    cases = list(volumes.test_cases())[::4]  # of every fourth one, both scanners among them
    images = np.stack([case.image for case in cases])[:, None]
    truth = np.stack([case.label for case in cases])
    labels = []
    for path in ("submissions/embedded-volumes", "tests/bad/convtranspose"):
        session = ort.InferenceSession(str(REPOSITORY / path / "model.onnx"), providers=["CPUExecutionProvider"])
        labels.append(session.run(None, {"image": images})[0].argmax(1))
    assert 0.93 < (labels[0] == labels[1]).mean() < 0.995
    kept = []
    for k in range(1, truth.max() + 1):
        before, after = (
            2 * ((one == k) & (truth == k)).sum() / ((one == k).sum() + (truth == k).sum()) for one in labels
        )
        kept.append((after / before, (truth == k).mean()))
    worst, share = min(kept)
    assert worst < 0.5
    assert share < 0.05
