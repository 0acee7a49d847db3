"""Make one artifact callable: preprocess, backend, postprocess, each timed."""

from __future__ import annotations

import math
from pathlib import Path
from time import perf_counter_ns
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np

from mejiro_runtime.backends import Backend, BackendInfo, open_backend, parse_request
from mejiro_runtime.card import ArtifactCard, head_path
from mejiro_runtime.errors import ModelError
from mejiro_runtime.postprocess.classification import read_scores, top_classes
from mejiro_runtime.preprocess import Preprocessor, covered
from mejiro_runtime.types import ActivationMap, Frame, Label, Result, Timing

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Model:
    """Hold an open artifact. Call it with a frame; use it in a `with` block to close it.

    While `keep_features` is set, calls keep what `activation_map` is made of, with the weights in
    the file `head`. While `explain_best` is set too, each result brings the map of its best class.
    Not safe for use by two threads at once.
    """

    def __init__(
        self, card: ArtifactCard, backend: Backend, *, top: int = 5, head: Path | None = None
    ) -> None:
        self.card = card
        self.backend = backend
        self.top = top
        self.keep_features = False
        self.explain_best = False
        self._kept: list[NDArray[Any]] = []
        self._head: Any = head
        self.preprocessor = Preprocessor(card.input)
        self._tensor = self.preprocessor.empty()
        _check_shapes(card, backend)

    @property
    def info(self) -> BackendInfo:
        """What really runs this model."""
        return self.backend.info

    def preprocess(self, frame: Frame) -> NDArray[Any]:
        """Return the input tensor for `frame`; the next call overwrites it."""
        return self.preprocessor(frame.pixels, frame.order, self._tensor)

    def infer(self, tensor: NDArray[Any]) -> NDArray[Any]:
        """Return the raw first output for one input tensor."""
        raw, *self._kept = self.backend.infer(tensor)
        return raw

    def probabilities(self, raw: NDArray[Any]) -> NDArray[np.float32]:
        """Return float32 probabilities (classes,) of a raw output."""
        return read_scores(raw, self.card.output, self.backend.outputs[0].quantization)

    def scores(self, frame: Frame) -> NDArray[np.float32]:
        """Return float32 probabilities (classes,) for one frame."""
        return self.probabilities(self.infer(self.preprocess(frame)))

    def __call__(self, frame: Frame) -> Result:
        """Return the best classes for one frame, and the nanoseconds that each stage took."""
        start = perf_counter_ns()
        # Into the engine's own memory: the tensor need not be copied there.
        self.preprocessor(frame.pixels, frame.order, self.backend.borrow_input())
        return self.finish(frame, perf_counter_ns() - start)

    def finish(self, frame: Frame, preprocess_ns: int) -> Result:
        """Return the result for `frame`, whose tensor the engine's input holds already."""
        prepared = perf_counter_ns()
        raw, *self._kept = self.backend.run(1 + self.keep_features)
        inferred = perf_counter_ns()
        top = top_classes(
            self.probabilities(raw),
            self.card.labels,
            count=self.top,
            background=self.card.output.background,
        )
        heat = self._explain(frame, top[0].label) if self.explain_best and top else None
        done = perf_counter_ns()
        timing = Timing(
            capture_ns=frame.capture_ns,
            preprocess_ns=preprocess_ns,
            infer_ns=inferred - prepared,
            postprocess_ns=done - inferred,
            age_ns=done - frame.captured_ns,
        )
        return Result(index=frame.index, name=frame.name, top=top, timing=timing, heat=heat)

    def _explain(self, frame: Frame, label: Label) -> ActivationMap | None:
        """Return the map of `label`; None for a frame that ran before features were kept."""
        start = perf_counter_ns()
        if not self._kept:
            return None
        values = self.activation_map(label.index)
        height, width = frame.pixels.shape[:2]
        box = covered(self.card.input, height, width)
        return ActivationMap(values, box, label, perf_counter_ns() - start)

    def activation_map(self, index: int) -> NDArray[np.float32]:
        """Return what each place of the last picture adds to the score of class `index`.

        float32 (height, width) over the input tensor; `place` says where that lies in a frame.
        Source: class activation mapping (arXiv:1512.04150). Raises ModelError if no features were
        kept, or there are no weights for them.
        """
        if not self.card.features or not self._kept:
            raise ModelError(f"{self.card.file} kept no features; convert it --with-features")
        weights = self._head
        if not isinstance(weights, np.ndarray):
            try:
                # Of all classes' rows only those that are asked for are read.
                weights = self._head = np.lib.format.open_memmap(weights, mode="r")
            except (OSError, ValueError, TypeError) as error:
                raise ModelError(f"{weights} cannot be read: {error}") from None
        if weights.shape != (len(self.card.labels), self.card.features[2]):
            raise ModelError(f"{self.card.file} has weights of another head; export it again")
        heat: NDArray[np.float32] = self._kept[0][0] @ weights[index].astype(np.float32)
        return heat

    def close(self) -> None:
        """Give back the engine's memory."""
        self.backend.close()

    def __enter__(self) -> Model:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _check_shapes(card: ArtifactCard, backend: Backend) -> None:
    """Raise ModelError unless the file has the one input and the classes that its card promises."""
    if len(backend.inputs) != 1:
        names = ", ".join(value.name for value in backend.inputs)
        raise ModelError(f"{card.file} has {len(backend.inputs)} inputs ({names}), one is expected")
    given = backend.inputs[0]
    if given.shape != card.input.shape or given.dtype != card.input.dtype.value:
        raise ModelError(
            f"{card.file} takes {given.dtype} {list(given.shape)}, its card says "
            f"{card.input.dtype.value} {list(card.input.shape)}; write the card again"
        )
    if not backend.outputs:
        raise ModelError(f"{card.file} has no outputs, one is expected")
    shape = backend.outputs[0].shape
    # Some models keep the axes of a picture, each of size 1: (1, 1000, 1, 1).
    classes = max(shape, default=0)
    if min(shape, default=0) < 1 or math.prod(shape) != classes or classes != len(card.labels):
        raise ModelError(
            f"{card.file} gives {list(shape)} scores for {len(card.labels)} labels; "
            "give one label for each class"
        )
    if card.features and (1, *card.features) not in [value.shape for value in backend.outputs[1:2]]:
        raise ModelError(f"{card.file} lacks the features of its card; export it again")


def open_model(
    path: Path,
    card: ArtifactCard,
    *,
    backend: str | None = None,
    threads: int | None = None,
    allow_fallback: bool = False,
    top: int = 5,
) -> Model:
    """Open the model file `path`, described by `card`, in the engine asked for.

    `backend` is ``NAME[:VARIANT]`` (None: the usual one for the format), `threads` None means
    the usable CPUs, at most 4. Raises BackendError, MissingPackage, ModelError or UsageError.
    """
    request = parse_request(backend, card.format, threads=threads, allow_fallback=allow_fallback)
    opened = open_backend(path, request, precision=card.precision)
    try:
        return Model(card, opened, top=top, head=head_path(path))
    except BaseException:
        opened.close()
        raise
