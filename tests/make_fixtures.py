"""Make the tiny models and the bundle that the runtime's tests run: `make_fixtures.py OUT_DIR`.

Needs the host's packages; the tests themselves run on devices that have none of them and find
the folder through MEJIRO_TEST_FIXTURES. It holds

    models/         colours-{int8,fp32}.{tflite,onnx}, each with its card: a seeded classifier
    full-integer/   colours-int8.tflite with uint8 at both ends
    features/       colours-int8.{tflite,onnx} that give the last feature map as well
    bundle/         a bundle of the four models
    tasks/          tiny detectors, segmentations and a recurrent model; see make_task_fixtures.py
    detection/ segmentation/ recurrent/   bundles of them
    odd/            files that load but are no classifiers of one picture, or fail when they run
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from make_task_fixtures import make_task_fixtures
from mejiro.bundle import BundleOptions, write_bundle
from mejiro.data.calibration import calibration_from_folder
from mejiro.export import Exporter, export_with
from mejiro.model import FloatModel
from mejiro.tensorflow import load_keras, load_tensorflow
from mejiro_runtime.card import Format, Precision, Scores
from mejiro_runtime.preprocess import InputSpec, TensorType, preprocess
from mejiro_runtime.types import Label, PixelOrder

SIDE = 32
# BGR. The names cover what names may hold: a synset's list, letters beyond ASCII, wide ones.
COLOURS = {
    "red, crimson": (20, 20, 220),
    "green": (30, 200, 30),
    "bleu céleste": (230, 60, 20),
    "yellow": (20, 220, 230),
    "目白": (90, 190, 150),
}
PICTURES_EACH = 4


def draw_picture(bgr: tuple[int, int, int], rng: np.random.Generator) -> np.ndarray:
    """Return a picture of one colour, with shade and noise: uint8 BGR of a random size."""
    height, width = (int(size) for size in rng.integers(40, 120, 2))
    shade = np.linspace(0.75, 1.0, width)[None, :, None]
    pixels = np.array(bgr) * shade + rng.integers(0, 24, (height, width, 3))
    return np.clip(pixels, 0, 255).astype(np.uint8)


def draw_pictures(folder: Path) -> None:
    """Write PICTURES_EACH pictures of each colour, in a folder for each."""
    rng = np.random.default_rng(7)
    for index, bgr in enumerate(COLOURS.values()):
        (folder / str(index)).mkdir(parents=True)
        for number in range(PICTURES_EACH):
            path = folder / str(index) / f"{number}.png"
            assert cv2.imwrite(str(path), draw_picture(bgr, rng))


def build_model() -> FloatModel:
    """Return a small convolutional classifier: seeded features, a last layer that was solved for.

    Solving instead of training takes no time and gives the same decided answers each time.
    """
    keras = load_keras()
    keras.utils.set_random_seed(3)
    spec = InputSpec(
        SIDE, SIDE, dtype=TensorType.FLOAT32, scale=(1 / 127.5,), offset=(-1.0,), crop_fraction=0.9
    )
    inputs = keras.Input((SIDE, SIDE, 3))
    x = keras.layers.Conv2D(12, 3, strides=2, padding="same", use_bias=False)(inputs)
    x = keras.layers.BatchNormalization()(x)
    x = keras.layers.ReLU(max_value=6)(x)
    x = keras.layers.DepthwiseConv2D(3, padding="same")(x)
    x = keras.layers.ReLU(max_value=6)(x)
    features = keras.layers.GlobalAveragePooling2D()(x)
    scores = keras.layers.Dense(len(COLOURS), activation="softmax")(features)
    model = keras.Model(inputs, scores)

    rng = np.random.default_rng(11)
    truth = np.repeat(np.arange(len(COLOURS)), 16)
    bgr = list(COLOURS.values())
    pictures = [preprocess(draw_picture(bgr[i], rng), PixelOrder.BGR, spec) for i in truth]
    seen = keras.Model(inputs, features).predict(np.concatenate(pictures), verbose=0)
    seen = np.concatenate([seen, np.ones((len(seen), 1))], axis=1)
    wanted = np.where(truth[:, None] == np.arange(len(COLOURS)), 4.0, -4.0)
    ridge = seen.T @ seen + 1e-3 * np.eye(seen.shape[1])
    weights = np.linalg.solve(ridge, seen.T @ wanted)
    model.layers[-1].set_weights([weights[:-1], weights[-1]])
    labels = tuple(
        Label(i, name, f"n{i:08d}" if name.isascii() else "") for i, name in enumerate(COLOURS)
    )
    lineage = {"model": "colours", "seed": 3}
    return FloatModel("colours", model, spec, labels, Scores.PROBABILITIES, lineage)


def write_odd_tflite(folder: Path) -> None:
    """Write TFLite files with two inputs, and one that fails only when it runs."""
    tf = load_tensorflow()

    def save(name: str, function: Any, *shapes: tuple[int, ...]) -> None:
        signature = [tf.TensorSpec(shape, tf.float32) for shape in shapes]
        concrete = tf.function(function, input_signature=signature).get_concrete_function()
        converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete], tf.Module())
        (folder / name).write_bytes(converter.convert())

    save("two-inputs.tflite", lambda a, b: tf.nn.softmax(a + b), (1, 4), (1, 4))
    # An index that is always out of range: the engine notices when it gathers.
    table = tf.constant(np.eye(4, dtype=np.float32))

    def gather(x: Any) -> Any:
        index = tf.cast(tf.reduce_max(x, axis=[1, 2, 3]) * 0, tf.int32) + 1000
        return tf.gather(table, index)

    save("fails.tflite", gather, (1, 8, 8, 3))


def write_odd_onnx(folder: Path) -> None:
    """Write ONNX files with two inputs, an open batch, and one that fails only when it runs."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    def save(name: str, nodes: list[Any], inputs: dict[str, list[Any]], **constants: Any) -> None:
        graph = helper.make_graph(
            nodes,
            "odd",
            [helper.make_tensor_value_info(k, TensorProto.FLOAT, v) for k, v in inputs.items()],
            [helper.make_tensor_value_info("scores", TensorProto.FLOAT, None)],
            [numpy_helper.from_array(value, key) for key, value in constants.items()],
        )
        opset = [helper.make_opsetid("", 13)]
        onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), folder / name)

    add = helper.make_node("Add", ["a", "b"], ["sum"])
    softmax = helper.make_node("Softmax", ["sum"], ["scores"], axis=1)
    save("two-inputs.onnx", [add, softmax], {"a": [1, 4], "b": [1, 4]})
    flat = helper.make_node("Flatten", ["x"], ["sum"], axis=1)
    save("open-batch.onnx", [flat, softmax], {"x": ["batch", 3, 1, 1]})
    to_index = [
        helper.make_node("ReduceMax", ["x"], ["most"], keepdims=0),
        helper.make_node("Mul", ["most", "zero"], ["nothing"]),
        helper.make_node("Add", ["nothing", "thousand"], ["far"]),
        helper.make_node("Cast", ["far"], ["index"], to=TensorProto.INT64),
        helper.make_node("Gather", ["table", "index"], ["scores"], axis=0),
    ]
    save(
        "fails.onnx",
        to_index,
        {"x": [1, 8, 8, 3]},
        zero=np.float32(0),
        thousand=np.float32(1000),
        table=np.eye(4, dtype=np.float32),
    )


