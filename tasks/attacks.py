"""Images attacked along the model's own gradients, in the process that holds the model; no label goes there.

An item counts as right under an attack only if the clean image was right too (as RobustBench counts): the attack leads
away from the model's own answer, which may by chance lead a wrong one to the label.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from suite.manifest import Inputs
from suite.metrics import groups, shift
from suite.metrics.base import Metric, per_item, ratio
from suite.metrics.classification import ACCURACY
from suite.model import Attacked
from suite.task import Example, Row
from tasks.classification import Classification
from tasks.variants import ATTRIBUTE, CLEAN, Change, Shown, VariedImages

_LEVELS = 255
_CLEAN = ("clean", 0.0, 0)


@dataclass(frozen=True)
class Attack:
    """One attack in the maximum norm.

    Attributes:
        method: ``fgsm`` or ``pgd``.
        levels: largest change of a value, in 255ths.
        steps: of PGD.
    """

    method: str
    levels: float
    steps: int = 1

    @property
    def name(self) -> str:
        """As variants spell it: ``pgd_8/255``."""
        return f"{self.method}_{self.levels:g}/{_LEVELS}"


METHODS = ("fgsm", "pgd")


def attacks(
    levels: Sequence[float] = (1, 2, 8), steps: int = 10, methods: Sequence[str] = METHODS
) -> tuple[Attack, ...]:
    """Each method at each of these strengths."""
    return tuple(Attack(method, level, steps if method == "pgd" else 1) for method in methods for level in levels)


def _unmoved(columns: Any) -> Any:
    return per_item("unmoved")(columns)


UNMOVED = Metric(
    name="unmoved_share",
    needs=("unmoved",),
    terms=_unmoved,
    finish=ratio,
    unit="",
    higher_is_better=None,
    bounds=(0.0, 1.0),
    proportion=True,
    reference="share of images that the attack could not change, for the gradient was 0: their robustness is not shown",
)


class AttackedImages(VariedImages):
    """A classification task under FGSM and PGD; answers are to the clean image and to adversarial ones.

    Protocol ``<the other's>/linf-own-answer-1``: see `suite.formats._attack`. An attacked row's ``probs``, ``nll`` and
    ``brier`` are those of the adversarial image, ``correct`` asks for the clean one to be right as well.
    """

    attacks: ClassVar[bool] = True
    extra: ClassVar[str] = "attacks"
    packages = ("adversarial-robustness-toolbox",)

    def __init__(
        self,
        task: Classification,
        used: Sequence[Attack],
        *,
        name: str = "",
        title: str = "",
        change: Change | None = None,
    ) -> None:
        """A task under these attacks.

        Args:
            task: the clean one.
            used: the attacks; the last is the primary metric's.
            name: ``<the other's>-attacked`` without it.
            title: one line for people.
            change: how an input becomes an image, where it is none yet.
        """
        clean = CLEAN if change is None else replace(CLEAN, change=change)
        same = [replace(clean, name=attack.name) for attack in used]
        self._used = {CLEAN.name: _CLEAN, **{a.name: (a.method, a.levels / _LEVELS, a.steps) for a in used}}
        names = [attack.name for attack in used]
        super().__init__(
            task,
            (clean, *same),
            name=name or f"{task.name}-attacked",
            title=title or f"{task.title}: under FGSM and PGD",
            version="1",
            changes="linf-own-answer-1",
            metrics=(
                *(groups.of_group(ACCURACY, ATTRIBUTE, name) for name in (CLEAN.name, *names)),
                *(shift.relative_drop(ACCURACY, ATTRIBUTE, CLEAN.name, name) for name in names),
                *(groups.of_group(UNMOVED, ATTRIBUTE, name) for name in names),
                shift.robust_accuracy(ATTRIBUTE),
            ),
            primary=f"accuracy[{ATTRIBUTE}={names[-1]}]",
        )

    def ask(self, model: Any, inputs: Sequence[Any], spec: Inputs) -> Sequence[Any]:
        """Clean images as the other task asks them, the rest to be attacked."""
        wanted = [self._used[shown.variant.name] for shown in inputs]
        clean = [i for i, want in enumerate(wanted) if want is _CLEAN]
        rest = [i for i, want in enumerate(wanted) if want is not _CLEAN]
        answers: dict[int, Any] = {}
        if clean:
            answers |= zip(clean, super().ask(model, [inputs[i] for i in clean], spec), strict=True)
        if rest:
            images = [inputs[i].changed() for i in rest]
            methods, eps, steps = zip(*(wanted[i] for i in rest), strict=True)
            answers |= zip(rest, model.attacked_proba(images, list(methods), list(eps), list(steps)), strict=True)
        return [answers[i] for i in range(len(inputs))]

    def row(self, example: Example, answer: Any) -> Row:
        """The clean row, or the row of the adversarial image with ``correct`` as the class says."""
        if not isinstance(answer, Attacked):
            return {**super().row(example, answer), "unmoved": 0}
        shown: Shown = example.input
        clean = replace(example, item=shown.item)
        before = self._task.row(replace(clean, input=shown.original), answer.clean_K)
        scored = super().row(example, answer.probs_K)
        right = int(scored["correct"] and before["correct"])
        return {**scored, "correct": right, "unmoved": int(answer.moved_1[0] == 0)}
