"""Turn float models into files for devices, and take in files of other origin."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from mejiro.data.calibration import CalibrationSet
from mejiro.errors import UsageError
from mejiro.export.exporter import Exporter, Outputs
from mejiro.model import Artifact, FloatModel
from mejiro_runtime.card import Format, Precision

EXPORTERS: dict[Format, Callable[[Exporter, Precision], bytes]] = {
    Format.TFLITE: Exporter.tflite,
    Format.ONNX: Exporter.onnx,
}
PRECISIONS = (Precision.INT8, Precision.FP16, Precision.FP32)

__all__ = ["EXPORTERS", "PRECISIONS", "Exporter", "Outputs", "export", "export_with"]


def export(
    model: FloatModel,
    *,
    format: Format,
    precision: Precision,
    out: Path,
    calibration: CalibrationSet | None = None,
    full_integer: bool = False,
    on_progress: Callable[[str], None] | None = None,
) -> Artifact:
    """Write `model` as one file of `format` and `precision`, with its card, into `out`.

    The file takes uint8 RGB pixels (1, height, width, 3) as they are and gives float32
    probabilities (1, classes); `full_integer` keeps the output of an INT8 file uint8. It is
    called ``<model>-<precision>.<format>``. INT8 is calibrated with `calibration`, None for the
    default set. `on_progress` gets a few words before each stage. For more than one file of a
    model use `export_with`, which shares the work.

    Raises ExportError if the model cannot be converted as promised, CalibrationError if no
    picture can be read, UsageError for a precision that no file is written in.
    """
    exporter = Exporter(
        model, calibration=calibration, full_integer=full_integer, on_progress=on_progress
    )
    return export_with(exporter, format=format, precision=precision, out=out)


def export_with(exporter: Exporter, *, format: Format, precision: Precision, out: Path) -> Artifact:
    """Write one file as `export` does, with what `exporter` has already converted."""
    if precision not in PRECISIONS:
        known = ", ".join(value.value for value in PRECISIONS)
        raise UsageError(f"no file can be written as {precision.value}; use one of {known}")
    return exporter.write(EXPORTERS[format](exporter, precision), format, precision, out)
