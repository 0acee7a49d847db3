"""Write what a bundle's int8 files answer to its golden frames: answers.py BUNDLE OUT_NPZ.

Each file's raw outputs are one array, by its format; the tensors come from the bundle, so that
only the engines are compared. One thread, as counts of instructions have it.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from mejiro_runtime.bundle import open_bundle
from mejiro_runtime.card import Precision
from mejiro_runtime.golden import read_arrays
from mejiro_runtime.model import open_model


def answers(folder: Path) -> dict[str, np.ndarray]:
    """Return format -> raw outputs for every golden frame."""
    bundle = open_bundle(folder)
    golden = bundle.manifest.golden
    found = {}
    for expected in golden.expected:
        card = bundle.card(expected.artifact)
        if card.precision is not Precision.INT8:
            continue
        tensors = read_arrays(bundle.folder / expected.inputs, golden.count)
        with open_model(bundle.model_path(card), card, threads=1) as model:
            found[card.format.value] = np.stack([model.infer(tensor) for tensor in tensors])
    return found


if __name__ == "__main__":
    np.savez(sys.argv[2], **answers(Path(sys.argv[1])))
