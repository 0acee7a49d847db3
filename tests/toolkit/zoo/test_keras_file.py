"""Check that Keras files load, and that those which hold code or are damaged do not."""

from __future__ import annotations

import contextlib
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mejiro.zoo.keras_file import load_keras_file, read_scores
from mejiro_runtime.card import Scores
from mejiro_runtime.errors import MejiroError, ModelError, SpecError


@pytest.fixture(params=[".keras", ".h5"])
def saved(request: pytest.FixtureRequest, tiny: Any, tmp_path: Path) -> Path:
    path = tmp_path / f"tiny{request.param}"
    tiny.save(path)
    return path


def edit_config(path: Path, edit: Callable[[dict[str, Any]], None]) -> None:
    """Change the configuration inside a Keras file, as an attacker would."""
    if path.suffix == ".h5":
        with h5py.File(path, "a") as file:
            config = json.loads(file.attrs["model_config"])
            edit(config)
            file.attrs["model_config"] = json.dumps(config)
        return
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(members["config.json"])
    edit(config)
    members["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)


def layer(config: dict[str, Any], name: str) -> dict[str, Any]:
    layers: list[dict[str, Any]] = config["config"]["layers"]
    return next(item for item in layers if item["config"]["name"] == name)


def test_a_saved_network_computes_the_same(
    saved: Path, tiny: Any, pictures: NDArray[np.float32]
) -> None:
    found = load_keras_file(saved)
    np.testing.assert_array_equal(
        found.predict(pictures, verbose=0), tiny.predict(pictures, verbose=0)
    )
    assert not found.compiled


def test_training_settings_are_left_behind(tiny: Any, tmp_path: Path) -> None:
    tiny.compile("adam", "sparse_categorical_crossentropy")
    tiny.save(tmp_path / "a.keras")
    assert not load_keras_file(tmp_path / "a.keras").compiled


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_a_lambda_is_refused_and_never_run(keras: Any, tmp_path: Path, suffix: str) -> None:
    trace = tmp_path / "run"
    command = f"__import__('pathlib').Path({str(trace)!r}).touch()"
    inputs = keras.Input((8, 8, 3))
    function = eval(f"lambda x: ({command}, x)[1]")
    x = keras.layers.Lambda(function, name="payload", output_shape=(8, 8, 3))(inputs)
    outputs = keras.layers.Dense(3)(keras.layers.GlobalMaxPooling2D()(x))
    network = keras.Model(inputs, outputs)
    network.save(tmp_path / f"a{suffix}")
    network(np.zeros((1, 8, 8, 3), np.float32))
    assert trace.exists()  # the payload is a real one
    trace.unlink()
    with pytest.raises(ModelError, match=r"contains a Lambda \(layer 'payload'\)") as caught:
        load_keras_file(tmp_path / f"a{suffix}")
    assert "\n" not in str(caught.value)
    assert not trace.exists()


@pytest.mark.parametrize("kind", ["TFSMLayer", "TorchModuleWrapper", "JaxLayer", "__lambda__"])
def test_layers_that_load_from_elsewhere_are_refused(saved: Path, kind: str) -> None:
    edit_config(saved, lambda config: layer(config, "pool").update(class_name=kind))
    with pytest.raises(ModelError, match=f"contains a {kind}"):
        load_keras_file(saved)


def test_code_hidden_deep_in_a_setting_is_refused(saved: Path) -> None:
    hidden = {"class_name": "__lambda__", "config": {"value": ["4wEA", None, None]}}

    def hide(config: dict[str, Any]) -> None:
        layer(config, "conv")["config"]["kernel_initializer"]["config"] = {"scale": [[hidden]]}

    edit_config(saved, hide)
    with pytest.raises(ModelError, match="contains a __lambda__"):
        load_keras_file(saved)


@pytest.mark.parametrize("module", ["os", "kerasevil", "subprocess", 7, ["keras"]])
def test_classes_of_other_packages_are_refused(saved: Path, module: Any) -> None:
    edit_config(saved, lambda config: layer(config, "pool").update(module=module))
    with pytest.raises(ModelError, match="which is not part of Keras"):
        load_keras_file(saved)


def test_a_class_that_this_process_registered_is_its_own(keras: Any, tmp_path: Path) -> None:
    @keras.saving.register_keras_serializable(package="mejiro_test")
    class Doubled(keras.layers.Layer):  # type: ignore[misc]
        def call(self, inputs: Any) -> Any:
            return inputs * 2

    inputs = keras.Input((8, 8, 3))
    pooled = keras.layers.GlobalMaxPooling2D()(inputs)
    keras.Model(inputs, keras.layers.Dense(3)(Doubled()(pooled))).save(tmp_path / "a.keras")
    assert load_keras_file(tmp_path / "a.keras").output_shape == (None, 3)


def test_a_layer_that_keras_does_not_have_gives_one_line(saved: Path) -> None:
    edit_config(saved, lambda config: layer(config, "pool").update(class_name="NoSuchLayer"))
    with pytest.raises(ModelError, match="cannot be loaded") as caught:
        load_keras_file(saved)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


def test_a_configuration_of_endless_depth_is_refused(tiny: Any, tmp_path: Path) -> None:
    saved = tmp_path / "a.keras"
    tiny.save(saved)
    with zipfile.ZipFile(saved) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["config.json"] = b'{"class_name": "Functional", "config": ' + b"[" * 200_000
    with zipfile.ZipFile(saved, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    with pytest.raises(SpecError, match="is not valid JSON"):
        load_keras_file(saved)


def test_members_that_do_not_belong_are_refused(tiny: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.keras"
    tiny.save(path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("assets/../../../etc/cron.d/x", b"")
    with pytest.raises(ModelError, match="does not hold just"):
        load_keras_file(path)


def test_a_bomb_is_refused_unopened(
    tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny.save(tmp_path / "a.keras")
    monkeypatch.setattr("mejiro.zoo.keras_file.MAX_UNPACKED_BYTES", 1000)
    with pytest.raises(ModelError, match="unpacks to more than 1000 bytes"):
        load_keras_file(tmp_path / "a.keras")


def test_weights_alone_are_no_model(tiny: Any, tmp_path: Path) -> None:
    tiny.save_weights(tmp_path / "a.weights.h5")
    with pytest.raises(ModelError, match="holds weights without a network"):
        load_keras_file(tmp_path / "a.weights.h5")


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize("content", [b"", b"no model", b"PK\x03\x04garbage", b"\x89HDF\r\n\x1a\n"])
def test_a_file_that_is_none_is_refused(tmp_path: Path, suffix: str, content: bytes) -> None:
    (tmp_path / f"a{suffix}").write_bytes(content)
    with pytest.raises(ModelError, match="is no (Keras|HDF5) file"):
        load_keras_file(tmp_path / f"a{suffix}")


def test_an_absent_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"absent\.keras is not a file"):
        load_keras_file(tmp_path / "absent.keras")


@given(st.data())
@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_damaged_file_raises_our_errors_alone(saved: Path, data: st.DataObject) -> None:
    whole = saved.read_bytes()
    cut = data.draw(st.integers(0, len(whole)))
    place = data.draw(st.integers(0, len(whole) - 1))
    damaged = bytearray(whole)
    damaged[place] ^= data.draw(st.integers(1, 255))
    path = saved.with_name(f"damaged{saved.suffix}")
    with pytest.MonkeyPatch.context() as patch:
        # A changed byte can keep the HDF5 library busy for ever.
        patch.setattr("mejiro.zoo.hdf5.TIMEOUT_S", 10)
        for content in (whole[:cut], bytes(damaged)):
            path.write_bytes(content)
            with contextlib.suppress(MejiroError):
                load_keras_file(path)


def ends(keras: Any, kind: str) -> Any:
    """Networks that end in different ways."""
    layers = keras.layers
    inputs = keras.Input((8, 8, 3))
    x = layers.GlobalMaxPooling2D(keepdims=True)(inputs)
    if kind == "dense softmax":
        return keras.Model(inputs, layers.Dense(3, activation="softmax")(layers.Flatten()(x)))
    if kind == "softmax reshaped":
        x = layers.Softmax()(layers.Conv2D(3, 1)(x))
        return keras.Model(inputs, layers.Reshape((3,))(x))
    if kind == "activation":
        x = layers.Flatten()(layers.Conv2D(3, 1)(x))
        return keras.Model(inputs, layers.Activation("softmax")(x))
    if kind == "dense":
        return keras.Model(inputs, layers.Dense(3)(layers.Flatten()(x)))
    if kind == "convolution":
        return keras.Model(inputs, layers.Flatten()(layers.Conv2D(3, 1)(x)))
    if kind == "nested":
        inner = ends(keras, "dense softmax")
        return keras.Sequential([keras.Input((8, 8, 3)), inner])
    if kind == "sigmoid":
        return keras.Model(inputs, layers.Dense(3, activation="sigmoid")(layers.Flatten()(x)))
    return keras.Model(inputs, layers.Rescaling(2.0)(layers.Flatten()(x)))


@pytest.mark.parametrize(
    ("kind", "wanted"),
    [
        ("dense softmax", Scores.PROBABILITIES),
        ("softmax reshaped", Scores.PROBABILITIES),
        ("activation", Scores.PROBABILITIES),
        ("nested", Scores.PROBABILITIES),
        ("dense", Scores.LOGITS),
        ("convolution", Scores.LOGITS),
        ("sigmoid", None),
        ("rescaling", None),
    ],
)
def test_the_last_layer_tells_the_scores(keras: Any, kind: str, wanted: Scores | None) -> None:
    assert read_scores(ends(keras, kind)) is wanted
