"""Set the reports of `mejiro-run bench` side by side: one row for each device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mejiro.errors import UsageError
from mejiro_runtime.errors import SpecError
from mejiro_runtime.fields import Fields, read_json

STAGES = ("preprocess", "infer", "postprocess", "frame_to_label")
PERCENTILES = ("p50_ns", "p95_ns", "p99_ns")
MAX_BYTES = 64 << 20
MAX_WINDOWS = 20_000
# The `kind` of a report without frames, such as that of `mejiro device bench android`.
ENGINE_ONLY = "engine"


@dataclass(frozen=True)
class DeviceReport:
    """Hold what one report says; what it does not say is None.

    `stages` are nanoseconds by stage and percentile. Of a sustained run the temperature and the
    power are the highest of its windows; `throttled` says whether anything held the clock down.
    `engine_only` marks a benchmark of the engine alone, which saw no frames: it has no `fps` and no
    time from frame to label, perhaps no percentiles, and `infer_mean_ns`. `verified` says whether
    golden frames that were replayed before the run came out right.
    """

    name: str
    board: str
    artifact: str
    precision: str
    engine: str
    source: str
    frames: int
    fps: float | None
    stages: dict[str, dict[str, int]]
    memory_bytes: int | None = None
    temperature_celsius: float | None = None
    power_watts: float | None = None
    throttled: bool | None = None
    fallback: str | None = None
    verdict: str | None = None
    engine_only: bool = False
    infer_mean_ns: int | None = None
    verified: bool | None = None

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return dict(vars(self))


def read_report(path: Path) -> DeviceReport:
    """Read what ``mejiro-run bench --json`` or ``mejiro device bench`` wrote; UsageError if not."""
    try:
        return parse_report(read_json(path, limit_bytes=MAX_BYTES), path.stem)
    except SpecError as error:
        raise UsageError(
            f"{path} is no report of a bench: {error}; write one with `mejiro-run bench BUNDLE "
            "--json > FILE`"
        ) from None


def parse_report(value: Any, name: str) -> DeviceReport:
    """Return the report that is called `name`; raises SpecError that says what is amiss.

    What `mejiro device bench` brought home holds the device's own under `report`.
    """
    fields = Fields(value, "the report")
    if isinstance(brought := fields.optional("report"), dict):
        value, fields = brought, Fields(brought, "the report")
    if (failure := _text(fields, "error")) is not None:
        raise SpecError(f"it tells of a failure: {failure}")
    device = Fields(fields.mapping("device"), "device")
    backend = Fields(fields.mapping("backend"), "backend")
    windows = _windows(fields.optional("sustained"))
    telemetry = Fields(fields.optional("telemetry") or {}, "telemetry")
    hottest = _highest(windows, "temperature_celsius")
    if hottest is None:
        hottest = _number(telemetry, "temperature_celsius")
    engine_only = _text(fields, "kind") == ENGINE_ONLY
    frames = fields.integer("frames")
    if frames < 1:
        raise SpecError("the report has no frames")
    stages = fields.mapping("stages")
    return DeviceReport(
        name=name,
        board=_board(device),
        artifact=fields.text("artifact"),
        precision=fields.text("precision", ""),
        engine=_engine(backend),
        source=fields.text("source", ""),
        frames=frames,
        fps=None if engine_only else fields.number("frames_per_second"),
        stages=_stages(stages, engine_only=engine_only),
        memory_bytes=_whole(fields, "peak_memory_bytes"),
        temperature_celsius=hottest,
        power_watts=_highest(windows, "power_watts") or _number(telemetry, "power_watts"),
        throttled=_throttled(windows, telemetry),
        fallback=_text(backend, "fallback"),
        verdict=_text(Fields(value.get("sustained") or {}, "sustained"), "verdict"),
        engine_only=engine_only,
        infer_mean_ns=_whole(Fields(stages["infer"], "infer"), "mean_ns") if engine_only else None,
        verified=_verified(fields.optional("verification")),
    )


def read_reports(paths: Sequence[Path]) -> list[DeviceReport]:
    """Read several reports, and give those of one name each its folder's name before it."""
    reports = [read_report(path) for path in paths]
    names = [report.name for report in reports]
    for place, path in enumerate(paths):
        if names.count(names[place]) > 1:
            named = f"{path.resolve().parent.name}/{names[place]}"
            reports[place] = DeviceReport(**{**vars(reports[place]), "name": named})
    return reports


