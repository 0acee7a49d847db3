"""Work out what a model's input tensor holds, from a pixel to a stored number.

The rule for a quantized input. Its scale and zero point say which real numbers its 256 integers
stand for. Calibration covers what the float model was fed, and pictures hold black and white;
so where that range is a whole range of `RANGES`, within `TOLERANCE` of its width at either end,
the integers are the pixels: a uint8 input takes them as they are, an int8 input less 128. To go
through the real numbers instead would round every pixel a second time, for nothing.

Integers of another range go through the real numbers, by TFLite Metadata's mean and deviation.
A float input tells its normalization by that metadata, or by the range of the operator that
quantizes it first. Where a file tells neither, `adopt` asks.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from mejiro.data.normalize import RANGES, Normalize, scale_and_offset
from mejiro.errors import UsageError
from mejiro.export.adopt.facts import ONLY_CLASSIFIERS, ModelFacts, Steps, TensorFacts
from mejiro.export.adopt.hints import Hints
from mejiro_runtime.errors import ModelError
from mejiro_runtime.preprocess import InputSpec, Layout, Quantization, ResizeMode, TensorType
from mejiro_runtime.types import PixelOrder

TOLERANCE = 0.02
_CHOICES = "|".join(choice.value for choice in Normalize)


@dataclass(frozen=True)
class Pixels:
    """Hold how a pixel is stored: as `InputSpec` has it, and why."""

    scale: tuple[float, ...]
    offset: tuple[float, ...]
    quantization: Quantization | None
    why: str


def input_spec_for(
    facts: ModelFacts, given: InputSpec | None, hints: Hints
) -> tuple[InputSpec, list[str]]:
    """Return the specification of the input that takes frames, and how each part was found.

    `given` is taken as it is if it fits the file. Raises ModelError if the input is no picture,
    and UsageError, which names the option to give, if the file leaves something open.
    """
    tensor = facts.pixels
    _require_picture(tensor, facts.name)
    if given is not None:
        _require_fit(tensor, given, hints, facts.name)
        return given, ["input: as the given specification says"]
    layout = _layout(tensor, facts.name)
    nchw = layout is Layout.NCHW
    height, width = tensor.shape[2:] if nchw else tensor.shape[1:3]
    channels = tensor.shape[1] if nchw else tensor.shape[3]
    order, order_why = _order(channels, facts, hints)
    pixels = _pixels(facts, order, hints)
    spec = InputSpec(
        height=height,
        width=width,
        order=order,
        resize=hints.resize or ResizeMode.CROP,
        crop_fraction=1.0 if hints.crop_fraction is None else hints.crop_fraction,
        scale=pixels.scale,
        offset=pixels.offset,
        dtype=TensorType(tensor.dtype),
        quantization=pixels.quantization,
        layout=layout,
    )
    findings = [f"input: {width}x{height}, {tensor.dtype}, {layout.value.upper()}", order_why]
    return spec, [*findings, f"pixels: {pixels.why}"]


def _require_picture(tensor: TensorFacts, name: str) -> None:
    """Raise ModelError unless the input is one picture of a type that the runtime makes."""
    if tensor.dtype not in {kind.value for kind in TensorType}:
        raise ModelError(
            f"{name} takes {tensor.dtype}; the runtime feeds uint8, int8 or float32: "
            "export it with one of these as its input"
        )
    if len(tensor.shape) != 4:
        raise ModelError(f"{name} takes {tensor}, which is no picture; {ONLY_CLASSIFIERS}")
    if min(tensor.shape[1:]) < 1:
        raise ModelError(
            f"{name} leaves its input's size open, {tensor}; export it with a fixed one"
        )
    if tensor.shape[0] != 1:
        raise ModelError(
            f"{name} takes {tensor}; the runtime feeds one picture: export with batch 1"
        )


def _require_fit(tensor: TensorFacts, given: InputSpec, hints: Hints, name: str) -> None:
    """Raise UsageError unless `given` describes `tensor` and no hint speaks of the same."""
    if hints.of_input():
        raise UsageError(
            f"--input-spec says all about the input, {', '.join(hints.of_input())} as well; "
            "give one of the two"
        )
    if given.shape != tensor.shape or given.dtype.value != tensor.dtype:
        wanted = TensorFacts(tensor.name, given.shape, given.dtype.value)
        raise UsageError(
            f"--input-spec describes {wanted}, {name} takes {tensor}; "
            "correct height, width, order, layout or dtype"
        )


def _layout(tensor: TensorFacts, name: str) -> Layout:
    """Return where the channels stand: the one of axis 1 and axis 3 that has 1 or 3."""
    first, last = tensor.shape[1] in {1, 3}, tensor.shape[3] in {1, 3}
    if first and last:
        raise UsageError(
            f"{name} takes {tensor}, which may be NHWC or NCHW; give --input-spec with its layout"
        )
    if not (first or last):
        raise ModelError(
            f"{name} takes {tensor}; a picture has 1 or 3 channels, on axis 1 or on axis 3"
        )
    return Layout.NCHW if first else Layout.NHWC


def _order(channels: int, facts: ModelFacts, hints: Hints) -> tuple[PixelOrder, str]:
    """Return the order of a pixel's channels, and where it is from."""
    if hints.order is not None:
        if hints.order.channels != channels:
            raise UsageError(
                f"--order {hints.order.value} has {hints.order.channels} channels, "
                f"{facts.name} takes {channels}"
            )
        return hints.order, f"channels: {hints.order.value}, as given"
    if channels == 1:
        return PixelOrder.GRAY, "channels: gray, the only one"
    if facts.described.order is PixelOrder.RGB:
        return PixelOrder.RGB, "channels: rgb, by the file's metadata"
    return (
        PixelOrder.RGB,
        "channels: rgb, ASSUMED since the file does not say; --order bgr changes it",
    )


