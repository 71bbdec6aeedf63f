"""The calibration split of a task: what is fitted on its items goes to the scored ones, and its items go away.

A row of the split bears the column ``calibration`` = True. The temperature that is fitted on the split becomes the
column ``temperature`` of every scored row (NaN where none can be fitted), so that ``hallmark verify`` recomputes what
was scaled without the split.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from suite import outcomes
from suite.errors import Undefined, UnitError
from suite.metrics import temperature

if TYPE_CHECKING:
    import pyarrow as pa

CALIBRATION = "calibration"
FITS: Mapping[str, Callable[[Any, Any], float]] = {"nll": temperature.fit, "ece-grid": temperature.fit_on_grid}


def applied(table: pa.Table, fit: str) -> pa.Table:
    """The scored rows with their temperature.

    Args:
        table: rows with the columns ``calibration``, ``probs`` and ``label``.
        fit: a key of `FITS`.

    Raises:
        UnitError: nothing but the split was asked.
    """
    import pyarrow as pa

    columns = outcomes.to_columns(table)
    split = np.asarray(columns[CALIBRATION], dtype=bool)
    if split.all():
        raise UnitError("no items beside those of the calibration split")
    try:
        probs_NK = np.stack(list(columns["probs"][split])) if split.any() else np.zeros((0, 2))
        fitted = FITS[fit](probs_NK, columns["label"][split])
    except Undefined:
        fitted = float("nan")
    scored = table.filter(pa.array(~split)).drop_columns([CALIBRATION])
    return scored.append_column("temperature", pa.array(np.full(scored.num_rows, fitted)))
