"""A user's data in variants: what each site or corruption loses of the reference, by the command line alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from support import REPOSITORY, Ran, one_line, write_submission

Hallmark = Callable[..., Ran]
HEAD = 'name = "mine"\nkind = "classification"\ntable = "t.csv"\nlabel = "y"\nclasses = ["no", "yes"]\n'
SITES = '[variants]\ncolumn = "site"\nreference = "internal"\n'


def predictions(root: Path, name: str, yes: dict[str, float], **fields: Any) -> Path:
    lines = ["id,p_0,p_1", *(f"{item},{1 - p!r},{p!r}" for item, p in yes.items())]
    content = {"p.csv": "\n".join(lines).encode()}
    inputs = {"output": "probabilities"}
    return write_submission(root / "subs", name, content, "p.csv", format="predictions", inputs=inputs, **fields)


@pytest.fixture
def sites(tmp_path: Path) -> dict[str, float]:
    """40 photographs, internal and blurred: 36 right, and of the copies 27; 20 others of an external site, 15 right."""
    rows, yes = ["id,photo,y,site"], {}
    right = {"internal": 36, "blurred": 27, "external": 15}
    for site, number in (("internal", 40), ("blurred", 40), ("external", 20)):
        for i in range(number):
            item, photo = f"{site}-{i}", f"{'e' if site == 'external' else 'p'}{i}"
            label = i % 2
            rows.append(f"{item},{photo},{['no', 'yes'][label]},{site}")
            yes[item] = 0.9 if (i < right[site]) == bool(label) else 0.1
    (tmp_path / "t.csv").write_text("\n".join(rows))
    return yes


def found(ran: Ran) -> dict[str, Any]:
    assert ran.code == 0, ran
    return {m["name"]: m for m in ran.json["records"][0]["measurements"]}


def test_each_variant_its_drop_and_their_mean(tmp_path: Path, sites: dict[str, float], hallmark: Hallmark) -> None:
    (tmp_path / "d.toml").write_text(HEAD + SITES + 'origin = "photo"\n')
    made = found(hallmark("run", predictions(tmp_path, "m", sites), "--data", "d.toml", "--json"))
    expected = {
        "accuracy[site=internal]": 0.9,
        "accuracy[site=blurred]": 0.675,
        "accuracy[site=external]": 0.75,
        "mean_accuracy[site]": (0.675 + 0.75) / 2,
        "accuracy_drop[site=blurred]": 0.25,
        "accuracy_drop[site=external]": 0.15 / 0.9,
        "mean_accuracy_drop[site]": 1 - (0.675 + 0.75) / 2 / 0.9,
        "failure_rate[below=1,score=correct,site=external]": 0.25,
        # of the 40 photographs 27 are right in both; of the 20 others 15 in their only one
        "robust_accuracy[site]": 42 / 60,
        "worst_group_accuracy[site]": 0.675,
    }
    assert {name: made[name]["value"] for name in expected} == pytest.approx(expected)
    assert {"auroc[site=blurred]", "auroc_drop[site=blurred]", "nll_drop[site=external]"} < made.keys()
    drop = made["accuracy_drop[site=blurred]"]
    assert drop["low"] < 0.25 < drop["high"]
    assert drop["n_clusters"] == 40  # copies of a photograph are drawn together
    assert hallmark("verify").code == 0  # from results/tasks/mine.json: neither data nor TOML file is read
    shown = hallmark("show", "m", "-t", "mine", "--all")
    assert "accuracy_drop[site=blurred]" in shown.out


def test_the_reference_is_the_first_rows_where_a_column_alone_is_named(
    tmp_path: Path, sites: dict[str, float], hallmark: Hallmark
) -> None:
    model = predictions(tmp_path, "m", sites)
    (tmp_path / "short.toml").write_text(HEAD + 'groups = ["site"]\nvariants = "site"\n')
    made = found(hallmark("run", model, "--data", "short.toml", "--json"))
    assert made["accuracy_drop[site=external]"]["value"] == pytest.approx(0.15 / 0.9)
    assert made["accuracy_drop[site=blurred]"]["n_clusters"] == 80
    assert "robust_accuracy[site]" not in made


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (HEAD + '[variants]\ncolumn = "site"\nreference = "inner"\n', ("'inner'", "internal", "blurred")),
        (HEAD + '[variants]\ncolumn = "place"\n', ("'place'", "site")),
        (HEAD + '[variants]\ncolum = "site"\n', ("'variants.colum'", "did you mean 'column'")),
        (HEAD + 'variants = "y"\nwhere = {y = "yes"}\n', ("every item is of 'yes'", "a shift needs two")),
        (HEAD + SITES + 'origin = "y"\n', ("'no' is twice in 'internal'",)),
        (HEAD + SITES + 'origin = "who"\n', ("'who'", "photo")),
        (HEAD.replace('table = "t.csv"\nlabel = "y"\n', 'arrays = "a.npz"\n') + SITES, ("variants", "table")),
    ],
)
def test_variants_that_do_not_fit_are_refused_in_one_line(
    tmp_path: Path, sites: dict[str, float], hallmark: Hallmark, text: str, words: tuple[str, ...]
) -> None:
    (tmp_path / "d.toml").write_text(text)
    one_line(hallmark("run", predictions(tmp_path, "m", sites), "--data", "d.toml"), 2, *words)


def test_the_example_is_scored(tmp_path: Path, hallmark: Hallmark, fake: Callable[..., Path]) -> None:
    from PIL import Image

    rows = ["id,file,photo,diagnosis,condition"]
    (tmp_path / "photos").mkdir()
    for i in range(60):
        condition, photo = ("internal", "external", "blurred")[i // 20], i % 20 + (100 if i // 20 == 1 else 0)
        right = photo % 2 if i % 5 else 1 - photo % 2
        Image.fromarray(np.full((32, 32), right, dtype=np.uint8)).save(tmp_path / "photos" / f"{i}.png")
        rows.append(f"{i},{i}.png,{photo},{['benign', 'malignant'][photo % 2]},{condition}")
    (tmp_path / "photos.csv").write_text("\n".join(rows))
    (tmp_path / "shifted.toml").write_text((REPOSITORY / "tasks" / "examples" / "shifted.toml").read_text())
    model = fake("m", {"fake": "oracle", "classes": 2, "confidence": 0.9}, inputs={"shape": [1, 32, 32], "classes": 2})
    made = found(hallmark("run", model, "--data", "shifted.toml", "--json"))
    assert made["accuracy[condition=internal]"]["value"] == pytest.approx(0.8)
    assert made["accuracy_drop[condition=blurred]"]["value"] == pytest.approx(0)
    assert hallmark("verify").code == 0


def test_sites_of_a_segmentation_data_set(tmp_path: Path, hallmark: Hallmark, fake: Callable[..., Path]) -> None:
    from PIL import Image

    rows = ["id,site"]
    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()
    for i in range(12):
        labels = np.zeros((8, 8), dtype=np.uint8)
        labels[:, : 4 if i < 6 else 2] = 1
        Image.fromarray(labels).save(tmp_path / "labels" / f"{i}.png")
        Image.fromarray(labels * 0).save(tmp_path / "images" / f"{i}.png")
        rows.append(f"{i},{'here' if i < 6 else 'there'}")
    (tmp_path / "t.csv").write_text("\n".join(rows))
    (tmp_path / "d.toml").write_text(
        'name = "organs"\nkind = "segmentation"\nimages = "images"\nlabels = "labels"\nclasses = ["organ"]\n'
        'table = "t.csv"\nfailure_dice = 0.5\nvariants = "site"\n'
    )
    model = fake("m", {"fake": "threshold", "level": -0.5}, kind="segmentation", inputs={"classes": 2})
    made = found(hallmark("run", model, "--data", "d.toml", "--json", "--no-overlays"))
    assert made["dice[site=here]"]["value"] == pytest.approx(2 / 3)
    assert made["dice[site=there]"]["value"] == pytest.approx(0.4)
    assert made["dice_drop[site=there]"]["value"] == pytest.approx(0.4)
    assert made["failure_rate_dice_0.5[site=there]"]["value"] == 1.0
    assert hallmark("verify").code == 0


def test_further_metrics_by_group_and_slices_by_metadata(tmp_path: Path, hallmark: Hallmark) -> None:
    """A model that is wrong about everybody over 60, which no group column says."""
    rng = np.random.default_rng(0)
    rows, yes = ["id,y,sex,age,ward"], {}
    for i in range(400):
        age, label = int(rng.integers(20, 90)), i % 2
        rows.append(f"{i},{['no', 'yes'][label]},{'fm'[i // 2 % 2]},{age if i else ''},{'abc'[i % 3]}")
        yes[str(i)] = (0.2 if label else 0.8) if age > 60 else (0.8 if label else 0.2)
    (tmp_path / "t.csv").write_text("\n".join(rows))
    text = HEAD + 'groups = ["sex"]\nmetadata = ["age", "ward"]\nby_group = ["auroc", "brier", "nll"]\n'
    (tmp_path / "d.toml").write_text(text)
    made = found(hallmark("run", predictions(tmp_path, "m", yes), "--data", "d.toml", "--json"))
    assert {
        "auroc[sex=f]",
        "auroc_gap[sex]",
        "auroc_gap_p[sex]",
        "brier[sex=m]",
        "worst_group_brier[sex]",
    } <= made.keys()
    assert not [name for name in made if "ward" in name or "age" in name.partition("[")[2]]
    searched = hallmark("slices", "m", "-t", "mine", "--json").json["slices"]
    assert "metadata.age > 6" in searched[0]["words"]
    assert searched[0]["value"] < 0.1
    assert hallmark("verify").code == 0
    (tmp_path / "d.toml").write_text(text.replace("auroc", "auc"))
    one_line(hallmark("run", "subs/m", "--data", "d.toml"), 2, "'auc'", "'auroc'")


def test_pictures_are_described_by_what_they_look_like(
    tmp_path: Path, hallmark: Hallmark, fake: Callable[..., Path]
) -> None:
    from PIL import Image

    for i in range(4):
        path = tmp_path / "images" / "ab"[i % 2] / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((4, 4), i % 2, dtype=np.uint8)).save(path)
    (tmp_path / "d.toml").write_text('name = "mine"\nkind = "classification"\nimages = "images"\n')
    model = fake("m", {"fake": "oracle", "classes": 2, "confidence": 0.9}, inputs={"shape": [1, 4, 4], "classes": 2})
    found(hallmark("run", model, "--data", "d.toml", "--json"))
    (path,) = (p for p in Path("results/m/mine").glob("*.parquet") if "readings" not in p.name)
    table = pq.read_table(path)
    assert table.column("stat.mean").to_pylist() == pytest.approx([0, 0, 1 / 255, 1 / 255])
    assert table.column("stat.sharpness").to_pylist() == [0.0] * 4


def test_own_images_are_shown_under_corruptions_too(
    tmp_path: Path, hallmark: Hallmark, fake: Callable[..., Path]
) -> None:
    """The oracle knows the class by the first pixel, which strong noise changes."""
    from PIL import Image

    rows = ["id,site"]
    for i in range(40):
        path = tmp_path / "images" / "ab"[i % 2] / f"{i:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((16, 16), i % 2, dtype=np.uint8)).save(path)
        rows.append(f"{'ab'[i % 2]}/{i:02d}.png,{'AB'[i // 2 % 2]}")
    (tmp_path / "t.csv").write_text("\n".join(rows))
    head = 'name = "mine"\nkind = "classification"\nimages = "images"\ntable = "t.csv"\ngroups = ["site"]\n'
    (tmp_path / "d.toml").write_text(head + 'corruptions = ["gaussian_noise", "contrast"]\nseverities = [5]\n')
    model = fake("m", {"fake": "oracle", "classes": 2, "confidence": 0.9}, inputs={"shape": [1, 16, 16], "classes": 2})
    ran = hallmark("run", model, "--data", "d.toml", "--json")
    made = found(ran)
    assert ran.json["records"][0]["protocol"] == "native/cifar10c-1"
    assert made["accuracy[variant=clean]"]["value"] == 1.0
    assert made["accuracy[variant=gaussian_noise_5]"]["value"] < 1.0
    assert made["robust_accuracy[variant]"]["value"] <= made["accuracy[variant=gaussian_noise_5]"]["value"]
    assert made["mean_accuracy[variant]"]["n_clusters"] == 40
    assert made["accuracy_gap[site]"]["value"] is not None
    assert hallmark("verify").code == 0
    for line, words in (
        ('corruptions = ["gausian_noise"]', ("'gausian_noise'", "gaussian_noise")),
        ('corruptions = ["contrast"]\nseverities = [6]', ("[6]", "1 to 5")),
        ('corruptions = ["contrast", "contrast"]\nseverities = [1]', ("corruptions names one of them twice",)),
        ('corruptions = ["contrast"]\nseverities = [1, 1]', ("severities names one of them twice",)),
        ('corruptions = ["contrast"]\nvariants = "site"', ("neither variants",)),
    ):
        (tmp_path / "d.toml").write_text(head + line)
        one_line(hallmark("run", model, "--data", "d.toml"), 2, *words)
