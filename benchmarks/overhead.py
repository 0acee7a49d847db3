"""Measure what Mejiro adds to the bare engine, and what others add to it, from frame to label.

Real photographs of 640x480 in BGR, one TFLite file, two threads. Compared are

* mejiro: the pipeline that `mejiro-run run` and `bench` use, without a sink;
* bare: `invoke` of the very same engine, on the tensor that it holds;
* naive: what is commonly written with OpenCV and LiteRT (INTER_AREA, argmax);
* mediapipe: MediaPipe Tasks' ImageClassifier on the same file, in an environment of its own;

and the ways to crop, shrink and reorder pixels alone. Frames a second count all that a frame costs.

    python benchmarks/overhead.py [--quick] [--bundle DIR] [--out FILE]
"""

from __future__ import annotations

import contextlib
import itertools
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import cv2
import harness
import mediapipe_environment as mediapipe
import numpy as np
from numpy.typing import NDArray

from mejiro_runtime.bundle import Bundle, open_bundle
from mejiro_runtime.card import ArtifactCard, Format
from mejiro_runtime.model import open_model
from mejiro_runtime.pipeline import Pipeline, Step
from mejiro_runtime.preprocess import Preprocessor, place
from mejiro_runtime.types import Frame, PixelOrder

THREADS = 2
ROUNDS, QUICK_ROUNDS = 150, 10
WARM_FRAMES = 2
# One measurement of a few hundred microseconds is too short for a clock and a scheduler.
KERNEL_REPEATS = 5

Pixels = NDArray[np.uint8]
Figures = dict[str, float]


class PhotographSource:
    """Give the same photographs for ever, as a file source would: see `mejiro_runtime.sources`."""

    live = False
    description = "photographs 640x480"

    def __init__(self, frames: Sequence[Pixels]) -> None:
        self._frames = frames
        self.skipped: list[str] = []

    def frames(self) -> Iterator[Frame]:
        for index, pixels in enumerate(itertools.cycle(self._frames)):
            now = time.perf_counter_ns()
            yield Frame(pixels, PixelOrder.BGR, index, now, 0)

    def __enter__(self) -> PhotographSource:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        return None


def summarize(durations_ns: Sequence[int]) -> Figures:
    """Return the median of one round's frames, and how many frames a second they make."""
    return {
        "p50_ms": statistics.median(durations_ns) / 1e6,
        "frames_per_second": len(durations_ns) / (sum(durations_ns) / 1e9),
    }


def mejiro_way(steps: Iterator[Step], count: int) -> Callable[[], Figures]:
    """Return one round of the pipeline: `frame_to_label_ms` is what its own report says."""

    def run() -> Figures:
        for _ in range(WARM_FRAMES):
            next(steps)
        whole, reported = [], []
        for _ in range(count):
            start = time.perf_counter_ns()
            step = next(steps)
            whole.append(time.perf_counter_ns() - start)
            reported.append(step.result.timing.frame_to_label_ns)
        return {**summarize(whole), "frame_to_label_ms": statistics.median(reported) / 1e6}

    return run


def naive_classifier(path: Path) -> Callable[[Pixels], int]:
    """Return the function that many scripts have: BGR frame in, number of the best class out."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(path), num_threads=THREADS)
    interpreter.allocate_tensors()
    given, made = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    height, width = given["shape"][1:3]

    def classify(frame: Pixels) -> int:
        resized = cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA)
        rgb = cv2.cvtColor(resized, cv2.COLOR_BGR2RGB)
        interpreter.set_tensor(given["index"], np.expand_dims(rgb, 0).astype(given["dtype"]))
        interpreter.invoke()
        return int(np.argmax(interpreter.get_tensor(made["index"])[0]))

    return classify


def pixel_ways(card: ArtifactCard, frames: Sequence[Pixels]) -> dict[str, Callable[[], Figures]]:
    """Return ways to go from a BGR frame to the model's RGB pixels.

    All give the same bytes but `linear` and `area`, which are other interpolations.
    """
    spec = card.input
    size, exact = (spec.width, spec.height), cv2.INTER_LINEAR_EXACT
    where = place(spec, harness.FRAME_HEIGHT, harness.FRAME_WIDTH)
    rows, columns = slice(where.y, where.y + where.height), slice(where.x, where.x + where.width)
    preprocessor = Preprocessor(spec)
    tensor = preprocessor.empty()

    def plain(interpolation: int) -> Callable[[Pixels], Any]:
        return lambda frame: cv2.cvtColor(
            cv2.resize(frame[rows, columns], size, interpolation=interpolation), cv2.COLOR_BGR2RGB
        )

    def four_channels(frame: Pixels) -> Any:
        wide = cv2.cvtColor(frame[rows, columns], cv2.COLOR_BGR2RGBA)
        return cv2.cvtColor(cv2.resize(wide, size, interpolation=exact), cv2.COLOR_RGBA2RGB)

    calls: dict[str, Callable[[Pixels], Any]] = {
        "mejiro": lambda frame: preprocessor(frame, PixelOrder.BGR, tensor)[0],
        "exact": plain(exact),
        "exact on four channels": four_channels,
        "linear": plain(cv2.INTER_LINEAR),
        "area": plain(cv2.INTER_AREA),
    }
    for name in ("exact", "exact on four channels"):
        if not np.array_equal(calls[name](frames[0]), calls["mejiro"](frames[0])):
            raise SystemExit(f"{name} and mejiro give different pixels; they must not be compared")
    many = [frame for frame in frames for _ in range(KERNEL_REPEATS)]

    def measured(call: Callable[[Pixels], Any]) -> Callable[[], Figures]:
        return lambda: summarize(harness.time_each(call, many, WARM_FRAMES))

    return {f"pixels {name}": measured(call) for name, call in calls.items()}


def tflite_card(bundle: Bundle) -> ArtifactCard:
    for card in bundle.manifest.artifacts:
        if card.format is Format.TFLITE:
            return bundle.card(card.file)
    raise SystemExit(f"{bundle.folder} has no TFLite file, the one format that all compared run")


def open_mediapipe(
    stack: contextlib.ExitStack, path: Path, frames: Sequence[Pixels]
) -> mediapipe.Worker | str:
    """Return a running MediaPipe, or the reason why there is none."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    np.save(folder / "frames.npy", np.stack(frames))
    try:
        return stack.enter_context(mediapipe.Worker(path, folder / "frames.npy"))
    except mediapipe.Unavailable as error:
        return str(error)


