"""Keep a demonstration to a folder of its own, and replace there only what it wrote itself."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mejiro.errors import UsageError

MARK = ".mejiro-demo"
_MARK_TEXT = "Written by `mejiro demo`, which replaces its own files here when it runs again.\n"


@dataclass(frozen=True)
class DemoFolder:
    """Name all that a demonstration writes."""

    path: Path

    @property
    def models(self) -> Path:
        """The exported files and their cards."""
        return self.path / "models"

    @property
    def pictures(self) -> Path:
        """The photographs, as files that the runtime reads."""
        return self.path / "pictures"

    @property
    def video(self) -> Path:
        """The video made of them."""
        return self.path / "video.avi"

    @property
    def bundle(self) -> Path:
        """What would be copied to a device."""
        return self.path / "bundle"

    @property
    def environment(self) -> Path:
        """The runtime's own environment."""
        return self.path / "venv"

    @property
    def page(self) -> Path:
        """The report for people."""
        return self.path / "report.html"

    @property
    def data(self) -> Path:
        """The report for programs."""
        return self.path / "report.json"

    @property
    def picture(self) -> Path:
        """The report as one picture."""
        return self.path / "summary.jpg"

    def own(self) -> tuple[Path, ...]:
        """Return everything above. Reports come first: an old one never stands beside new files."""
        return (
            self.page,
            self.data,
            self.picture,
            self.models,
            self.pictures,
            self.video,
            self.bundle,
            self.environment,
        )


@contextmanager
def demo_folder(path: Path) -> Iterator[DemoFolder]:
    """Give the folder `path`, cleared of an earlier demonstration, to one demonstration at a time.

    Raises UsageError if `path` is something else than a new, an empty or a demonstration's
    folder, or if a demonstration is running in it.
    """
    mark = path / MARK
    if path.exists() and not path.is_dir():
        raise UsageError(f"{path} is a file; name a folder for the demo with --out")
    if path.is_dir() and not _is_own(mark) and any(path.iterdir()):
        raise UsageError(
            f"{path} holds files that are not a demo's, so nothing is written there; "
            "name a new or empty folder with --out"
        )
    path.mkdir(parents=True, exist_ok=True)
    # Opened for appending: it is made if it is not there, and never emptied.
    with mark.open("a", encoding="utf-8") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UsageError(
                f"a demo is running in {path} already; wait for it, or name another folder "
                "with --out"
            ) from None
        if stream.tell() == 0:
            stream.write(_MARK_TEXT)
            stream.flush()
        folder = DemoFolder(path)
        _clear(folder)
        yield folder


def _is_own(mark: Path) -> bool:
    return mark.is_file() and not mark.is_symlink()


def _clear(folder: DemoFolder) -> None:
    """Remove what an earlier demonstration wrote, and what one that was killed left half done."""
    for path in folder.own():
        _remove(path)
        for half in folder.path.glob(f".{path.name}.*"):
            _remove(half)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    elif os.path.lexists(path):
        path.unlink()
