"""Choose the pictures that show a quantizer which values a model's tensors take."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mejiro.data.samples import SAMPLES, SamplePicture, read_sample
from mejiro.errors import CalibrationError
from mejiro_runtime.errors import SourceError
from mejiro_runtime.kernels import Pixels
from mejiro_runtime.preprocess import InputSpec, Preprocessor
from mejiro_runtime.sources.pictures import PICTURE_SUFFIXES, read_picture
from mejiro_runtime.types import PixelOrder

DEFAULT_LIMIT = 100


class CalibrationPicture(Protocol):
    """Read one picture when it is its turn, so that a set of them takes no memory."""

    @property
    def name(self) -> str:
        """What reports call it."""
        ...

    def read(self) -> tuple[Pixels, PixelOrder]:
        """Return uint8 pixels and their order; raises SourceError if they cannot be had."""
        ...


@dataclass(frozen=True)
class PictureFile:
    """Hold a picture that lies in a file, by its path and its name below the folder it is from."""

    path: Path
    name: str

    def read(self) -> tuple[Pixels, PixelOrder]:
        """See `CalibrationPicture.read`."""
        return read_picture(self.path), PixelOrder.BGR


@dataclass(frozen=True)
class SampleView:
    """Hold a part of a sample photograph: a window of `share` of its sides, mirrored or not.

    `across` and `down` (0..1) say where the window lies, from left or top to right or bottom;
    `gain` brightens or darkens what it shows.
    """

    sample: str
    share: float = 1.0
    across: float = 0.5
    down: float = 0.5
    mirrored: bool = False
    gain: float = 1.0

    @property
    def name(self) -> str:
        """See `CalibrationPicture.name`."""
        return f"sample '{self.sample}'"

    def read(self) -> tuple[Pixels, PixelOrder]:
        """See `CalibrationPicture.read`."""
        whole = _cached_sample(self.sample)
        height, width = whole.pixels.shape[:2]
        rows, columns = round(height * self.share), round(width * self.share)
        top, left = round((height - rows) * self.down), round((width - columns) * self.across)
        pixels = whole.pixels[top : top + rows, left : left + columns]
        if self.mirrored:
            pixels = pixels[:, ::-1]
        if self.gain != 1.0:
            levels = np.clip(np.rint(np.arange(256) * self.gain), 0, 255).astype(np.uint8)
            pixels = levels[pixels]
        return np.ascontiguousarray(pixels), whole.order


@lru_cache(maxsize=2)
def _cached_sample(name: str) -> SamplePicture:
    return read_sample(name)


@dataclass(frozen=True)
class CalibrationSet:
    """Hold the pictures of one calibration. `note` says in a sentence what a user should know."""

    name: str
    pictures: tuple[CalibrationPicture, ...]
    note: str = ""

    def __post_init__(self) -> None:
        if not self.pictures:
            raise CalibrationError(f"the calibration set {self.name} is empty; give it pictures")

    def __len__(self) -> int:
        return len(self.pictures)

    def tensors(
        self,
        spec: InputSpec,
        *,
        on_unreadable: Callable[[CalibrationPicture], None] | None = None,
    ) -> Iterator[NDArray[Any]]:
        """Yield the input tensor, shaped `spec.shape`, that the runtime makes of each picture.

        Each is a new array. `on_unreadable` gets each picture that cannot be read, which is then
        left out; without it the first one raises SourceError. Raises CalibrationError after the
        last picture if none could be read.
        """
        preprocessor = Preprocessor(spec)
        readable = 0
        for picture in self.pictures:
            try:
                pixels, order = picture.read()
            except SourceError:
                if on_unreadable is None:
                    raise
                on_unreadable(picture)
                continue
            readable += 1
            yield preprocessor(pixels, order)
        if not readable:
            raise CalibrationError(
                f"none of the {len(self)} pictures of {self.name} can be read; "
                "give pictures as JPEG or PNG"
            )


def calibration_from_folder(folder: Path, *, limit: int = DEFAULT_LIMIT) -> CalibrationSet:
    """Return up to `limit` of the pictures under `folder`, at any depth, labelled or not.

    Each folder in it gives as many as any other, as far as they last, since folders often stand
    for classes. The choice depends on nothing but the files' names below `folder`. Raises
    CalibrationError if there are no pictures.
    """
    if limit < 1:
        raise CalibrationError(f"a calibration needs at least 1 picture, found a limit of {limit}")
    if not folder.is_dir():
        raise CalibrationError(f"{folder} is not a folder; give a folder of pictures")
    groups = _pictures_by_folder(folder)
    if not groups:
        raise CalibrationError(
            f"{folder} holds no pictures; give a folder with JPEG or PNG files in it"
        )
    chosen = _spread(groups, limit)
    return CalibrationSet(
        name=folder.resolve().name or str(folder),
        pictures=tuple(PictureFile(path, path.relative_to(folder).as_posix()) for path in chosen),
    )


def _pictures_by_folder(folder: Path) -> list[list[Path]]:
    """Return the picture files of each folder under `folder`, by the hash of their names.

    In the order of names neighbours are often alike (frames of one video); in the order of
    hashes the first few of a folder are as good a choice as any.
    """
    groups = []
    seen = set()
    for place, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        if real in seen:  # a link that leads back would go round for ever
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        pictures = [
            Path(place, name)
            for name in files
            if Path(name).suffix.lower() in PICTURE_SUFFIXES and not name.startswith(".")
        ]
        if pictures:
            groups.append(sorted(pictures, key=lambda path: (_hash(path.name), path.name)))
    return groups


def _hash(name: str) -> bytes:
    return hashlib.sha256(os.fsencode(name)).digest()


def _spread(groups: Sequence[Sequence[Path]], limit: int) -> list[Path]:
    """Take one path from each group in turn, until there are `limit` or no more."""
    chosen: list[Path] = []
    for turn in range(max(len(group) for group in groups)):
        offered = [group[turn] for group in groups if len(group) > turn]
        room = limit - len(chosen)
        if room < len(offered):
            offered = [offered[index * len(offered) // room] for index in range(room)]
        chosen += offered
        if len(chosen) == limit:
            break
    return chosen


def default_calibration() -> CalibrationSet:
    """Return the set made of the photographs that dependencies ship; its note says it is small.

    Raises MissingPackage or DataError if they are not there.
    """
    views = tuple(view for sample in SAMPLES for view in _views(sample))
    return CalibrationSet(
        name="sample photographs",
        pictures=views,
        note=(
            f"The default calibration set is small: {len(SAMPLES)} photographs in {len(views)} "
            "views. For the best accuracy pass --calibration with a folder of 100 or more "
            "pictures like those the model will see."
        ),
    )


def _views(sample: str) -> list[SampleView]:
    """Return what the default set shows of one sample photograph."""
    return [
        SampleView(sample),
        SampleView(sample, mirrored=True, gain=0.6),
        SampleView(sample, share=0.75, across=0.3, down=0.3),
        SampleView(sample, share=0.75, across=0.7, down=0.7, mirrored=True),
        SampleView(sample, share=0.5, across=0.5, down=0.5, gain=1.3),
        SampleView(sample, share=0.5, across=0.2, down=0.8),
    ]
