"""Accuracy on the line: do models that are better on one set of items gain as much on another?

Over many models the accuracies on two sets (majority and minority, internal and external, clean and shifted) lie close
to a line once each is taken through the probit, the inverse of the normal distribution function (Miller 2021). A model
above the line is more robust than its accuracy lets expect. Where the minority bends away, the quadratic term says so
(accuracy on the curve, Liang 2023).

Shape suffixes: M models.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from suite.errors import Undefined

Floats = npt.NDArray[np.float64]
MIN_MODELS = 3
_ROUNDING = 1e-24  # share of the sum of squares that is nothing but rounding


@dataclass(frozen=True)
class ProbitLine:
    """The least-squares line of one accuracy over another, both on the probit scale.

    Attributes:
        n: models.
        pearson: correlation of the two, -1 to 1.
        slope: of the line; 1 means that a gain on one set comes with as large a one on the other.
        intercept: of the line; with slope 1, what every model loses (below 0) or gains.
        quadratic: coefficient of the squared term when one is added; ``None`` below four models.
        quadratic_p: two-sided p-value of it against 0 (t test); ``None`` where the parabola leaves no residual.
    """

    n: int
    pearson: float
    slope: float
    intercept: float
    quadratic: float | None
    quadratic_p: float | None

    def expected(self, accuracy: npt.ArrayLike) -> Floats:
        """The accuracy on the other set that the line expects of models with these on the first."""
        from scipy.special import ndtr

        return np.asarray(ndtr(self.intercept + self.slope * probit(accuracy)), dtype=np.float64)


def probit(accuracy: npt.ArrayLike) -> Floats:
    """The inverse of the normal distribution function: 0.5 -> 0, 0.975 -> 1.96.

    Raises:
        Undefined: an accuracy is not between 0 and 1; at 0 and at 1 the probit is infinite.
    """
    from scipy.special import ndtri

    values = np.asarray(accuracy, dtype=np.float64)
    if not ((values > 0) & (values < 1)).all():
        raise Undefined("an accuracy of 0 or 1 has no probit")
    return np.asarray(ndtri(values), dtype=np.float64)


def probit_line(majority_M: npt.ArrayLike, minority_M: npt.ArrayLike) -> ProbitLine:
    """The line over models.

    Args:
        majority_M: accuracy of each model on the first set, fractions.
        minority_M: on the second, same models in the same order.

    Raises:
        ValueError: the lengths differ.
        Undefined: fewer than three models, an accuracy of 0 or 1, or one side on which all models are equal.
    """
    x_M, y_M = probit(majority_M), probit(minority_M)
    if x_M.shape != y_M.shape or x_M.ndim != 1:
        raise ValueError(f"want two accuracies of the same models, not {x_M.shape} and {y_M.shape}")
    n = len(x_M)
    if n < MIN_MODELS:
        raise Undefined(f"{n} models: a line needs at least {MIN_MODELS}")
    if min(np.ptp(x_M), np.ptp(y_M)) == 0:
        raise Undefined("all models have the same accuracy on one of the sets")
    pearson = float(np.corrcoef(x_M, y_M)[0, 1])
    slope = pearson * float(y_M.std() / x_M.std())
    quadratic, p_value = _quadratic(x_M, y_M)
    return ProbitLine(n, pearson, slope, float(y_M.mean() - slope * x_M.mean()), quadratic, p_value)


@dataclass(frozen=True)
class Cloud:
    """The plot of one accuracy over another: what is drawn, and the line through it.

    Attributes:
        points: (name, first, second) of the models that have both, in the order given.
        left_out: names of those without one of the two, or at 0 or 1, where the probit is infinite: drawn, not fitted.
        line: over the others; ``None`` with a reason.
        reason: why there is no line.
    """

    points: tuple[tuple[str, float, float], ...]
    left_out: tuple[str, ...]
    line: ProbitLine | None
    reason: str | None

    def drawn(self, steps: int = 50) -> tuple[tuple[float, float], ...]:
        """The line as points of accuracies, from the least to the greatest first accuracy that was fitted."""
        fitted = [first for name, first, _ in self.points if name not in self.left_out]
        if self.line is None:
            return ()
        along = np.linspace(min(fitted), max(fitted), steps)
        return tuple(zip(along.tolist(), self.line.expected(along).tolist(), strict=True))

    def above(self) -> dict[str, float]:
        """How far each fitted model's second accuracy lies above the line: its effective robustness (Taori 2020)."""
        if self.line is None:
            return {}
        kept = [point for point in self.points if point[0] not in self.left_out]
        expected = self.line.expected([first for _, first, _ in kept]).tolist()
        return {name: second - on for (name, _, second), on in zip(kept, expected, strict=True)}


def cloud(accuracies: Mapping[str, tuple[float | None, float | None]]) -> Cloud:
    """What a board plots of many models: majority against minority, internal against external, clean against shifted.

    Args:
        accuracies: model to its accuracy on the first set and on the second, fractions; ``None`` where it has none.

    >>> cloud({"a": (0.5, 0.4), "b": (0.8, None), "c": (1.0, 0.9)}).reason
    '1 models: a line needs at least 3'
    """
    points = [(name, a, b) for name, (a, b) in accuracies.items() if a is not None and b is not None]
    fitted = [(a, b) for _, a, b in points if 0 < a < 1 and 0 < b < 1]
    inside = {name for name, a, b in points if 0 < a < 1 and 0 < b < 1}
    left_out = tuple(name for name in accuracies if name not in inside)
    try:
        line = probit_line([a for a, _ in fitted], [b for _, b in fitted])
    except Undefined as why:
        return Cloud(tuple(points), left_out, None, str(why))
    return Cloud(tuple(points), left_out, line, None)


def _quadratic(x_M: Floats, y_M: Floats) -> tuple[float | None, float | None]:
    """The coefficient of x^2 in the least-squares parabola and its p-value."""
    from scipy.special import stdtr

    n, centred_M = len(x_M), x_M - x_M.mean()  # the coefficient is the same, the sums are better conditioned
    design_M3 = np.stack([np.ones(n), centred_M, centred_M**2], axis=1)
    if n <= MIN_MODELS or np.linalg.matrix_rank(design_M3) < design_M3.shape[1]:
        return None, None
    beta, *_ = np.linalg.lstsq(design_M3, y_M, rcond=None)
    residual, df = y_M - design_M3 @ beta, n - 3
    variance = float(residual @ residual) / df
    spread = variance * np.linalg.inv(design_M3.T @ design_M3)[2, 2]
    if residual @ residual <= _ROUNDING * float(np.square(y_M - y_M.mean()).sum()):
        return float(beta[2]), None
    return float(beta[2]), float(2 * stdtr(df, -abs(beta[2]) / np.sqrt(spread)))
