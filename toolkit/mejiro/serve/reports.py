"""Take the reports that pages send home: checked, limited, named by us, written whole.

What a page sends is a stranger's text: nothing of it decides where a file is written, and what
`mejiro compare` could not read is not kept.
"""

from __future__ import annotations

import datetime
import json
import re
import threading
import time
from collections import deque
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from pathlib import Path
from typing import Any, NoReturn

from mejiro.report.devices import DeviceReport, parse_report
from mejiro_runtime.errors import SpecError
from mejiro_runtime.fields import Fields
from mejiro_runtime.files import write_json

MAX_REPORT_BYTES = 1 << 20
MAX_REPORTS = 1000
MAX_EACH_MINUTE = 30
MAX_ERROR_LETTERS = 500
MAX_BOARD_LETTERS = 200
_PLAIN = re.compile(r"[A-Za-z0-9]+")
_NAME_LETTERS = 40


class Refused(Exception):
    """Report a request that is answered with an error status and one line of text."""

    def __init__(self, status: HTTPStatus, reason: str) -> None:
        super().__init__(reason)
        self.status = status


@dataclass(frozen=True)
class Received:
    """Hold a report that came home: where it lies, and what it says.

    `report` is None for a page that failed, and `error` says why.
    """

    path: Path
    report: DeviceReport | None = None
    error: str | None = None

    @property
    def verified(self) -> bool | None:
        """Whether the golden frames came out right; None where they were not replayed."""
        return None if self.report is None else self.report.verified

    @property
    def passed(self) -> bool:
        """Whether the page ran, and its golden frames came out right."""
        return self.verified is True

    def line(self) -> str:
        """Return what a person wants to know of it, in one line."""
        report = self.report
        if report is None:
            return f"{self.path}: the page failed: {self.error}"
        checked = {True: "verified", False: "NOT VERIFIED", None: "not verified"}[self.verified]
        infer, whole = (
            report.stages.get(stage, {}).get("p50_ns") for stage in ("infer", "frame_to_label")
        )
        times = ", ".join(
            f"{name} {ns / 1e6:.1f} ms"
            for name, ns in (("infer", infer), ("frame to label", whole))
            if ns is not None
        )
        return (
            f"{self.path}: {report.board}, {report.artifact}, {report.engine}: {times} (p50), "
            f"{report.frames} frames, {checked}"
        )

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "file": str(self.path),
            "report": self.report and self.report.to_json(),
            "error": self.error,
            "verified": self.verified,
        }


def parse_received(body: bytes) -> tuple[dict[str, Any], DeviceReport | None]:
    """Return a report's JSON and what it says, None for a page that failed; Refused for others."""
    try:
        value = json.loads(body.decode("utf-8"), parse_constant=_no_constant)
        fields = Fields(value, "the report")
        if fields.optional("error") is not None:
            _error_of(value)
            return value, None
        report = parse_report(value, "report")
        if len(report.board) > MAX_BOARD_LETTERS:
            raise SpecError(f"the device's name is longer than {MAX_BOARD_LETTERS} letters")
    except SpecError as error:
        raise Refused(HTTPStatus.BAD_REQUEST, str(error)[:MAX_ERROR_LETTERS]) from None
    except (ValueError, RecursionError):
        raise Refused(HTTPStatus.BAD_REQUEST, "the report is not valid JSON") from None
    return value, report


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _error_of(value: dict[str, Any]) -> str:
    text = Fields(value, "the report").text("error")
    if len(text) > MAX_ERROR_LETTERS:
        raise SpecError(f"'error' is longer than {MAX_ERROR_LETTERS} letters")
    return text


@dataclass
class ReportBox:
    """Keep reports in `folder`, at most `limit` files and `each_minute` in a minute."""

    folder: Path
    limit: int = MAX_REPORTS
    each_minute: int = MAX_EACH_MINUTE
    _recent: deque[float] = field(default_factory=deque)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def save(self, body: bytes) -> Received:
        """Check a report and write it; Refused says what is amiss with it or with the box."""
        self._count()
        if len(body) > MAX_REPORT_BYTES:
            raise Refused(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"a report has at most {MAX_REPORT_BYTES} bytes",
            )
        value, report = parse_received(body)
        with self._lock:
            path = self._free_path(value, report)
            try:
                write_json(path, value)
            except (ValueError, RecursionError):  # a number without end, a half of a letter
                raise Refused(
                    HTTPStatus.BAD_REQUEST, "the report holds what no JSON file can"
                ) from None
            except OSError as error:
                raise Refused(
                    HTTPStatus.INSUFFICIENT_STORAGE,
                    f"the report cannot be written: {error.strerror}",
                ) from None
        if report is None:
            return Received(path, error=_error_of(value))
        return Received(path, replace(report, name=path.stem))

    def _count(self) -> None:
        with self._lock:
            now = time.monotonic()
            while self._recent and now - self._recent[0] > 60:
                self._recent.popleft()
            if len(self._recent) >= self.each_minute:
                raise Refused(
                    HTTPStatus.TOO_MANY_REQUESTS,
                    f"{self.each_minute} reports came within a minute; wait",
                )
            self._recent.append(now)

    def _free_path(self, value: dict[str, Any], report: DeviceReport | None) -> Path:
        """Return a name that no file has: when, which model, which device."""
        if self.folder.is_dir() and sum(1 for _ in self.folder.glob("*.json")) >= self.limit:
            raise Refused(
                HTTPStatus.TOO_MANY_REQUESTS,
                f"{self.limit} reports are kept already; move some away",
            )
        if report is None:
            artifact, board = "failed", _device_of(value)
        else:
            artifact, board = (
                report.artifact.removesuffix(".tflite").removesuffix(".onnx"),
                report.board,
            )
        now = datetime.datetime.now(datetime.timezone.utc)
        named = [plain(artifact) or "model", plain(board) or "device"]
        stem = "-".join([now.strftime("%Y%m%d-%H%M%S"), *named])
        for number in range(1, self.limit + 2):
            name = stem + (f"-{number}" if number > 1 else "")
            path = self.folder / f"{name}.json"
            if not path.exists():
                return path
        raise Refused(HTTPStatus.TOO_MANY_REQUESTS, "no name is left for another report")


def _device_of(value: dict[str, Any]) -> str:
    device = value.get("device")
    board = device.get("board") if isinstance(device, dict) else None
    return board if isinstance(board, str) else ""


def plain(text: str) -> str:
    """Return the ASCII letters and digits of a text, in lower case, joined by hyphens, cut."""
    joined = "-".join(_PLAIN.findall(text[:1000])).lower()
    return joined[:_NAME_LETTERS].strip("-")
