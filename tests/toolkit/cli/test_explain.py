"""`mejiro explain` draws beside pictures, tells in JSON, and refuses in one line."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from mejiro.cli import main
from mejiro.export import Exporter, export_with
from mejiro.model import FloatModel
from mejiro.tensorflow import load_keras
from mejiro.zoo import save_float_model
from mejiro_runtime.card import Format, Precision, Scores
from mejiro_runtime.preprocess import InputSpec, TensorType
from mejiro_runtime.types import Label


@pytest.fixture(scope="module")
def model() -> FloatModel:
    """Return a network that tells red, green and blue by their means."""
    keras = load_keras()
    pixels = keras.Input((16, 16, 3))
    seen = keras.layers.Conv2D(3, 1, activation="relu", use_bias=False, name="look")(pixels)
    means = keras.layers.GlobalAveragePooling2D()(seen)
    scores = keras.layers.Dense(3, activation="softmax", name="tell")(means)
    network = keras.Model(pixels, scores)
    network.get_layer("look").set_weights([np.eye(3, dtype=np.float32)[None, None]])
    network.get_layer("tell").set_weights([np.eye(3, dtype=np.float32) * 8, np.zeros(3)])
    return FloatModel(
        name="colours",
        keras_model=network,
        input=InputSpec(16, 16, scale=(1 / 255,), dtype=TensorType.FLOAT32),
        labels=tuple(Label(i, name) for i, name in enumerate(("red", "green", "目白"))),
        scores=Scores.PROBABILITIES,
    )


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory):
    """Return a folder with the network, and a file of it with features."""
    folder = tmp_path_factory.mktemp("explain")
    save_float_model(model, folder / "network")
    exporter = Exporter(model, with_features=True)
    export_with(exporter, format=Format.TFLITE, precision=Precision.FP32, out=folder / "build")
    return folder


@pytest.fixture
def pictures(tmp_path):
    """Return a folder with two pictures: red upper left, blue lower right, on grey."""
    picture = np.full((40, 60, 3), 60, np.uint8)
    picture[4:14, 14:24] = (20, 20, 230)
    picture[26:36, 34:44] = (230, 20, 20)
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name in ("a.png", "b.jpg"):
        assert cv2.imwrite(str(folder / name), picture)
    return folder


MODELS = pytest.mark.parametrize("kind", ["network", "build/colours-fp32.tflite"])


@MODELS
@pytest.mark.parametrize("method", ["gradcam", "gradcam++", "occlusion", "features"])
def test_drawings_appear_beside_the_pictures(folder, pictures, kind, method, capsys):
    assert main(["explain", str(folder / kind), str(pictures), "--method", method]) == 0
    for name in ("a", "b"):
        drawing = cv2.imread(str(pictures / f"{name}.{method}.jpg"))
        assert drawing.shape[1] == 1620
        assert np.ptp(drawing) > 200
    assert sorted(path.suffix for path in pictures.iterdir()) == [".jpg"] * 3 + [".png"]
    assert "a.png" in capsys.readouterr().out
    # The drawings are no pictures to explain.
    assert main(["explain", str(folder / kind), str(pictures), "--method", method]) == 0
    assert len(list(pictures.iterdir())) == 4


@MODELS
def test_json_tells_where_the_heat_is(folder, pictures, kind, tmp_path, capsys):
    words = ["explain", str(folder / kind), str(pictures / "a.png"), "--json", "--out"]
    for target, inside in (("red", (14, 4)), ("目白", (34, 26))):
        assert main([*words, str(tmp_path / "out" / target), "--class", target]) == 0
        (told,) = json.loads(capsys.readouterr().out)
        assert told["class"]["label"] == target
        assert told["seen"] == {"x": 10, "y": 0, "width": 40, "height": 40}
        assert 0 <= told["peak"]["x"] - inside[0] < 10
        assert 0 <= told["peak"]["y"] - inside[1] < 10
        assert np.shape(told["map"]) == (16, 16)
        assert told["drawing"].endswith("a.gradcam.jpg")
        assert [answer["index"] for answer in told["top"]] != []
    assert not list(pictures.glob("*.gradcam.jpg"))
    assert main([*words, str(tmp_path / "out"), "--method", "features"]) == 0
    (told,) = json.loads(capsys.readouterr().out)
    assert told["stages"][-1]["channels"] == 3
    assert set(told["stages"][-1]["strongest"]) == {0, 1, 2}


def test_unreadable_pictures_are_named_and_left_out(folder, pictures, capsys):
    (pictures / "c.png").write_text("no picture")
    assert main(["explain", str(folder / "network"), str(pictures)]) == 0
    caught = capsys.readouterr()
    assert "left out" in caught.err
    assert "c.png" in caught.err
    assert main(["explain", str(folder / "network"), str(pictures / "c.png")]) == 1
    assert "none of the 1 pictures can be read" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["network", "a.png", "--class", "pink"], "no class 'pink'"),
        (["network", "a.png", "--layer", "none"], "no layer 'none'"),
        (["network", "a.png", "--method", "occlusion", "--layer", "look"], "leave --layer out"),
        (["network", "a.png", "--method", "occlusion", "--window", "16"], "hides all"),
        (["network", "a.png", "--method", "occlusion", "--window", "0"], "1 or more"),
        (["network", "a.png", "--window", "4"], "no window"),
        (["network", "a.png", "--method", "features", "--class", "red"], "leave --class out"),
        (["network", "a.png", "--threads", "2"], "leave --threads out"),
        (["network", "a.png", "--out", "{pictures}/a.png"], "is a file"),
        (["network", "a.png", "{pictures}/a.png"], "would both be drawn"),
        (["build/colours-fp32.tflite", "a.png", "--weights", "none"], "leave --weights out"),
        (["build/colours-fp32.tflite", "a.png", "--alpha", "0"], "leave --alpha out"),
        (["build/colours-fp32.tflite", "a.png", "--layer", "look"], "not layer 'look'"),
        (["build/colours-fp32.tflite", "a.png", "--method", "lime"], "lime"),
    ],
)
def test_wrong_usage_is_one_line_and_writes_nothing(folder, pictures, words, message, capsys):
    model, picture, *rest = words
    before = sorted(path.name for path in pictures.iterdir())
    rest = [word.format(pictures=pictures) for word in rest]
    assert main(["explain", str(folder / model), str(pictures / picture), *rest]) == 2
    caught = capsys.readouterr()
    assert caught.err.count("\n") == 1
    assert message in caught.err
    assert sorted(path.name for path in pictures.iterdir()) == before


@pytest.mark.parametrize("name", ["absent.png", "empty"])
def test_no_pictures_is_a_failure(folder, tmp_path, name, capsys):
    (tmp_path / "empty").mkdir()
    assert main(["explain", str(folder / "network"), str(tmp_path / name)]) == 1
    assert name in capsys.readouterr().err
