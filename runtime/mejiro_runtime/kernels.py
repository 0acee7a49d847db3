"""Resize and reorder pixels exactly: the same bytes on every machine, with OpenCV or without.

The definition is bilinear interpolation in fixed point, as OpenCV's `INTER_LINEAR_EXACT` has
it: an output pixel is the sum of four neighbours, each weighted by the product of an 8-bit
horizontal and an 8-bit vertical fraction, rounded half up once. Only integers take part, so
the result depends neither on the CPU nor on the order of the additions. `NumpyKernel` is that
sentence in numpy and serves devices without OpenCV; `OpenCVKernel` is the fast one.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np

from mejiro_runtime import opencv
from mejiro_runtime.types import PixelOrder

if TYPE_CHECKING:
    from numpy.typing import NDArray

Pixels: TypeAlias = "NDArray[np.uint8]"

# ITU-R BT.601 luma in 15-bit fixed point, the weights of OpenCV's cvtColor: red, green, blue.
LUMA_WEIGHTS = (9798, 19235, 3735)


class Kernel(Protocol):
    """Do the three things to pixels that preprocessing is made of. All arrays are uint8."""

    name: str

    def linear_exact(self, pixels: Pixels, width: int, height: int) -> Pixels:
        """Return `pixels` (H, W[, C]) resized to (height, width[, C])."""
        ...

    def resize_and_reorder(
        self,
        pixels: Pixels,
        source: PixelOrder,
        target: PixelOrder,
        width: int,
        height: int,
        out: Pixels,
    ) -> None:
        """Write `pixels`, resized and in `target` order, to `out` (height, width, C)."""
        ...

    def lookup(self, pixels: Pixels, table: NDArray[Any], out: NDArray[Any]) -> None:
        """Write `table[pixels[y, x, c], c]` to `out` (H, W, C); `table` is (256, C)."""
        ...


@lru_cache(maxsize=64)
def _taps(
    size_in: int, size_out: int
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.uint16]]:
    """Return left neighbour, right neighbour and 8-bit weight of the right, by output place."""
    # The ratio by way of its inverse, as OpenCV has it: where weights lie half way between two
    # numbers, as they do in tensors of 256 pixels, the last bit of it decides which is taken.
    ratio = 1.0 / (size_out / size_in)
    place = (np.arange(size_out, dtype=np.float64) + 0.5) * ratio - 0.5
    left = np.floor(place).astype(np.intp)
    weight = np.rint((place - left) * 256).astype(np.uint16)
    weight[(left < 0) | (left >= size_in - 1)] = 0
    right = np.clip(left + 1, 0, size_in - 1)
    return np.clip(left, 0, size_in - 1), right, weight


def _halve(pixels: Pixels) -> Pixels:
    """Return `pixels` (2H, 2W, C) halved: what the definition comes to with weights of a half.

    A frame that has to be halved is a large one, and this takes an eighth of the memory.
    """
    total = pixels[::2, ::2].astype(np.uint16)
    for part in (pixels[::2, 1::2], pixels[1::2, ::2], pixels[1::2, 1::2]):
        total += part
    total += np.uint16(2)
    total >>= np.uint16(2)
    return total.astype(np.uint8)


class NumpyKernel:
    """Apply the definition with numpy alone; `name` tells reports that OpenCV was not used."""

    name = "numpy"

    def linear_exact(self, pixels: Pixels, width: int, height: int) -> Pixels:
        """See `Kernel.linear_exact`."""
        flat = pixels[..., None] if pixels.ndim == 2 else pixels
        if flat.shape[:2] == (height, width):
            return pixels
        if flat.shape[:2] == (2 * height, 2 * width):
            halved = _halve(flat)
            return halved[..., 0] if pixels.ndim == 2 else halved
        top, bottom, down = _taps(flat.shape[0], height)
        left, right, across = _taps(flat.shape[1], width)
        down, across = down[:, None, None], across[None, :, None]
        # 255 * 256 fits 16 bits, so the vertical pass stays in uint16; the horizontal one in 32.
        rows = flat[top] * (np.uint16(256) - down) + flat[bottom] * down
        wide = rows.astype(np.uint32)
        total = wide[:, left] * (np.uint32(256) - across) + wide[:, right] * across
        result: Pixels = ((total + np.uint32(1 << 15)) >> np.uint32(16)).astype(np.uint8)
        return result[..., 0] if pixels.ndim == 2 else result

    def resize_and_reorder(
        self,
        pixels: Pixels,
        source: PixelOrder,
        target: PixelOrder,
        width: int,
        height: int,
        out: Pixels,
    ) -> None:
        """See `Kernel.resize_and_reorder`."""
        small = self.linear_exact(pixels, width, height)
        if source is PixelOrder.GRAY:
            out[...] = small[..., None]
            return
        red_first = source in (PixelOrder.RGB, PixelOrder.RGBA)
        rgb = small[..., :3] if red_first else small[..., 2::-1]
        if target is PixelOrder.GRAY:
            weights = np.array(LUMA_WEIGHTS, dtype=np.uint32)
            luma = (rgb.astype(np.uint32) * weights).sum(axis=2, keepdims=True)
            out[...] = (luma + np.uint32(1 << 14)) >> np.uint32(15)
        else:
            out[...] = rgb if target is PixelOrder.RGB else rgb[..., ::-1]

    def lookup(self, pixels: Pixels, table: NDArray[Any], out: NDArray[Any]) -> None:
        """See `Kernel.lookup`."""
        for channel in range(pixels.shape[2]):
            np.take(table[:, channel], pixels[..., channel], out=out[..., channel], mode="clip")


class OpenCVKernel:
    """Give the same bytes as NumpyKernel through OpenCV, several times faster.

    Keeps scratch arrays from frame to frame: one instance serves one thread.
    """

    def __init__(self) -> None:
        cv2 = opencv.load("resizing with OpenCV")
        self._cv2 = cv2
        self._exact = cv2.INTER_LINEAR_EXACT
        self.name = f"opencv {cv2.__version__}"
        self._key: tuple[Any, ...] | None = None
        self._way: Callable[[Pixels, Pixels], None] = np.copyto
        rgb, bgr = PixelOrder.RGB, PixelOrder.BGR
        rgba, bgra = PixelOrder.RGBA, PixelOrder.BGRA
        self._widen = {rgb: cv2.COLOR_RGB2RGBA, bgr: cv2.COLOR_BGR2BGRA}
        self._widened = {rgb: rgba, bgr: bgra}
        self._conversions = {
            (rgb, bgr): cv2.COLOR_RGB2BGR,
            (bgr, rgb): cv2.COLOR_BGR2RGB,
            (rgb, PixelOrder.GRAY): cv2.COLOR_RGB2GRAY,
            (bgr, PixelOrder.GRAY): cv2.COLOR_BGR2GRAY,
            (rgba, rgb): cv2.COLOR_RGBA2RGB,
            (rgba, bgr): cv2.COLOR_RGBA2BGR,
            (rgba, PixelOrder.GRAY): cv2.COLOR_RGBA2GRAY,
            (bgra, rgb): cv2.COLOR_BGRA2RGB,
            (bgra, bgr): cv2.COLOR_BGRA2BGR,
            (bgra, PixelOrder.GRAY): cv2.COLOR_BGRA2GRAY,
        }

    def linear_exact(self, pixels: Pixels, width: int, height: int) -> Pixels:
        """See `Kernel.linear_exact`."""
        if pixels.shape[:2] == (height, width):
            return pixels
        resized: Pixels = self._cv2.resize(pixels, (width, height), interpolation=self._exact)
        return resized

    def resize_and_reorder(
        self,
        pixels: Pixels,
        source: PixelOrder,
        target: PixelOrder,
        width: int,
        height: int,
        out: Pixels,
    ) -> None:
        """See `Kernel.resize_and_reorder`."""
        # A stream asks for the same again and again: the way is chosen for the first frame.
        key = (pixels.shape, source, target, width, height)
        if key != self._key:
            self._way = self._choose_way(pixels.shape, source, target, width, height)
            self._key = key
        self._way(pixels, out)

    def _choose_way(
        self,
        shape: tuple[int, ...],
        source: PixelOrder,
        target: PixelOrder,
        width: int,
        height: int,
    ) -> Callable[[Pixels, Pixels], None]:
        """Return the function that writes one frame of `shape`, resized and reordered."""
        cv2, size, exact = self._cv2, (width, height), self._exact
        same_size = shape[:2] == (height, width)

        def grey(pixels: Pixels, out: Pixels) -> None:
            out[...] = self.linear_exact(pixels, width, height)[..., None]

        def copy(pixels: Pixels, out: Pixels) -> None:
            out[...] = pixels

        def reorder(pixels: Pixels, out: Pixels) -> None:
            self._write(cv2.cvtColor, pixels, code, out)

        def resize_and_reorder(pixels: Pixels, out: Pixels) -> None:
            if widen is not None:
                pixels = cv2.cvtColor(pixels, widen, wide)
            self._write(cv2.cvtColor, cv2.resize(pixels, size, small, 0, 0, exact), code, out)

        if source is PixelOrder.GRAY:
            return grey
        if same_size and source is target:
            return copy
        if same_size:
            code = self._conversions[source, target]
            return reorder
        # Four channels resize faster than three, by more than widening them to four costs; how
        # much that saves stands in benchmarks/results/overhead.json.
        widen = self._widen.get(source)
        wide = np.empty((*shape[:2], 4), dtype=np.uint8) if widen is not None else None
        code = self._conversions[self._widened.get(source, source), target]
        small = np.empty((height, width, 4), dtype=np.uint8)
        return resize_and_reorder

    @staticmethod
    def _write(function: Any, pixels: Pixels, argument: Any, out: NDArray[Any]) -> None:
        """Call `function(pixels, argument)` so that its result lands in `out`."""
        if out.flags.c_contiguous and min(out.shape) > 1:
            target = out
        else:
            target = out[..., 0] if out.ndim == 3 and out.shape[2] == 1 else out
            # OpenCV writes to pixels that lie side by side in their rows, and refuses all else.
            pixel_bytes = target.itemsize * (target.shape[2] if target.ndim == 3 else 1)
            if target.strides[1] != pixel_bytes or target.strides[-1] != target.itemsize:
                target[...] = function(pixels, argument)
                return
        result = function(pixels, argument, target)
        if result is not target and not np.may_share_memory(result, target):
            target[...] = result

    def lookup(self, pixels: Pixels, table: NDArray[Any], out: NDArray[Any]) -> None:
        """See `Kernel.lookup`."""
        if table.dtype == np.int8:
            # OpenCV 4 takes int8 tables for uint8 ones; the bits are the same.
            table, out = table.view(np.uint8), out.view(np.uint8)
        if pixels.shape[2] == 1 or out.strides[2] != out.itemsize:
            # Planes, for an NCHW tensor, and single channels, whose axis OpenCV drops.
            for channel, plane in enumerate(self._cv2.split(pixels)):
                column = np.ascontiguousarray(table[:, channel])
                self._write(self._cv2.LUT, plane, column, out[..., channel])
        else:
            self._write(self._cv2.LUT, pixels, table[None], out)


def default_kernel() -> Kernel:
    """Return a new OpenCV kernel where OpenCV is installed, numpy's elsewhere: equal bytes."""
    return OpenCVKernel() if opencv.available() else NumpyKernel()
