"""Make one artifact callable: preprocess, backend, postprocess, each timed."""

from __future__ import annotations

from pathlib import Path
from time import perf_counter_ns
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np

from mejiro_runtime.backends import Backend, BackendInfo, open_backend, parse_request
from mejiro_runtime.card import ArtifactCard, Task, head_path
from mejiro_runtime.errors import ModelError
from mejiro_runtime.postprocess import ReadOptions, make_reader
from mejiro_runtime.preprocess import Preprocessor, covered
from mejiro_runtime.types import ActivationMap, Frame, Label, Result, Timing

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mejiro_runtime.recurrence import Memory


class Model:
    """Hold an open artifact. Call it with a frame; use it in a `with` block to close it.

    `reader` is what its task makes of the engine's outputs. A recurrent model, and one whose
    answers are smoothed, remembers the frames before: `reset` forgets them, as the first frame of
    another stream does.

    While `keep_features` is set, calls keep what `activation_map` is made of, with the weights in
    the file `head`. While `explain_best` is set too, each result brings the map of its best class.
    Not safe for use by two threads at once.
    """

    def __init__(
        self,
        card: ArtifactCard,
        backend: Backend,
        *,
        top: int = 5,
        threshold: float | None = None,
        smooth: float | None = None,
        head: Path | None = None,
    ) -> None:
        self.card = card
        self.backend = backend
        self.keep_features = False
        self.explain_best = False
        self._kept: tuple[NDArray[Any], ...] = ()
        self._head: Any = head
        self.preprocessor = Preprocessor(card.input)
        self._tensor = self.preprocessor.empty()
        self._memory: Memory | None = None
        _check_input(card, backend)
        self.described = backend.outputs
        if card.state:
            from mejiro_runtime.recurrence import Memory, answers

            self._memory = Memory(card, backend)
            self.described = answers(
                card, backend.outputs, [value.name for value in backend.outputs]
            )
        self.reader = make_reader(card, self.described, ReadOptions(top, threshold, smooth))
        self._remembers = self._memory is not None or self.reader.remembers
        self._last: tuple[str, int] | None = None

    @property
    def info(self) -> BackendInfo:
        """What really runs this model."""
        return self.backend.info

    def preprocess(self, frame: Frame) -> NDArray[Any]:
        """Return the input tensor for `frame`; the next call overwrites it."""
        return self.preprocessor(frame.pixels, frame.order, self._tensor)

    def outputs(self, tensor: NDArray[Any]) -> tuple[NDArray[Any], ...]:
        """Return the raw outputs, described by `described`, for one input tensor."""
        if self._memory is not None:
            return self._memory.infer(tensor)
        outputs = self.backend.infer(tensor)
        self._kept = outputs[self.reader.count :]
        return outputs

    def infer(self, tensor: NDArray[Any]) -> NDArray[Any]:
        """Return the raw first output for one input tensor."""
        return self.outputs(tensor)[0]

    def probabilities(self, raw: NDArray[Any]) -> NDArray[np.float32]:
        """Return float32 probabilities (classes,) of a classifier's raw output.

        Raises ModelError if the model is for another task.
        """
        if self.card.output.task is not Task.CLASSIFICATION:
            raise ModelError(
                f"{self.card.file} is for {self.card.output.task.value}; "
                "only a classifier gives a probability for each class"
            )
        from mejiro_runtime.postprocess.classification import read_scores

        return read_scores(raw, self.card.output, self.described[0].quantization)

    def scores(self, frame: Frame) -> NDArray[np.float32]:
        """Return float32 probabilities (classes,) for one frame."""
        return self.probabilities(self.infer(self.preprocess(frame)))

    def reset(self) -> None:
        """Forget the frames before: the next one begins a stream."""
        self._last = None
        if self._memory is not None:
            self._memory.reset()
        self.reader.reset()

    def __call__(self, frame: Frame) -> Result:
        """Return what is in one frame, and the nanoseconds that each stage took."""
        start = perf_counter_ns()
        self.preprocessor(frame.pixels, frame.order, self.borrow_input())
        return self.finish(frame, perf_counter_ns() - start)

    def borrow_input(self) -> NDArray[Any]:
        """Return the memory for the next frame's tensor; let go of it before `finish`.

        It is the engine's own, where that can be: the tensor need not be copied there.
        """
        return self.backend.borrow_input() if self._memory is None else self._tensor

    def finish(self, frame: Frame, preprocess_ns: int) -> Result:
        """Return the result for `frame`, whose tensor `borrow_input` holds already."""
        if self._remembers:
            self._follow(frame)
        prepared = perf_counter_ns()
        if self._memory is None:
            outputs = self.backend.run(self.reader.count + self.keep_features)
            self._kept = outputs[self.reader.count :]
        else:
            outputs = self._memory.infer(self._tensor)
        inferred = perf_counter_ns()
        height, width = frame.pixels.shape[:2]
        top, boxes, mask = self.reader.read(outputs, height, width)
        heat = self._explain(frame, top[0].label) if self.explain_best and top else None
        done = perf_counter_ns()
        timing = Timing(
            capture_ns=frame.capture_ns,
            preprocess_ns=preprocess_ns,
            infer_ns=inferred - prepared,
            postprocess_ns=done - inferred,
            age_ns=done - frame.captured_ns,
        )
        return Result(frame.index, frame.name, top, timing, boxes=boxes, mask=mask, heat=heat)

    def _explain(self, frame: Frame, label: Label) -> ActivationMap | None:
        """Return the map of `label`; None for a frame that ran before features were kept."""
        start = perf_counter_ns()
        if not self._kept:
            return None
        values = self.activation_map(label.index)
        height, width = frame.pixels.shape[:2]
        box = covered(self.card.input, height, width)
        return ActivationMap(values, box, label, perf_counter_ns() - start)

    def _follow(self, frame: Frame) -> None:
        """Forget what was before `frame` if it begins another stream.

        Frames of one stream have one name, but for the number after its last "#", and rising
        indices; pictures of a folder have a name each.
        """
        name, _, number = frame.name.rpartition("#")
        stream = name if number.isdecimal() else frame.name
        if self._last is not None and (stream != self._last[0] or frame.index <= self._last[1]):
            self.reset()
        self._last = (stream, frame.index)

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


