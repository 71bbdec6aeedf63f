"""A file of predictions as a submission: found by id or by order, scored like a model's answers, never run."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import REAL, Ran, one_line, write_submission

import tasks
from suite.data import Dataset
from suite.errors import UnitError
from suite.formats.base import Place
from suite.formats.predictions import Predictions
from suite.manifest import Inputs, Manifest
from suite.task import Example
from tasks.labels import LabelsOnly
from tasks.metric_sets import Measured

N, K = 60, 4
DATA = Dataset(name="made-up", content_sha256="ab" * 32, bundled=True, generated=True)


def labels() -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    draw = np.random.default_rng(0)
    return draw.integers(0, K, N), draw.integers(0, K, 40)


def examples() -> Iterator[Example]:
    test, val = labels()
    yield from (Example(f"val-{i}", None, int(y), calibration=True) for i, y in enumerate(val))
    yield from (Example(f"test-{i}", None, int(y)) for i, y in enumerate(test))


class ByNll(LabelsOnly):
    calibrates = "nll"


@pytest.fixture(autouse=True)
def _task(monkeypatch: pytest.MonkeyPatch) -> None:
    made = ByNll(
        name="made-up", title="t", version="1", dataset=DATA, shape=(), measured=Measured(tuple("abcd")), load=examples
    )
    monkeypatch.setitem(tasks.TASKS._own, "made-up", made)


def logits(seed: int = 1) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Too sure by a factor of 3: z = 3 (hot + noise)."""
    draw, made = np.random.default_rng(seed), []
    for y in labels():
        made.append(3 * (2 * np.eye(K)[y] + draw.normal(size=(len(y), K))))
    return made[0], made[1]


def npz(**arrays: Any) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


@pytest.fixture
def given(tmp_path: Path) -> Callable[..., Path]:
    def make(name: str, file: str, content: bytes, **inputs: Any) -> Path:
        return write_submission(
            tmp_path / "subs", name, {file: content}, file, kind="classification", format="predictions",
            inputs={"classes": K, **inputs},
        )  # fmt: skip

    return make


def values(ran: Ran) -> dict[str, Any]:
    assert ran.code == 0, ran
    return {m["name"]: m["value"] for m in ran.json["records"][0]["measurements"]}


def test_order_ids_csv_and_parquet_give_the_same_numbers(
    tmp_path: Path, given: Callable[..., Path], hallmark: Callable[..., Ran]
) -> None:
    import pyarrow as pa
    from pyarrow import csv, parquet

    test, val = logits()
    shuffle = np.random.default_rng(5).permutation(N + 40)
    ids = np.array([f"test-{i}" for i in range(N)] + [f"val-{i}" for i in range(40)])[shuffle]
    both = np.concatenate([test, val])[shuffle]
    table = pa.table({"id": ids.tolist(), **{f"p_{k}": both[:, k] for k in range(K)}})
    files = {"csv": io.BytesIO(), "parquet": io.BytesIO()}
    csv.write_csv(table, files["csv"])
    parquet.write_table(table, files["parquet"])
    made = [
        given("order", "a.npz", npz(test=test, val=val), scores="test", calibration_scores="val"),
        given("ids", "a.npz", npz(z=both, name=ids), scores="z", ids="name"),
        given("csv", "a.csv", files["csv"].getvalue()),
        given("parquet", "a.parquet", files["parquet"].getvalue()),
    ]
    found = [values(hallmark("run", folder, "-t", "made-up", "--json")) for folder in made]
    for other in found[1:]:
        assert other == pytest.approx(found[0], nan_ok=True)
    truth = labels()[0]
    probs = np.exp(test) / np.exp(test).sum(1, keepdims=True)
    assert found[0]["accuracy"] == (probs.argmax(1) == truth).mean()
    assert found[0]["nll"] == pytest.approx(-np.log(probs[np.arange(N), truth]).mean())
    assert found[0]["bytes"] is None
    assert found[0]["items_per_s"] is None
    assert hallmark("verify").code == 0
    record = json.loads(next(Path("results/order/made-up").glob("*.json")).read_text())
    assert record["source"] == "predictions"
    assert record["measurements"][0]["n"] == N  # the calibration split is not scored


