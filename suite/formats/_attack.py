"""Adversarial examples by the Adversarial Robustness Toolbox: untargeted FGSM and PGD in the maximum norm, no labels.

The loss that an attack raises is the cross-entropy to the model's own answer for the clean image: labels never reach
this process, and an attack that is told the label leaks it (Kurakin 2017).

    fgsm    one step of eps along the sign of the gradient (Goodfellow 2015)
    pgd     `steps` steps of 2.5 eps / steps, each projected back (Madry 2018), begun at the image itself, so that no
            answer depends on its batch

Images hold values in [0, 1], and so do the adversarial ones, which are not rounded to 8 bits. Shape suffixes: B images.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from suite.errors import UnitError, unknown
from suite.formats._errors import one_line
from suite.manifest import Inputs, Normalisation

if TYPE_CHECKING:
    import torch

Gradable = Callable[["torch.Tensor"], "torch.Tensor"]
"""A float32 batch, normalised, to the file's first output, so that gradients flow back; on the module's device."""

ATTACKS = ("fgsm", "pgd")
STEP_SHARE = 2.5  # all steps together may go so many eps (Madry 2018)
_LEAST = 1e-12


def normalised(images_B: NDArray[np.float32], how: Normalisation | None) -> NDArray[np.float32]:
    """(x - mean) / std per channel (axis 1), float32, as tasks do it."""
    if how is None:
        return images_B
    mean, std = _per_channel(how, images_B.ndim)
    return ((images_B - mean) / std).astype(np.float32)


@dataclass(frozen=True)
class Target:
    """A model to be attacked.

    Attributes:
        gradable: the model.
        inputs: the manifest's input section.
        batch: images of one forward; where the file fixes it, `adversarial` must be given a multiple.
        device: where `gradable` computes.
    """

    gradable: Gradable
    inputs: Inputs
    batch: int
    device: str


def adversarial(
    target: Target, images_B: NDArray[np.float32], attack: str, eps: float, steps: int
) -> NDArray[np.float32]:
    """The images, each changed by at most `eps` anywhere, within [0, 1].

    Args:
        target: the model.
        images_B: not normalised.
        attack: one of `ATTACKS`.
        eps: largest change, in the images' own scale.
        steps: of PGD, at least 3.

    Raises:
        UnitError: the model gives no gradient with respect to its input.
    """
    from art.attacks.evasion import FastGradientMethod, ProjectedGradientDescentNumpy
    from art.estimators.classification import PyTorchClassifier

    if attack not in ATTACKS:
        raise unknown("attack", attack, ATTACKS)
    module, loss = _module(target, images_B.ndim)
    classes = int(module(_tensor(images_B[: target.batch], target.device)).shape[1])
    model = PyTorchClassifier(
        module,
        loss,
        images_B.shape[1:],
        classes,
        clip_values=(0.0, 1.0),
        device_type=target.device.replace("cuda", "gpu"),
    )
    made: Any
    if attack == "fgsm":
        made = FastGradientMethod(model, eps=eps, batch_size=target.batch)
    else:
        made = ProjectedGradientDescentNumpy(
            model, eps=eps, eps_step=STEP_SHARE * eps / steps, max_iter=steps, batch_size=target.batch, verbose=False
        )
    try:
        changed: NDArray[np.float32] = made.generate(images_B).astype(np.float32)
    except (RuntimeError, ValueError) as error:
        raise UnitError(f"the model gives no gradient with respect to its input: {one_line(error)}") from None
    return changed


def _module(target: Target, ndim: int) -> tuple[Any, Any]:
    """What the toolbox takes: a module from images in [0, 1] to logits, and the cross-entropy."""
    import torch

    inputs = target.inputs

    class Whole(torch.nn.Module):
        """The normalisation and the model, which stays as it was loaded."""

        def __init__(self) -> None:
            super().__init__()
            self.anchor = torch.nn.Parameter(torch.zeros(()), requires_grad=False)  # tells the toolbox the device

        def train(self, mode: bool = True) -> Whole:
            return self

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            if inputs.normalisation is not None:
                mean, std = (_tensor(part, target.device) for part in _per_channel(inputs.normalisation, ndim))
                images = (images - mean) / std
            out = target.gradable(images).float()
            return out if inputs.output == "logits" else out.clamp_min(_LEAST).log()

    return Whole().to(target.device), torch.nn.CrossEntropyLoss()


def _per_channel(how: Normalisation, ndim: int) -> Sequence[NDArray[np.float32]]:
    shape = (1, -1) + (1,) * (ndim - 2)
    return tuple(np.asarray(values, dtype=np.float32).reshape(shape) for values in (how.mean, how.std))


def _tensor(array: NDArray[np.float32], device: str) -> torch.Tensor:
    import torch

    return torch.from_numpy(np.ascontiguousarray(array)).to(device)
