"""Random numbers for generated data: raw words of PCG64, which NumPy keeps stable, and IEEE arithmetic on them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class Stream:
    """Random numbers that are the same on every machine and with every NumPy."""

    def __init__(self, *key: int) -> None:
        self._bits = np.random.PCG64(np.random.SeedSequence(list(key)))

    def uniform(self, low: float, high: float) -> float:
        """One number, uniform in [low, high)."""
        return low + (high - low) * float(self.uniforms((1,))[0])

    def uniforms(self, shape: tuple[int, ...]) -> Floats:
        """Uniform in [0, 1), 53 bits each."""
        words = self._bits.random_raw(int(np.prod(shape)))
        numbers: Floats = (words >> np.uint64(11)).astype(np.float64) * 2.0**-53
        return numbers.reshape(shape)

    def bells(self, shape: tuple[int, ...]) -> Floats:
        """Mean 0, variance 1, within +-3.5: four uniforms added, which is near enough to normal."""
        a, b, c, d = self.uniforms((4, *shape))
        numbers: Floats = (a + b + c + d - 2.0) * 1.7320508075688772
        return numbers
