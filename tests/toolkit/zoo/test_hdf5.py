"""Check that HDF5 files which would crash or hang their reader are found out in another process."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest

from mejiro.zoo import hdf5
from mejiro.zoo.hdf5 import check_hdf5, check_keras_file, read_all
from mejiro_runtime.errors import ModelError


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "good.h5"
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = "{}"
        layer = file.create_group("layer")
        layer["kernel"] = np.arange(12.0).reshape(3, 4)
        layer.create_dataset("bias", data=np.arange(1000.0), chunks=(100,), compression="gzip")
        layer["empty"] = h5py.Empty("f")
        layer["scalar"] = 3
    return path


def test_a_good_file_is_read_whole(good: Path) -> None:
    assert read_all(good) == 6
    check_hdf5(good, "good.h5")
    check_keras_file(good)


def test_the_part_inside_a_keras_file_is_read(good: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(good, "model.weights.h5")
    check_keras_file(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model.weights.h5", good.read_bytes()[:-2000])
    with pytest.raises(ModelError, match=r"a\.keras is no HDF5 file that can be read \("):
        check_keras_file(path)


def test_a_large_part_is_refused_unpacked(
    good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with zipfile.ZipFile(tmp_path / "a.keras", "w") as archive:
        archive.write(good, "model.weights.h5")
    monkeypatch.setattr(hdf5, "MAX_UNPACKED_BYTES", 100)
    with pytest.raises(ModelError, match="unpacks to more than 100 bytes"):
        check_keras_file(tmp_path / "a.keras")


def test_damage_in_compressed_numbers_is_found(good: Path) -> None:
    data = good.read_bytes()
    with h5py.File(good) as file:
        chunk = file["layer/bias"].id.get_chunk_info(5)
    damaged = bytearray(data)
    damaged[chunk.byte_offset + chunk.size // 2] ^= 0xFF
    good.write_bytes(damaged)
    with pytest.raises(ModelError, match=r"^weights is no HDF5 file that can be read") as caught:
        check_hdf5(good, "weights")
    assert "\n" not in str(caught.value)


def test_numbers_in_another_file_are_not_read(tmp_path: Path) -> None:
    other = tmp_path / "secret.bin"
    other.write_bytes(b"\0" * 16)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("kernel", shape=(4,), dtype="f4", external=[(str(other), 0, 16)])
    with pytest.raises(ModelError, match=r"\(/kernel lies in another file\)"):
        check_hdf5(tmp_path / "a.h5", "a.h5")


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ("import time; time.sleep(60)", "keeps the HDF5 library busy for more than 0.5 s"),
        ("import os; os.abort()", r"\(its reader ended with -6\)"),
        ("raise SystemExit('no such thing')", r"\(no such thing\)"),
    ],
)
def test_a_reader_that_hangs_or_dies_is_one_line(
    good: Path, monkeypatch: pytest.MonkeyPatch, program: str, message: str
) -> None:
    monkeypatch.setattr(hdf5, "TIMEOUT_S", 0.5)
    monkeypatch.setattr(hdf5, "child_command", lambda *_: [sys.executable, "-c", program])
    if "sleep" not in program:
        monkeypatch.setattr(hdf5, "TIMEOUT_S", 60)
    with pytest.raises(ModelError, match=message) as caught:
        check_hdf5(good, "good.h5")
    assert "\n" not in str(caught.value)
