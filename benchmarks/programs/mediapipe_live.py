"""Classify frames with MediaPipe Tasks in LIVE_STREAM mode, a round for each line of input.

Runs in MediaPipe's own environment: `mediapipe_live.py MODEL FRAMES.npy`, where FRAMES.npy holds
BGR frames (N, height, width, 3). Writes one JSON value a line: first what it is, then the
nanoseconds between one result and the next of a round.

A live stream drops what comes while it is busy. Here nothing comes for nothing: a frame is handed
over whenever a result was there, and one more waits inside, so that it is never without work.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from importlib import metadata
from typing import Any

import cv2
import mediapipe
import numpy as np
from mediapipe.tasks.python import BaseOptions, vision

TOP = 5
UNDER_WAY = 2
ROUND_RESULTS = 600
TIMEOUT_S = 60


class Stream:
    """Count results as they come, from MediaPipe's own thread."""

    def __init__(self) -> None:
        self.times: list[int] = []
        self.room = threading.Semaphore(UNDER_WAY)

    def on_result(self, result: Any, image: Any, timestamp_ms: int) -> None:
        _ = result.classifications[0].categories[0].index
        self.times.append(time.perf_counter_ns())
        self.room.release()


def main(model: str, frames_file: str) -> None:
    frames = np.load(frames_file)
    stream = Stream()
    options = vision.ImageClassifierOptions(
        base_options=BaseOptions(model_asset_path=model),
        max_results=TOP,
        running_mode=vision.RunningMode.LIVE_STREAM,
        result_callback=stream.on_result,
    )
    with vision.ImageClassifier.create_from_options(options) as classifier:
        stamp = 0
        print(json.dumps({"version": metadata.version("mediapipe")}), flush=True)
        for _ in sys.stdin:
            stream.times.clear()
            while len(stream.times) < ROUND_RESULTS:
                if not stream.room.acquire(timeout=TIMEOUT_S):
                    raise SystemExit("a frame was dropped: no result came for it")
                stamp += 1  # milliseconds, which only have to rise
                pixels = cv2.cvtColor(frames[stamp % len(frames)], cv2.COLOR_BGR2RGB)
                image = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=pixels)
                classifier.classify_async(image, stamp)
            print(json.dumps(np.diff(stream.times[:ROUND_RESULTS]).tolist()), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
