"""Tell what zeros are worth in exported files: the bytes that they save, and the time, if any."""

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

# Each file of the thinned network, and the dense network's file that it is compared with.
PAIRS = {
    "int8": ("thinned int8", "dense int8"),
    "fp32": ("thinned fp32", "dense fp32"),
    # Outputs are the same as those of "thinned fp32"; only the file leaves the zeros out.
    "fp32 sparse": ("thinned fp32 sparse", "dense fp32"),
}
_LEVEL = 9


@dataclass(frozen=True)
class FileGain:
    """Hold one file of a thinned network beside the dense network's: bytes, as they are and zipped.

    `time` is the thinned file's over the dense one's, None where nothing was timed.
    """

    size_bytes: int
    zipped_bytes: int
    dense_bytes: int
    dense_zipped_bytes: int
    time: Ratio | None = None
    median_ms: float | None = None
    dense_median_ms: float | None = None

    @property
    def zip_ratio(self) -> float:
        """The zipped bytes over those of the dense file."""
        return self.zipped_bytes / self.dense_zipped_bytes

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        value: dict[str, Any] = {
            "size_bytes": self.size_bytes,
            "zipped_bytes": self.zipped_bytes,
            "dense_bytes": self.dense_bytes,
            "dense_zipped_bytes": self.dense_zipped_bytes,
            "zip_ratio": round(self.zip_ratio, 4),
        }
        if self.time is not None:
            value["median_ms"] = self.median_ms
            value["dense_median_ms"] = self.dense_median_ms
            value["time_ratio"] = asdict(self.time)
        return value


def zipped_bytes(path: Path) -> int:
    """Return the bytes that a file takes deflated, as in a zip, a wheel or a package."""
    return len(zlib.compress(path.read_bytes(), _LEVEL))


def measure_thinned(
    dense: FloatModel,
    thinned: FloatModel,
    folder: Path,
    *,
    calibration: CalibrationSet,
    rounds: int = 30,
    on_stage: Callable[[str], None] = lambda text: None,
    on_progress: Callable[[int, int], None] | None = None,
) -> dict[str, FileGain]:
    """Export both networks into `folder`, weigh the files and time them in turns.

    Returns what was found for each name of `PAIRS`; with `rounds` 0 nothing is timed.
    """
    files = _export(dense, thinned, folder, calibration, on_stage)
    paces: dict[str, Pace] = {}
    if rounds:
        on_stage("timing the files in turns")
        found = race(list(files.values()), Conditions(rounds=rounds), on_progress=on_progress)
        paces = dict(zip(files, found, strict=True))
    return {name: _gain(files, paces, *pair) for name, pair in PAIRS.items()}


def _gain(files: dict[str, Artifact], paces: dict[str, Pace], name: str, against: str) -> FileGain:
    one, other = files[name], files[against]
    gain = FileGain(
        size_bytes=one.card.size_bytes,
        zipped_bytes=zipped_bytes(one.path),
        dense_bytes=other.card.size_bytes,
        dense_zipped_bytes=zipped_bytes(other.path),
    )
    if not paces:
        return gain
    return replace(
        gain,
        time=compare_paces(paces[name], paces[against]),
        median_ms=round(paces[name].median_ns / 1e6, 3),
        dense_median_ms=round(paces[against].median_ns / 1e6, 3),
    )


def _export(
    dense: FloatModel,
    thinned: FloatModel,
    folder: Path,
    calibration: CalibrationSet,
    on_stage: Callable[[str], None],
) -> dict[str, Artifact]:
    files = {}
    for name, model in (("dense", dense), ("thinned", thinned)):
        exporter = Exporter(model, calibration=calibration, on_progress=on_stage)
        for precision in (Precision.INT8, Precision.FP32):
            files[f"{name} {precision.value}"] = export_with(
                exporter, format=Format.TFLITE, precision=precision, out=folder / name
            )
    on_stage("converting to sparse TFLite fp32")
    exporter = Exporter(thinned)
    files["thinned fp32 sparse"] = exporter.write(
        convert_sparse(thinned), Format.TFLITE, Precision.FP32, folder / "sparse"
    )
    return files
