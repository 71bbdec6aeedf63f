"""Watch: a run that is looked at until every gated metric of its task is decided, by the rule of `suite.stopping`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suite import compare, outcomes, significance, statistic
from suite.errors import IncomparableError, Undefined, UnitError
from suite.metrics.base import Columns, Metric
from suite.outcomes import CLUSTER, ITEM
from suite.paired import Difference
from suite.record import Measurement
from suite.statistic import Change
from suite.stopping import Gauge, Rule, early
from suite.store import Stored
from suite.verdict import FEW_ITEMS, Outcome, Verdict

_SHOWN = 0.025  # one-sided, of the interval that is shown


class Watch:
    """A run that is looked at: give it the outcomes at every look.

    Attributes:
        rule: when it may stop.
        verdicts: what is decided, by metric.
        used: items at the last look.
    """

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.verdicts: dict[str, Verdict] = {}
        self.used = 0

    def enough(self, columns: Columns) -> bool:
        """Whether nothing remains to be decided, by the outcomes so far.

        Raises:
            UnitError: they are not of the same items as the baseline's.
        """
        n = len(columns[ITEM])
        look, before = self.rule.looks.index(n), self.rule.first(n)
        if not np.array_equal(before[ITEM], columns[ITEM]):
            raise UnitError("its items are not the baseline's (another tokenizer?): nothing can be decided early")
        self.used = n
        for gauge in self.rule.gauges:
            if gauge.metric.name not in self.verdicts:
                found = self._judged(gauge, look, before, columns)
                if found.outcome in (Outcome.REGRESSED, Outcome.NON_INFERIOR) or n == self.rule.looks[-1]:
                    self.verdicts[gauge.metric.name] = found
        lost = [name for name, v in self.verdicts.items() if v.outcome is Outcome.REGRESSED]
        if lost:
            for gauge in self.rule.gauges:
                open_ = self._blank(gauge, before, columns, None)
                why = f"open when {lost[0]} had regressed, which ended the run"
                self.verdicts.setdefault(gauge.metric.name, replace(open_, outcome=Outcome.INCONCLUSIVE, reason=why))
        return bool(lost) or len(self.verdicts) == len(self.rule.gauges)

    def found(self) -> list[Verdict]:
        """The verdicts, in the policy's order."""
        return [self.verdicts[gauge.metric.name] for gauge in self.rule.gauges]

    def _judged(self, gauge: Gauge, look: int, a: Columns, b: Columns) -> Verdict:
        change = _change(gauge, a, b)
        z = change.z(gauge.margin) if change else None
        bounds = [gauge.bound(look, alpha) for alpha in (self.rule.policy.alpha, gauge.level, _SHOWN)]
        unclear = change is None or z is None or None in bounds
        if look == len(self.rule.looks) - 1 and (unclear or _same(a, b)):
            return self._at_the_end(gauge, a, b)
        if change is None or z is None or None in bounds:
            return self._blank(gauge, a, b, None)
        within, beyond, shown = (change.widened(bound) for bound in bounds if bound is not None)
        value = gauge.sign * change.gain
        half = shown * change.se
        blank = self._blank(gauge, a, b, (value, value - half, value + half, change.n_clusters))
        if z <= -beyond:
            return replace(blank, outcome=Outcome.REGRESSED)
        if z >= within:
            return replace(blank, outcome=Outcome.NON_INFERIOR)
        return self._open(blank, gauge, significance.beyond(z))

    def _at_the_end(self, gauge: Gauge, a: Columns, b: Columns) -> Verdict:
        """The verdict of one look at all items; with the evidence of `hallmark gate`."""
        try:
            estimate = compare.estimates(a, b, [gauge.metric], self.rule.seed)[gauge.metric.name]
        except IncomparableError as error:
            raise UnitError(f"{gauge.metric.name} cannot be decided: {error}") from None
        d, gain = estimate.difference, estimate.evidence
        blank = replace(self._blank(gauge, a, b, None), difference=d)
        if _same(a, b):
            same = Difference(0.0, 0.0, 0.0, "identical", d.n, d.n_clusters)
            return replace(blank, outcome=Outcome.NON_INFERIOR, difference=same, reason=None)
        if gain is None or d.value is None or d.n < FEW_ITEMS:
            few = f"{d.n} items are too few to decide (at least {FEW_ITEMS})" if d.n < FEW_ITEMS else None
            return replace(blank, outcome=Outcome.INCONCLUSIVE, reason=d.reason or few or "no interval")
        gain = gain if gauge.sign > 0 else gain.negated()
        if gain.p_below(-gauge.margin) <= gauge.level:
            return replace(blank, outcome=Outcome.REGRESSED)
        p_within = gain.p_above(-gauge.margin)
        if p_within <= self.rule.policy.alpha:
            return replace(blank, outcome=Outcome.NON_INFERIOR)
        return self._open(blank, gauge, p_within)

    def _open(self, blank: Verdict, gauge: Gauge, p_within: float) -> Verdict:
        """An inconclusive one; of all items with how many would decide what the change points to, at its level."""
        n = blank.b.n if blank.b else 0
        p, level = min((p_within, self.rule.policy.alpha), (1 - p_within, gauge.level))
        wanted = significance.decides(n, p, level) if self.used == self.rule.looks[-1] else None
        more = f"; n = {wanted:,} would decide (power 80 %)" if wanted else ""
        reason = f"{blank.reason}{more}"
        return replace(blank, outcome=Outcome.INCONCLUSIVE, level=level, n_needed=wanted, reason=reason)

    def _blank(self, gauge: Gauge, a: Columns, b: Columns, change: tuple[float, float, float, int] | None) -> Verdict:
        gated, metric = gauge.gated, gauge.metric
        n = len(metric.rows(b)[ITEM])
        found = None
        if change is not None:
            found = Difference(*change[:3], "repeated", n, change[3])
        of = f"{self.used:,} of {self.rule.looks[-1]:,} items"
        return Verdict(
            task=self.rule.task.name,
            metric=gated.name,
            primary=gated.primary,
            outcome=Outcome.INCONCLUSIVE,
            margin=gauge.margin,
            margin_given=f"{gated.margin:g} {gated.unit}" if gated.margin else "0",
            higher_is_better=metric.higher_is_better,
            unit=metric.unit,
            a=_measured(metric, a, n),
            b=_measured(metric, b, n),
            difference=found,
            reason=f"decided at {of}" if self.used < self.rule.looks[-1] else f"at all {self.used:,} items",
        )