def make_fixtures(out: Path) -> None:
    """Fill `out` with all of it; it appears whole or not at all, and replaces what was there."""
    out = out.absolute()
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as scratch:
        root = Path(scratch) / "made"
        draw_pictures(Path(scratch) / "pictures")
        model = build_model()
        calibration = calibration_from_folder(Path(scratch) / "pictures")
        exporter = Exporter(model, calibration=calibration)
        artifacts = [
            export_with(exporter, format=format, precision=precision, out=root / "models")
            for precision in (Precision.INT8, Precision.FP32)
            for format in (Format.TFLITE, Format.ONNX)
        ]
        integer = Exporter(model, calibration=calibration, full_integer=True)
        export_with(
            integer, format=Format.TFLITE, precision=Precision.INT8, out=root / "full-integer"
        )
        seeing = Exporter(model, calibration=calibration, with_features=True)
        for format in (Format.TFLITE, Format.ONNX):
            export_with(seeing, format=format, precision=Precision.INT8, out=root / "features")
        options = BundleOptions(name="colours", golden=Path(scratch) / "pictures")
        write_bundle(artifacts, root / "bundle", options=options)
        make_task_fixtures(root, Path(scratch))
        (root / "odd").mkdir()
        write_odd_tflite(root / "odd")
        write_odd_onnx(root / "odd")
        shutil.rmtree(out, ignore_errors=True)
        root.rename(out)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, metavar="OUT_DIR", help="a folder that is replaced")
    make_fixtures(parser.parse_args().out)
