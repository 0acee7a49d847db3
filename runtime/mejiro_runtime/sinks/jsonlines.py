"""Write one JSON object a line: one for each frame."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TextIO

from mejiro_runtime.types import Frame, Result


class JsonLinesSink:
    """Write each result to `stream` as soon as it is there."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def show(self, frame: Frame, result: Result) -> None:
        """See `Sink.show`."""
        self._stream.write(json.dumps(result.to_json(), ensure_ascii=False) + "\n")
        self._stream.flush()

    def close(self) -> None:
        """See `Sink.close`."""


class LogFileSink(JsonLinesSink):
    """Append each result to the file `path`: a run that starts anew goes on where it ended."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("a", encoding="utf-8", newline="\n")
        super().__init__(self._file)

    def close(self) -> None:
        """See `Sink.close`."""
        self._file.close()