def _pixels(facts: ModelFacts, order: PixelOrder, hints: Hints) -> Pixels:
    """Return how a pixel is stored: as given, else as the file tells, else raise UsageError."""
    dtype, steps = TensorType(facts.pixels.dtype), facts.steps
    if dtype is TensorType.FLOAT32:
        return _real(facts, order, hints)
    if steps is None:
        return _unquantized(facts, dtype, hints)
    known = known_range(steps)
    if known is None or hints.normalize not in {None, known}:
        return replace(_real(facts, order, hints), quantization=steps.quantization)
    why = f"{_range_text(steps)}, the range {known.value}"
    if dtype is TensorType.UINT8:
        return Pixels((1.0,), (0.0,), None, f"as they are; {why}")
    return Pixels((1.0,), (-128.0,), None, f"less 128; {why}")


def _real(facts: ModelFacts, order: PixelOrder, hints: Hints) -> Pixels:
    """Return the real number that a pixel becomes: as given, by metadata, or by the range."""
    if hints.normalize is not None:
        why = f"to {hints.normalize.value}, as given"
        return replace(_normalized(hints.normalize, order), why=why)
    if facts.described.mean and facts.described.std:
        return _described(facts, order)
    if facts.steps is not None and (known := known_range(facts.steps)) is not None:
        why = f"to {known.value}; {_range_text(facts.steps)}"
        return replace(_normalized(known, order), why=why)
    raise UsageError(_question(facts))


def known_range(steps: Steps) -> Normalize | None:
    """Return the member of `RANGES` that a quantization covers, or None."""
    low, high = steps.range
    for name, (bottom, top) in RANGES.items():
        slack = TOLERANCE * (top - bottom)
        if abs(low - bottom) <= slack and abs(high - top) <= slack:
            return name
    return None


def _unquantized(facts: ModelFacts, dtype: TensorType, hints: Hints) -> Pixels:
    """Return how integers without a stated scale take pixels: uint8 can only mean pixels."""
    if dtype is TensorType.UINT8 and hints.normalize in {None, Normalize.BYTES}:
        return Pixels((1.0,), (0.0,), None, "as they are; the input is uint8 without a scale")
    if dtype is TensorType.INT8 and hints.normalize is Normalize.CENTRED:
        return Pixels((1.0,), (-128.0,), None, "less 128, as given")
    fits = Normalize.BYTES if dtype is TensorType.UINT8 else Normalize.CENTRED
    raise UsageError(
        f"{facts.name} takes {dtype.value} without a scale, so its integers stand for themselves; "
        f"give --normalize {fits.value} or --input-spec"
    )


def _normalized(name: Normalize, order: PixelOrder) -> Pixels:
    """Return the pixel's way into a named range, for channels in `order`."""
    scale, offset = scale_and_offset(name, order)
    return Pixels(scale, offset, None, "")


def _described(facts: ModelFacts, order: PixelOrder) -> Pixels:
    """Return the normalization of the file's metadata: (pixel - mean) / std."""
    mean, std = facts.described.mean, facts.described.std
    sizes = {len(mean), len(std)}
    if not sizes <= {1, order.channels} or not all(value > 0 for value in std):
        raise ModelError(
            f"{facts.name} has metadata with mean {list(mean[:4])} and std {list(std[:4])} for "
            f"{order.channels} channels; give --normalize {_CHOICES} or --input-spec"
        )
    means = mean * max(sizes) if len(mean) == 1 else mean
    stds = std * max(sizes) if len(std) == 1 else std
    offset = tuple(-m / s for m, s in zip(means, stds, strict=True))
    why = f"less {_listed(mean)}, over {_listed(std)}, by the file's metadata"
    return Pixels(tuple(1 / s for s in stds), offset, None, why)


def _question(facts: ModelFacts) -> str:
    """Say what the file leaves open about its pixels, and which option answers it."""
    ask = f"give --normalize {_CHOICES} or --input-spec FILE, as the model was trained"
    if facts.steps is None:
        return f"{facts.name} does not say how its float32 input is normalized; {ask}"
    low, high = facts.steps.range
    return (
        f"{facts.name} is quantized for inputs of {low:.3g} to {high:.3g}, which is no customary "
        f"range of pixels; {ask}"
    )


def _range_text(steps: Steps) -> str:
    low, high = steps.range
    return f"the quantization covers {low:.3f} to {high:.3f}"


def _listed(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:g}" for value in values)
