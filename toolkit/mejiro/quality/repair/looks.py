"""Look at what float files hold on the calibration pictures, each file once."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from mejiro.data.calibration import CalibrationPicture, CalibrationSet
from mejiro.export.flatbuffer import TFLiteFile
from mejiro.export.histogram import Histogram
from mejiro.export.observe import choose_ranges, observe, runs
from mejiro.export.recipe import Recipe
from mejiro.export.tflite import calibration_input
from mejiro.model import FloatModel
from mejiro.quality.diagnose.tally import Moments

# Means and limits by channel hardly move with more.
LOOKED_AT = 32

Seen = TypeVar("Seen")


class Looks:
    """Hold calibration pictures, and what float files made of them.

    Pictures that cannot be read are left out of `pictures` once they were met.
    """

    def __init__(
        self, model: FloatModel, pictures: CalibrationSet, tell: Callable[[str], None]
    ) -> None:
        self.pictures = pictures
        self._spec = calibration_input(model.input)
        self._tell = tell
        self._histograms: dict[str, Mapping[str, Histogram]] = {}
        self._moments: dict[str, dict[int, Moments]] = {}

    def ranges(self, source: bytes, recipe: Recipe) -> dict[str, tuple[float, float]]:
        """Return the range of each tensor of `source`, chosen as `recipe` says."""
        return choose_ranges(source, self._once(self._histograms, source, self._observe), recipe)

    def moments(self, source: bytes) -> dict[int, Moments]:
        """Return the moments of the input and all float tensors of `source`, by their places."""
        return self._once(self._moments, source, self._look)

    def few(self) -> CalibrationSet:
        """Return some of the pictures, from all over."""
        if len(self.pictures) <= LOOKED_AT:
            return self.pictures
        places = np.linspace(0, len(self.pictures) - 1, LOOKED_AT).round().astype(int)
        return replace(
            self.pictures, pictures=tuple(self.pictures.pictures[place] for place in places)
        )

    def _observe(self, source: bytes) -> Mapping[str, Histogram]:
        self._tell(f"calibrating with {len(self.pictures)} pictures of {self.pictures.name}")
        left_out: list[CalibrationPicture] = []
        tensors = self.pictures.tensors(self._spec, on_unreadable=left_out.append)
        found = observe(source, tensors)
        readable = tuple(
            one for one in self.pictures.pictures if not any(one is bad for bad in left_out)
        )
        self.pictures = replace(self.pictures, pictures=readable)
        return found

    def _look(self, source: bytes) -> dict[int, Moments]:
        self._tell("looking at the channels")
        file = TFLiteFile(source)
        places = [index for one in file.operators for index in one.outputs]
        places += [index for index in file.places_of_ends() if index not in places]
        found = {}
        for place in places:
            tensor = file.tensor(place)
            if tensor.dtype == "float32" and tensor.shape:
                found[place] = Moments(tensor.shape[-1])
        for interpreter in runs(source, self._few_tensors()):
            for place, moments in found.items():
                moments.add(interpreter.get_tensor(place).reshape(-1, moments.channels))
        return found

    def _few_tensors(self) -> Iterator[NDArray[Any]]:
        return self.few().tensors(self._spec, on_unreadable=lambda picture: None)

    def _once(self, known: dict[str, Seen], source: bytes, make: Callable[[bytes], Seen]) -> Seen:
        key = hashlib.sha256(source).hexdigest()
        if key not in known:
            known[key] = make(source)
        return known[key]
