"""Begin all random draws of a network and its augmentation from one seed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

_STATE = "seed_generator_state"


def seed_draws(variables: Sequence[Any], seed: int, phase: int = 0) -> None:
    """Give each state of a seed generator among `variables` a value that follows from the seed."""
    draws = [variable for variable in variables if variable.path.endswith(_STATE)]
    states = np.random.default_rng((seed, phase, 1)).integers(0, 2**31, len(draws))
    for variable, state in zip(draws, states, strict=True):
        variable.assign(np.array([state, 0], dtype=np.int64))
