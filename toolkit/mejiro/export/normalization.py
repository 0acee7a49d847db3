"""Move a model's normalization of pixels into its file, so that a device passes pixels as they are.

A float model takes ``p * scale + offset``, an exported file takes the pixel p, a byte. An int8
file reads its input through ``real = (p - zero_point) * scale``: where the two are the same
function the normalization costs nothing and is exact. Where a whole zero point misses it by half a
pixel, a file that is int8 throughout has it so all the same. Otherwise the file begins with a 1x1
convolution that computes it.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mejiro.errors import ExportError
from mejiro_runtime.preprocess import InputSpec, Layout, Quantization, TensorType
from mejiro_runtime.types import PixelOrder

# How far a zero point may lie from an integer: offsets are often written as rounded decimals,
# and this much moves a normalized value by no more than float32 rounds it.
_ZERO_POINT_TOLERANCE = 1e-6


def exported_input(spec: InputSpec) -> InputSpec:
    """Return what an exported file takes: the pixels that `spec` is made from, uint8, NHWC.

    Resizing stays as it is. Colours are RGB: a model of BGR gets its channels swapped inside.
    Raises ExportError if `spec` is not that of a float model.
    """
    if spec.dtype is not TensorType.FLOAT32 or spec.layout is not Layout.NHWC:
        raise ExportError(
            f"a float model takes float32 NHWC, this one says {spec.dtype.value} "
            f"{spec.layout.value}; correct its input specification"
        )
    return replace(
        spec,
        order=PixelOrder.GRAY if spec.order is PixelOrder.GRAY else PixelOrder.RGB,
        scale=(1.0,),
        offset=(0.0,),
        dtype=TensorType.UINT8,
        quantization=None,
    )


def exact_quantization(spec: InputSpec) -> Quantization | None:
    """Return the uint8 quantization that is the normalization of `spec`, or None if none is.

    There is one if all channels have the same scale, above 0, and the same offset, and the pixel
    that becomes 0 is a whole number in 0..255.
    """
    if len({*spec.scale}) != 1 or len({*spec.offset}) != 1 or spec.order is PixelOrder.BGR:
        return None
    scale, offset = spec.scale[0], spec.offset[0]
    if scale <= 0:
        return None
    place = -offset / scale
    zero_point = round(place)
    if abs(place - zero_point) > _ZERO_POINT_TOLERANCE or not 0 <= zero_point <= 255:
        return None
    return Quantization(scale=scale, zero_point=zero_point)


def nearest_quantization(spec: InputSpec) -> Quantization | None:
    """Return the uint8 quantization that a file of int8 throughout reads its pixels by, or None.

    It is the exact one, where there is one. Pixels from -a to a (-1 to 1, -0.5 to 0.5) have their 0
    between two: a convolution would give them as int8 again, whose 0 is a whole number, and so be
    off by the same half pixel and cost more than it says. The other ties are left to the
    convolution: which way TensorFlow's converter rounds them depends on float32's last bit.
    """
    if (exact := exact_quantization(spec)) is not None:
        return exact
    if len({*spec.scale}) != 1 or len({*spec.offset}) != 1 or spec.order is PixelOrder.BGR:
        return None
    scale, offset = spec.scale[0], spec.offset[0]
    power_of_two = math.frexp(-offset)[0] == 0.5
    if scale <= 0 or not power_of_two or abs(-offset / scale - 127.5) > _ZERO_POINT_TOLERANCE:
        return None
    return Quantization(scale=scale, zero_point=127)


def normalization_matrix(spec: InputSpec) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return (C, C) and (C,) float32, so that ``pixels @ matrix + offset`` is normalized.

    The pixels are in the order of `exported_input`, the result in the model's.
    """
    channels = spec.order.channels
    scale = np.broadcast_to(np.array(spec.scale, dtype=np.float64), channels)
    offset = np.broadcast_to(np.array(spec.offset, dtype=np.float64), channels)
    matrix = np.diag(scale)
    if spec.order is PixelOrder.BGR:
        matrix = matrix[::-1]
    return matrix.astype(np.float32), offset.astype(np.float32)
