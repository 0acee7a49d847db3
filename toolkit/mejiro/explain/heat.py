"""Bring a map over a model's input back onto the picture that the input was made from."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mejiro.explain.methods import Map
from mejiro_runtime.preprocess import InputSpec, place


def over_picture(
    heat: Map, spec: InputSpec, height: int, width: int, *, size: tuple[int, int] | None = None
) -> Map:
    """Return `heat` (h, w), which covers a model's whole input, over a picture of height x width.

    The result is float32 (height, width), or sampled at `size` (rows, columns) for a drawing. It
    is interpolated between the centres of the map's cells, and 0 where the model saw nothing of
    the picture, outside of its crop; padding of a letterbox falls away.
    """
    where = place(spec, height, width)
    rows, columns = size or (height, width)
    down = _axis(
        heat.shape[0],
        spec.height,
        (where.top, where.inner_height),
        (where.y, where.height),
        _centres(rows, height),
    )
    across = _axis(
        heat.shape[1],
        spec.width,
        (where.left, where.inner_width),
        (where.x, where.width),
        _centres(columns, width),
    )
    spread: Map = down @ heat.astype(np.float32) @ across.T
    return spread


def _centres(count: int, side: int) -> NDArray[np.floating[Any]]:
    """Return where the middles of `count` samples lie along a side of `side` pixels."""
    return (np.arange(count) + 0.5) * (side / count)


def _axis(
    cells: int,
    side: int,
    inner: tuple[int, int],
    region: tuple[int, int],
    centres: NDArray[np.floating[Any]],
) -> Map:
    """Return the weights (samples, cells) of a map's cells at places along a picture's side.

    The `region` (start, length) of the picture lies at `inner` (start, length) of an input with
    `side` pixels, over which the `cells` are spread evenly.
    """
    share = (centres - region[0]) / region[1]
    seen = (share >= 0) & (share < 1)
    cell = np.clip((inner[0] + share * inner[1]) * cells / side - 0.5, 0, cells - 1)
    first = np.minimum(np.floor(cell).astype(np.intp), max(cells - 2, 0))
    second = np.minimum(first + 1, cells - 1)
    part = np.where(seen, cell - first, 0)
    weights = np.zeros((len(centres), cells), dtype=np.float32)
    rows = np.arange(len(centres))
    weights[rows, first] += np.where(seen, 1 - part, 0)
    weights[rows, second] += part
    return weights
