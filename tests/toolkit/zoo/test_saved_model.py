"""Check that SavedModels that compute are loaded, and those that reach further are not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mejiro.tensorflow import load_tensorflow
from mejiro.zoo import open_model, save_float_model
from mejiro.zoo.saved_model import load_saved_model
from mejiro_runtime.card import Scores
from mejiro_runtime.errors import ModelError
from mejiro_runtime.types import Label

OPEN = (None, None)
Operation = Callable[[Any, Any], Any]


@pytest.fixture(scope="session")
def tf() -> Any:
    return load_tensorflow()


def write(tf: Any, folder: Path, operation: Operation, shape: tuple[Any, ...]) -> Path:
    """Write a SavedModel whose only function applies `operation`."""
    module = tf.Module()
    specification = tf.TensorSpec(shape, tf.float32, name="pixels")
    module.call = tf.function(lambda pixels: operation(tf, pixels), [specification])
    tf.saved_model.save(module, str(folder), signatures={"serving_default": module.call})
    return folder


def mean(tf: Any, pixels: Any) -> Any:
    return tf.reduce_mean(pixels, axis=[1, 2])


def attack(kind: str, target: str) -> Operation:
    """Operations that reach beyond the network, each used where its result matters."""

    def operation(tf: Any, pixels: Any) -> Any:
        answer = mean(tf, pixels)
        if kind == "ReadFile":
            size = tf.strings.length(tf.io.read_file(target))
            return answer + tf.cast(size, tf.float32)
        if kind == "WriteFile":
            with tf.control_dependencies([tf.io.write_file(target, "x")]):
                return tf.identity(answer)
        if kind == "PrintV2":
            with tf.control_dependencies([tf.print("x", output_stream=f"file://{target}")]):
                return tf.identity(answer)
        if kind == "EagerPyFunc":
            return tf.ensure_shape(tf.py_function(lambda x: x, [answer], tf.float32), (None, 3))
        if kind == "SaveV2":
            saved = tf.raw_ops.SaveV2(
                prefix=target, tensor_names=["a"], shape_and_slices=[""], tensors=[answer]
            )
            with tf.control_dependencies([saved]):
                return tf.identity(answer)
        files = tf.raw_ops.MatchingFiles(pattern=target)
        return answer + tf.cast(tf.size(files), tf.float32)

    return operation


@pytest.mark.parametrize("way", ["export", "saved_model.save"])
def test_a_network_computes_the_same(
    tf: Any, tiny: Any, tmp_path: Path, pictures: NDArray[np.float32], way: str
) -> None:
    folder = tmp_path / "model"
    if way == "export":
        tiny.export(folder, verbose=False)
    else:
        tf.saved_model.save(tiny, str(folder))
    found = load_saved_model(folder, OPEN)
    assert found.input_shape == (None, 12, 16, 3)
    np.testing.assert_allclose(
        found.predict(pictures, verbose=0), tiny.predict(pictures, verbose=0), rtol=1e-6
    )


def test_it_opens_as_a_float_model_and_keeps_its_format(
    tiny: Any, tmp_path: Path, tiny_labels: tuple[Label, ...]
) -> None:
    tiny.export(tmp_path / "flower", verbose=False)
    found = open_model(
        str(tmp_path / "flower"),
        input_spec={"scale": [1.0], "offset": [0.0]},
        labels=tiny_labels,
        scores=Scores.PROBABILITIES,
    )
    assert (found.name, found.input.height, found.input.width) == ("flower", 12, 16)
    with pytest.raises(ModelError, match="keeps its own format"):
        save_float_model(found, tmp_path / "copy")


def test_it_can_be_exported(tf: Any, tiny: Any, tmp_path: Path) -> None:
    tiny.export(tmp_path / "flower", verbose=False)
    network = load_saved_model(tmp_path / "flower", OPEN)
    network.export(tmp_path / "again", verbose=False)
    content = tf.lite.TFLiteConverter.from_saved_model(str(tmp_path / "again")).convert()
    interpreter = tf.lite.Interpreter(model_content=content)
    interpreter.allocate_tensors()
    picture = np.random.default_rng(2).normal(size=(1, 12, 16, 3)).astype(np.float32)
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], picture)
    interpreter.invoke()
    found = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    np.testing.assert_allclose(found, tiny.predict(picture, verbose=0), atol=1e-5)


def test_an_open_size_is_fixed_by_what_is_given(tf: Any, tmp_path: Path) -> None:
    folder = write(tf, tmp_path / "m", mean, (None, None, None, 3))
    assert load_saved_model(folder, (9, 7)).input_shape == (None, 9, 7, 3)


@pytest.mark.parametrize(
    "kind", ["ReadFile", "WriteFile", "PrintV2", "EagerPyFunc", "SaveV2", "MatchingFiles"]
)
def test_what_reaches_beyond_the_network_is_refused(tf: Any, tmp_path: Path, kind: str) -> None:
    target = tmp_path / "trace"
    folder = write(tf, tmp_path / "m", attack(kind, str(target)), (None, 8, 8, 3))
    with pytest.raises(ModelError, match=f"uses the operations {kind},") as caught:
        load_saved_model(folder, OPEN)
    assert "\n" not in str(caught.value)
    assert not target.exists()


def test_an_operation_within_a_branch_is_found(tf: Any, tmp_path: Path) -> None:
    def hidden(tf: Any, pixels: Any) -> Any:
        return tf.cond(
            tf.reduce_sum(pixels) > 0,
            lambda: attack("ReadFile", "/etc/hostname")(tf, pixels),
            lambda: mean(tf, pixels),
        )

    folder = write(tf, tmp_path / "m", hidden, (None, 8, 8, 3))
    with pytest.raises(ModelError, match="uses the operations ReadFile,"):
        load_saved_model(folder, OPEN)


def test_a_table_read_from_a_file_is_refused(tf: Any, tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("ant\nbee\n")
    module = tf.Module()
    module.table = tf.lookup.StaticHashTable(
        tf.lookup.TextFileInitializer(
            str(tmp_path / "words.txt"),
            tf.int64,
            tf.lookup.TextFileIndex.LINE_NUMBER,
            tf.string,
            tf.lookup.TextFileIndex.WHOLE_LINE,
        ),
        "",
    )
    specification = tf.TensorSpec((None, 8, 8, 3), tf.float32)

    def use(pixels: Any) -> Any:
        word = module.table.lookup(tf.constant(0, tf.int64))
        return mean(tf, pixels) + tf.cast(tf.strings.length(word), tf.float32)

    module.call = tf.function(use, [specification])
    tf.saved_model.save(module, str(tmp_path / "m"), signatures=module.call)
    with pytest.raises(ModelError, match="InitializeTableFromTextFileV2"):
        load_saved_model(tmp_path / "m", OPEN)


@pytest.mark.parametrize("other", ["saved_model.cpb", "saved_model.pbtxt"])
def test_a_second_graph_is_refused(tf: Any, tmp_path: Path, other: str) -> None:
    folder = write(tf, tmp_path / "m", mean, (None, 8, 8, 3))
    (folder / other).write_bytes(b"")
    with pytest.raises(ModelError, match=f"has {other} beside"):
        load_saved_model(folder, OPEN)


def test_tensorflow_1_is_refused(tf: Any, tmp_path: Path) -> None:
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        pixels = tf.compat.v1.placeholder(tf.float32, (None, 8, 8, 3))
        tf.compat.v1.saved_model.simple_save(
            session, str(tmp_path / "m"), {"pixels": pixels}, {"scores": mean(tf, pixels)}
        )
    with pytest.raises(ModelError, match="was written by TensorFlow 1"):
        load_saved_model(tmp_path / "m", OPEN)


def two_answers(tf: Any, pixels: Any) -> Any:
    return {"a": mean(tf, pixels), "b": mean(tf, pixels)}


@pytest.mark.parametrize(
    ("operation", "shape", "message"),
    [
        (two_answers, (None, 8, 8, 3), "has 1 inputs and 2 outputs"),
        (lambda tf, x: x, (None, 5), "does not take float32 pictures"),
    ],
)
def test_other_signatures_are_refused(
    tf: Any, tmp_path: Path, operation: Operation, shape: tuple[Any, ...], message: str
) -> None:
    folder = write(tf, tmp_path / "m", operation, shape)
    with pytest.raises(ModelError, match=message):
        load_saved_model(folder, OPEN)


def test_a_folder_without_signature_is_refused(tf: Any, tmp_path: Path) -> None:
    tf.saved_model.save(tf.Module(), str(tmp_path / "m"))
    with pytest.raises(ModelError, match="has no signature serving_default or serve, found none"):
        load_saved_model(tmp_path / "m", OPEN)


def test_folders_that_are_none_are_refused(tf: Any, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"is no SavedModel .*and no model folder"):
        load_saved_model(tmp_path, OPEN)
    (tmp_path / "saved_model.pb").write_bytes(b"\xff" * 40)
    with pytest.raises(ModelError, match="is damaged"):
        load_saved_model(tmp_path, OPEN)


def test_a_folder_without_its_variables_gives_one_line(tiny: Any, tmp_path: Path) -> None:
    tiny.export(tmp_path / "m", verbose=False)
    for path in (tmp_path / "m" / "variables").iterdir():
        path.unlink()
    with pytest.raises(ModelError, match="cannot be loaded") as caught:
        load_saved_model(tmp_path / "m", OPEN)
    assert "\n" not in str(caught.value)
