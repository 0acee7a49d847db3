"""Photos of a phone are frames; a program or an app that is missing is told in one line."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mejiro_runtime.errors import SourceError, UsageError
from mejiro_runtime.sources import open_source
from mejiro_runtime.sources.termux import PROGRAM, TermuxSource

cv2 = pytest.importorskip("cv2")
np = pytest.importorskip("numpy")

Camera = Callable[[str], None]


@pytest.fixture
def camera(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Camera:
    """Return a function that puts the program on PATH, with the script that takes a photo."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder), prepend=":")
    cv2.imwrite(str(tmp_path / "photo.png"), np.full((6, 8, 3), (1, 2, 3), np.uint8))
    monkeypatch.setenv("PHOTO", str(tmp_path / "photo.png"))

    def write(script: str) -> None:
        path = folder / PROGRAM
        path.write_text(f'#!/bin/sh\n[ "$1" = -c ] || exit 9\nnumber=$2 file=$3\n{script}\n')
        path.chmod(0o755)

    return write


def test_each_photo_is_a_frame_and_no_file_stays(
    camera: Camera, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import tempfile

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    camera('[ "$number" = 1 ] && cat "$PHOTO" > "$file"')
    with open_source("termux:1") as source:
        assert source.live
        frames = source.frames()
        first, second = next(frames), next(frames)
        assert not list(tmp_path.glob("mejiro-photo-*/*"))
    frames.close()
    assert (first.index, second.index) == (0, 1)
    assert first.pixels[0, 0].tolist() == [1, 2, 3]
    assert first.capture_ns > 0
    assert first.captured_ns <= second.captured_ns
    assert not list(tmp_path.glob("mejiro-photo-*"))


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("touch $file", "the photo is empty"),
        ("exit 3", "it ended with 3"),
        ("echo Permission denied; exit 1", "Permission denied"),
        ("sleep 1000", "took no photo in 0.2 s"),
    ],
)
def test_no_photo_is_told_in_one_line_with_what_to_do(
    camera: Camera, script: str, told: str
) -> None:
    camera(script)
    with TermuxSource(0, timeout_s=0.2 if "sleep" in script else 20) as source:
        with pytest.raises(SourceError, match=told) as caught:
            next(source.frames())
        assert "Termux:API" in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_photo_that_is_none_is_told(camera: Camera) -> None:
    camera("echo nothing > $file")
    with TermuxSource(0) as source, pytest.raises(SourceError, match="is not a picture"):
        next(source.frames())


def test_elsewhere_there_is_no_such_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(SourceError, match="pkg install termux-api"):
        TermuxSource(0).__enter__()


def test_who_waits_for_a_photo_can_be_stopped(camera: Camera) -> None:
    camera("sleep 1000")
    with TermuxSource(0) as source:
        threading.Timer(0.2, source.stop).start()
        assert list(source.frames()) == []


@given(text=st.text(max_size=12) | st.from_regex(r"[0-9]{1,4}(\?timeout=[0-9.]{1,4})?"))
def test_any_words_name_a_camera_or_are_refused(text: str) -> None:
    told, camera = "", 0
    try:
        camera = TermuxSource.parse(text).camera
    except UsageError as error:
        told = str(error)
    assert "termux" in told if told else text.lstrip("0").startswith(str(camera or ""))
