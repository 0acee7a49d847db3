"""Read a classifier's output: probabilities first, then the best classes."""

from __future__ import annotations

from math import isfinite, prod
from typing import TYPE_CHECKING, Any

import numpy as np

from mejiro_runtime.card import ArtifactCard, OutputSpec, Scores
from mejiro_runtime.errors import ModelError
from mejiro_runtime.postprocess import ReadOptions
from mejiro_runtime.preprocess import Quantization, TensorInfo
from mejiro_runtime.types import Classification, Label

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mejiro_runtime.postprocess.protocol import Findings, Gap


def read_scores(
    raw: NDArray[Any], spec: OutputSpec, quantization: Quantization | None
) -> NDArray[np.float32]:
    """Return float32 probabilities (classes,) from a raw output (1, classes) of any dtype.

    Integers are dequantized as the file says, logits go through a softmax. Raises ModelError
    for an integer output without quantization, or one that is not finite.
    """
    values = raw.reshape(-1)
    if values.dtype.kind in "iu":
        if quantization is None:
            raise ModelError(f"the model's {values.dtype} output states no scale; export it again")
        values = values.astype(np.float32)
        values -= np.float32(quantization.zero_point)
        values *= np.float32(quantization.scale)
    scores: NDArray[np.float32] = values.astype(np.float32, copy=False)
    # argmax and argmin stop at a NaN, so these two are finite only if all are.
    if not (isfinite(scores.item(scores.argmax())) and isfinite(scores.item(scores.argmin()))):
        raise ModelError("the model's output is not finite; its file or its engine is broken")
    if spec.scores is Scores.LOGITS:
        # Subtracting the maximum changes nothing but keeps exp from overflowing, and float64
        # holds the difference of any two float32.
        wide = scores.astype(np.float64)
        wide = np.exp(wide - wide.max())
        scores = (wide / wide.sum()).astype(np.float32)
    return scores


def top_classes(
    scores: NDArray[np.float32],
    labels: tuple[Label, ...],
    *,
    count: int = 5,
    background: int | None = None,
    threshold: float | None = None,
) -> tuple[Classification, ...]:
    """Return the `count` most probable classes, best first; of equals the lower index first.

    The class `background` is left out, and so is what scores below `threshold`.
    """
    left = scores.copy()
    if background is not None:
        left[background] = -np.inf
    wanted = min(count, scores.size - (background is not None))
    best = []
    # A few passes of argmax take a fifth of the time of sorting, and it is the first of equals
    # that argmax gives.
    for _ in range(wanted):
        index = int(left.argmax())
        score = left.item(index)
        if threshold is not None and score < threshold:
            break
        best.append(Classification(labels[index], score))
        left[index] = -np.inf
    return tuple(best)


class ClassReader:
    """Read a classifier; see `Reader`."""

    count = 1
    unit = "probability"

    def __init__(
        self, card: ArtifactCard, outputs: tuple[TensorInfo, ...], options: ReadOptions
    ) -> None:
        _check_shapes(card, outputs)
        self._spec = card.output
        self._labels = card.labels
        self._quantization = outputs[0].quantization
        self._top, self._threshold = options.top, options.threshold
        self._keep = 0.0 if options.smooth is None else 0.5 ** (1 / options.smooth)
        self._mean: NDArray[np.float32] | None = None
        self.remembers = options.smooth is not None

    def probabilities(self, raw: NDArray[Any]) -> NDArray[np.float32]:
        """Return float32 probabilities (classes,) of a raw output."""
        return read_scores(raw, self._spec, self._quantization)

    def read(self, outputs: Sequence[NDArray[Any]], height: int, width: int) -> Findings:
        """See `Reader.read`."""
        scores = read_scores(outputs[0], self._spec, self._quantization)
        if self.remembers:
            scores = self._smoothed(scores)
        top = top_classes(
            scores,
            self._labels,
            count=self._top,
            background=self._spec.background,
            threshold=self._threshold,
        )
        return top, None, None

    def _smoothed(self, scores: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the exponential mean of all frames' probabilities up to this one."""
        if self._mean is None:
            self._mean = scores.copy()
        else:
            self._mean *= np.float32(self._keep)
            self._mean += scores * np.float32(1 - self._keep)
        return self._mean

    def reset(self) -> None:
        """See `Reader.reset`."""
        self._mean = None

    def record(
        self, outputs: Sequence[NDArray[Any]], height: int, width: int
    ) -> NDArray[np.float32]:
        """Return float32 probabilities (classes,)."""
        return self.probabilities(outputs[0])

    def fits(self, recorded: NDArray[Any]) -> bool:
        """See `Reader.fits`."""
        return (
            recorded.shape == (len(self._labels),)
            and recorded.dtype == np.float32
            and bool(np.isfinite(recorded).all())
        )

    def compare(self, made: NDArray[Any], recorded: NDArray[Any]) -> Gap:
        """Return the largest difference of any class's probability, and the other first answer."""
        from mejiro_runtime.postprocess.protocol import Gap

        gap = np.abs(made - recorded)
        names = [self._labels[self._first(scores)].short for scores in (recorded, made)]
        answer = f"{names[0]} became {names[1]}"
        same = self._first(recorded) == self._first(made)
        return Gap(float(gap.max()), int((gap > 0).sum()), gap.size, "" if same else answer)

    def _first(self, scores: NDArray[Any]) -> int:
        """Return the best class, which the background class never is."""
        if self._spec.background is not None:
            scores = scores.copy()
            scores[self._spec.background] = -np.inf
        return int(np.argmax(scores))

    def margin(self, outputs: Sequence[NDArray[Any]], height: int, width: int) -> float:
        """Return by how much the first answer is more probable than the second."""
        scores = self.probabilities(outputs[0]).copy()
        if self._spec.background is not None:
            scores[self._spec.background] = 0
        first, second = np.sort(scores)[::-1][:2] if scores.size > 1 else (1.0, 0.0)
        return float(first - second)


def _check_shapes(card: ArtifactCard, outputs: tuple[TensorInfo, ...]) -> None:
    """Raise ModelError unless the file has the classes, and the features, of its card."""
    shape = outputs[0].shape
    # Some models keep the axes of a picture, each of size 1: (1, 1000, 1, 1).
    classes = max(shape, default=0)
    if min(shape, default=0) < 1 or prod(shape) != classes or classes != len(card.labels):
        raise ModelError(
            f"{card.file} gives {list(shape)} scores for {len(card.labels)} labels; "
            "give one label for each class"
        )
    if card.features and (1, *card.features) not in [value.shape for value in outputs[1:2]]:
        raise ModelError(f"{card.file} lacks the features of its card; export it again")


def make_reader(
    card: ArtifactCard, outputs: tuple[TensorInfo, ...], options: ReadOptions
) -> ClassReader:
    """Return what reads a classifier; see `mejiro_runtime.postprocess.make_reader`."""
    return ClassReader(card, outputs, options)
