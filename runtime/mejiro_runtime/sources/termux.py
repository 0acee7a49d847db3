"""Take photos on an Android phone with Termux, one after another, which is slow.

`termux-camera-photo` asks the app Termux:API, which has the right to use the camera. It makes an
empty file at once, and writes the picture into it later; it waits for ever without the app.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from time import monotonic, perf_counter_ns
from types import TracebackType

from mejiro_runtime import opencv
from mejiro_runtime.android import end_group
from mejiro_runtime.errors import SourceError, UsageError
from mejiro_runtime.sources.options import positive, split
from mejiro_runtime.sources.pictures import read_picture
from mejiro_runtime.types import Frame, PixelOrder

PROGRAM = "termux-camera-photo"
TIMEOUT_S = 20.0
POLL_S = 0.05
_APP = (
    "the app Termux:API has to be installed from the same place as Termux, opened once, and "
    "allowed to use the camera"
)


class TermuxSource:
    """Give photos of one of the phone's cameras, each taken when the one before was asked for.

    `timeout_s` is how long one photo may take.
    """

    live = True

    def __init__(self, camera: int, *, timeout_s: float = TIMEOUT_S) -> None:
        self.camera, self.timeout_s = camera, timeout_s
        self.description = f"termux camera {camera}"
        self.skipped: list[str] = []
        self._stopped = threading.Event()

    @classmethod
    def parse(cls, text: str) -> TermuxSource:
        """Read what follows ``termux:``, the number of a camera; ``?timeout=SECONDS`` after it."""
        number, options = split(text, "termux", {"timeout": positive})
        if re.fullmatch(r"[0-9]{1,3}", number) is None:
            raise UsageError(
                f"a camera of the phone is termux:N, found 'termux:{number}'; try termux:0"
            )
        return cls(int(number), timeout_s=options.get("timeout", TIMEOUT_S))

    def frames(self) -> Iterator[Frame]:
        """Give photos until `stop`; raises SourceError for the first that does not come."""
        index = 0
        with tempfile.TemporaryDirectory(prefix="mejiro-photo-") as folder:
            path = Path(folder) / "photo.jpg"
            while not self._stopped.is_set():
                start_ns = perf_counter_ns()
                if not self._take(path):
                    return
                # When the shutter opened nobody tells; this is when the file was there.
                taken_ns = perf_counter_ns()
                pixels = read_picture(path)
                path.unlink()
                now_ns = perf_counter_ns()
                yield Frame(pixels, PixelOrder.BGR, index, taken_ns, now_ns - start_ns)
                index += 1

    def _take(self, path: Path) -> bool:
        """Let the program write a photo to `path`; say False if `stop` was called meanwhile."""
        try:
            process = subprocess.Popen(
                [PROGRAM, "-c", str(self.camera), str(path)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            raise SourceError(f"{PROGRAM} cannot be started: {error.strerror}") from error
        end_s = monotonic() + self.timeout_s
        try:
            while process.poll() is None:
                if self._stopped.wait(POLL_S):
                    return False
                if monotonic() > end_s:
                    raise SourceError(
                        f"{PROGRAM} took no photo in {self.timeout_s:g} s; {_APP}, or give it "
                        "longer with ?timeout="
                    )
            said = process.stdout.read().decode("utf-8", "replace") if process.stdout else ""
        finally:
            end_group(process.pid)
            process.wait()
            if process.stdout is not None:
                process.stdout.close()
        self._check(path, process.returncode, " ".join(said.split())[:200])
        return True

    def _check(self, path: Path, code: int, said: str) -> None:
        size_bytes = path.stat().st_size if path.is_file() else 0
        if code != 0 or not size_bytes:
            told = said or (f"it ended with {code}" if code else "the photo is empty")
            raise SourceError(f"camera {self.camera} gave {PROGRAM} no photo ({told}); {_APP}")

    def stop(self) -> None:
        """End a photo that another thread waits for."""
        self._stopped.set()

    def __enter__(self) -> TermuxSource:
        opencv.load("reading photos")
        if shutil.which(PROGRAM) is None:
            raise SourceError(
                f"there is no {PROGRAM}; on a phone run `pkg install termux-api`, elsewhere use "
                "another source"
            )
        self._stopped.clear()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stopped.set()
