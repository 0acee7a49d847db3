"""Make tiny detectors, segmentations and recurrent models whose answers are known beforehand.

A detector looks at a grid of 4 x 4 cells of 8 pixels and sees a red, green or blue block where a
cell's mean has that colour; its boxes are the cells. A segmentation tells the same colours, and
the background, for each square of 4 pixels. A recurrent classifier adds half of what it saw
before to what it sees. `make_fixtures.py` adopts each as a stranger's file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import onnx
from ai_edge_litert import schema_py_generated as schema
from flatbuffers import flexbuffers
from onnx import TensorProto, helper, numpy_helper

from mejiro.bundle import BundleOptions, write_bundle
from mejiro.data.normalize import Normalize
from mejiro.export.adopt import BoxHints, Hints, Other, adopt
from mejiro.model import Artifact
from mejiro.tensorflow import load_tensorflow
from mejiro_runtime.card import Scores, Task
from mejiro_runtime.types import Label

GRID, CELL = 4, 8
SIDE = GRID * CELL
COLOURS = {"red": (20, 20, 235), "green": (20, 235, 20), "blue": (235, 20, 20)}  # BGR
LABELS = tuple(Label(index, name) for index, name in enumerate(COLOURS))
WITH_BACKGROUND = tuple(Label(i, name) for i, name in enumerate(("background", *COLOURS)))
# Each colour less the two others: 1 for a pure one, 0 or less for grey, white and mixtures.
CONTRAST = np.float32([[1, -1, -1], [-1, 1, -1], [-1, -1, 1]])
UNIT = Hints(normalize=Normalize.UNIT)


def draw_blocks(rng: np.random.Generator, side: int = 96) -> np.ndarray:
    """Return a square BGR picture: three blocks of different colours in cells of their own."""
    pixels = rng.integers(20, 50, (side, side, 1), dtype=np.uint8).repeat(3, axis=2)
    step = side // GRID
    for cell, bgr in zip(rng.permutation(GRID * GRID)[:3], COLOURS.values(), strict=True):
        top, left = (int(n) * step for n in divmod(int(cell), GRID))
        pixels[top : top + step, left : left + step] = bgr
    return pixels


def centres() -> np.ndarray:
    """Return (16, 4): centre x and y, width and height of each cell, in pixels of the input."""
    row, column = np.divmod(np.arange(GRID * GRID), GRID)
    middle = np.stack([column + 0.5, row + 0.5], axis=1) * CELL
    return np.concatenate([middle, np.full_like(middle, CELL)], axis=1).astype(np.float32)


def anchors() -> dict[str, Any]:
    """Return the cells as `--anchors` takes them."""
    grid = {"rows": GRID, "columns": GRID, "sizes": [[1 / GRID, 1 / GRID]]}
    return {"grids": [grid]}


def write_tflite(folder: Path) -> None:
    """Write blocks-yolo, blocks-ssd, blocks-postprocessed, squares and recurrent .tflite."""
    tf = load_tensorflow()

    def save(name: str, function: Any, *shapes: tuple[int, ...]) -> None:
        signature = [tf.TensorSpec(shape, tf.float32) for shape in shapes]
        concrete = tf.function(function, input_signature=signature).get_concrete_function()
        converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete], tf.Module())
        (folder / name).write_bytes(converter.convert())

    picture = (1, SIDE, SIDE, 3)

    def scores(x: Any) -> Any:
        cells = tf.nn.avg_pool2d(x, CELL, CELL, "VALID")
        return tf.nn.relu(tf.reshape(tf.matmul(cells, CONTRAST), (1, GRID * GRID, 3)))

    def yolo(x: Any) -> Any:  # in shares of the input
        boxes = tf.constant(centres().T[None] / SIDE)
        return tf.concat([boxes, tf.transpose(scores(x), (0, 2, 1))], axis=1)

    def ssd(x: Any) -> tuple[Any, Any]:  # with the background as class 0
        found = scores(x)
        nothing = 1 - tf.reduce_max(found, axis=2, keepdims=True)
        return tf.concat([nothing, found], axis=2), tf.zeros((1, 16, 4)) + 0 * nothing

    def squares(x: Any) -> Any:
        cells = tf.matmul(tf.nn.avg_pool2d(x, 4, 4, "VALID"), CONTRAST)
        return tf.concat([tf.fill((1, 8, 8, 1), 0.25), cells], axis=3)

    def recurrent(x: Any, before: Any) -> tuple[Any, Any]:
        total = tf.reduce_mean(x, axis=(1, 2), keepdims=True)[0] + before / 2
        return tf.nn.softmax(8 * total[0]), total

    save("blocks-yolo.tflite", yolo, picture)
    save("blocks-ssd.tflite", ssd, picture)
    save("squares.tflite", squares, picture)
    save("recurrent.tflite", recurrent, picture, (1, 1, 3))
    path = folder / "blocks-postprocessed.tflite"
    path.write_bytes(with_postprocess((folder / "blocks-ssd.tflite").read_bytes()))


def with_postprocess(data: bytes) -> bytes:
    """Return the SSD file with TFLite_Detection_PostProcess behind it, its outputs in odd order."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(bytearray(data), 0))
    graph = model.subgraphs[0]
    code = schema.OperatorCodeT()
    code.builtinCode, code.deprecatedBuiltinCode, code.version = 32, 32, 1
    code.customCode = "TFLite_Detection_PostProcess"
    model.operatorCodes.append(code)

    def add(name: str, shape: list[int], values: np.ndarray | None = None) -> int:
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.type = name, shape, schema.TensorType.FLOAT32
        tensor.buffer = 0
        if values is not None:
            tensor.buffer = len(model.buffers)
            model.buffers.append(schema.BufferT())
            model.buffers[-1].data = np.frombuffer(values.astype("<f4").tobytes(), np.uint8)
        graph.tensors.append(tensor)
        return len(graph.tensors) - 1

    # In the order of the function's results, which is not the graph's.
    classes, boxes = sorted(graph.outputs, key=lambda index: graph.tensors[index].name)
    cells = (centres() / SIDE)[:, [1, 0, 3, 2]]
    operator = schema.OperatorT()
    operator.opcodeIndex = len(model.operatorCodes) - 1
    operator.inputs = [boxes, classes, add("anchors", [16, 4], cells)]
    made = [add(f"made{n}", [1, 6, 4][: 2 + (n == 0)] if n < 3 else [1]) for n in range(4)]
    operator.outputs = made
    options = {
        "max_detections": 6, "max_classes_per_detection": 1, "detections_per_class": 6,
        "use_regular_nms": False, "nms_score_threshold": 0.05, "nms_iou_threshold": 0.5,
        "num_classes": 3, "y_scale": 10.0, "x_scale": 10.0, "h_scale": 5.0, "w_scale": 5.0,
    }  # fmt: skip
    operator.customOptions = np.frombuffer(bytes(flexbuffers.Dumps(options)), np.uint8)
    graph.operators.append(operator)
    graph.outputs = [made[2], made[0], made[3], made[1]]
    model.signatureDefs = []
    builder = flatbuffers.Builder(4096)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def write_onnx(folder: Path) -> None:
    """Write blocks-yolo and squares .onnx: channels first, boxes in pixels, logits."""

    def save(name: str, nodes: list[Any], output: list[int], **constants: np.ndarray) -> None:
        image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, SIDE, SIDE])
        made = helper.make_tensor_value_info("made", TensorProto.FLOAT, output)
        tensors = [numpy_helper.from_array(value, key) for key, value in constants.items()]
        graph = helper.make_graph(nodes, "tiny", [image], [made], tensors)
        opset = [helper.make_opsetid("", 17)]
        model = helper.make_model(graph, opset_imports=opset, ir_version=8)
        onnx.checker.check_model(model)
        onnx.save(model, folder / name)

    pooled = {"kernel_shape": [CELL, CELL], "strides": [CELL, CELL]}
    save(
        "blocks-yolo.onnx",
        [
            helper.make_node("AveragePool", ["image"], ["cells"], **pooled),
            helper.make_node("Conv", ["cells", "weights"], ["contrast"]),
            helper.make_node("Relu", ["contrast"], ["scores"]),
            helper.make_node("Reshape", ["scores", "rows"], ["flat"]),
            helper.make_node("Concat", ["boxes", "flat"], ["made"], axis=1),
        ],
        [1, 7, 16],
        weights=CONTRAST[:, :, None, None],
        rows=np.array([1, 3, 16]),
        boxes=centres().T[None].copy(),
    )
    least = np.concatenate([np.zeros((1, 3), np.float32), CONTRAST])[:, :, None, None]
    squares = {"kernel_shape": [4, 4], "strides": [4, 4]}
    save(
        "squares.onnx",
        [
            helper.make_node("AveragePool", ["image"], ["cells"], **squares),
            helper.make_node("Conv", ["cells", "weights", "bias"], ["made"]),
        ],
        [1, 4, 8, 8],
        weights=least,
        bias=np.float32([0.25, 0, 0, 0]),
    )


