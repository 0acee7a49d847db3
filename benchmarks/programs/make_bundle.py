"""Make the bundle that the benchmarks run: EfficientNet-Lite0 as int8 TFLite, for LiteRT."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from mejiro.bundle import BundleOptions, write_bundle
from mejiro.export import export
from mejiro.zoo import build
from mejiro_runtime.card import Format, Precision


def main(out: Path) -> None:
    model = build("efficientnet-lite0")
    with tempfile.TemporaryDirectory() as name:
        artifact = export(model, format=Format.TFLITE, precision=Precision.INT8, out=Path(name))
        write_bundle([artifact], out, options=BundleOptions(name="lite0", replace=out.exists()))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
