"""Show results on a terminal: a table that renews itself, or plain lines elsewhere."""

from __future__ import annotations

import os
import unicodedata
from time import perf_counter_ns
from typing import TextIO

from mejiro_runtime.types import Detection, Frame, Result

REDRAW_EVERY_NS = 100_000_000
BAR_CELLS = 20
# A detector may see a hundred things; a terminal shows the best of them.
ROWS = 10


def format_ms(duration_ns: float) -> str:
    """Return a duration as milliseconds with as many digits as one can trust."""
    value = duration_ns / 1e6
    return f"{value:.2f}" if value < 100 else f"{value:.0f}"


def fit_columns(text: str, columns: int) -> str:
    """Return as much of `text` as fits `columns` of a terminal, where East Asian ones take two."""
    used = 0
    for index, character in enumerate(text):
        used += 2 if unicodedata.east_asian_width(character) in "WF" else 1
        if used > columns:
            return text[:index]
    return text


def answers(result: Result) -> list[tuple[str, float, str]]:
    """Return the name of what was seen, its score, or its share of the picture, and where."""
    if result.boxes is not None:
        return [(one.label.short, one.score, f" {_corners(one)}") for one in result.boxes]
    if result.mask is not None:
        return [(label.short, share, "") for label, share in result.mask.shares]
    return [(one.label.short, one.score, "") for one in result.top]


def _corners(found: Detection) -> str:
    left, top, right, bottom = (round(edge) for edge in found.box)
    return f"{left},{top}-{right},{bottom}"


def in_one_line(result: Result) -> str:
    """Return what was seen as few words: the best class, the boxes, or the share of each class."""
    seen = answers(result)
    if not seen:
        return "nothing"
    if result.mask is not None:
        return ", ".join(f"{name} {100 * share:.1f}%" for name, share, _ in seen[:ROWS])
    shown = seen[: 1 if result.boxes is None else ROWS]
    left = "" if result.boxes is None or len(seen) <= ROWS else f", and {len(seen) - ROWS} more"
    return ", ".join(f"{name} {score:.3f}{where}" for name, score, where in shown) + left


class LinesSink:
    """Write one plain line a frame."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def show(self, frame: Frame, result: Result) -> None:
        """See `Sink.show`."""
        cost = format_ms(result.timing.frame_to_label_ns)
        name = result.name or str(result.index)
        self._stream.write(f"{name}: {in_one_line(result)} ({cost} ms)\n")
        # Whoever reads a pipe wants this frame's line now, not when 8 KiB have gathered.
        self._stream.flush()

    def close(self) -> None:
        """See `Sink.close`."""
        self._stream.flush()


class TableSink:
    """Redraw a small table in place, at most ten times a second, with ANSI codes."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._drawn_lines = 0
        self._drawn_at_ns = 0
        self._started_ns = perf_counter_ns()
        self._latest: Result | None = None
        self._shown = 0

    def show(self, frame: Frame, result: Result) -> None:
        """See `Sink.show`."""
        self._latest = result
        self._shown += 1
        now = perf_counter_ns()
        if now - self._drawn_at_ns >= REDRAW_EVERY_NS:
            self._draw(result, now)

    def _draw(self, result: Result, now: int) -> None:
        elapsed_s = (now - self._started_ns) / 1e9
        timing = result.timing
        stages = (
            ("capture", timing.capture_ns),
            ("preprocess", timing.preprocess_ns),
            ("infer", timing.infer_ns),
            ("postprocess", timing.postprocess_ns),
            ("age", timing.age_ns),
        )
        lines = [
            f"{result.name or result.index}   {self._shown / elapsed_s:.1f} frames a second",
            "   ".join(f"{name} {format_ms(value)}" for name, value in stages) + " ms",
        ]
        seen = answers(result)
        for name, score, where in seen if result.boxes is None else seen[:ROWS]:
            bar = "█" * round(score * BAR_CELLS)
            lines.append(f"{score:6.3f} {bar:<{BAR_CELLS}} {name}{where}")
        width = self._columns()
        up = f"\x1b[{self._drawn_lines}A" if self._drawn_lines else ""
        body = "".join(f"\x1b[2K{fit_columns(line, width)}\n" for line in lines)
        self._stream.write(up + body)
        self._stream.flush()
        self._drawn_lines, self._drawn_at_ns = len(lines), now

    def _columns(self) -> int:
        """Return the terminal's width: a line that wraps could not be redrawn in place."""
        try:
            return max(20, os.get_terminal_size(self._stream.fileno()).columns)
        except (OSError, ValueError):
            return 80

    def close(self) -> None:
        """See `Sink.close`."""
        if self._latest is not None:
            self._draw(self._latest, perf_counter_ns())
