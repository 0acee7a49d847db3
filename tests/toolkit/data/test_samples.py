"""Find the photographs that dependencies ship, and say what is missing if one does not."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from mejiro.data import samples
from mejiro.data.samples import SAMPLES, SampleFile, read_sample, sample_pictures
from mejiro.errors import DataError, MissingPackage
from mejiro_runtime.types import PixelOrder


def test_all_samples_are_photographs_of_their_own():
    pictures = sample_pictures()
    assert [picture.name for picture in pictures] == list(SAMPLES)
    assert len(pictures) >= 8
    for picture in pictures:
        assert picture.order is PixelOrder.BGR
        assert picture.pixels.dtype == np.uint8
        assert picture.pixels.ndim == 3
        assert min(picture.pixels.shape[:2]) >= 224
        assert picture.pixels.std() > 10
    assert len({picture.pixels.tobytes() for picture in pictures}) == len(pictures)


def test_a_package_without_its_picture_is_named(monkeypatch):
    monkeypatch.setitem(SAMPLES, "cat", SampleFile("skimage", "data/no-such.png"))
    with pytest.raises(DataError, match="scikit-image is installed without its picture"):
        read_sample("cat")


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setattr(samples.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingPackage, match="pip install scikit-learn"):
        read_sample("flower")


def test_reading_imports_none_of_the_packages():
    code = (
        "import sys; from mejiro.data.samples import sample_pictures; sample_pictures();"
        "print([name for name in ('skimage', 'sklearn', 'matplotlib') if name in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"
