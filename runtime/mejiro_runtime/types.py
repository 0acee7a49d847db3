"""Define what flows along the pipeline: a frame comes in, a result with its timing goes out.

These are named tuples rather than dataclasses: making the classes costs every start less, and
making the objects every frame. What validates itself when made is a dataclass.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class PixelOrder(str, Enum):
    """Name the meaning of a picture's last axis."""

    RGB = "rgb"
    BGR = "bgr"
    RGBA = "rgba"
    BGRA = "bgra"
    GRAY = "gray"

    @property
    def channels(self) -> int:
        """Number of values a pixel has."""
        return {"gray": 1, "rgb": 3, "bgr": 3}.get(self.value, 4)


class Frame(NamedTuple):
    """Hold one picture and where and when it came from.

    `pixels` is uint8, shaped (height, width, channels), or (height, width) for GRAY.
    `captured_ns` is the instant it was taken, on the clock of `time.perf_counter_ns`;
    `capture_ns` is how long reading it took. Both are nanoseconds.
    """

    pixels: NDArray[np.uint8]
    order: PixelOrder
    index: int  # type: ignore[assignment]
    captured_ns: int
    capture_ns: int
    name: str = ""


class Timing(NamedTuple):
    """Hold the nanoseconds that one frame spent in each stage.

    `age_ns` is how old the frame was when its result was ready.
    """

    capture_ns: int
    preprocess_ns: int
    infer_ns: int
    postprocess_ns: int
    age_ns: int

    @property
    def frame_to_label_ns(self) -> int:
        """Time from a frame in hand to its label: everything but capture and waiting."""
        return self.preprocess_ns + self.infer_ns + self.postprocess_ns


class Label(NamedTuple):
    """Name one class: its place in the output, a readable name, and its WordNet synset if any."""

    index: int  # type: ignore[assignment]
    name: str
    synset: str = ""

    @property
    def short(self) -> str:
        """The first of the names that a synset lists."""
        return self.name.split(",")[0].strip()


class Classification(NamedTuple):
    """Hold one candidate answer; `score` is a probability in 0..1."""

    label: Label
    score: float


class Box(NamedTuple):
    """Bound a region of a frame, in its pixels: 0 is the left edge of the first one, or its top."""

    left: float
    top: float
    right: float
    bottom: float


class Detection(NamedTuple):
    """Hold one object that was found; `score` is a probability in 0..1."""

    label: Label
    score: float
    box: Box


class Segmentation(NamedTuple):
    """Hold the class of each place: `classes` is uint8 (height, width), an index into the labels.

    The map has the size that the model gives; `box` says which region of the frame it covers.
    `shares` are the labels that occur and the part of the map that each has, largest first.
    """

    classes: NDArray[np.uint8]
    box: Box
    shares: tuple[tuple[Label, float], ...]


class ActivationMap(NamedTuple):
    """Hold what each place adds to the score of one class: `values` is float32 (height, width).

    `box` says which region of the frame it covers; with a letterbox that reaches beyond the frame.
    `cost_ns` is what making it added to its frame.
    """

    values: NDArray[np.float32]
    box: Box
    label: Label
    cost_ns: int


class Result(NamedTuple):
    """Hold what was seen in one frame, best first, and what it cost.

    A classifier fills `top`, a detector `boxes`, a segmentation `mask`; what a model's task is not
    stays empty or None. `heat` is there while someone has asked the model for it.
    """

    index: int  # type: ignore[assignment]
    name: str
    top: tuple[Classification, ...]
    timing: Timing
    extra: Mapping[str, Any] = MappingProxyType({})
    boxes: tuple[Detection, ...] | None = None
    mask: Segmentation | None = None
    heat: ActivationMap | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the line that `mejiro-run run --json` writes for this frame."""
        return {
            "frame": self.index,
            "name": self.name,
            **self._seen(),
            "capture_ns": self.timing.capture_ns,
            "preprocess_ns": self.timing.preprocess_ns,
            "infer_ns": self.timing.infer_ns,
            "postprocess_ns": self.timing.postprocess_ns,
            "age_ns": self.timing.age_ns,
            **self.extra,
        }

    def _seen(self) -> dict[str, Any]:
        """Return the answers of the model's task, and only those."""
        if self.boxes is not None:
            return {
                "boxes": [
                    {
                        "index": one.label.index,
                        "label": one.label.name,
                        "score": round(one.score, 6),
                        "box": [round(edge, 2) for edge in one.box],
                    }
                    for one in self.boxes
                ]
            }
        if self.mask is not None:
            return {
                "shares": [
                    {"index": label.index, "label": label.name, "share": round(share, 6)}
                    for label, share in self.mask.shares
                ]
            }
        best = self.top[0] if self.top else None
        return {
            "label": best.label.name if best else None,
            "score": round(best.score, 6) if best else None,
            "top": [
                {"index": c.label.index, "label": c.label.name, "score": round(c.score, 6)}
                for c in self.top
            ],
        }