def differences(reports: Sequence[DeviceReport]) -> list[str]:
    """Return what makes these reports less than comparable, in words."""
    kinds = {
        "artifacts": {report.artifact for report in reports},
        "sources": {report.source for report in reports if not report.engine_only},
    }
    found = [
        f"not the same {name}: {', '.join(sorted(values))}"
        for name, values in kinds.items()
        if len(values) > 1
    ]
    found += [
        f"{one.name} is of the engine alone, on {one.source or 'no frames'}"
        for one in reports
        if one.engine_only
    ]
    found += [
        f"{one.name} gave wrong outputs for the golden frames"
        for one in reports
        if one.verified is False
    ]
    found += [f"{one.name} ran on a fallback: {one.fallback}" for one in reports if one.fallback]
    found += [f"{one.name} was held down while it was measured" for one in reports if one.throttled]
    return found


def _board(device: Fields) -> str:
    return (
        _text(device, "board") or _text(device, "cpu") or _text(device, "machine")
        or "unknown board"
    )  # fmt: skip


def _engine(backend: Fields) -> str:
    engine, version = backend.text("engine"), backend.text("version")
    threads = backend.integer("threads")
    return f"{engine} {version}, {backend.text('accelerator')}, {threads} thread" + (
        "" if threads == 1 else "s"
    )


def _stages(value: dict[str, Any], *, engine_only: bool) -> dict[str, dict[str, int]]:
    found = {}
    for name in STAGES:
        if name in value:
            fields = Fields(value[name], f"stage '{name}'")
            known = {one: _whole(fields, one) for one in PERCENTILES}
            found[name] = {one: ns for one, ns in known.items() if ns is not None}
    if engine_only:
        if set(found) != {"infer"} or "mean_ns" not in value["infer"]:
            raise SpecError("a report of the engine alone has the stage 'infer' and its mean")
    elif "frame_to_label" not in found or "p50_ns" not in found["frame_to_label"]:
        raise SpecError("the report has no times from frame to label")
    return found


def _verified(told: Any) -> bool | None:
    return None if told is None else Fields(told, "verification").flag("passed")


def _windows(sustained: Any) -> list[dict[str, Any]]:
    if sustained is None:
        return []
    windows = Fields(sustained, "sustained").items("windows")
    if len(windows) > MAX_WINDOWS or not all(isinstance(one, dict) for one in windows):
        raise SpecError(f"a sustained run has at most {MAX_WINDOWS} windows, each an object")
    return windows


def _throttled(windows: Sequence[dict[str, Any]], telemetry: Fields) -> bool | None:
    """Say whether anything held the clock down, None if nothing tells."""
    told = [one.get("throttled") for one in windows]
    known = [one for one in (*told, telemetry.optional("throttled")) if one is not None]
    return any(known) if known else None


def _highest(windows: Sequence[dict[str, Any]], name: str) -> float | None:
    found = [_number(Fields(one, "window"), name) for one in windows]
    return max((value for value in found if value is not None), default=None)


def _number(fields: Fields, name: str) -> float | None:
    value = fields.optional(name)
    return None if value is None else Fields({name: value}, name).number(name)


def _whole(fields: Fields, name: str) -> int | None:
    value = fields.optional(name)
    if value is None:
        return None
    whole = Fields({name: value}, name).integer(name)
    if not 0 <= whole < 1 << 63:
        raise SpecError(f"'{name}' is out of reach: {str(whole)[:40]}")
    return whole


def _text(fields: Fields, name: str) -> str | None:
    value = fields.optional(name)
    return None if value is None else Fields({name: value}, name).text(name)
