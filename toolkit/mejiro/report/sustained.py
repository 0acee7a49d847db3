"""Draw what `mejiro-run bench --sustained` measured: latency by minute, over heat and clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mejiro.report.palette import light
from mejiro.report.svg import plotting
from mejiro_runtime.errors import SpecError
from mejiro_runtime.fields import Fields, read_json
from mejiro_runtime.files import replacing

WIDTH, ROW_HEIGHT, FONT_SIZE = 880, 190, 14
FORMATS = (".svg", ".png", ".pdf")
MAX_WINDOWS = 20_000


@dataclass(frozen=True)
class Window:
    """Hold one window as it is drawn; what was not measured is None."""

    began_s: float
    ended_s: float
    p50_ms: float | None
    p95_ms: float | None
    temperature_celsius: float | None
    clock_ghz: float | None
    throttled: bool


@dataclass(frozen=True)
class SustainedRun:
    """Hold a sustained run: what ran, where, its windows, and the verdict in words."""

    title: str
    verdict: str
    windows: tuple[Window, ...]


def read_sustained(path: Path) -> SustainedRun:
    """Read what `mejiro-run bench --sustained --json` or `mejiro device bench` wrote, or SpecError.

    The latter is the former under the key `report`, beside what the device is.
    """
    fields = Fields(read_json(path), str(path))
    if isinstance(brought := fields.optional("report"), dict):
        fields = Fields(brought, str(path))
    if (inner := fields.optional("sustained")) is None:
        raise SpecError(
            f"{path} holds no sustained run; write one with `mejiro-run bench BUNDLE "
            "--sustained 10m --json > FILE`"
        )
    device = Fields(fields.mapping("device", {}), "device")
    where = device.optional("board") or device.optional("cpu") or "unknown device"
    sustained = Fields(inner, "sustained run")
    windows = sustained.items("windows")
    if not 1 <= len(windows) <= MAX_WINDOWS:
        raise SpecError(f"{path} has {len(windows)} windows; 1 to {MAX_WINDOWS} can be drawn")
    return SustainedRun(
        title=f"{fields.text('artifact')} on {where}",
        verdict=sustained.text("verdict"),
        windows=tuple(_window(index, value) for index, value in enumerate(windows)),
    )


def _window(index: int, value: Any) -> Window:
    fields = Fields(value, f"window {index}")

    def scaled(name: str, scale: float) -> float | None:
        found = fields.optional(name)
        if found is None:
            return None
        return Fields({name: found}, f"window {index}").number(name) / scale

    return Window(
        began_s=fields.number("began_s"),
        ended_s=fields.number("ended_s"),
        p50_ms=scaled("p50_ns", 1e6),
        p95_ms=scaled("p95_ns", 1e6),
        temperature_celsius=scaled("temperature_celsius", 1),
        clock_ghz=scaled("clock_hz", 1e9),
        throttled=bool(fields.optional("throttled")),
    )


def plot_sustained(run: SustainedRun, path: Path) -> None:
    """Write the drawing of `run` to `path`, an .svg, .png or .pdf; raises SpecError for others.

    Rows for which nothing was measured are left out; throttled windows are shaded.
    """
    if path.suffix.lower() not in FORMATS:
        raise SpecError(f"{path} is none of {', '.join(FORMATS)}; name such a file")
    rows: list[tuple[str, list[tuple[str, str, list[float | None]]]]] = [
        (
            "milliseconds",
            [
                ("p95", "clay", [window.p95_ms for window in run.windows]),
                ("p50", "leaf", [window.p50_ms for window in run.windows]),
            ],
        ),
        ("°C", [("temperature", "clay", [one.temperature_celsius for one in run.windows])]),
        ("GHz", [("clock", "sky", [one.clock_ghz for one in run.windows])]),
    ]
    rows = [
        row for row in rows if any(value is not None for _, _, line in row[1] for value in line)
    ]
    with plotting(FONT_SIZE) as new_figure:
        figure = new_figure(WIDTH, 70 + ROW_HEIGHT * max(1, len(rows)))
        figure.set_facecolor(light("paper"))
        figure.suptitle(f"{run.title}\n{run.verdict}", x=0.01, ha="left", wrap=True)
        grid = figure.subplots(max(1, len(rows)), 1, sharex=True, squeeze=False)[:, 0]
        for axes, (unit, lines) in zip(grid, rows, strict=False):
            _draw_row(axes, run.windows, unit, lines)
        grid[-1].set_xlabel("minutes")
        with replacing(path) as beside:
            metadata = {"Date": None, "Creator": None} if path.suffix.lower() == ".svg" else None
            figure.savefig(beside, format=path.suffix.lower()[1:], metadata=metadata)


def _draw_row(
    axes: Any,
    windows: Sequence[Window],
    unit: str,
    lines: Sequence[tuple[str, str, list[float | None]]],
) -> None:
    for window in windows:
        if window.throttled:
            axes.axvspan(
                window.began_s / 60, window.ended_s / 60, color=light("track"), linewidth=0
            )
    middles = [(window.began_s + window.ended_s) / 120 for window in windows]
    for name, colour, values in lines:
        drawn = [float("nan") if value is None else value for value in values]
        axes.plot(middles, drawn, color=light(colour), marker="o", markersize=4, label=name)
    axes.set_ylabel(unit)
    axes.margins(y=0.2)
    if unit == "milliseconds":
        axes.set_ylim(bottom=0)
    axes.grid(axis="y", color=light("rule"), linewidth=1)
    axes.set_axisbelow(True)
    axes.legend(loc="lower right", ncols=len(lines), handlelength=1.2)
