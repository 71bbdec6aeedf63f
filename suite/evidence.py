"""Evidence: what a comparison knows of a difference beyond its 95 % interval, at any level and against any margin.

An interval answers one question at one level. A gate asks "is it worse than the margin?" of many metrics at levels that
depend on how many there are, so it needs one-sided p-values. Both kinds here give intervals and p-values that agree:
p < a exactly when the one-sided bound at level a excludes the margin.

    Normal       z = (centre - at) / se: unpaired differences
    Answers      paired proportions: Tango's score test and its bounds. Where nearly all flips go one way, the interval
                 shown beside it (Bonett & Price) would let pass one in ten at 5 %, the score test one in twenty
    Resampled    the expanded percentile bootstrap of ``suite.stats.percentile_interval``, read both ways
    Exact        the two do the very same, or a number without sampling error: no doubt on either side

Shapes: R resamples.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from suite.statistic import score
from suite.stats import FloatArray

_EDGE = 1e-9


class Evidence(Protocol):
    """The difference, with its one-sided tests and bounds."""

    def p_above(self, at: float) -> float:
        """One-sided p-value of "the true difference is at most `at`"; small: it is above."""

    def p_below(self, at: float) -> float:
        """One-sided p-value of "the true difference is at least `at`"; small: it is below."""

    def lower(self, alpha: float) -> float:
        """The bound above which the true difference lies with confidence 1 - alpha."""

    def upper(self, alpha: float) -> float:
        """The bound below which the true difference lies with confidence 1 - alpha."""

    def se(self) -> float:
        """Standard error."""

    def negated(self) -> Evidence:
        """The same of minus the difference."""


@dataclass(frozen=True)
class Normal:
    """A normal law.

    Attributes:
        centre: of the interval; need not be the observed difference.
        error: its standard error.
    """

    centre: float
    error: float

    def p_above(self, at: float) -> float:
        """Phi(-(centre - at) / se)."""
        return _phi((at - self.centre) / self.error)

    def p_below(self, at: float) -> float:
        """Phi((centre - at) / se)."""
        return _phi((self.centre - at) / self.error)

    def lower(self, alpha: float) -> float:
        """Centre - z se."""
        return self.centre + _phi_inverse(alpha) * self.error

    def upper(self, alpha: float) -> float:
        """Centre + z se."""
        return self.centre - _phi_inverse(alpha) * self.error

    def se(self) -> float:
        """As given."""
        return self.error

    def negated(self) -> Normal:
        """Mirrored at 0."""
        return Normal(-self.centre, self.error)


@dataclass(frozen=True)
class Answers(Normal):
    """A difference of two shares of hits on the same items.

    Attributes:
        gains: items that only the second gets right, at the effective number of items.
        losses: those that only the first gets right.
        n: effective number of items.
    """

    gains: float
    losses: float
    n: float

    def p_above(self, at: float) -> float:
        """Phi(-z), z the score statistic against a change of `at`; 1/2 where no flip and no margin tell anything."""
        z = score(self.gains, self.losses, self.n, -at)
        return 0.5 if z is None else _phi(-z)

    def p_below(self, at: float) -> float:
        """The same from the other side."""
        return 1.0 - self.p_above(at)

    def lower(self, alpha: float) -> float:
        """Where the score test stops excluding."""
        from scipy.optimize import brentq

        value = (self.gains - self.losses) / self.n

        def excess(at: float) -> float:
            z = score(self.gains, self.losses, self.n, -at)
            return (z or 0.0) + _phi_inverse(alpha)

        return float(brentq(excess, -1 + _EDGE, value, xtol=1e-12)) if excess(-1 + _EDGE) > 0 else -1.0

    def upper(self, alpha: float) -> float:
        """The same from the other side."""
        return -self.negated().lower(alpha)

    def negated(self) -> Answers:
        """Gains and losses change places."""
        return Answers(-self.centre, self.error, self.losses, self.gains, self.n)


@dataclass(frozen=True)
class Resampled:
    """The bootstrap's values.

    Where no resample lies beyond a margin, the bootstrap alone says no more than the level of one in R: 1e-4 of
    10,000 with many clusters, 0.003 with ten, so that a correction for dozens of metrics would let none regress.
    So far out the p-value is that of t = (value - at) / se with G - 1 degrees of freedom, at most that level.

    Attributes:
        value: the observed difference; bounds never exclude it.
        values_R: of the resamples, all finite.
        n_clusters: clusters that were resampled, or as how many strata count (`suite.strata`).
    """

    value: float
    values_R: FloatArray
    n_clusters: float

    def p_above(self, at: float) -> float:
        """The level whose lower bound is `at`; the share of resamples at or below, counted one too many, never 0."""
        return self._level(float((self.values_R <= at).sum()), self.value - at) if at < self.value else 1.0

    def p_below(self, at: float) -> float:
        """The same from the other side."""
        return self._level(float((self.values_R >= at).sum()), at - self.value) if at > self.value else 1.0

    def lower(self, alpha: float) -> float:
        """The expanded percentile; Student's t where that is below one resample in R."""
        found = float(np.quantile(self.values_R, self._tail(alpha)))
        return min(self.value, found, self.value - self._far(alpha))

    def upper(self, alpha: float) -> float:
        """The same from the other side."""
        found = float(np.quantile(self.values_R, 1 - self._tail(alpha)))
        return max(self.value, found, self.value + self._far(alpha))

    def se(self) -> float:
        """Standard deviation of the resamples, with the factor G / (G - 1) that a mean's bootstrap lacks."""
        return float(self.values_R.std() * np.sqrt(self.n_clusters / (self.n_clusters - 1)))

    def negated(self) -> Resampled:
        """Mirrored at 0."""
        return Resampled(-self.value, -self.values_R, self.n_clusters)

    def _tail(self, alpha: float) -> float:
        """Which plain percentile has the nominal level: Phi(-sqrt(G / (G - 1)) t_{G-1, 1-alpha}) (Hesterberg 2015)."""
        from scipy.special import stdtrit

        g = self.n_clusters
        return _phi(float(np.sqrt(g / (g - 1)) * stdtrit(g - 1, alpha)))

    def _far(self, alpha: float) -> float:
        """How far Student's t leads from the value, for levels below one resample in R; else 0."""
        from scipy.special import stdtrit

        within = self._tail(alpha) * (len(self.values_R) + 1) >= 1
        return 0.0 if within else float(-stdtrit(self.n_clusters - 1, alpha)) * self.se()

    def _level(self, beyond: float, distance: float) -> float:
        """The inverse of `_tail` at the share (beyond + 1) / (R + 1); by Student's t where no resample lies beyond."""
        from scipy.special import stdtr

        g = self.n_clusters
        tail = (beyond + 1) / (len(self.values_R) + 1)
        level = float(stdtr(g - 1, np.sqrt((g - 1) / g) * _phi_inverse(tail))) if tail < 1 else 1.0
        return min(level, float(stdtr(g - 1, -distance / self.se()))) if not beyond and self.se() else level


@dataclass(frozen=True)
class Exact:
    """A difference without doubt.

    Attributes:
        value: the difference.
    """

    value: float

    def p_above(self, at: float) -> float:
        """0 from `at` on: a margin that is just met is met."""
        return 0.0 if self.value >= at else 1.0

    def p_below(self, at: float) -> float:
        """0 below `at`, and 1 at `at` itself."""
        return 0.0 if self.value < at else 1.0

    def lower(self, alpha: float) -> float:
        """The value."""
        return self.value

    def upper(self, alpha: float) -> float:
        """The value."""
        return self.value

    def se(self) -> float:
        """0."""
        return 0.0

    def negated(self) -> Exact:
        """Mirrored at 0."""
        return Exact(-self.value)


def _phi(z: float) -> float:
    from scipy.special import ndtr

    return float(ndtr(z))


def _phi_inverse(p: float) -> float:
    from scipy.special import ndtri

    return float(ndtri(p))
