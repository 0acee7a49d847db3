"""Draw what happens to each picture of a batch, from one seed generator."""

from __future__ import annotations

import math
from typing import Any


class Draws:
    """Draw one number for each of `count` pictures at a time, as float32 tensors (count,).

    Every draw advances the state of `generator`, a Keras seed generator, by one step. `ops` is
    `keras.ops`, for what is made of the numbers. `count` may be a tensor.
    """

    def __init__(self, keras: Any, generator: Any, count: Any) -> None:
        self.ops = keras.ops
        self._random = keras.random
        self._generator = generator
        self._shape = (count,)

    def unit(self) -> Any:
        """Return numbers evenly from 0 to 1, 1 excluded."""
        return self._random.uniform(self._shape, seed=self._generator)

    def signed(self, limit: float) -> Any:
        """Return numbers evenly from -`limit` to `limit`."""
        return self._random.uniform(self._shape, -limit, limit, seed=self._generator)

    def factor(self, change: float) -> Any:
        """Return factors from 1 / (1 + change) to 1 + change, evenly on a logarithmic scale."""
        return self.ops.exp(self.signed(math.log1p(change)))

    def beta(self, alpha: float) -> Any:
        """Return numbers of the beta distribution with both parameters `alpha`."""
        return self._random.beta(self._shape, alpha, alpha, seed=self._generator)
