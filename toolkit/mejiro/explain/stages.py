"""Choose what to show of a network's inside: layers early, midway and late, and their maps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mejiro.explain.methods import Map
from mejiro.export.flat import Step

STAGE_NAMES = ("early", "middle", "late")


def choose_stages(steps: Sequence[Step]) -> list[Step]:
    """Return three of the steps that give feature maps: early, midway and late; fewer if so few.

    A network shrinks its maps from stage to stage. What a stage found shows best in its last
    activation: before one, half of the numbers say what is absent. The first stage, the last, and
    the one midway by number of stages are shown.
    """
    last: dict[tuple[int, ...], Step] = {}
    # Where maps are merely padded there is no activation, and no stage.
    for step in [step for step in steps if _is_active(step.layer)] or steps:
        last[tuple(step.output.shape[1:3])] = step
    # The map that is classified is the last of all, whatever made it.
    last[tuple(steps[-1].output.shape[1:3])] = steps[-1]
    found = list(last.values())
    places = sorted({0, (len(found) - 1) // 2, len(found) - 1})
    return [found[place] for place in places]


def _is_active(layer: Any) -> bool:
    """Say whether `layer` is an activation, ends in one, or joins what branches have ended in."""
    kind = type(layer).__name__
    if "ReLU" in kind or kind == "Concatenate":
        return True
    name = getattr(getattr(layer, "activation", None), "__name__", "linear")
    return bool(name != "linear")


def strongest(features: Map, count: int) -> NDArray[np.intp]:
    """Return the `count` channels of a map (height, width, channels) that differ most by place.

    A channel that is high everywhere says nothing of where; its deviation over the places is what
    the picture has stirred in it. Strongest first, of equals the lower channel.
    """
    deviation = features.astype(np.float64).std(axis=(0, 1))
    return np.argsort(-deviation, kind="stable")[:count]
