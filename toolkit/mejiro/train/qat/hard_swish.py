"""Compute TFLite's int8 hard swish, whose 16-bit arithmetic rounds otherwise than real numbers do.

Source: `HardSwish` of TensorFlow Lite's reference kernels, of which the optimized ones give the
same integers. A value differs from the rounded real one only where that lies close to halfway
between two steps; but where it does, all of a map's pixels of that value differ.
"""

from __future__ import annotations

from typing import Any

from mejiro.tensorflow import load_tensorflow

_LEAST, _GREATEST = -(1 << 15), (1 << 15) - 1
# Inputs are shifted by 7 bits for more precision; 3 / 2**15 is the scale on which adding 3 and
# cutting at 6 is no more than saturation.
_HIRES = 7
_RELUISH_SCALE = 3.0 / (1 << 15)


def hard_swish_table(scale_in: Any, zero_in: Any, scale_out: Any, zero_out: Any) -> Any:
    """Return the integer that each integer 0..255 becomes, (256,) int64 in 0..255.

    The scales are float32 scalars, the zero points whole numbers in 0..255: those of the int8
    tensors, with 128 added.
    """
    tf = load_tensorflow()
    hires_scale = tf.cast(scale_in, tf.float32) / (1 << _HIRES)
    output, output_exponent = _multiplier(hires_scale / tf.cast(scale_out, tf.float32))
    reluish, reluish_exponent = _multiplier(hires_scale / _RELUISH_SCALE)
    hires = (tf.range(256, dtype=tf.int64) - tf.cast(zero_in, tf.int64)) * (1 << _HIRES)
    before_shift = _rounding_product(hires, output)
    gate = _shifted_left(hires, reluish_exponent - 1)
    gate = _rounding_product(gate, reluish)
    gate = _shifted_left(gate, tf.minimum(reluish_exponent, 1))
    gate = _rounding_shift(gate, -reluish_exponent)
    # From -1..1 to 0..1.
    gate = tf.bitwise.right_shift(gate + (1 << 15), tf.ones_like(gate))
    product = tf.truncatediv(gate * before_shift, tf.constant(1 << 15, tf.int64))
    result = _rounding_shift(_saturated(product), -output_exponent)
    return tf.clip_by_value(result + tf.cast(zero_out, tf.int64), 0, 255)


def _multiplier(real: Any) -> tuple[Any, Any]:
    """Return a factor of 15 bits and the power of two that make `real`, both int64."""
    tf = load_tensorflow()
    real = tf.cast(real, tf.float64)
    exponent = tf.floor(tf.math.log(real) / tf.math.log(tf.constant(2.0, tf.float64))) + 1
    # First to 31 bits, then to 15, as the kernel rounds.
    whole = tf.round(real * tf.pow(tf.constant(2.0, tf.float64), 31.0 - exponent))
    factor = tf.floor((whole + (1 << 15)) / (1 << 16))
    return tf.minimum(tf.cast(factor, tf.int64), _GREATEST), tf.cast(exponent, tf.int64)


def _saturated(values: Any) -> Any:
    return load_tensorflow().clip_by_value(values, _LEAST, _GREATEST)


def _rounding_product(values: Any, factor: Any) -> Any:
    """Return values * factor / 2**15, rounded half away from zero."""
    tf = load_tensorflow()
    product = values * factor
    nudge = tf.where(
        product >= 0, tf.constant(1 << 14, tf.int64), tf.constant(1 - (1 << 14), tf.int64)
    )
    return _saturated(tf.truncatediv(product + nudge, tf.constant(1 << 15, tf.int64)))


def _shifted_left(values: Any, bits: Any) -> Any:
    """Return values * 2**bits, saturated; as they are for no bits or fewer."""
    tf = load_tensorflow()
    return _saturated(values * tf.bitwise.left_shift(tf.constant(1, tf.int64), tf.maximum(bits, 0)))


def _rounding_shift(values: Any, bits: Any) -> Any:
    """Return values / 2**bits, rounded half away from zero; as they are for no bits or fewer."""
    tf = load_tensorflow()
    bits = tf.maximum(bits, 0)
    mask = tf.bitwise.left_shift(tf.constant(1, tf.int64), bits) - 1
    rest = tf.bitwise.bitwise_and(values, mask)
    half = tf.bitwise.right_shift(mask, tf.ones_like(mask)) + tf.cast(values < 0, tf.int64)
    return tf.bitwise.right_shift(values, bits) + tf.cast(rest > half, tf.int64)
