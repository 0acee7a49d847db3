"""Print a digest of every input tensor made of seeded frames: the same on every machine, or not.

Frames are of many sizes and orders, and specs of every way to fit them; runs on both sides.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable

import numpy as np

from mejiro_runtime.kernels import Kernel, NumpyKernel, OpenCVKernel
from mejiro_runtime.preprocess import InputSpec, Layout, Preprocessor, ResizeMode, TensorType
from mejiro_runtime.types import PixelOrder

SIZES = ((480, 640), (479, 641), (97, 131), (720, 1280))
SPECS = {
    "crop": InputSpec(224, 224, crop_fraction=0.875),
    "letterbox": InputSpec(96, 160, resize=ResizeMode.LETTERBOX, pad_value=114),
    "stretch": InputSpec(192, 128, resize=ResizeMode.STRETCH),
    "real": InputSpec(
        64,
        64,
        dtype=TensorType.FLOAT32,
        layout=Layout.NCHW,
        scale=(1 / 58.395, 1 / 57.12, 1 / 57.375),
        offset=(-2.118, -2.036, -1.804),
    ),
}
KERNELS: dict[str, Callable[[], Kernel]] = {"opencv": OpenCVKernel, "numpy": NumpyKernel}


def frame(height: int, width: int, order: PixelOrder) -> np.ndarray:
    """Return a picture with edges, slopes and noise: uint8 in `order`."""
    rng = np.random.default_rng(height * 10_000 + width)
    slope = np.add.outer(np.arange(height), 2 * np.arange(width)).astype(np.uint8)[..., None]
    noise = rng.integers(0, 256, (height, width, order.channels), dtype=np.uint8)
    mixed = np.where(noise < 128, slope, noise)
    return mixed[..., 0] if order is PixelOrder.GRAY else mixed


def digests(kernel: Kernel) -> dict[str, str]:
    """Return the SHA-256 of every tensor, by what it was made of."""
    found = {}
    for height, width in SIZES:
        for order in PixelOrder:
            pixels = frame(height, width, order)
            for name, spec in SPECS.items():
                tensor = Preprocessor(spec, kernel=kernel)(pixels, order)
                digest = hashlib.sha256(np.ascontiguousarray(tensor).tobytes()).hexdigest()
                found[f"{name} {width}x{height} {order.value}"] = digest
    return found


if __name__ == "__main__":
    print(json.dumps(digests(KERNELS[sys.argv[1]]())))
