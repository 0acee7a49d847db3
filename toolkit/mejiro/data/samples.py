"""Find the photographs that Mejiro's dependencies ship: pictures for a machine that has none.

They stand in for a calibration set, and the demonstration shows them. Their files are read where
the packages put them, without importing the packages and without any download.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path

from mejiro.errors import DataError, MissingPackage
from mejiro_runtime.kernels import Pixels
from mejiro_runtime.sources.pictures import read_picture
from mejiro_runtime.types import PixelOrder


@dataclass(frozen=True)
class SampleFile:
    """Name one photograph: the import name of its package, and its place in it."""

    package: str
    place: str


@dataclass(frozen=True, eq=False)
class SamplePicture:
    """Hold one photograph; `pixels` is uint8 (height, width, 3) in `order`."""

    name: str
    pixels: Pixels
    order: PixelOrder = PixelOrder.BGR


# Photographs of recognisable things, most easily recognised first; the names say what they show.
SAMPLES: dict[str, SampleFile] = {
    "cat": SampleFile("skimage", "data/chelsea.png"),
    "coffee": SampleFile("skimage", "data/coffee.png"),
    "motorcycle": SampleFile("skimage", "data/motorcycle_left.png"),
    "flower": SampleFile("sklearn", "datasets/images/flower.jpg"),
    "pagoda": SampleFile("sklearn", "datasets/images/china.jpg"),
    "uniform": SampleFile("matplotlib", "mpl-data/sample_data/grace_hopper.jpg"),
    "rocket": SampleFile("skimage", "data/rocket.jpg"),
    "astronaut": SampleFile("skimage", "data/astronaut.png"),
    "tripod": SampleFile("skimage", "data/camera.png"),
    "coins": SampleFile("skimage", "data/coins.png"),
}
_DISTRIBUTIONS = {"skimage": "scikit-image", "sklearn": "scikit-learn", "matplotlib": "matplotlib"}


def sample_pictures() -> list[SamplePicture]:
    """Return the photographs of `SAMPLES`, in its order, read from the installed packages.

    Raises MissingPackage if a package is not installed, DataError if it came without the file.
    """
    return [read_sample(name) for name in SAMPLES]


def read_sample(name: str) -> SamplePicture:
    """Return the photograph `name`, one of `SAMPLES`; see `sample_pictures` for the errors."""
    file = SAMPLES[name]
    path = _package_folder(file.package) / file.place
    if not path.is_file():
        distribution = _DISTRIBUTIONS[file.package]
        raise DataError(
            f"{distribution} is installed without its picture {path}; "
            f"run `pip install --force-reinstall {distribution}`"
        )
    return SamplePicture(name=name, pixels=read_picture(path))


def _package_folder(package: str) -> Path:
    """Return the folder of an installed package without importing it."""
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        distribution = _DISTRIBUTIONS[package]
        raise MissingPackage(
            distribution, purpose="the sample pictures", install=f"pip install {distribution}"
        )
    return Path(found.origin).parent
