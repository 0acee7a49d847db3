"""Golden arrays are read without running anything, or refused."""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mejiro_runtime.errors import BundleError
from mejiro_runtime.golden import MAX_ARRAYS, array_name, machine, read_arrays, tolerance_for
from mejiro_runtime.manifest import Tolerance


def npy_bytes(array: Any, *, allow_pickle: bool = False) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array(stream, np.asarray(array), allow_pickle=allow_pickle)
    return stream.getvalue()


def write_zip(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def test_arrays_come_back_as_they_were(tmp_path) -> None:
    rng = np.random.default_rng(0)
    arrays = [
        rng.integers(0, 256, (5, 4, 3), dtype=np.uint8),
        rng.random((1, 7)).astype(np.float32),
        rng.integers(-128, 128, (1, 2, 2, 3)).astype(np.int8),
    ]
    path = tmp_path / "golden.npz"
    np.savez_compressed(path, **{array_name(i): a for i, a in enumerate(arrays)})
    for made, wanted in zip(read_arrays(path, 3), arrays, strict=True):
        assert made.dtype == wanted.dtype
        np.testing.assert_array_equal(made, wanted)


@pytest.mark.parametrize("count", [0, -1, MAX_ARRAYS + 1])
def test_their_number_is_limited(tmp_path, count: int) -> None:
    with pytest.raises(BundleError, match=f"found {count}"):
        read_arrays(tmp_path / "golden.npz", count)


def test_a_missing_array_or_file_is_named(tmp_path) -> None:
    with pytest.raises(BundleError, match=r"golden\.npz cannot be read"):
        read_arrays(tmp_path / "golden.npz", 1)
    path = write_zip(tmp_path / "golden.npz", {"00.npy": npy_bytes([1.0])})
    with pytest.raises(BundleError, match=r"golden\.npz cannot be read.*01"):
        read_arrays(path, 2)


class Bomb:
    """Leave a trace where it is unpickled."""

    def __reduce__(self) -> Any:
        return (Path.touch, (Path(self.trace),))

    trace = ""


def test_nothing_is_unpickled(tmp_path) -> None:
    bomb = Bomb()
    Bomb.trace = str(tmp_path / "trace")
    array = np.array([bomb], dtype=object)
    for data in (npy_bytes(array, allow_pickle=True), pickle.dumps(bomb)):
        path = write_zip(tmp_path / "golden.npz", {"00.npy": data})
        with pytest.raises(BundleError, match="cannot be read|not an array"):
            read_arrays(path, 1)
    assert not (tmp_path / "trace").exists()
    # The trap works: unpickling would have left the trace.
    pickle.loads(pickle.dumps(bomb))
    assert (tmp_path / "trace").exists()


def test_a_bomb_is_not_unpacked(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("mejiro_runtime.golden.MAX_UNPACKED_BYTES", 1 << 16)
    path = write_zip(tmp_path / "golden.npz", {"00.npy": bytes(1 << 17)})
    with pytest.raises(BundleError, match="unpacks to 131072 bytes"):
        read_arrays(path, 1)


def test_a_header_that_promises_too_much_is_refused(tmp_path) -> None:
    data = npy_bytes(np.zeros(4, np.uint8)).replace(b"(4,), ", b"(4" + b"0" * 15 + b",), ")
    path = write_zip(tmp_path / "golden.npz", {"00.npy": data})
    with pytest.raises(BundleError, match="cannot be read"):
        read_arrays(path, 1)


@given(data=st.data())
@settings(max_examples=150)
def test_damage_is_refused_or_read_as_arrays(tmp_path_factory, data: st.DataObject) -> None:
    path = tmp_path_factory.mktemp("golden") / "golden.npz"
    write_zip(path, {"00.npy": npy_bytes(np.arange(12, dtype=np.uint8).reshape(2, 2, 3))})
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    del content[data.draw(st.integers(0, len(content))) :]
    path.write_bytes(content)
    try:
        (array,) = read_arrays(path, 1)
    except BundleError:
        return
    assert isinstance(array, np.ndarray)
    assert array.dtype != object


def test_the_first_tolerance_that_fits_counts() -> None:
    tolerances = (
        Tolerance("litert", "x86_64", 0.1, "a"),
        Tolerance("litert", "*", 0.2, "b"),
        Tolerance("*", "*", 0.3, "c"),
    )
    assert tolerance_for(tolerances, "litert", "x86_64").max_abs == 0.1
    assert tolerance_for(tolerances, "litert", "aarch64").max_abs == 0.2
    assert tolerance_for(tolerances, "onnxruntime", "x86_64").max_abs == 0.3
    other = tolerance_for(tolerances, "litert", "x86_64", other_engine=True)
    assert other.max_abs == 0.3
    alone = tolerance_for(tolerances[:1], "litert", "x86_64", other_engine=True)
    assert alone.max_abs == 0.1
    with pytest.raises(BundleError, match="no golden tolerance for onnxruntime on x86_64"):
        tolerance_for(tolerances[:2], "onnxruntime", "x86_64")


@pytest.mark.parametrize(
    ("system", "name"),
    [("AMD64", "x86_64"), ("x86_64", "x86_64"), ("arm64", "aarch64"), ("armv7l", "armv7l")],
)
def test_machines_have_one_name(monkeypatch, system: str, name: str) -> None:
    monkeypatch.setattr("platform.machine", lambda: system)
    assert machine() == name
