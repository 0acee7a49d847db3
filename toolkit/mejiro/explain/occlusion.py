"""Find the places that an answer depends on by hiding one after the other.

Source: Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks", ECCV 2014
(arXiv:1311.2901), section 4.2. It asks for scores alone, so it works on any model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mejiro.errors import UsageError
from mejiro.explain.methods import Map
from mejiro_runtime.preprocess import InputSpec, Layout

GREY = 127  # a pixel's value under the window, neither dark nor light
BATCH = 32
# By default the window is this part of the input's shorter side, and moves by half of itself.
WINDOW_PART = 7

Scores = Callable[[NDArray[Any]], NDArray[np.float32]]
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Occlusion:
    """Say how large the window is that hides, and by how much it moves: pixels of the input.

    None takes a seventh of the input's shorter side, and half of the window.
    """

    window: int | None = None
    stride: int | None = None

    def __post_init__(self) -> None:
        for name, value in (("window", self.window), ("stride", self.stride)):
            if value is not None and value < 1:
                raise UsageError(f"--{name} is a number of pixels, 1 or more, found {value}")

    def sizes(self, spec: InputSpec) -> tuple[int, int]:
        """Return window and stride for an input; raises UsageError if the two do not fit it."""
        side = min(spec.height, spec.width)
        window = self.window or max(1, side // WINDOW_PART)
        stride = self.stride or max(1, window // 2)
        if window >= side:
            raise UsageError(
                f"--window {window} hides all of an input of {spec.width}x{spec.height} pixels; "
                "give less"
            )
        if stride > window:
            raise UsageError(
                f"--stride {stride} leaves gaps between windows of {window} pixels; give at most "
                f"{window}"
            )
        return window, stride


def occlusion_map(
    scores: Scores,
    tensor: NDArray[Any],
    index: int,
    *,
    spec: InputSpec,
    options: Occlusion,
    on_progress: Progress | None = None,
) -> Map:
    """Return by how much the score of class `index` falls where a place is hidden.

    `tensor` is one input (1, ...), made by `spec`; `scores` gives (N, classes) of N inputs. The
    map is float32 (height, width) of the input: at each pixel the mean fall over the windows that
    hid it, 0 where the score rises. `on_progress` gets (windows done, windows in all).
    """
    window, stride = options.sizes(spec)
    whole = float(scores(tensor)[0, index])
    places = [
        (top, left)
        for top in _starts(spec.height, window, stride)
        for left in _starts(spec.width, window, stride)
    ]
    total = np.zeros((spec.height, spec.width))
    count = np.zeros((spec.height, spec.width))
    for start in range(0, len(places), BATCH):
        some = places[start : start + BATCH]
        found = scores(np.concatenate(list(_hidden(tensor, spec, some, window))))[:, index]
        for (top, left), score in zip(some, found, strict=True):
            total[top : top + window, left : left + window] += whole - float(score)
            count[top : top + window, left : left + window] += 1
        if on_progress is not None:
            on_progress(start + len(some), len(places))
    return np.maximum(total / count, 0).astype(np.float32)


def _starts(side: int, window: int, stride: int) -> list[int]:
    """Return where windows begin along one side; the last touches the end."""
    return sorted({*range(0, side - window + 1, stride), side - window})


def _hidden(
    tensor: NDArray[Any], spec: InputSpec, places: list[tuple[int, int]], window: int
) -> Iterator[NDArray[Any]]:
    """Give a copy of `tensor` for each place, grey under the window there."""
    grey = spec.table()[GREY]
    for top, left in places:
        copy = tensor.copy()
        hwc = copy[0].transpose(1, 2, 0) if spec.layout is Layout.NCHW else copy[0]
        hwc[top : top + window, left : left + window] = grey
        yield copy
