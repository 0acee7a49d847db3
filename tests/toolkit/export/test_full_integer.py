"""Read full-integer files through the runtime, which must find out how."""

from __future__ import annotations

import numpy as np
import pytest

from mejiro.export import Exporter, export_with
from mejiro_runtime.card import Format, Precision
from mejiro_runtime.model import open_model
from mejiro_runtime.types import Frame, PixelOrder


@pytest.mark.parametrize("format", list(Format))
def test_the_runtime_reads_probabilities_from_bytes(tiny, tmp_path, format):
    source = tiny.model()
    exporter = Exporter(source, calibration=tiny.noise(), full_integer=True)
    artifact = export_with(exporter, format=format, precision=Precision.INT8, out=tmp_path)
    pixels = tiny.pixels(4)
    expected = tiny.expected(source, pixels)
    with open_model(artifact.path, artifact.card, threads=1) as model:
        for picture, wanted in zip(pixels, expected, strict=True):
            scores = model.scores(Frame(picture, PixelOrder.RGB, 0, 0, 0))
            assert scores.dtype == np.float32
            assert np.abs(scores - wanted).max() < 0.06
