"""Read and preprocess the next frame while the engine runs the present one.

Engines and OpenCV let go of the interpreter's lock, so a second thread has the time of the engine
for what comes before it. That helps throughput, not the age of a frame: it is for files.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from queue import Empty, SimpleQueue
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mejiro_runtime.model import Model
from mejiro_runtime.types import Frame, Result

if TYPE_CHECKING:
    from numpy.typing import NDArray

# One is filled while the other waits for the engine, which has a third of its own.
TENSORS = 2


class _Prepared(NamedTuple):
    frame: Frame
    tensor: NDArray[Any]
    preprocess_ns: int


class Ahead:
    """Prepare `frames` for `model` in a thread, and run them in the thread that asks.

    Every frame counts, in order. While this is open its thread alone uses the model's
    preprocessor. `close` ends it early; what it was reading then is lost.
    """

    def __init__(self, frames: Iterable[Frame], model: Model) -> None:
        self._frames, self._model, self._closing = frames, model, False
        self._free: SimpleQueue[NDArray[Any] | None] = SimpleQueue()
        self._ready: SimpleQueue[_Prepared | BaseException | None] = SimpleQueue()
        for _ in range(TENSORS):
            self._free.put(model.preprocessor.empty())
        self.thread = threading.Thread(target=self._prepare, name="ahead", daemon=True)
        self.thread.start()

    def _prepare(self) -> None:
        end: BaseException | None = None
        try:
            frames = iter(self._frames)
            # A tensor first: a frame that is read has a place to go, and none is read for nothing.
            while (tensor := self._free.get()) is not None and not self._closing:
                frame = next(frames, None)
                if frame is None:
                    break
                start = perf_counter_ns()
                self._model.preprocessor(frame.pixels, frame.order, tensor)
                self._ready.put(_Prepared(frame, tensor, perf_counter_ns() - start))
        except BaseException as caught:  # noqa: BLE001 - raised where the results are asked for
            end = caught
        finally:
            self._ready.put(end)

    def results(self) -> Iterator[tuple[Frame, Result]]:
        """Give each frame with its result; raises what reading or preprocessing raised."""
        while True:
            try:
                # A wait without limit would not let Ctrl-C through on every platform.
                item = self._ready.get(timeout=0.5)
            except Empty:
                continue
            if isinstance(item, BaseException):
                raise item
            if item is None:
                return
            start = perf_counter_ns()
            np.copyto(self._model.borrow_input(), item.tensor)
            self._free.put(item.tensor)
            yield (
                item.frame,
                self._model.finish(item.frame, item.preprocess_ns + perf_counter_ns() - start),
            )

    def close(self, timeout_s: float) -> bool:
        """End the thread; False if it does not within `timeout_s`, because a read hangs."""
        self._closing = True
        self._free.put(None)
        self.thread.join(timeout_s)
        return not self.thread.is_alive()
