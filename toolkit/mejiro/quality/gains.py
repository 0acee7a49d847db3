"""Tell what pruning is worth in exported files: the bytes that it saves, and the time, if any."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from mejiro.data.calibration import CalibrationSet
from mejiro.export import Exporter, export_with
from mejiro.export.sparse import convert_sparse
from mejiro.model import Artifact, FloatModel
from mejiro.race import Conditions, Pace, Ratio, compare_paces, race
from mejiro_runtime.card import Format, Precision

WHOLE, PRUNED = "whole", "pruned"
PRECISIONS = (Precision.INT8, Precision.FP32)
SPARSE = "fp32 sparse"
_LEVEL = 9
OPENINGS = 8


@dataclass(frozen=True)
class FileGain:
    """Hold one file of a pruned network beside the whole network's: bytes, as they are and zipped.

    `time` is the pruned file's over the whole one's, from frame to label; None where nothing was
    timed.
    """

    size_bytes: int
    zipped_bytes: int
    whole_bytes: int
    whole_zipped_bytes: int
    time: Ratio | None = None
    median_ms: float | None = None
    whole_median_ms: float | None = None

    @property
    def size_ratio(self) -> float:
        """The bytes over those of the whole network's file."""
        return self.size_bytes / self.whole_bytes

    @property
    def zip_ratio(self) -> float:
        """The zipped bytes over those of the whole network's."""
        return self.zipped_bytes / self.whole_zipped_bytes

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        value: dict[str, Any] = {
            "size_bytes": self.size_bytes,
            "zipped_bytes": self.zipped_bytes,
            "whole_bytes": self.whole_bytes,
            "whole_zipped_bytes": self.whole_zipped_bytes,
            "zip_ratio": round(self.zip_ratio, 4),
        }
        if self.time is not None:
            value["median_ms"] = self.median_ms
            value["whole_median_ms"] = self.whole_median_ms
            value["time_ratio"] = asdict(self.time)
        return value


def zipped_bytes(path: Path) -> int:
    """Return the bytes that a file takes deflated, as in a zip, a wheel or a package."""
    return len(zlib.compress(path.read_bytes(), _LEVEL))


def measure_gains(
    whole: FloatModel,
    pruned: FloatModel,
    folder: Path,
    *,
    calibration: CalibrationSet,
    sparse: bool = False,
    rounds: int = 32,
    on_stage: Callable[[str], None] = lambda text: None,
    on_progress: Callable[[int, int], None] | None = None,
) -> dict[str, FileGain]:
    """Export both networks into `folder`, weigh the files and time them in turns.

    Returns what was found for each of `PRECISIONS`; with `sparse` also for a float file that
    leaves zeros out, beside the whole network's. With `rounds` 0 nothing is timed.
    """
    pairs = {one.value: (f"{PRUNED} {one.value}", f"{WHOLE} {one.value}") for one in PRECISIONS}
    files = _export(whole, pruned, folder, calibration, on_stage)
    if sparse:
        pairs[SPARSE] = (f"{PRUNED} {SPARSE}", f"{WHOLE} {Precision.FP32.value}")
        on_stage("converting to sparse TFLite fp32")
        files[f"{PRUNED} {SPARSE}"] = Exporter(pruned).write(
            convert_sparse(pruned), Format.TFLITE, Precision.FP32, folder / "sparse"
        )
    paces: dict[str, Pace] = {}
    if rounds:
        on_stage("timing the files in turns")
        found = race(
            list(files.values()),
            Conditions(-(-rounds // OPENINGS), openings=OPENINGS),
            on_progress=on_progress,
        )
        paces = dict(zip(files, found, strict=True))
    return {name: _gain(files, paces, *pair) for name, pair in pairs.items()}


def _gain(files: dict[str, Artifact], paces: dict[str, Pace], name: str, against: str) -> FileGain:
    one, other = files[name], files[against]
    gain = FileGain(
        size_bytes=one.card.size_bytes,
        zipped_bytes=zipped_bytes(one.path),
        whole_bytes=other.card.size_bytes,
        whole_zipped_bytes=zipped_bytes(other.path),
    )
    if not paces:
        return gain
    return replace(
        gain,
        time=compare_paces(paces[name], paces[against]),
        median_ms=round(paces[name].median_ns / 1e6, 3),
        whole_median_ms=round(paces[against].median_ns / 1e6, 3),
    )


def _export(
    whole: FloatModel,
    pruned: FloatModel,
    folder: Path,
    calibration: CalibrationSet,
    on_stage: Callable[[str], None],
) -> dict[str, Artifact]:
    files = {}
    for name, model in ((WHOLE, whole), (PRUNED, pruned)):
        exporter = Exporter(model, calibration=calibration, on_progress=on_stage)
        for precision in PRECISIONS:
            files[f"{name} {precision.value}"] = export_with(
                exporter, format=Format.TFLITE, precision=precision, out=folder / name
            )
    return files
