"""Explain one model's answer to one picture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from mejiro.errors import UsageError
from mejiro.explain.methods import Map, Method, grad_cam, grad_cam_plus_plus
from mejiro.explain.occlusion import Occlusion, Progress, occlusion_map
from mejiro.explain.subject import Seen, Subject, find_class
from mejiro_runtime.kernels import Pixels
from mejiro_runtime.postprocess.classification import top_classes
from mejiro_runtime.preprocess import InputSpec, preprocess
from mejiro_runtime.types import Classification, Label, PixelOrder

TOP = 5
_BY_SLOPES: dict[Method, Callable[[Map, Map], Map]] = {
    Method.GRADCAM: grad_cam,
    Method.GRADCAM_PLUS_PLUS: grad_cam_plus_plus,
}


@dataclass(frozen=True)
class Request:
    """Say what to explain, and how.

    `target` names a class (name, synset or index), None for each picture's first answer; `layer`
    names a layer, None for the last feature map. Raises UsageError for what the method has no use
    for.
    """

    method: Method = Method.GRADCAM
    target: str | None = None
    layer: str | None = None
    occlusion: Occlusion = field(default_factory=Occlusion)

    def __post_init__(self) -> None:
        name = self.method.value
        if self.layer is not None and self.method is Method.OCCLUSION:
            raise UsageError(f"--method {name} asks for no layer; leave --layer out")
        if self.target is not None and self.method is Method.FEATURES:
            raise UsageError(f"--method {name} shows what is seen of any class; leave --class out")
        if self.occlusion != Occlusion() and self.method is not Method.OCCLUSION:
            raise UsageError(f"--method {name} has no window; leave --window and --stride out")


@dataclass(frozen=True, eq=False)
class Explanation:
    """Hold why a model answered as it did to one picture.

    `pixels` is the picture, uint8 BGR. `label` is the class explained, and `score` its
    probability. `heat` is float32 (h, w) over the model's whole input, 0 or more, higher where
    more speaks for `label`; `computed` says in a few words how, where there is something to say.
    For FEATURES there is no heat but the maps of some `stages`.
    """

    model: str
    pixels: Pixels
    spec: InputSpec
    method: Method
    top: tuple[Classification, ...]
    label: Label
    score: float
    computed: str = ""
    layer: str = ""
    heat: Map = field(default_factory=lambda: np.zeros((1, 1), np.float32))
    stages: tuple[Seen, ...] = ()


def explain(
    subject: Subject,
    pixels: Pixels,
    request: Request,
    *,
    on_progress: Progress | None = None,
) -> Explanation:
    """Return why `subject` answers as it does to one picture, uint8 BGR (height, width, 3).

    `on_progress` gets (windows done, windows in all) of an occlusion. Raises UsageError for a
    class or layer that is not there, ModelError for a model that cannot be looked into.
    """
    target = None if request.target is None else find_class(subject.labels, request.target)
    tensor = preprocess(pixels, PixelOrder.BGR, subject.spec)
    scores = subject.scores(tensor)[0]
    top = top_classes(scores, subject.labels, count=TOP, background=subject.background)
    label = target or top[0].label
    answer = Explanation(
        model=subject.name,
        pixels=pixels,
        spec=subject.spec,
        method=request.method,
        top=top,
        label=label,
        score=float(scores[label.index]),
    )
    if request.method is Method.FEATURES:
        return replace(answer, stages=tuple(subject.stages(tensor, request.layer)))
    if request.method is Method.OCCLUSION:
        heat = occlusion_map(
            subject.scores,
            tensor,
            label.index,
            spec=subject.spec,
            options=request.occlusion,
            on_progress=on_progress,
        )
        return replace(answer, heat=heat, computed=_window_words(request, subject.spec))
    slopes = subject.slopes(tensor, label.index, request.layer)
    heat = _BY_SLOPES[request.method](slopes.features, slopes.gradients)
    return replace(answer, heat=heat, layer=slopes.layer, computed=slopes.computed)


def _window_words(request: Request, spec: InputSpec) -> str:
    window, stride = request.occlusion.sizes(spec)
    return f"window of {window} pixels, moved by {stride}"
