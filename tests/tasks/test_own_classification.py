"""Own classification data: folders of images, tables, arrays; what is scored, and what is refused in one line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import Ran, one_line, write_submission

import tasks
from suite.errors import InputError
from tasks.own import load, restored

Hallmark = Callable[..., Ran]


def write(folder: Path, text: str, **files: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_text(content)
    path = folder / "set.toml"
    path.write_text('name = "mine"\nkind = "classification"\n' + text)
    return path


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Grey pictures whose first pixel is their class, as the fake `oracle` reads it."""
    from PIL import Image

    rows = ["id,patient,site"]
    for i in range(60):
        name = f"{'cat' if i % 3 else 'dog'}/{i:02d}.png"
        path = tmp_path / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((4, 5), 0 if i % 3 else 1, dtype=np.uint8)).save(path)
        rows.append(f"{name},p{i // 2},{'AB'[i % 2] if i % 10 else ''}")
    (tmp_path / "table.csv").write_text("\n".join(rows))
    return tmp_path


IMAGES = 'images = "images"\n'
WITH_TABLE = IMAGES + 'table = "table.csv"\ncluster = "patient"\ngroups = ["site"]\n'


def known(monkeypatch: pytest.MonkeyPatch, task: Any) -> None:
    monkeypatch.setitem(tasks.TASKS._own, task.name, task)


def values(ran: Ran) -> dict[str, Any]:
    assert ran.code == 0, ran
    return {m["name"]: m["value"] for m in ran.json["records"][0]["measurements"]}


