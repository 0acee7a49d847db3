"""Show reports of devices side by side, for `mejiro compare`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mejiro.cli.console import note, print_json, print_table, say
from mejiro.errors import UsageError
from mejiro.report.devices import PERCENTILES, STAGES, DeviceReport, differences, read_reports

_NAMES = {"frame_to_label": "frame to label"}


def are_reports(paths: Sequence[Path]) -> bool:
    """Say whether all of `paths` are called as reports are, and not as model files."""
    return all(path.suffix == ".json" for path in paths)


def compare_devices(paths: Sequence[Path], *, as_json: bool) -> None:
    """Print what the reports in `paths` say, one column of percentiles for each stage."""
    if len(paths) < 2:
        raise UsageError("devices are compared by two or more reports; give another")
    reports = read_reports(paths)
    if as_json:
        print_json([report.to_json() for report in reports])
        return
    print_reports(reports)
    for line in differences(reports):
        note(line)


def print_reports(reports: Sequence[DeviceReport]) -> None:
    """Print tables of what `reports` say, one row for each."""
    shown = [name for name in STAGES if any(name in report.stages for report in reports)]
    columns = ["device", *(f">{_NAMES.get(name, name)}" for name in shown)]
    columns += [">frames/s", ">memory", ">hottest", ">power"]
    print_table(columns, [_row(report, shown) for report in reports])
    percentiles = " / ".join(name.removesuffix("_ns") for name in PERCENTILES)
    say(f"times are {percentiles} in ms")
    print_table(
        ["device", "board", "artifact", "engine", ">frames"],
        [[one.name, one.board, one.artifact, one.engine, str(one.frames)] for one in reports],
    )
    for report in reports:
        if report.infer_mean_ns is not None:
            mean = _ms(report.infer_mean_ns)
            say(f"{report.name}: the engine alone, {mean} ms on average")
        if report.verdict:
            say(f"{report.name}: {report.verdict}")


def _row(report: DeviceReport, shown: Sequence[str]) -> list[str]:
    times = [
        " / ".join(_ms(report.stages.get(name, {}).get(one)) for one in PERCENTILES)
        for name in shown
    ]
    return [
        report.name,
        *times,
        "–" if report.fps is None else f"{report.fps:.1f}",
        "" if report.memory_bytes is None else f"{report.memory_bytes / 1e6:.0f} MB",
        "" if report.temperature_celsius is None else f"{report.temperature_celsius:.1f} °C",
        "" if report.power_watts is None else f"{report.power_watts:.2f} W",
    ]


def _ms(nanoseconds: int | None) -> str:
    return "–" if nanoseconds is None else f"{nanoseconds / 1e6:.2f}"