def test_the_temperature_is_fitted_on_the_calibration_split_alone(
    given: Callable[..., Path], hallmark: Callable[..., Ran]
) -> None:
    from scipy.optimize import minimize_scalar

    test, val = logits()
    truth = labels()[1]

    def nll(t: float) -> float:
        z = val / t
        return float((np.log(np.exp(z).sum(1)) - z[np.arange(40), truth]).mean())

    expected = minimize_scalar(nll, bounds=(0.05, 20), method="bounded").x
    folder = given("a", "a.npz", npz(test=test, val=val), scores="test", calibration_scores="val")
    found = values(hallmark("run", folder, "-t", "made-up", "--json"))
    assert found["temperature"] == pytest.approx(expected, rel=1e-3)
    scaled = test / found["temperature"]
    assert found["nll_scaled"] == pytest.approx(
        (np.log(np.exp(scaled).sum(1)) - scaled[np.arange(N), labels()[0]]).mean(), rel=1e-6
    )


def test_two_files_are_compared_item_by_item(given: Callable[..., Path], hallmark: Callable[..., Ran]) -> None:
    for name, seed in (("parent", 1), ("child", 2)):
        test, val = logits(seed)
        folder = given(name, "a.npz", npz(test=test, val=val), scores="test", calibration_scores="val")
        if name == "child":
            text = (folder / "submission.toml").read_text()
            (folder / "submission.toml").write_text('parent = "parent"\n' + text)
        assert hallmark("run", folder, "-t", "made-up").code == 0
    shown = hallmark("show", "child").out
    assert "beside its parent parent" in shown


@pytest.mark.parametrize(
    ("file", "content", "inputs", "words"),
    [
        ("a.npz", npz(z=np.zeros((N, K))), {"scores": "y"}, ("has no array 'y'; it has z",)),
        ("a.npz", npz(scores=np.zeros((N - 1, K)), val=np.zeros((40, K))), {"calibration_scores": "val"},
         ("59 rows without ids, the data has 60 items",)),
        ("a.npz", npz(scores=np.full((N, K), np.nan)), {}, ("row 0 holds a score that is not finite",)),
        ("a.npz", npz(scores=np.zeros((N, K + 1))), {}, ("5 classes, inputs.classes is 4",)),
        ("a.npz", npz(scores=np.zeros((N, K), dtype=int)), {}, ("scores are int64",)),
        ("a.npz", npz(scores=np.full((N, K), 0.25)), {}, ("these are probabilities",)),
        ("a.npz", npz(scores=np.full((N, K), 0.3)), {"output": "probabilities"}, ("does not sum to 1",)),
        ("a.csv", b"id,p_0,p_1,p_2,p_3\nx,1,2,3,4.5\nx,1,2,3,4.5\n", {}, ("two rows for the id 'x'",)),
        ("a.csv", b"id,p_0,p_1,p_2,p_3\nx,1.,2.,3.,4.5\n", {}, ("no row with this id",)),
        ("a.csv", b"name,p_0,p_1\nx,1.,2.\n", {}, ("needs a column 'id'",)),
        ("a.csv", b"id,p_0,p_1\nx,1.,2.\ny,1.,none\n", {}, ("row 1, column 'p_1' holds 'none'",)),
    ],
)  # fmt: skip
def test_files_that_do_not_fit_fail_in_one_line(
    given: Callable[..., Path], hallmark: Callable[..., Ran], file: str, content: bytes, inputs: Any, words: Any
) -> None:
    folder = given("a", file, content, **inputs)
    one_line(hallmark("run", folder, "-t", "made-up"), 1, *words)
    assert not list(Path("results").glob("a/*/*.json"))


Z3 = np.eye(3, 2)


