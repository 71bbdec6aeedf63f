"""Defects that a reviewer found once, each held by a test."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from support import Ran, one_line

from suite import record
from suite.compare import differences
from suite.errors import InputError
from suite.store import Store

Hallmark = Callable[..., Ran]
Fake = Callable[..., Path]
CONSTANT = {"fake": "constant", "probs": [0.1] * 10}
UNIFORM = {"fake": "uniform", "vocabulary": 64}


@pytest.mark.parametrize(
    "fields",
    [
        {"reported": {"accuracy": float("nan")}},
        {"operating_point": {"x": float("inf")}},
        {"inputs": {"normalisation": {"std": [float("nan")]}}},
        {"weights": "a\x00b"},
    ],
)
def test_numbers_that_are_none_and_control_characters(hallmark: Hallmark, fake: Fake, fields: object) -> None:
    folder = fake("m", CONSTANT, **fields)  # type: ignore[arg-type]
    text = (folder / "submission.toml").read_text().replace("NaN", "nan").replace("Infinity", "inf")
    (folder / "submission.toml").write_text(text)
    one_line(hallmark("check", folder), 2)


def test_a_manifest_that_is_a_folder(hallmark: Hallmark, tmp_path: Path) -> None:
    (tmp_path / "m" / "submission.toml").mkdir(parents=True)
    one_line(hallmark("check", tmp_path / "m"), 2, "no manifest")


def test_time_limits_that_are_none(hallmark: Hallmark, fake: Fake) -> None:
    folder = fake("m", CONSTANT)
    for limit in ("nan", "inf", "1e300"):
        one_line(hallmark("run", folder, "-t", "digits", "--time-limit", limit), 2, "--time-limit")


def test_normalisation_with_another_number_of_channels(hallmark: Hallmark, fake: Fake) -> None:
    folder = fake("m", CONSTANT, inputs={"normalisation": {"mean": [0.1, 0.2]}})
    one_line(hallmark("run", folder, "-t", "digits"), 2, "2 means")


def test_a_parent_that_is_itself_or_of_another_kind(hallmark: Hallmark, fake: Fake) -> None:
    one_line(hallmark("check", fake("me", CONSTANT, parent="me")), 2, "names itself")
    fake("lm", UNIFORM, kind="language")
    one_line(hallmark("check", fake("child", CONSTANT, parent="lm")), 2, "language model")


def test_the_name_alone_shows_the_help_in_lines(hallmark: Hallmark) -> None:
    ran = hallmark()
    assert ran.code == 2
    assert len(ran.out.splitlines()) > 10


def test_naming_a_parent_later_is_another_unit(hallmark: Hallmark, fake: Fake) -> None:
    fake("parent", UNIFORM, kind="language")
    child = fake("child", {**UNIFORM, "context": 9000}, kind="language")
    first = hallmark("run", child, "-t", "generated-text", "--json").json["records"][0]
    text = (child / "submission.toml").read_text()
    (child / "submission.toml").write_text(text + 'parent = "parent"\n')
    second = hallmark("run", child, "-t", "generated-text", "--json").json["records"][0]
    assert second["manifest"]["parent"] == "parent"
    assert second["unit_key"] != first["unit_key"]


def test_another_tokenizer_is_not_paired_per_token(
    hallmark: Hallmark, fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same documents cut into fewer tokens: perplexities are incomparable, bits per byte are not."""
    from tasks import TASKS

    names = []
    for name in ("a", "b"):
        hallmark("run", fake(name, UNIFORM, kind="language"), "-t", "generated-text")
        names.append(name)
    a, b = (Store(Path("results")).latest(name, "generated-text") for name in names)
    assert a is not None
    assert b is not None
    from suite import outcomes

    real = outcomes.to_columns
    calls: list[int] = []

    def fewer(table: object) -> dict[str, np.ndarray]:  # type: ignore[type-arg]
        calls.append(1)
        columns = real(table)  # type: ignore[arg-type]
        return columns if len(calls) == 1 else columns | {"n_tokens": columns["n_tokens"] - 1}

    monkeypatch.setattr(outcomes, "to_columns", fewer)
    found = differences(a, b, TASKS["generated-text"].metrics)
    assert found["perplexity"].value is None
    assert "different tokenizers" in str(found["perplexity"].reason)
    assert found["bits_per_byte"].value == 0


