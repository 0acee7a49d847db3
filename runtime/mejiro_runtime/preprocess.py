"""Turn a frame into a model's input tensor: the only place where Mejiro does so.

`InputSpec` says what a file wants; `Preprocessor` does it. Calibration, evaluation, golden
frames, the benchmark and the live camera all come through here, on the host and on the device.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mejiro_runtime.errors import SpecError
from mejiro_runtime.fields import Fields
from mejiro_runtime.kernels import Kernel, Pixels, default_kernel
from mejiro_runtime.types import Box, PixelOrder

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_SIDE = 16_384
_UINT8 = np.dtype(np.uint8).char
# Far beyond any model's, and 255 times it still fits a float32.
MAX_FACTOR = 1e30


class ResizeMode(str, Enum):
    """Say how a frame of any shape becomes a tensor of one shape."""

    CROP = "crop"  # the largest centred region of the tensor's shape, times crop_fraction
    LETTERBOX = "letterbox"  # the whole frame, its shape kept, the rest filled with pad_value
    STRETCH = "stretch"  # the whole frame, its shape given up


class Interpolation(str, Enum):
    """Name the way new pixels come from old ones; see `kernels` for the definition."""

    LINEAR_EXACT = "linear_exact"


class TensorType(str, Enum):
    """Name a tensor's element type."""

    UINT8 = "uint8"
    INT8 = "int8"
    FLOAT32 = "float32"


class Layout(str, Enum):
    """Name the order of a tensor's axes."""

    NHWC = "nhwc"
    NCHW = "nchw"


class Quantization(NamedTuple):
    """Hold an affine quantization: real = (stored - zero_point) * scale."""

    scale: float
    zero_point: int


