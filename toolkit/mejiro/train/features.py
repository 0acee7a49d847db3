"""Compute a frozen backbone's features once, so that training a head takes no time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mejiro.train.network import Network
from mejiro.train.steps import answer_all, compile_answers
from mejiro_runtime.files import replacing

BATCH = 32


def pooled_features(
    network: Network,
    pixels: NDArray[np.uint8],
    path: Path,
    *,
    mirrored: bool,
    on_progress: Callable[[int, int], None],
) -> NDArray[np.float32]:
    """Return the features (N, F) of the pictures `pixels` (N, H, W, C), kept in the file `path`.

    With `mirrored` those of the pictures turned left to right follow: (2 N, F). The file is
    read if it is there, which means that it is whole.
    """
    if not path.is_file():
        answers = compile_answers(network.pooled, network.input)
        total = len(pixels) * (1 + mirrored)
        parts = [
            answer_all(answers, pixels, BATCH, lambda done: on_progress(done, total)),
        ]
        if mirrored:

            def turned(rows: NDArray[Any]) -> NDArray[Any]:
                return answers(np.ascontiguousarray(rows[:, :, ::-1]))

            parts.append(
                answer_all(
                    turned, pixels, BATCH, lambda done: on_progress(len(pixels) + done, total)
                )
            )
        with replacing(path) as beside, beside.open("wb") as stream:
            np.save(stream, np.concatenate(parts))
    features: NDArray[np.float32] = np.load(path)
    return features
