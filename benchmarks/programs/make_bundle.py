"""Make the bundle that the benchmarks run: EfficientNet-Lite0 in int8, both formats."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from mejiro.bundle import BundleOptions, write_bundle
from mejiro.export import Exporter, export_with
from mejiro.zoo import build
from mejiro_runtime.card import Format, Precision


def main(out: Path) -> None:
    exporter = Exporter(build("efficientnet-lite0"))
    with tempfile.TemporaryDirectory() as name:
        artifacts = [
            export_with(exporter, format=format, precision=Precision.INT8, out=Path(name))
            for format in (Format.TFLITE, Format.ONNX)
        ]
        write_bundle(artifacts, out, options=BundleOptions(name="lite0", replace=out.exists()))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
