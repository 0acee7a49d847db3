"""Write what model files answer to frames: answers.py OUT_NPZ FRAMES_NPZ MODEL...

Frames are uint8 BGR, as a bundle keeps its golden ones; each MODEL has its card beside it. An
answer is the engine's raw output for every frame; the file holds them in the order of the models.
One thread, so that nothing depends on who was first.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from mejiro_runtime.card import read_card
from mejiro_runtime.model import open_model
from mejiro_runtime.types import Frame, PixelOrder


def answers(frames: list[np.ndarray], path: Path) -> np.ndarray:
    """Return (frames, ...) raw first outputs of one model."""
    with open_model(path, read_card(path), threads=1) as model:
        given = (Frame(pixels, PixelOrder.BGR, i, 0, 0) for i, pixels in enumerate(frames))
        return np.stack([model.infer(model.preprocess(frame)).copy() for frame in given])


def main(out: str, frames_file: str, models: list[str]) -> None:
    """Answer with every model, and write all of it to one file."""
    with np.load(frames_file, allow_pickle=False) as members:
        frames = [members[name] for name in sorted(members.files)]
    np.savez(out, *(answers(frames, Path(model)) for model in models))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
