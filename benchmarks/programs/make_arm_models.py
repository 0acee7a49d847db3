"""Export what arm_instructions.py counts beside the usual bundle: make_arm_models.py OUT_FOLDER.

    lite0-onnx/               a bundle of EfficientNet-Lite0 as int8 ONNX
    mobilenet-v2-int8.tflite  MobileNetV2 1.0 at 224, as int8 TFLite

MobileNetV2 has random weights, since the zoo has no others; how many instructions an inference
takes follows from the shapes.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from mejiro.bundle import BundleOptions, write_bundle
from mejiro.export import export
from mejiro.tensorflow import load_keras
from mejiro.zoo import Weights, build
from mejiro_runtime.card import Format, Precision


def main(out: Path) -> None:
    load_keras().utils.set_random_seed(0)
    mobilenet = build("mobilenet-v2", weights=Weights.NONE)
    export(mobilenet, format=Format.TFLITE, precision=Precision.INT8, out=out)
    with tempfile.TemporaryDirectory() as name:
        lite0 = build("efficientnet-lite0")
        artifact = export(lite0, format=Format.ONNX, precision=Precision.INT8, out=Path(name))
        folder = out / "lite0-onnx"
        options = BundleOptions(name="lite0-onnx", replace=folder.exists())
        write_bundle([artifact], folder, options=options)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
