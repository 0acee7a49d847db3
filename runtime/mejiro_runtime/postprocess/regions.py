"""Bring places of the input tensor back to the frame it was made from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mejiro_runtime.preprocess import InputSpec, place

if TYPE_CHECKING:
    from numpy.typing import NDArray


def to_frame(
    boxes: NDArray[Any], spec: InputSpec, height: int, width: int, *, clip: bool = True
) -> NDArray[np.float64]:
    """Return boxes (N, 4) of the tensor in pixels of a frame of `height` x `width`.

    Boxes are left, top, right, bottom; of the tensor in its pixels. With `clip` what lies
    outside of the frame is cut off.
    """
    where = place(spec, height, width)
    x_scale, y_scale = where.width / where.inner_width, where.height / where.inner_height
    scale = np.array([x_scale, y_scale] * 2)
    start = np.array([where.left, where.top] * 2)
    offset = np.array([where.x, where.y] * 2)
    found: NDArray[np.float64] = (boxes.astype(np.float64) - start) * scale + offset
    return np.clip(found, 0, [width, height] * 2) if clip else found


def to_tensor(boxes: NDArray[Any], spec: InputSpec, height: int, width: int) -> NDArray[np.float64]:
    """Return boxes (N, 4) of a frame in pixels of the tensor: what `to_frame` undoes."""
    where = place(spec, height, width)
    scale = np.array([where.inner_width / where.width, where.inner_height / where.height] * 2)
    offset = np.array([where.x, where.y] * 2)
    start = np.array([where.left, where.top] * 2)
    found: NDArray[np.float64] = (boxes.astype(np.float64) - offset) * scale + start
    return found