@pytest.mark.parametrize(
    ("file", "content", "inputs", "words"),
    [
        ("a.npz", npz(z=Z3, i=np.array(list("abcd"))), {"ids": "i"}, "a.npz has 4 ids and scores of 3 items"),
        ("a.npz", npz(z=Z3, i=np.array(list("ab"))), {"ids": "i"}, "a.npz has 2 ids and scores of 3 items"),
        ("a.npz", npz(z=Z3, i=np.full((3, 2), "a")), {"ids": "i"}, r"ids 'i' are of shape \(3, 2\); wanted: \[items\]"),
        ("a.npz", npz(z=Z3, i=np.array("a")), {"ids": "i"}, r"ids 'i' are of shape \(\)"),
        ("a.npz", npz(z=Z3, i=np.array(["a", "", "c"])), {"ids": "i"}, "a.npz: row 1 has no id"),
        ("a.csv", b"id,p_0,p_1\nx,1.,2.\n,1.,2.\n", {}, "a.csv: row 1 has no id"),
        ("a.csv", b"id,p_0,p_0,p_1\nx,1.,2.,3.\n", {}, "a.csv has more than one column 'p_0'"),
        ("a.csv", b"id,p_0,p_1,id\nx,1.,2.,x\n", {}, "a.csv has more than one column 'id'"),
    ],
)
def test_ids_and_columns_that_do_not_fit_the_scores_are_named(
    tmp_path: Path, file: str, content: bytes, inputs: dict[str, Any], words: str
) -> None:
    (tmp_path / file).write_bytes(content)
    declared = Inputs(scores="z" if file.endswith("z") else None, **inputs)
    with pytest.raises(UnitError, match=words) as caught:
        Predictions().load(tmp_path / file, "classification", declared, Place())
    assert "\n" not in str(caught.value)


def test_empty_ids_of_a_parquet_file_are_named(tmp_path: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    parquet.write_table(pa.table({"id": ["a", None], "p_0": [1.0, 2.0], "p_1": [2.0, 1.0]}), tmp_path / "a.parquet")
    with pytest.raises(UnitError, match="row 1 has no id"):
        Predictions().load(tmp_path / "a.parquet", "classification", Inputs(), Place())


@pytest.mark.parametrize(
    ("file", "content", "word"),
    [
        ("a.pkl", b"\x80\x04", "a.pkl"),
        ("a.txt", b"1,2", "allowed: .npz, .csv, .parquet"),
        ("a.npz", b"PK\x03\x04broken", "cannot be read"),
        ("a.parquet", b"PAR1", "cannot be read"),
    ],
)
def test_files_that_are_no_predictions_are_refused_before_anything_runs(
    given: Callable[..., Path], hallmark: Callable[..., Ran], file: str, content: bytes, word: str
) -> None:
    one_line(hallmark("run", given("a", file, content), "-t", "made-up"), 2, word)


def test_a_pickle_inside_an_npz_is_not_loaded(
    tmp_path: Path, given: Callable[..., Path], hallmark: Callable[..., Ran]
) -> None:
    folder = given("a", "a.npz", npz(scores=np.array([{"a": 1}], dtype=object)))
    ran = hallmark("run", folder, "-t", "made-up")
    assert ran.code in (1, 2)
    assert "Traceback" not in ran.err


def test_predictions_of_other_data_and_models_without_inputs_are_refused(
    given: Callable[..., Path], fake: Callable[..., Path], hallmark: Callable[..., Ran]
) -> None:
    folder = given("a", "a.npz", npz(scores=logits()[0]), data_sha256="cd" * 32)
    one_line(hallmark("run", folder, "-t", "made-up"), 2, "are of data cdcdcdcdcdcd, the task's is abababababab")
    model = fake("b", {"fake": "constant", "probs": [0.25] * 4})
    one_line(hallmark("run", model, "-t", "made-up"), 2, 'format = "predictions"')


def test_the_real_resnet50_gives_the_published_figures(mirror: Path, hallmark: Callable[..., Ran]) -> None:
    found = values(hallmark("run", REAL / "resnet50-logits", "--json"))
    reported = Manifest.load(REAL / "resnet50-logits").reported
    assert found["accuracy"] == reported["accuracy"]
    for name in ("ece_15", "ece_15_scaled", "nll", "nll_scaled"):
        assert found[name] == pytest.approx(reported[name], abs=6e-5), name
    assert found["temperature"] == pytest.approx(1.1)