@dataclass(frozen=True)
class InputSpec:
    """Say what a model's input tensor holds, from a frame's pixels to its last bit.

    A pixel p (0..255) of channel c becomes the real number ``p * scale[c] + offset[c]``. A
    FLOAT32 tensor stores that; an integer tensor stores it rounded, through `quantization`
    where there is one. The default, a UINT8 tensor with scale 1 and offset 0, takes pixels as
    they are. `crop_fraction` is the share (0..1] of the region's side kept by CROP.
    """

    height: int
    width: int
    order: PixelOrder = PixelOrder.RGB
    resize: ResizeMode = ResizeMode.CROP
    crop_fraction: float = 1.0
    pad_value: int = 0
    interpolation: Interpolation = Interpolation.LINEAR_EXACT
    scale: tuple[float, ...] = (1.0,)
    offset: tuple[float, ...] = (0.0,)
    dtype: TensorType = TensorType.UINT8
    quantization: Quantization | None = None
    layout: Layout = Layout.NHWC

    def __post_init__(self) -> None:
        for name, value, high in (
            ("height", self.height, MAX_SIDE),
            ("width", self.width, MAX_SIDE),
        ):
            if not 1 <= value <= high:
                raise SpecError(f"input {name} must be 1 to {high} pixels, found {value}")
        if self.order.channels == 4:
            raise SpecError(f"a model's input is rgb, bgr or gray, found {self.order.value}")
        if not 0.0 < self.crop_fraction <= 1.0:
            raise SpecError(f"crop_fraction must lie in (0, 1], found {self.crop_fraction}")
        if not 0 <= self.pad_value <= 255:
            raise SpecError(f"pad_value must be 0 to 255, found {self.pad_value}")
        for name, values in (("scale", self.scale), ("offset", self.offset)):
            if len(values) not in (1, self.order.channels):
                raise SpecError(
                    f"{name} needs 1 value or one for each of {self.order.channels} channels, "
                    f"found {len(values)}"
                )
            if not all(abs(value) <= MAX_FACTOR for value in values):
                raise SpecError(
                    f"{name} must be numbers up to {MAX_FACTOR:g}, found {list(values)}"
                )
        if self.quantization is not None:
            self._check_quantization(self.quantization)

    def _check_quantization(self, quantization: Quantization) -> None:
        if self.dtype is TensorType.FLOAT32:
            raise SpecError("a float32 input has no quantization; leave one of the two out")
        if not 1 / MAX_FACTOR <= quantization.scale <= MAX_FACTOR:
            raise SpecError(
                f"quantization scale must be {1 / MAX_FACTOR:g} to {MAX_FACTOR:g}, "
                f"found {quantization.scale}"
            )
        limits = np.iinfo(self.dtype.value)
        if not limits.min <= quantization.zero_point <= limits.max:
            raise SpecError(
                f"quantization zero_point must be a {self.dtype.value}, "
                f"found {quantization.zero_point}"
            )

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """The tensor's shape, batch of one included, in its own layout."""
        if self.layout is Layout.NCHW:
            return (1, self.order.channels, self.height, self.width)
        return (1, self.height, self.width, self.order.channels)

    def table(self) -> NDArray[Any]:
        """Return what each pixel value becomes: (256, channels) of the tensor's dtype.

        Computed in float64 from 256 values, so that the tensor depends on no CPU's rounding.
        """
        channels = self.order.channels
        scale = np.broadcast_to(np.array(self.scale, dtype=np.float64), channels)
        offset = np.broadcast_to(np.array(self.offset, dtype=np.float64), channels)
        real = np.arange(256, dtype=np.float64)[:, None] * scale + offset
        if self.dtype is TensorType.FLOAT32:
            return real.astype(np.float32)
        if self.quantization is not None:
            real = real / self.quantization.scale + self.quantization.zero_point
        limits = np.iinfo(self.dtype.value)
        return np.clip(np.rint(real), limits.min, limits.max).astype(self.dtype.value)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values; `from_json` gives back an equal specification."""
        quantization = self.quantization
        return {
            "height": self.height,
            "width": self.width,
            "order": self.order.value,
            "resize": self.resize.value,
            "crop_fraction": self.crop_fraction,
            "pad_value": self.pad_value,
            "interpolation": self.interpolation.value,
            "scale": list(self.scale),
            "offset": list(self.offset),
            "dtype": self.dtype.value,
            "quantization": quantization
            and {"scale": quantization.scale, "zero_point": quantization.zero_point},
            "layout": self.layout.value,
        }

    @classmethod
    def from_json(cls, value: Any) -> InputSpec:
        """Read what `to_json` wrote; all but height and width may be left out.

        Raises SpecError for anything unknown, missing or of another type.
        """
        fields = Fields(value, "input specification")
        default = cls(height=1, width=1)
        inner = fields.optional("quantization")
        quantization = None
        if inner is not None:
            pair = Fields(inner, "input quantization")
            quantization = Quantization(pair.number("scale"), pair.integer("zero_point"))
            pair.finish()
        spec = cls(
            height=fields.integer("height"),
            width=fields.integer("width"),
            order=fields.choice("order", default.order),
            resize=fields.choice("resize", default.resize),
            crop_fraction=fields.number("crop_fraction", default.crop_fraction),
            pad_value=fields.integer("pad_value", default.pad_value),
            interpolation=fields.choice("interpolation", default.interpolation),
            scale=fields.numbers("scale", default.scale),
            offset=fields.numbers("offset", default.offset),
            dtype=fields.choice("dtype", default.dtype),
            quantization=quantization,
            layout=fields.choice("layout", default.layout),
        )
        fields.finish()
        return spec


class Placement(NamedTuple):
    """Say which region of a frame lands where in the tensor; all in pixels.

    The region (x, y, width, height) of the frame is halved `halve_x` and `halve_y` times, then
    resized to (inner_width, inner_height) at (left, top) of the tensor.
    """

    x: int
    y: int
    width: int
    height: int
    halve_x: int
    halve_y: int
    left: int
    top: int
    inner_width: int
    inner_height: int


def _halvings(size: int, target: int) -> int:
    """Count how often `size` can be halved before it would fall below `target`."""
    count = 0
    while size >= 2 * target << count:
        count += 1
    return count


@lru_cache(maxsize=64)
def place(spec: InputSpec, height: int, width: int) -> Placement:
    """Work out where a frame of `height` x `width` pixels goes.

    Shrinking by 2 or more starts with exact halvings, each the mean of neighbouring pixels, so
    that every pixel of a large frame counts and none aliases; the region loses at most
    2**halvings - 1 rows or columns for it.
    """
    out_w, out_h = spec.width, spec.height
    region_w, region_h, left, top = width, height, 0, 0
    if spec.resize is ResizeMode.CROP:
        fit_w = min(width, height * spec.width / spec.height)
        fit_h = min(height, width * spec.height / spec.width)
        region_w = max(1, int(fit_w * spec.crop_fraction))
        region_h = max(1, int(fit_h * spec.crop_fraction))
    elif spec.resize is ResizeMode.LETTERBOX:
        ratio = min(spec.width / width, spec.height / height)
        out_w = min(spec.width, max(1, round(width * ratio)))
        out_h = min(spec.height, max(1, round(height * ratio)))
        left, top = (spec.width - out_w) // 2, (spec.height - out_h) // 2
    halve_x, halve_y = _halvings(region_w, out_w), _halvings(region_h, out_h)
    region_w -= region_w % (1 << halve_x)
    region_h -= region_h % (1 << halve_y)
    return Placement(
        x=(width - region_w) // 2,
        y=(height - region_h) // 2,
        width=region_w,
        height=region_h,
        halve_x=halve_x,
        halve_y=halve_y,
        left=left,
        top=top,
        inner_width=out_w,
        inner_height=out_h,
    )


@lru_cache(maxsize=64)
def covered(spec: InputSpec, height: int, width: int) -> Box:
    """Return the region that the whole tensor covers of a frame, in the frame's pixels.

    With a letterbox it reaches beyond the frame, where the tensor is padded.
    """
    where = place(spec, height, width)
    across, down = where.width / where.inner_width, where.height / where.inner_height
    left, top = where.x - where.left * across, where.y - where.top * down
    return Box(left, top, left + spec.width * across, top + spec.height * down)


class _Plan:
    """Hold a placement as slices, ready for frame after frame of one shape."""

    def __init__(self, spec: InputSpec, where: Placement) -> None:
        self.where = where
        self.rows = slice(where.y, where.y + where.height)
        self.columns = slice(where.x, where.x + where.width)
        self.halved = bool(where.halve_x or where.halve_y)
        self.padded = (where.inner_height, where.inner_width) != (spec.height, spec.width)
        self.inner_rows = slice(where.top, where.top + where.inner_height)
        self.inner_columns = slice(where.left, where.left + where.inner_width)


class Preprocessor:
    """Hold what one specification needs again for each frame: its table and scratch space.

    Not safe for use by two threads at once. `kernel` is for tests; the default is the fastest
    that is installed, and all give the same bytes.
    """

    def __init__(self, spec: InputSpec, *, kernel: Kernel | None = None) -> None:
        self.spec = spec
        self.kernel = kernel or default_kernel()
        table = spec.table()
        identity = np.arange(256, dtype=np.uint8)[:, None]
        self._table = None if table.dtype == np.uint8 and (table == identity).all() else table
        self._canvas = np.empty((spec.height, spec.width, spec.order.channels), dtype=np.uint8)
        self._nchw = spec.layout is Layout.NCHW
        self._direct = self._table is None and not self._nchw
        self._seen: tuple[tuple[int, ...], PixelOrder] | None = None
        self._plan = _Plan(spec, place(spec, 1, 1))

    def empty(self) -> NDArray[Any]:
        """Return an uninitialised tensor to pass as `out`."""
        return np.empty(self.spec.shape, dtype=self.spec.dtype.value)

    def __call__(
        self, pixels: Pixels, order: PixelOrder, out: NDArray[Any] | None = None
    ) -> NDArray[Any]:
        """Write the tensor for `pixels` to `out` (a new array if None), and return it.

        `pixels` is uint8, (H, W, channels of `order`), or (H, W) for GRAY; it is not changed.
        Raises SpecError if it is anything else.
        """
        # A stream's frames are alike: what depends on their shape is worked out for the first.
        if pixels.dtype.char != _UINT8 or (pixels.shape, order) != self._seen:
            self._prepare(pixels, order)
        plan = self._plan
        if order is PixelOrder.GRAY:
            pixels = pixels.reshape(pixels.shape[:2])
        tensor = self.empty() if out is None else out
        hwc = tensor[0].transpose(1, 2, 0) if self._nchw else tensor[0]
        canvas = hwc if self._direct else self._canvas
        inner = canvas
        if plan.padded:
            canvas[...] = self.spec.pad_value
            inner = canvas[plan.inner_rows, plan.inner_columns]
        region = pixels[plan.rows, plan.columns]
        if plan.halved:
            region = self._halve(region, plan.where.halve_x, plan.where.halve_y)
        self.kernel.resize_and_reorder(
            region, order, self.spec.order, plan.where.inner_width, plan.where.inner_height, inner
        )
        if self._table is not None:
            self.kernel.lookup(canvas, self._table, hwc)
        elif not self._direct:
            hwc[...] = canvas
        return tensor

    def _prepare(self, pixels: Pixels, order: PixelOrder) -> None:
        """Check a frame of a new kind and plan for it; raises SpecError."""
        height, width = _checked(pixels, order).shape[:2]
        self._plan = _Plan(self.spec, place(self.spec, height, width))
        self._seen = (pixels.shape, order)

    def _halve(self, region: Pixels, halve_x: int, halve_y: int) -> Pixels:
        """Halve `region` as often as asked along each axis: exact means, rounded half up."""
        for step in range(max(halve_x, halve_y)):
            height, width = region.shape[:2]
            region = self.kernel.linear_exact(
                region,
                width // 2 if step < halve_x else width,
                height // 2 if step < halve_y else height,
            )
        return region


def _checked(pixels: Pixels, order: PixelOrder) -> Pixels:
    """Return `pixels` as (H, W, C), or (H, W) for GRAY, or raise SpecError."""
    if pixels.dtype != np.uint8:
        raise SpecError(f"a frame's pixels are uint8, found {pixels.dtype}")
    if order is PixelOrder.GRAY and pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[..., 0]
    expected = 2 if order is PixelOrder.GRAY else 3
    if pixels.ndim != expected or (expected == 3 and pixels.shape[2] != order.channels):
        raise SpecError(f"a {order.value} frame cannot have the shape {pixels.shape}")
    if pixels.size == 0:
        raise SpecError(f"a frame needs at least one pixel, found the shape {pixels.shape}")
    return pixels


def preprocess(pixels: Pixels, order: PixelOrder, spec: InputSpec) -> NDArray[Any]:
    """Return the input tensor, shaped `spec.shape`, that `spec` makes of one frame.

    For a stream of frames keep a `Preprocessor`: it gives the same without making its table anew.
    """
    return Preprocessor(spec)(pixels, order)