def test_a_folder_of_images_is_scored_and_verified_without_it(
    pictures: Path, hallmark: Hallmark, fake: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    task = load(write(pictures, WITH_TABLE))
    examples = task.examples(None)
    assert [e.label for e in examples[:2]] == [0, 0]  # cat before dog
    assert {e.groups["site"] for e in examples} == {"A", "B", "(missing)"}
    assert len({e.cluster for e in examples}) == 30
    known(monkeypatch, task)
    model = fake("m", {"fake": "oracle", "classes": 2, "confidence": 0.9}, inputs={"shape": [1, 4, 5], "classes": 2})
    found = values(hallmark("run", model, "-t", "mine", "--json"))
    assert found["accuracy"] == 1.0
    assert found["nll"] == pytest.approx(-np.log(0.9))
    assert found["overconfidence"] == pytest.approx(-0.1)
    assert found["auroc"] == 1.0
    assert found["accuracy[site=A]"] == 1.0
    again = restored(Path("results/tasks"))["mine"]
    assert again.data_sha256() == task.data_sha256()
    assert [m.name for m in again.metrics] == [m.name for m in task.metrics]
    known(monkeypatch, again)
    assert hallmark("verify").code == 0


def test_a_model_of_another_shape_is_refused(
    pictures: Path, hallmark: Hallmark, fake: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    known(monkeypatch, load(write(pictures, IMAGES)))
    model = fake("m", {"fake": "constant", "probs": [0.5, 0.5]}, inputs={"shape": [3, 4, 5]})
    one_line(hallmark("run", model, "-t", "mine"), 2, "[3, 4, 5]", "[1, 4, 5]")


TABLE = "id,age,job,income,part\n" + "\n".join(
    f"p{i},{20 + i},{'clerk' if i % 2 else 'cook'},{'high' if i % 4 == 0 else 'low'},{'val' if i < 8 else 'test'}"
    for i in range(40)
)
TABULAR = """table = "people.csv"
label = "income"
features = ["age"]
categorical = {job = ["cook", "clerk"]}
classes = ["low", "high"]
"""


def test_a_table_gives_numbers_then_categories_in_the_stated_order(tmp_path: Path) -> None:
    task = load(write(tmp_path, TABULAR, people__csv=TABLE))
    examples = task.examples(None)
    assert [e.input.tolist() for e in examples[:2]] == [[20, 1, 0], [21, 0, 1]]
    assert [e.label for e in examples[:5]] == [1, 0, 0, 0, 1]


def test_a_temperature_is_fitted_on_the_declared_split_alone(
    tmp_path: Path, hallmark: Hallmark, fake: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = TABULAR + 'where = {part = "test"}\ncalibration = {part = "val"}\n'
    known(monkeypatch, load(write(tmp_path, text, people__csv=TABLE)))
    model = fake("m", {"fake": "constant", "probs": [0.9, 0.1]}, inputs={"shape": [3], "classes": 2})
    ran = hallmark("run", model, "-t", "mine", "--json")
    found = values(ran)
    assert next(m["n"] for m in ran.json["records"][0]["measurements"] if m["name"] == "accuracy") == 32
    # 6 of the 8 are low: the best temperature makes 0.9 to 0.75: ln 9 / T = ln 3
    assert found["temperature"] == pytest.approx(2.0, rel=1e-4)
    assert found["nll_scaled"] < found["nll"]


@pytest.mark.parametrize(("classes", "refused"), [(100, False), (101, True)])
def test_a_temperature_needs_classes_whose_probabilities_are_kept(tmp_path: Path, classes: int, refused: bool) -> None:
    """Told when the description is read, not after the whole run was asked; without the key all is well."""
    lines = "id,y,part\n" + "\n".join(f"i{k},c{k:03d},val" for k in range(classes))
    lines += "\n" + "\n".join(f"t{k},c{k:03d},test" for k in range(classes))
    text = 'table = "t.csv"\nlabel = "y"\nwhere = {part = "test"}\n'
    path = write(tmp_path, text + 'calibration = {part = "val"}\n', t__csv=lines)
    if refused:
        with pytest.raises(InputError, match="101 classes, and a temperature is fitted with at most 100: remove calib"):
            load(path)
        (tmp_path / "other.csv").write_text(lines.replace("\nt", "\no").replace("\ni", "\nj"))
        with pytest.raises(InputError, match="remove calibration_from"):
            load(write(tmp_path, text + 'calibration_from = "other.csv"\n', t__csv=lines))
    else:
        assert len(load(path).examples(None)) == 2 * classes
    assert len(load(write(tmp_path, text, t__csv=lines)).examples(None)) == classes


def test_arrays_and_predictions_by_id(tmp_path: Path, hallmark: Hallmark, monkeypatch: pytest.MonkeyPatch) -> None:
    draw = np.random.default_rng(0)
    y = draw.integers(0, 3, 50)
    ids = np.array([f"s{i}" for i in range(50)])
    np.savez(tmp_path / "a.npz", x=draw.normal(size=(50, 7)), y=y, name=ids)
    text = 'arrays = "a.npz"\nids = "name"\nclasses = ["a", "b", "c"]\n'
    task = load(write(tmp_path, text))
    assert task.examples(None)[3].input.shape == (7,)
    known(monkeypatch, task)
    probs, shuffle = draw.dirichlet(np.ones(3), 50), draw.permutation(50)
    lines = ["id,p_0,p_1,p_2", *(f"{ids[i]},{','.join(map(repr, probs[i].tolist()))}" for i in shuffle)]
    given = {"output": "probabilities"}

    def submit(name: str, lines: list[str], **inputs: Any) -> Path:
        content = {"p.csv": "\n".join(lines).encode()}
        return write_submission(tmp_path / "subs", name, content, "p.csv", format="predictions", inputs=given | inputs)

    found = values(hallmark("run", submit("m", lines), "-t", "mine", "--json"))
    assert found["accuracy"] == (probs.argmax(1) == y).mean()
    from sklearn.metrics import roc_auc_score

    assert found["auroc_macro"] == pytest.approx(roc_auc_score(y, probs, multi_class="ovr"), abs=1e-6)  # float32
    one_line(hallmark("run", submit("lost", lines[:-1]), "-t", "mine"), 1, ids[shuffle[-1]], "no row with this id")
    one_line(hallmark("run", submit("twice", [*lines, lines[1]]), "-t", "mine"), 1, "two rows", ids[shuffle[0]])
    one_line(hallmark("run", submit("other", lines, data_sha256="0" * 64), "-t", "mine"), 2, "data 000000000000")


def test_novel_items_are_scored_for_novelty_alone(
    tmp_path: Path, hallmark: Hallmark, fake: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    x = np.zeros((30, 2, 2), dtype=np.uint8)
    x[10:20] = 1
    np.savez(tmp_path / "a.npz", x=x, y=np.array(["a"] * 10 + ["b"] * 10 + ["new"] * 10))
    task = load(write(tmp_path, 'arrays = "a.npz"\nclasses = ["a", "b"]\nnovelty = "new"\n'))
    known(monkeypatch, task)
    model = fake("m", {"fake": "oracle", "classes": 2, "confidence": 0.8}, inputs={"shape": [1, 2, 2]})
    ran = hallmark("run", model, "-t", "mine", "--json")
    found = values(ran)
    assert found["accuracy"] == 1.0
    assert next(m["n"] for m in ran.json["records"][0]["measurements"] if m["name"] == "accuracy") == 20
    assert found["novelty_auroc"] == 0.5  # it is as sure of what it has never seen
    assert hallmark("verify").code == 0


def test_one_class_only_leaves_rankings_without_a_value(
    tmp_path: Path, hallmark: Hallmark, fake: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    np.savez(tmp_path / "a.npz", x=np.zeros((30, 3)), y=np.zeros(30, dtype=np.int64))
    known(monkeypatch, load(write(tmp_path, 'arrays = "a.npz"\nclasses = ["a", "b"]\nranking = true\n')))
    model = fake("m", {"fake": "constant", "probs": [0.7, 0.3]}, inputs={"shape": [3]})
    ran = hallmark("run", model, "-t", "mine", "--json")
    assert values(ran)["accuracy"] == 1.0
    kept = {m["name"]: m for m in ran.json["records"][0]["measurements"]}
    for name in ("auroc", "auprc", "mcc", "tpr", "bedroc_20", "coverage_95acc[class=b]"):
        assert kept[name]["value"] is None
        assert kept[name]["reason"]


def test_all_equal_scores_are_chance(
    tmp_path: Path, hallmark: Hallmark, fake: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    np.savez(tmp_path / "a.npz", x=np.zeros((40, 3)), y=np.arange(40) % 2)
    known(monkeypatch, load(write(tmp_path, 'arrays = "a.npz"\n')))
    model = fake("m", {"fake": "constant", "probs": [0.5, 0.5]}, inputs={"shape": [3]})
    found = values(hallmark("run", model, "-t", "mine", "--json"))
    assert (found["auroc"], found["auprc"], found["ece_15"], found["accuracy"]) == (0.5, 0.5, 0.0, 0.5)


def npz(folder: Path, **arrays: Any) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / "a.npz", **arrays)


@pytest.mark.parametrize(
    ("text", "table", "words"),
    [
        (TABULAR.replace('"high"]', '"rich"]'), TABLE, ("'p0'", "'high'", "low, rich")),
        (TABULAR, TABLE + "\np3,1,cook,low,test", ("'p3'", "twice")),
        (TABULAR, TABLE.replace("p5,", ","), ("row 6", "no id")),
        (TABULAR, TABLE.replace("25,clerk", "x,clerk"), ("'age'", "'x'")),
        (TABULAR, TABLE.replace("25,clerk", ",clerk"), ("row 6 has no number", "'age'")),
        (TABULAR, TABLE.replace("25,clerk", "-inf,clerk"), ("row 6 has -inf", "no finite number", "'age'")),
        (TABULAR, TABLE.replace("25,clerk", "1e40,clerk"), ("row 6 has 1e+40", "float32's range", "'age'")),
        (TABULAR, TABLE.replace("job,income", "age,income"), ("2 columns 'age'", "a name of its own")),
        (TABULAR, TABLE.replace("25,clerk", "25,spy"), ("'spy'", "job")),
        (TABULAR, TABLE.replace("clerk,low", "clerk,", 1), ("'p1'", "no label")),
        (TABULAR.replace("label", "labell"), TABLE, ("'labell'", "did you mean 'label'")),
        (TABULAR + 'positive = "rich"\n', TABLE, ("positive", "classes")),
        ('images = "nowhere"\n', TABLE, ("no folder", "nowhere")),
        ('arrays = "a.npz"\ny = "z"\n', TABLE, ("no array 'z'", "x, y")),
        ('arrays = "a.npz"\nclasses = ["a", "b"]\n', TABLE, ("'7'", "row-000002")),
        ("", TABLE, ("give images, arrays",)),
    ],
)
def test_bad_data_are_refused_in_one_line(tmp_path: Path, text: str, table: str, words: tuple[str, ...]) -> None:
    npz(tmp_path, x=np.zeros((3, 2)), y=np.array([0, 1, 7]))
    with pytest.raises(InputError) as caught:
        load(write(tmp_path, text, people__csv=table))
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message


def test_a_pickle_is_not_read(tmp_path: Path) -> None:
    npz(tmp_path, x=np.array([{"a": 1}], dtype=object), y=np.array([0]))
    with pytest.raises(InputError, match="plain arrays"):
        load(write(tmp_path, 'arrays = "a.npz"\n'))


def test_images_of_two_sizes_are_refused(pictures: Path) -> None:
    from PIL import Image

    Image.fromarray(np.zeros((9, 9), dtype=np.uint8)).save(pictures / "images" / "dog" / "zz.png")
    with pytest.raises(InputError, match="images of one size"):
        load(write(pictures, IMAGES)).fetch()
    load(write(pictures, IMAGES + "resize = 8\ncrop = 8\n")).fetch()


@pytest.mark.parametrize("name", ["classification", "tabular"])
def test_the_examples_describe_data_that_load(name: str, pictures: Path, tmp_path: Path) -> None:
    from support import REPOSITORY

    content = (REPOSITORY / "tasks" / "examples" / f"{name}.toml").read_text()
    (tmp_path / "people.csv").write_text(
        "id,age,hours,job,sex,site,income,split\n"
        + "\n".join(
            f"p{i},{20 + i},40,clerk,f,A,{'low' if i % 2 else 'high'},{'val' if i < 5 else 'test'}" for i in range(20)
        )
    )
    (pictures / "example.toml").write_text(content)
    task = load(pictures / "example.toml")
    task.fetch()
    assert json.dumps(task.description())
    assert len(task.examples(None)) >= 20