def replay(rule: Rule, stored: Stored) -> list[Verdict]:
    """The verdicts that the run of this record came to, from its outcomes alone."""
    table = outcomes.to_columns(stored.outcomes())
    rows = {item: i for i, item in enumerate(table[ITEM].tolist())}
    items = rule.columns[ITEM]
    watch = Watch(rule)
    for n in rule.looks:
        if n > len(rows):
            break
        wanted = [rows[item] for item in items[np.sort(rule.order[:n])].tolist()]
        if watch.enough({name: values[wanted] for name, values in table.items()}):
            break
    return watch.found()


def _change(gauge: Gauge, a: Columns, b: Columns) -> Change | None:
    """The change of a metric that may be decided early; ``None`` where either side has no value."""
    if not early(gauge.metric):
        return None
    a, b = gauge.metric.rows(a), gauge.metric.rows(b)
    observed = gauge.metric.observed
    if observed is not None and not np.array_equal(a[observed], b[observed]):
        raise UnitError(f"the two do not count the same {observed}: nothing can be decided early")
    try:
        gauge.metric(a), gauge.metric(b)
    except Undefined:
        return None
    before, after = gauge.metric.terms(a), gauge.metric.terms(b)
    if len(np.unique(b[CLUSTER])) < 2:  # noqa: PLR2004
        return None
    if gauge.metric.proportion:
        return statistic.of_proportions(before[:, 0], after[:, 0], b[CLUSTER], gauge.sign)
    return statistic.of_sums(before, after, gauge.metric.finish, b[CLUSTER], gauge.sign)


def _measured(metric: Metric, columns: Columns, n: int) -> Measurement:
    """The value on the items seen, without interval."""
    value, why = None, None
    try:
        value = metric(columns)
    except Undefined as reason:
        why = str(reason)
    return Measurement(
        name=metric.name, value=value, unit=metric.unit, higher_is_better=metric.higher_is_better, n=n, reason=why
    )


def _same(a: Mapping[str, NDArray[Any]], b: Mapping[str, NDArray[Any]]) -> bool:
    """Whether the two do the same to the last bit, some real number among it."""
    real = any(values.dtype.kind == "f" and bool((values % 1 != 0).any()) for values in b.values())
    return real and all(name in a and _equal(a[name], values) for name, values in b.items())


def _equal(x: NDArray[Any], y: NDArray[Any]) -> bool:
    if object in (x.dtype, y.dtype):
        return len(x) == len(y) and all(np.array_equal(p, q) for p, q in zip(x, y, strict=True))
    return x.shape == y.shape and np.array_equal(x, y, equal_nan=x.dtype.kind == "f")