def ratios_of(rounds: harness.Rounds) -> list[harness.Ratio]:
    """Return what is claimed and what is good to know."""
    bare, ours = rounds["bare"]["p50_ms"], rounds["mejiro"]
    naive = rounds["naive"]["p50_ms"]
    to_label = ours["frame_to_label_ms"]
    found = [
        harness.ratio("frame to label, mejiro / bare invoke", to_label, bare, limit=1.16),
        harness.ratio("whole frame, mejiro / bare invoke", ours["p50_ms"], bare),
        harness.ratio("whole frame, naive / bare invoke", naive, bare),
        harness.ratio("whole frame, mejiro / naive", ours["p50_ms"], naive),
    ]
    if "mediapipe" in rounds:
        speed, theirs = ours["frames_per_second"], rounds["mediapipe"]["frames_per_second"]
        name = "frames a second, mejiro / mediapipe"
        found.append(harness.ratio(name, speed, theirs, limit=1.7, lower_is_better=False))
    plain = rounds["pixels exact"]["p50_ms"]
    for way, figures in rounds.items():
        if way.startswith("pixels ") and way != "pixels exact":
            found.append(harness.ratio(f"{way} / pixels exact", figures["p50_ms"], plain))
    return found


def main() -> None:
    options = harness.parse_arguments(__doc__)
    bundle = open_bundle(harness.bundle_folder(options))
    card = tflite_card(bundle)
    path, frames = bundle.model_path(card), harness.photographs()
    with contextlib.ExitStack() as stack:
        model = stack.enter_context(open_model(path, card, threads=THREADS))
        pipeline = stack.enter_context(Pipeline(PhotographSource(frames), model))
        steps = pipeline.steps()
        answers = [next(steps).result.top[0].label.index for _ in frames]
        naive = naive_classifier(path)
        ways: dict[str, Callable[[], Figures]] = {
            "bare": lambda: summarize(
                harness.time_each(lambda _: model.backend.invoke(), frames, WARM_FRAMES)
            ),
            "mejiro": mejiro_way(steps, len(frames)),
            "naive": lambda: summarize(harness.time_each(naive, frames, WARM_FRAMES)),
        }
        settings: dict[str, Any] = {
            "artifact": card.file,
            "engine": model.info.to_json(),
            "frames": f"{len(frames)} photographs, 640x480, BGR",
            "pixels_by": model.preprocessor.kernel.name,
            "same_answer_as_mejiro": {"naive": _share(answers, [naive(one) for one in frames])},
        }
        notes = []
        other = open_mediapipe(stack, path, frames)
        if isinstance(other, str):
            notes.append(f"{other}; the comparison with MediaPipe is left out")
            settings["mediapipe"] = None
        else:
            ways["mediapipe"] = lambda: summarize(other.round())
            settings["mediapipe"] = other.about["version"]
            settings["same_answer_as_mejiro"]["mediapipe"] = _share(answers, other.about["answers"])
        ways.update(pixel_ways(card, frames))
        rounds = harness.take_turns(ways, QUICK_ROUNDS if options.quick else ROUNDS)
    harness.report(options, ratios_of(rounds), settings=settings, rounds=rounds, notes=notes)


def _share(some: Sequence[int], others: Sequence[int]) -> float:
    return sum(a == b for a, b in zip(some, others, strict=True)) / len(some)


if __name__ == "__main__":
    main()
