"""A user's images under FGSM and PGD, by the command line alone: what an attack does to a linear model is known."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from support import Ran, one_line, write_submission

pytest.importorskip("art")
Hallmark = Callable[..., Ran]
SIDE, LEVELS = 4, 255
HEAD = 'name = "mine"\nkind = "classification"\nimages = "images"\ntable = "t.csv"\ngroups = ["site"]\n'
ATTACKS = 'attacks = ["fgsm", "pgd"]\nattack_eps = [2, 8]\nattack_steps = 4\n'
NEAR = [k + 0.5 for k in range(10)]  # how many levels a grey image of site A lies beside 127.5
FAR = [k + 20.5 for k in range(10)]  # and one of site B


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A model that says 1 where the mean of the pixels is above one half; exported once, which takes its time."""
    import torch

    class Bright(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            margin = 100 * (x.flatten(1).mean(dim=1) - 0.5)
            return torch.stack([-margin, margin], dim=1)

    path = tmp_path_factory.mktemp("exported") / "m.pt2"
    free = {"x": {0: torch.export.Dim("batch")}}
    torch.export.save(torch.export.export(Bright().eval(), (torch.zeros(2, 1, SIDE, SIDE),), dynamic_shapes=free), path)
    return path.read_bytes()


@pytest.fixture
def bright(tmp_path: Path, exported: bytes) -> Path:
    inputs = {"shape": [1, SIDE, SIDE], "classes": 2}
    files = {"m.pt2": exported}
    return write_submission(tmp_path / "subs", "bright", files, "m.pt2", format="torch-export", inputs=inputs)


def pictures(root: Path) -> None:
    """20 grey images a site, half of them brighter than one half and of class b."""
    from PIL import Image

    rows = ["id,site"]
    for site, distances in (("A", NEAR), ("B", FAR)):
        for i, distance in enumerate(distances):
            for name, sign in (("a", -1), ("b", 1)):
                path = root / "images" / name / f"{site}{i}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                level = round(127.5 + sign * distance)
                Image.fromarray(np.full((SIDE, SIDE), level, dtype=np.uint8)).save(path)
                rows.append(f"{name}/{path.name},{site}")
    (root / "t.csv").write_text("\n".join(rows))


def test_own_images_are_attacked_along_the_models_gradient(tmp_path: Path, hallmark: Hallmark, bright: Path) -> None:
    """An image flips where eps exceeds its distance: of site A 2 of 10 at two levels, 8 of 10 at eight, of B none."""
    pictures(tmp_path)
    (tmp_path / "d.toml").write_text(HEAD + ATTACKS)
    ran = hallmark("run", bright, "--data", "d.toml", "--json")
    assert ran.code == 0, ran.err
    assert ran.json["records"][0]["protocol"] == "native/linf-own-answer-1"
    made = {m["name"]: m for m in ran.json["records"][0]["measurements"]}
    assert made["accuracy[variant=clean]"]["value"] == 1
    for attack in ("fgsm", "pgd"):
        for eps in (2, 8):
            right = 1 - sum(d < eps for d in NEAR) / 20
            assert made[f"accuracy[variant={attack}_{eps}/255]"]["value"] == pytest.approx(right)
            assert made[f"accuracy_drop[variant={attack}_{eps}/255]"]["value"] == pytest.approx(1 - right)
            assert made[f"unmoved_share[variant={attack}_{eps}/255]"]["value"] == 0
    assert made["robust_accuracy[variant]"]["value"] == pytest.approx(0.6)
    assert made["accuracy[variant=clean]"]["n_clusters"] == 40
    assert made["accuracy_gap[variant=clean,site]"]["value"] == 0
    assert made["accuracy_gap[variant=pgd_8/255,site]"]["value"] == pytest.approx(0.8)
    assert hallmark("verify").code == 0


def test_what_cannot_be_attacked_is_refused_in_one_line(
    tmp_path: Path, hallmark: Hallmark, fake: Callable[..., Path], bright: Path
) -> None:
    pictures(tmp_path)
    model = fake("m", {"fake": "oracle", "classes": 2}, inputs={"shape": [1, SIDE, SIDE], "classes": 2})
    table = 'name = "mine"\nkind = "classification"\ntable = "t.csv"\nlabel = "site"\nfeatures = ["x"]\n'
    np.savez(tmp_path / "far.npz", x=np.full((4, 1, SIDE, SIDE), 3.0), y=[0, 1, 0, 1])
    arrays = 'name = "mine"\nkind = "classification"\narrays = "far.npz"\nclasses = ["a", "b"]\n'
    for text, words in (
        (HEAD + ATTACKS, ("format fake gives no gradients", "transformers/torch-export")),
        (HEAD + 'attacks = ["pdg"]', ("'pdg'", "pgd")),
        (HEAD + 'attacks = ["pgd", "pgd"]', ("attacks", "twice")),
        (HEAD + 'attacks = ["pgd"]\nattack_eps = [0]', ("attack_eps = [0.0]", "above 0")),
        (HEAD + 'attacks = ["pgd"]\nattack_steps = 1', ("attack_steps", "3")),
        (HEAD + 'attacks = ["pgd"]\ncorruptions = ["contrast"]', ("neither corruptions",)),
        (HEAD + 'attacks = ["pgd"]\nvariants = "site"', ("neither corruptions",)),
        (HEAD + 'attacks = ["pgd"]\nby_group = ["brier"]', ("leave out by_group",)),
        (table + 'attacks = ["pgd"]', ("attacks need images",)),
    ):
        (tmp_path / "d.toml").write_text(text)
        if "features" in text:
            (tmp_path / "t.csv").write_text("id,site,x\n1,A,0\n2,B,1\n")
        one_line(hallmark("run", model, "--data", "d.toml"), 2, *words)
    (tmp_path / "d.toml").write_text(arrays + 'attacks = ["fgsm"]')
    one_line(hallmark("run", bright, "--data", "d.toml"), 2, "values from 3 to 3", "[0, 1]")


def test_the_normalisation_must_be_where_the_gradient_goes(tmp_path: Path, hallmark: Hallmark, bright: Path) -> None:
    pictures(tmp_path)
    said = "[normalisation]\nmean = [0.5]\nstd = [0.5]\n"
    (tmp_path / "d.toml").write_text(HEAD + ATTACKS + said)
    ran = hallmark("run", bright, "--data", "d.toml")
    one_line(ran, 2, "declare it in the manifest's [inputs]")
