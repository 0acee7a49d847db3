"""Choose what a run is computed on: processors, threads, precision, and the same bits twice."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from typing import Any

from mejiro.errors import UsageError
from mejiro.tensorflow import load_keras, load_tensorflow


class Device(str, Enum):
    """Name what to compute on."""

    AUTO = "auto"  # the GPUs, if there are any
    CPU = "cpu"
    GPU = "gpu"


@dataclass(frozen=True)
class Machine:
    """Say what a run is computed on; it does not decide what is computed.

    `threads` is the number for one operation, None for as many as there are CPUs.
    """

    device: Device = Device.AUTO
    threads: int | None = None


def prepare(machine: Machine, *, mixed_precision: bool) -> Any:
    """Set TensorFlow up for `machine`; return the `tf.distribute.Strategy` to train under.

    On CPUs operations are made to give the same bits at each run. Raises UsageError for a GPU
    that is not there, and for mixed precision without one.
    """
    tf = load_tensorflow()
    gpus = tf.config.list_physical_devices("GPU")
    if machine.device is Device.GPU and not gpus:
        raise UsageError(
            "a GPU was asked for and TensorFlow finds none; install its driver and "
            "`tensorflow[and-cuda]`, or leave --device out"
        )
    if machine.device is Device.CPU:
        gpus = []
    if mixed_precision and not gpus:
        raise UsageError(
            "mixed precision needs a GPU and none is used; without one it is slower, so leave "
            "--mixed-precision out"
        )
    _set_threads(tf, machine.threads)
    if not gpus:
        _hide_gpus(tf)
        tf.config.experimental.enable_op_determinism()
    return tf.distribute.MirroredStrategy() if len(gpus) > 1 else tf.distribute.get_strategy()


def _hide_gpus(tf: Any) -> None:
    """Keep TensorFlow from choosing a GPU by itself."""
    if not tf.config.get_visible_devices("GPU"):
        return
    try:
        tf.config.set_visible_devices([], "GPU")
    except RuntimeError:
        raise UsageError(
            "TensorFlow is using the GPU already; set CUDA_VISIBLE_DEVICES=-1 to train on the CPU"
        ) from None


def _set_threads(tf: Any, threads: int | None) -> None:
    threading = tf.config.threading
    if threads is None or threading.get_intra_op_parallelism_threads() == threads:
        return
    try:
        threading.set_intra_op_parallelism_threads(threads)
    except RuntimeError:
        raise UsageError(
            "the number of threads can only be set before TensorFlow is used; "
            "set it at the start of the process"
        ) from None


@contextmanager
def precision(*, mixed: bool) -> Iterator[None]:
    """Build networks in mixed precision while the block runs, if `mixed`."""
    keras = load_keras()
    before = keras.config.dtype_policy()
    if mixed:
        keras.config.set_dtype_policy("mixed_float16")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
