"""Turn CIFAR-10 and CIFAR-100 into folders of pictures, from Keras' download or a local archive.

Source: A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009; the formats
and the names of the classes are those of the data set's page.
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mejiro.data.cifar_archive import CifarFormat, CifarPart, read_archive
from mejiro.errors import DataError
from mejiro.tensorflow import load_keras
from mejiro_runtime import opencv
from mejiro_runtime.backends.probe import cache_folder
from mejiro_runtime.files import sha256_of

_CIFAR10_CLASSES = "airplane automobile bird cat deer dog frog horse ship truck"
_CIFAR100_CLASSES = """
apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly
camel can castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile
cup dinosaur dolphin elephant flatfish forest fox girl hamster house kangaroo keyboard lamp
lawn_mower leopard lion lizard lobster man maple_tree motorcycle mountain mouse mushroom oak_tree
orange orchid otter palm_tree pear pickup_truck pine_tree plain plate poppy porcupine possum
rabbit raccoon ray road rocket rose sea seal shark shrew skunk skyscraper snail snake spider
squirrel streetcar sunflower sweet_pepper table tank telephone television tiger tractor train
trout tulip turtle wardrobe whale willow_tree wolf woman worm
"""


@dataclass(frozen=True)
class Cifar:
    """Describe one of the two sets: its classes in order, and what its archives hold."""

    name: str
    classes: tuple[str, ...]
    format: CifarFormat


CIFAR: dict[str, Cifar] = {
    "cifar10": Cifar(
        "cifar10",
        tuple(_CIFAR10_CLASSES.split()),
        CifarFormat(
            train=tuple(f"data_batch_{number}" for number in range(1, 6)),
            val=("test_batch",),
            key="labels",
            label_bytes=1,
        ),
    ),
    "cifar100": Cifar(
        "cifar100",
        tuple(_CIFAR100_CLASSES.split()),
        CifarFormat(train=("train",), val=("test",), key="fine_labels", label_bytes=2),
    ),
}


def cifar_folder(
    name: str,
    *,
    archive: Path | None = None,
    cache: Path | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Return a folder with the set's pictures as PNG files, in train/ and val/ by class.

    It is made where it is not there yet, whole or not at all: from the file `archive`, as the
    set's page offers it for Python or as binary, else by Keras' download. `on_progress` gets the
    pictures written, of all. Raises DataError if the archive is not what it should be, the
    download fails, or the folder cannot be written.
    """
    cifar = CIFAR[name]
    base = cache or cache_folder()
    if base is None:
        raise DataError(f"there is no folder to keep {name} in; set MEJIRO_CACHE to one")
    if archive is not None and not archive.is_file():
        raise DataError(f"{archive} is not a file; give {name}'s archive as it was downloaded")
    # Two archives may differ; what was made of one is not taken for the other.
    suffix = "" if archive is None else f"-{sha256_of(archive)[:8]}"
    folder = base / f"{name}{suffix}" / name
    if folder.is_dir():
        return folder
    parts = _download(cifar) if archive is None else read_archive(archive, cifar.format)
    for part in parts:
        _check(part, cifar, archive)
    try:
        with _folder_or_nothing(folder) as beside:
            _write(beside, parts, cifar.classes, on_progress)
    except OSError as error:
        raise DataError(f"{folder} cannot be written: {error.strerror or error}") from None
    return folder


def _download(cifar: Cifar) -> tuple[CifarPart, CifarPart]:
    """Return the two parts as Keras' loader gives them."""
    loader = getattr(load_keras().datasets, cifar.name)
    try:
        with contextlib.redirect_stdout(sys.stderr):  # a progress bar is no result
            train, val = loader.load_data()
    except Exception as error:  # noqa: BLE001 - Keras raises bare Exceptions for a download
        reason = str(error).rpartition(" -- ")[2] or type(error).__name__
        raise DataError(
            f"{cifar.name} cannot be downloaded ({reason}); download its archive elsewhere and "
            "give it with --archive"
        ) from None
    return _part(*train), _part(*val)


def _part(pixels: NDArray[Any], truth: NDArray[Any]) -> CifarPart:
    return CifarPart(pixels=pixels, truth=truth.reshape(-1))


def _check(part: CifarPart, cifar: Cifar, archive: Path | None) -> None:
    if len(part.truth) == 0 or part.truth.max() >= len(cifar.classes):
        raise DataError(
            f"{archive or cifar.name} does not hold the {len(cifar.classes)} classes of "
            f"{cifar.name}; download it again"
        )


def _write(
    folder: Path,
    parts: Sequence[CifarPart],
    classes: Sequence[str],
    on_progress: Callable[[int, int], None] | None,
) -> None:
    cv2 = opencv.load("writing pictures")
    total, done = sum(len(part.truth) for part in parts), 0
    for side, part in zip(("train", "val"), parts, strict=True):
        for name in classes:
            (folder / side / name).mkdir(parents=True)
        for index, (pixels, truth) in enumerate(zip(part.pixels, part.truth, strict=True)):
            _, data = cv2.imencode(".png", np.ascontiguousarray(pixels[..., ::-1]))
            (folder / side / classes[truth] / f"{index:05d}.png").write_bytes(data.tobytes())
            done += 1
            if on_progress is not None:
                on_progress(done, total)


@contextlib.contextmanager
def _folder_or_nothing(folder: Path) -> Iterator[Path]:
    """Give a folder beside `folder` to fill; on success it becomes `folder`, else it is removed.

    Where another process was faster, its folder stays.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(
        prefix=f".{folder.name}.", dir=folder.parent, ignore_cleanup_errors=True
    ) as name:
        beside = Path(name) / folder.name
        beside.mkdir()
        yield beside
        try:
            beside.rename(folder)
        except OSError:
            if not folder.is_dir():
                raise
