"""Hold some of a network's weights at zero while it is trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mejiro.tensorflow import load_tensorflow


class Masks:
    """Hold a mask for each of some variables: where it is 0 the variable becomes 0 when applied.

    All masks begin with ones, and may change while training goes on.
    """

    def __init__(self, variables: Sequence[Any]) -> None:
        tf = load_tensorflow()
        self.variables = tuple(variables)
        self._masks = [tf.Variable(np.ones(v.shape, np.float32)) for v in self.variables]
        # One graph for all: with a call for each variable, applying takes longer than a step.
        self._apply = tf.function(self._multiply, autograph=False).get_concrete_function()

    def set(self, masks: Mapping[int, NDArray[Any]]) -> None:
        """Change the masks of the variables at the places that are named, and apply all."""
        for place, mask in masks.items():
            self._masks[place].assign(np.asarray(mask, np.float32))
        self.apply()

    def get(self, place: int) -> NDArray[np.bool_]:
        """Return the mask of the variable at `place`: where it may differ from 0."""
        kept: NDArray[np.bool_] = self._masks[place].numpy() != 0
        return kept

    def apply(self) -> None:
        """Put zeros where the masks have them."""
        self._apply()

    def _multiply(self) -> None:
        for variable, mask in zip(self.variables, self._masks, strict=True):
            # Not a product: 0 times a weight that has become infinite is no number.
            kept = load_tensorflow().where(mask != 0, variable.value, 0.0)
            variable.assign(kept)
