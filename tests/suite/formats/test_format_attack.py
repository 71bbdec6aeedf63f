"""Attacks on models that give gradients: a linear model's are known in closed form."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from format_samples import Sample
from support import Ran, one_line, write_submission

from suite.errors import UnitError
from suite.formats import LOADERS, _vision
from suite.formats._attack import normalised
from suite.formats.base import Place
from suite.manifest import Inputs, Normalisation
from suite.model import Attackable, Facts

pytest.importorskip("art")
SHAPE = (3, 4, 4)
WEIGHT = np.random.default_rng(0).normal(size=48).astype(np.float32)
NORMALISATION = Normalisation(mean=(0.5, 0.4, 0.3), std=(0.5, 0.2, 0.1))
INPUTS = Inputs(shape=SHAPE, classes=2, normalisation=NORMALISATION)


def linear(path: Path, batch: int | None = None, gradient: bool = True) -> Path:
    """Class 1 where w x > 0 of the normalised image, written by torch.export; the batch size open or fixed."""
    import torch

    class Linear(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = torch.nn.Parameter(torch.from_numpy(WEIGHT.copy()))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = x if gradient else torch.round(x)
            margin = x.flatten(1) @ self.w
            return torch.stack([-margin, margin], dim=1)

    free = None if batch else {"x": {0: torch.export.Dim("batch")}}
    program = torch.export.export(Linear().eval(), (torch.zeros(batch or 2, *SHAPE),), dynamic_shapes=free)
    torch.export.save(program, path)
    return path


def loaded(path: Path) -> Attackable:
    model = LOADERS["torch-export"].load(path, "classification", INPUTS, Place())
    assert isinstance(model, Attackable)
    return model


def images(n: int = 9) -> list[np.ndarray]:
    return list(np.random.default_rng(1).uniform(0.3, 0.7, (n, *SHAPE)).astype(np.float32))


def margins(shown: list[np.ndarray]) -> np.ndarray:
    return normalised(np.stack(shown), NORMALISATION).reshape(len(shown), -1) @ WEIGHT


@pytest.mark.parametrize("batch", (None, 4))
@pytest.mark.parametrize(("attack", "steps"), (("fgsm", 1), ("pgd", 10)))
def test_a_linear_model_loses_eps_times_the_norm_of_its_gradient(
    tmp_path: Path, attack: str, steps: int, batch: int | None
) -> None:
    """d margin / d pixel = w / std, so the margin moves by eps * sum |w / std| towards the other class; nothing is
    cut off at 0 or 1 here."""
    model, eps, n = loaded(linear(tmp_path / "m.pt2", batch)), 0.05, 9
    answers = model.attacked_proba(images(n), [attack] * n, [eps] * n, [steps] * n)
    before = margins(images(n))
    std = np.repeat(np.array(NORMALISATION.std, dtype=np.float64), 16)
    after = before - np.sign(before) * eps * np.abs(WEIGHT / std).sum()
    for answer, clean, attacked in zip(answers, before, after, strict=True):
        assert answer.clean_K[1] == pytest.approx(1 / (1 + np.exp(-2 * clean)), abs=1e-5)
        assert answer.probs_K[1] == pytest.approx(1 / (1 + np.exp(-2 * attacked)), abs=1e-4)
        assert answer.moved_1[0] == pytest.approx(eps, abs=1e-6)


def test_an_answer_does_not_depend_on_its_neighbours(tmp_path: Path) -> None:
    model, shown = loaded(linear(tmp_path / "m.pt2")), images()
    alone = [model.attacked_proba([image], ["pgd"], [0.02], [10])[0] for image in shown[:3]]
    mixed = model.attacked_proba(shown[:3], ["pgd", "fgsm", "pgd"], [0.02, 0.1, 0.02], [10, 1, 10])
    for k in (0, 2):
        np.testing.assert_allclose(mixed[k].probs_K, alone[k].probs_K, atol=1e-6)


def test_images_stay_within_zero_and_one_and_rounding_hides_the_gradient(tmp_path: Path) -> None:
    model = loaded(linear(tmp_path / "m.pt2"))
    black = [np.zeros(SHAPE, np.float32)]
    (answer,) = model.attacked_proba(black, ["fgsm"], [0.5], [1])
    assert answer.moved_1[0] <= 0.5
    masked = loaded(linear(tmp_path / "r.pt2", gradient=False))
    (answer,) = masked.attacked_proba(images(1), ["fgsm"], [0.1], [1])
    assert answer.moved_1[0] == 0
    np.testing.assert_array_equal(answer.probs_K, answer.clean_K)


def test_every_format_with_gradients_is_led_away_from_its_own_answer(samples: list[Sample]) -> None:
    able = [s for s in samples if s.kind == "classification" and LOADERS[s.format].gradients]
    assert {s.format for s in able} == {"torch-export", "transformers"}
    for sample in able:
        model = LOADERS[sample.format].load(sample.weights, sample.kind, sample.inputs, Place())
        shape = sample.inputs.shape or (3, 8, 8)
        shown = list(np.random.default_rng(0).uniform(0.3, 0.7, (4, *shape)).astype(np.float32))
        for answer in model.attacked_proba(shown, ["pgd"] * 4, [0.05] * 4, [10] * 4):  # type: ignore[union-attr]
            own = answer.clean_K.argmax()
            assert answer.probs_K[own] < answer.clean_K[own]
            assert 0 < answer.moved_1[0] <= 0.05 + 1e-6


def test_unknown_attacks_and_formats_without_gradients(tmp_path: Path) -> None:
    from suite.errors import InputError

    with pytest.raises(InputError, match="unknown attack 'cw'"):
        loaded(linear(tmp_path / "m.pt2")).attacked_proba(images(1), ["cw"], [0.1], [1])
    without = _vision.VisionClassifier(lambda batch: batch, INPUTS, Facts("float32"))
    with pytest.raises(UnitError, match="no gradients"):
        without.attacked_proba(images(1), ["fgsm"], [0.1], [1])
    assert {name for name, loader in LOADERS.items() if loader.gradients} == {"torch-export", "transformers"}


def test_a_model_without_gradients_is_refused_by_name(fake: Callable[..., Path], hallmark: Callable[..., Ran]) -> None:
    model = fake("constant", {"fake": "constant", "probs": [1.0, *[0.0] * 9]})
    ran = hallmark("run", model, "-t", "digits-attacked")
    one_line(ran, 2, "its format fake gives no gradients", "transformers/torch-export")


def test_digits_under_attack_are_run_and_verified(tmp_path: Path, hallmark: Callable[..., Ran]) -> None:
    """A linear model of digits: its accuracy falls with eps, and an item is right only if the clean one was."""
    import torch
    from sklearn.linear_model import LogisticRegression

    from tasks.generators import digits

    items = digits.training_items()
    fitted = LogisticRegression(max_iter=200).fit([d.image.ravel() for d in items], [d.label for d in items])
    layer = torch.nn.Linear(64, 10)
    layer.weight.data, layer.bias.data = (
        torch.tensor(part, dtype=torch.float32) for part in (fitted.coef_, fitted.intercept_)
    )
    model = torch.nn.Sequential(torch.nn.Flatten(), layer).eval()
    free = {"input": {0: torch.export.Dim("batch")}}
    program = torch.export.export(model, (torch.zeros(2, 1, 8, 8),), dynamic_shapes=free)
    torch.export.save(program, tmp_path / "model.pt2")
    content = (tmp_path / "model.pt2").read_bytes()
    shown = {"shape": [1, 8, 8], "classes": 10}
    folder = write_submission(
        tmp_path, "linear", {"model.pt2": content}, "model.pt2", format="torch-export", inputs=shown
    )
    ran = hallmark("run", folder, "-t", "digits-attacked", "--limit", "210", "--json")
    assert ran.code == 0, ran.err
    values = {m["name"]: m["value"] for m in ran.json["records"][0]["measurements"]}
    chain = [values[f"accuracy[variant={name}]"] for name in ("clean", "fgsm_8/255", "fgsm_32/255")]
    assert chain[0] > chain[1] > chain[2]
    assert values["unmoved_share[variant=pgd_8/255]"] == 0
    assert hallmark("verify").code == 0
