"""Classify frames with MediaPipe Tasks, one round for each line on standard input.

Runs in MediaPipe's own environment: `mediapipe_worker.py MODEL FRAMES.npy`, where FRAMES.npy holds
BGR frames (N, height, width, 3). Writes one JSON value a line: first what it is and the class it
sees in each frame, then the nanoseconds of each frame of a round.

MODEL is the file as it is: a uint8 input needs no metadata, and without labels in it MediaPipe
answers with the class's number, which is less work than its name.
"""

from __future__ import annotations

import json
import sys
import time
from importlib import metadata
from typing import Any

import cv2
import mediapipe
import numpy as np
from mediapipe.tasks.python import BaseOptions, vision

TOP = 5


def classify(classifier: Any, frame: Any) -> int:
    """Return the number of the best class of one BGR frame; MediaPipe itself takes RGB."""
    pixels = cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
    image = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=pixels)
    return int(classifier.classify(image).classifications[0].categories[0].index)


def main(model: str, frames_file: str) -> None:
    frames = np.load(frames_file)
    options = vision.ImageClassifierOptions(
        base_options=BaseOptions(model_asset_path=model), max_results=TOP
    )
    with vision.ImageClassifier.create_from_options(options) as classifier:
        answers = [classify(classifier, frame) for frame in frames]
        about = {"version": metadata.version("mediapipe"), "answers": answers}
        print(json.dumps(about), flush=True)
        for _ in sys.stdin:
            for frame in frames[:2]:
                classify(classifier, frame)
            durations = []
            for frame in frames:
                start = time.perf_counter_ns()
                classify(classifier, frame)
                durations.append(time.perf_counter_ns() - start)
            print(json.dumps(durations), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
