"""An engine is found by the key that made it, and by no other."""

from __future__ import annotations

import ctypes
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mejiro_runtime.backends import engine_cache
from mejiro_runtime.backends.engine_cache import (
    KEY_FILE,
    EngineKey,
    cache_options,
    decode_version,
    engine_folder,
    prepare,
    tensorrt_version,
    timing_folder,
)

KEY = EngineKey("Orin Nano, p3767-0005", "10.3.0", "1.23.0", "ab" * 32, ("trt_int8_enable=True",))
OTHERS = [
    KEY._replace(gpu="Orin NX, p3767-0000"),
    KEY._replace(tensorrt="10.13.3"),
    KEY._replace(onnxruntime="1.24.0"),
    KEY._replace(model_sha256="cd" * 32),
    KEY._replace(options=()),
]
TEXT = st.text(max_size=20)
KEYS = st.builds(EngineKey, TEXT, TEXT, TEXT, TEXT, st.lists(TEXT, max_size=3).map(tuple))


def test_each_part_of_the_key_leads_elsewhere() -> None:
    root = Path("cache")
    folders = {engine_folder(root, key) for key in (KEY, *OTHERS)}
    assert len(folders) == 1 + len(OTHERS)
    assert engine_folder(root, KEY) == engine_folder(root, EngineKey(*KEY))


@given(KEYS, KEYS)
def test_two_keys_share_a_folder_only_if_they_are_equal(one: EngineKey, other: EngineKey) -> None:
    assert (one.digest == other.digest) == (one == other)
    assert len(one.digest) == 32
    assert set(one.digest) <= set("0123456789abcdef")


def test_timings_serve_all_models_of_a_gpu_and_tensorrt() -> None:
    root = Path("cache")
    same = [timing_folder(root, key) == timing_folder(root, KEY) for key in OTHERS]
    assert same == [False, False, True, True, True]


def test_a_folder_of_the_same_key_is_kept(tmp_path: Path) -> None:
    folder = prepare(tmp_path, KEY)
    assert folder is not None
    (folder / "model_sm87.engine").write_bytes(b"engine")
    assert json.loads((folder / KEY_FILE).read_text()) == KEY.to_json()
    assert prepare(tmp_path, KEY) == folder
    assert (folder / "model_sm87.engine").read_bytes() == b"engine"


@pytest.mark.parametrize("told", [None, "{", "[]", json.dumps(OTHERS[0].to_json())])
def test_what_another_key_made_is_never_used(tmp_path: Path, told: str | None) -> None:
    folder = engine_folder(tmp_path, KEY)
    folder.mkdir(parents=True)
    (folder / "model_sm87.engine").write_bytes(b"of somebody else")
    if told is not None:
        (folder / KEY_FILE).write_text(told)
    assert prepare(tmp_path, KEY) == folder
    assert [path.name for path in folder.iterdir()] == [KEY_FILE]
    assert json.loads((folder / KEY_FILE).read_text()) == KEY.to_json()


def test_the_options_name_both_folders(tmp_path: Path) -> None:
    assert cache_options(tmp_path, KEY) == {
        "trt_engine_cache_enable": "True",
        "trt_engine_cache_path": str(engine_folder(tmp_path, KEY)),
        "trt_timing_cache_enable": "True",
        "trt_timing_cache_path": str(timing_folder(tmp_path, KEY)),
    }
    assert timing_folder(tmp_path, KEY).is_dir()


def test_without_a_full_key_or_a_place_nothing_is_kept(tmp_path: Path) -> None:
    assert cache_options(tmp_path, None) == {}
    assert cache_options(None, KEY) == {}
    (tmp_path / "tensorrt").write_text("a file where the folder should be")
    assert cache_options(tmp_path, KEY) == {}


@pytest.mark.parametrize(
    ("number", "version"), [(8601, "8.6.1"), (100300, "10.3.0"), (101303, "10.13.3")]
)
def test_tensorrt_tells_its_version_as_a_number(number: int, version: str) -> None:
    assert decode_version(number) == version


def test_the_library_is_asked(monkeypatch) -> None:
    asked = []

    class Library:
        @staticmethod
        def getInferLibVersion() -> int:  # noqa: N802 - as TensorRT calls it
            return 100300

    def load(name: str) -> Any:
        asked.append(name)
        if name != "libnvinfer.so.10":
            raise OSError(name)
        return Library

    monkeypatch.setattr(ctypes, "CDLL", load)
    assert tensorrt_version() == "10.3.0"
    assert asked == ["libnvinfer.so.11", "libnvinfer.so.10"]
    monkeypatch.setattr(engine_cache, "_LIBRARIES", ("libnvinfer.so.8",))
    assert tensorrt_version() is None