def _check_input(card: ArtifactCard, backend: Backend) -> None:
    """Raise ModelError unless the file takes the picture that its card promises."""
    given = backend.inputs[0]
    if card.state:
        from mejiro_runtime.recurrence import picture_place

        given = backend.inputs[picture_place(card, backend.inputs)]
    elif len(backend.inputs) != 1:
        names = ", ".join(value.name for value in backend.inputs)
        raise ModelError(f"{card.file} has {len(backend.inputs)} inputs ({names}), one is expected")
    if given.shape != card.input.shape or given.dtype != card.input.dtype.value:
        raise ModelError(
            f"{card.file} takes {given.dtype} {list(given.shape)}, its card says "
            f"{card.input.dtype.value} {list(card.input.shape)}; write the card again"
        )


def open_model(
    path: Path,
    card: ArtifactCard,
    *,
    backend: str | None = None,
    threads: int | None = None,
    allow_fallback: bool = False,
    top: int = 5,
    threshold: float | None = None,
    smooth: float | None = None,
) -> Model:
    """Open the model file `path`, described by `card`, in the engine asked for.

    `backend` is ``NAME[:VARIANT]`` (None: the usual one for the format), `threads` None means
    the usable CPUs, at most 4. `top`, `threshold` and `smooth` are those of `ReadOptions`.
    Raises BackendError, MissingPackage, ModelError or UsageError.
    """
    request = parse_request(backend, card.format, threads=threads, allow_fallback=allow_fallback)
    opened = open_backend(path, request, precision=card.precision)
    try:
        return Model(
            card, opened, top=top, threshold=threshold, smooth=smooth, head=head_path(path)
        )
    except BaseException:
        opened.close()
        raise
