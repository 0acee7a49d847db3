"""Compare frames a second with MediaPipe's LIVE_STREAM mode: same file, same photographs.

Mejiro runs as it does with a camera: a capture thread, of which the newest frame counts, here one
that gives a thousand frames a second. MediaPipe drops frames likewise, but is handed one only when
it has room, so that it pays for none that is dropped. Both answer with the five best classes.

    python benchmarks/live_stream.py [--quick] [--bundle DIR] [--out FILE]
"""

from __future__ import annotations

import contextlib
import itertools
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import harness
import mediapipe_environment as mediapipe
import numpy as np
from overhead import THREADS, Figures, PhotographSource, Pixels, summarize, tflite_card

from mejiro_runtime.bundle import open_bundle
from mejiro_runtime.model import Model, open_model
from mejiro_runtime.pipeline import Pipeline
from mejiro_runtime.types import Frame

ROUNDS, QUICK_ROUNDS = 30, 4
FRAMES = 600
WARM_FRAMES = 10
CAMERA_FPS = 1000


class PhotographCamera(PhotographSource):
    """Give the photographs at the pace of a fast camera."""

    live = True

    def frames(self) -> Iterator[Frame]:
        begin = time.perf_counter()
        for frame in super().frames():
            wait = begin + frame.index / CAMERA_FPS - time.perf_counter()
            if wait > 0:
                time.sleep(wait)
            yield frame


def mejiro_way(model: Model, frames: Sequence[Pixels]) -> Callable[[], Figures]:
    """Return one round on a camera opened anew."""

    def run() -> Figures:
        durations = []
        with Pipeline(PhotographCamera(frames), model) as pipeline:
            steps = pipeline.steps()
            for _ in itertools.islice(steps, WARM_FRAMES):
                pass
            last = time.perf_counter_ns()
            for _ in itertools.islice(steps, FRAMES):
                now = time.perf_counter_ns()
                durations.append(now - last)
                last = now
        return summarize(durations)

    return run


def main() -> None:
    options = harness.parse_arguments(__doc__)
    bundle = open_bundle(harness.bundle_folder(options))
    card = tflite_card(bundle)
    path, frames = bundle.model_path(card), harness.photographs()
    notes = []
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        np.save(folder / "frames.npy", np.stack(frames))
        model = stack.enter_context(open_model(path, card, threads=THREADS))
        ways: dict[str, Callable[[], Figures]] = {
            "mejiro": mejiro_way(model, frames),
            "bare": lambda: summarize(
                harness.time_each(lambda _: model.backend.invoke(), range(FRAMES))
            ),
        }
        settings: dict[str, Any] = {
            "artifact": card.file,
            "engine": model.info.to_json(),
            "frames": f"{len(frames)} photographs, 640x480, BGR, {FRAMES} a round",
            "camera_fps": CAMERA_FPS,
            "mediapipe": None,
        }
        try:
            other = stack.enter_context(
                mediapipe.Worker(path, folder / "frames.npy", program="mediapipe_live.py")
            )
            ways["mediapipe"] = lambda: summarize(other.round())
            settings["mediapipe"] = other.about["version"]
        except mediapipe.Unavailable as error:
            notes.append(f"{error}; the comparison with MediaPipe is left out")
        rounds = harness.take_turns(ways, QUICK_ROUNDS if options.quick else ROUNDS)
    speed = {way: figures["frames_per_second"] for way, figures in rounds.items()}
    ratios = [
        harness.ratio("frames a second, mejiro live / bare engine", speed["mejiro"], speed["bare"])
    ]
    if "mediapipe" in speed:
        name = "frames a second, mejiro / mediapipe LIVE_STREAM"
        ratios.append(
            harness.ratio(
                name, speed["mejiro"], speed["mediapipe"], limit=1.5, lower_is_better=False
            )
        )
    harness.report(options, ratios, settings=settings, rounds=rounds, notes=notes)


if __name__ == "__main__":
    main()
