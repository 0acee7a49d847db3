"""Measure two things that cameras cost: the decoding of MJPG, and the time until one is back.

* 1920x1080 MJPG, 30 pictures a second from a server on this machine, to the label: the share of
  decoding, preprocessing and postprocessing, decoded as a whole and at half its sides;
* a synthetic camera that is lost on cue: the seconds from its return to its first frame, over 5 s,
  for absences that end early, late and at the worst moment of the waiting.

    python benchmarks/cameras.py [--quick] [--bundle DIR] [--out FILE]
"""

from __future__ import annotations

import contextlib
import itertools
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import harness
import numpy as np
from overhead import THREADS, tflite_card

from mejiro_runtime.bundle import open_bundle
from mejiro_runtime.model import Model, open_model
from mejiro_runtime.pipeline import Pipeline
from mejiro_runtime.sources import open_source, outages_of

ROUNDS, QUICK_ROUNDS = 20, 3
FRAMES = 60
WARM_FRAMES = 10
WIDTH, HEIGHT, FPS = 1920, 1080, 30
JPEG_QUALITY = 90
WAYS = {"whole": "", "half": "#reduce=2"}
ABSENCES_S, QUICK_ABSENCES_S = (0.5, 3.0, 4.8, 7.8, 9.0), (0.5,)
FRAMES_UNTIL_LOST = 10
BACK_LIMIT_S = 5.0


def make_pictures(path: Path) -> float:
    """Write mosaics of the photographs as JPEG to `path` (.npz); return their mean size in kB."""
    pictures = harness.photographs()
    across, down = -(-WIDTH // harness.FRAME_WIDTH), -(-HEIGHT // harness.FRAME_HEIGHT)
    encoded = []
    for first in range(len(pictures)):
        chosen = list(itertools.islice(itertools.cycle(pictures), first, first + across * down))
        rows = [np.hstack(chosen[row * across : (row + 1) * across]) for row in range(down)]
        mosaic = np.ascontiguousarray(np.vstack(rows)[:HEIGHT, :WIDTH])
        encoded.append(cv2.imencode(".jpg", mosaic, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1])
    with path.open("wb") as file:
        np.savez(file, *encoded)
    return statistics.mean(one.size for one in encoded) / 1e3


@contextlib.contextmanager
def served(pictures: Path) -> Iterator[int]:
    """Serve the pictures by another process, on the port that is given."""
    program = harness.FOLDER / "programs" / "serve_mjpeg.py"
    command = [sys.executable, str(program), str(pictures), str(FPS)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield int(process.stdout.readline()) if process.stdout else 0
        finally:
            process.kill()


def to_label_way(model: Model, url: str) -> Callable[[], dict[str, float]]:
    """Return one round on a stream opened anew: medians, from the last byte to the label."""

    def run() -> dict[str, float]:
        with Pipeline(open_source(url), model) as pipeline:
            steps = pipeline.steps(WARM_FRAMES + FRAMES)
            timings = [step.result.timing for step in steps][WARM_FRAMES:]
        whole = [one.capture_ns + one.frame_to_label_ns for one in timings]
        outside = [1 - one.infer_ns / total for one, total in zip(timings, whole, strict=True)]
        return {
            "decode_ms": statistics.median(one.capture_ns for one in timings) / 1e6,
            "infer_ms": statistics.median(one.infer_ns for one in timings) / 1e6,
            "to_label_ms": statistics.median(whole) / 1e6,
            "share_outside_the_engine": statistics.median(outside),
        }

    return run


def back_after_s(away: float) -> float:
    """Return how long after its return a camera gave a frame that had been away so long."""
    source = open_source(f"synthetic:64x48@{FPS}?fail={FRAMES_UNTIL_LOST}+{away}")
    with source:
        for _ in itertools.islice(source.frames(), FRAMES_UNTIL_LOST + 1):
            pass
    outages = outages_of(source)
    for outage in outages.newest if outages else ():
        if outage.ended_ns is not None:
            return (outage.ended_ns - outage.began_ns) / 1e9 - away
    raise SystemExit("the camera was not lost, or is not back")


def main() -> None:
    options = harness.parse_arguments(__doc__)
    bundle = open_bundle(harness.bundle_folder(options))
    card = tflite_card(bundle)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        kilobytes = make_pictures(folder / "pictures.npz")
        port = stack.enter_context(served(folder / "pictures.npz"))
        model = stack.enter_context(open_model(bundle.model_path(card), card, threads=THREADS))
        ways = {
            name: to_label_way(model, f"http://127.0.0.1:{port}/{suffix}")
            for name, suffix in WAYS.items()
        }
        rounds = harness.take_turns(ways, QUICK_ROUNDS if options.quick else ROUNDS)
        engine = model.info.to_json()
    absences = QUICK_ABSENCES_S if options.quick else ABSENCES_S
    back = [back_after_s(away) for away in absences]
    one = [1.0] * len(rounds["whole"]["to_label_ms"])
    ratios = [
        *(
            harness.ratio(
                f"1080p MJPG to label, {name}: share outside the engine",
                figures["share_outside_the_engine"], one,
            )
            for name, figures in rounds.items()
        ),
        harness.ratio(
            "1080p MJPG to label, half / whole",
            rounds["half"]["to_label_ms"], rounds["whole"]["to_label_ms"],
        ),
        harness.ratio(
            "camera back, the slowest / 5 s", [max(back)], [BACK_LIMIT_S], limit=1.0
        ),
    ]  # fmt: skip
    seconds = ", ".join(
        f"{value:.2f} s after {away:g} s" for away, value in zip(absences, back, strict=True)
    )
    harness.report(
        options,
        ratios,
        settings={
            "artifact": card.file,
            "engine": engine,
            "stream": f"MJPEG over HTTP, {WIDTH}x{HEIGHT} at {FPS}, {kilobytes:.0f} kB a picture",
        },
        rounds={"to label": rounds, "camera back, s": {"synthetic": back}},
        notes=[f"the first frame of a camera that was away came {seconds}"],
    )


if __name__ == "__main__":
    main()