def test_a_record_in_the_wrong_place_does_not_verify(hallmark: Hallmark, fake: Fake) -> None:
    hallmark("run", fake("m", CONSTANT), "-t", "digits")
    shutil.copytree("results/m/digits", "results/other/digits")
    shutil.copytree("results/m/digits", "results/m/generated-text")
    ran = hallmark("verify")
    assert ran.code == 1
    assert "under submission 'other'" in ran.err
    assert "under task 'generated-text'" in ran.err


def test_verify_goes_on_after_an_unreadable_record(hallmark: Hallmark, fake: Fake) -> None:
    hallmark("run", fake("m", CONSTANT), "-t", "digits")
    (good,) = Path("results/m/digits").glob("*.json")
    bad = Path("bad.json")
    bad.write_text("{")
    ran = hallmark("verify", bad, good)
    assert ran.code == 1
    assert "hold" in ran.out
    assert hallmark("verify", bad, good, "--json").json["problems"]


def test_nan_in_a_record_file_is_refused() -> None:
    fixture = Path(__file__).parent.parent / "fixtures" / "record.json"
    content = fixture.read_bytes().replace(b"3.5482", b"NaN")
    with pytest.raises(InputError, match="NaN is no JSON number"):
        record.read(content, "here")


def test_a_torn_batch_is_asked_again(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with store.unit("0" * 64) as journal:
        folder = tmp_path / ".journal" / ("0" * 64)
        folder.mkdir(parents=True)
        (folder / "0000000.parquet").write_bytes(b"PAR1 torn")
        assert journal.batch(0) is None


def test_the_description_of_a_task_comes_back(hallmark: Hallmark, fake: Fake) -> None:
    folder = fake("m", CONSTANT)
    hallmark("run", folder, "-t", "digits")
    Path("results/tasks/digits.json").unlink()
    hallmark("run", folder, "-t", "digits")
    assert json.loads(Path("results/tasks/digits.json").read_text())["primary"] == "accuracy"


def test_a_terminal_that_knows_no_arrows(fake: Fake, tmp_path: Path) -> None:
    folder = fake("m", CONSTANT)
    done = subprocess.run(
        [sys.executable, "-m", "suite", "run", str(folder), "-t", "digits"],
        cwd=tmp_path,
        env={"PYTHONIOENCODING": "latin-1", "PATH": "", "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_probabilities_declared_as_logits_are_found(hallmark: Hallmark, tmp_path: Path) -> None:
    from onnx import TensorProto, helper
    from support import write_submission

    graph = helper.make_graph(
        [
            helper.make_node("Flatten", ["x"], ["f"]),
            helper.make_node("MatMul", ["f", "w"], ["l"]),
            helper.make_node("Softmax", ["l"], ["y"], axis=1),
        ],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 1, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 10])],
        [helper.make_tensor("w", TensorProto.FLOAT, [64, 10], np.linspace(-1, 1, 640).tolist())],
    )
    content = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10).SerializeToString()
    declared = {"logits": 1, "probabilities": 0}
    for output, code in declared.items():
        folder = write_submission(
            tmp_path / output, "m", {"m.onnx": content}, "m.onnx", format="onnx", inputs={"output": output}
        )
        ran = hallmark("run", folder, "-t", "digits", "--results", output)
        assert ran.code == code, ran
    assert 'inputs.output = "probabilities"' in hallmark("run", tmp_path / "logits" / "m", "-t", "digits").err