def adopt_all(strangers: Path, out: Path) -> dict[str, Artifact]:
    """Adopt every file, with the options that a user would have to give."""
    from mejiro.export.adopt.boxes import read_anchors

    detection, segmentation = Other(Task.DETECTION), Other(Task.SEGMENTATION)
    anchored = Other(Task.DETECTION, BoxHints(roles=(0, 1), anchors=read_anchors(anchors())))
    recurrent = Hints(normalize=Normalize.UNIT, scores=Scores.PROBABILITIES)
    links = Other(state=(("serving_default_before:0", "PartitionedCall:1"),))
    ways: dict[str, tuple[Other, tuple[Label, ...], Hints]] = {
        "blocks-yolo.tflite": (detection, LABELS, UNIT),
        "blocks-yolo.onnx": (detection, LABELS, UNIT),
        "blocks-ssd.tflite": (anchored, WITH_BACKGROUND, UNIT),
        "blocks-postprocessed.tflite": (detection, LABELS, UNIT),
        "squares.tflite": (segmentation, WITH_BACKGROUND, UNIT),
        "squares.onnx": (segmentation, WITH_BACKGROUND, UNIT),
        "recurrent.tflite": (links, LABELS, recurrent),
    }
    return {
        name: adopt(strangers / name, out=out, labels=labels, hints=hints, other=other)
        for name, (other, labels, hints) in ways.items()
    }


def make_task_fixtures(root: Path, scratch: Path) -> None:
    """Write the models with their cards to `root`/tasks, and bundles of them beside it."""
    import cv2

    strangers, pictures = scratch / "strangers", scratch / "blocks"
    strangers.mkdir()
    pictures.mkdir()
    rng = np.random.default_rng(5)
    for index in range(10):
        assert cv2.imwrite(str(pictures / f"{index}.png"), draw_blocks(rng))
    write_tflite(strangers)
    write_onnx(strangers)
    made = adopt_all(strangers, root / "tasks")
    detectors = ("blocks-yolo.tflite", "blocks-yolo.onnx", "blocks-postprocessed.tflite")
    options = BundleOptions(golden=pictures)
    write_bundle([made[name] for name in detectors], root / "detection", options=options)
    maps = [made[name] for name in ("squares.tflite", "squares.onnx")]
    write_bundle(maps, root / "segmentation", options=options)
    write_bundle([made["recurrent.tflite"]], root / "recurrent", options=options)
