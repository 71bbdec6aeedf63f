"""Whole next-token distributions, a span of positions at a time; the body runs once a sequence.

Shape suffixes: T tokens, N positions of a span, V vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from suite.engine.runtime import Runtime
from suite.model import Ints

if TYPE_CHECKING:
    import torch


@dataclass
class Full:
    """The distributions of one sequence after the other. The last one's features are kept for its next span.

    Attributes:
        runtime: computes.
    """

    runtime: Runtime
    _last: tuple[Ints, torch.Tensor] | None = None

    def span(self, ids_T: Ints, start: int, stop: int) -> NDArray[np.float32]:
        """Log-probabilities [stop - start, V] of every token at positions start + 1 .. stop of the sequence.

        Row n is log p(. | tokens 0 .. start + n), the log-softmax of float32 logits, nats.
        """
        import torch

        with torch.no_grad():
            logits_NV = self.runtime.head(self._features(ids_T)[start:stop]).float()
            rows: NDArray[np.float32] = logits_NV.log_softmax(dim=1).cpu().numpy()
        return rows

    def _features(self, ids_T: Ints) -> torch.Tensor:
        import torch

        if self._last is None or not np.array_equal(self._last[0], ids_T):
            self._last = None  # before the next ones are made: two never lie side by side
            features_TD = self.runtime.body(torch.from_numpy(ids_T[None, :-1].copy()), None)[0]
            self._last = ids_T.copy(), features_TD
        return self._last[1]
