"""A video gives all its frames in order, and what is no video says so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mejiro_runtime.errors import SourceError
from mejiro_runtime.sources.video import VideoSource

FRAMES = 7


@pytest.fixture
def film(cv2: Any, tmp_path: Path) -> Path:
    """Return a short film whose frames get brighter."""
    path = tmp_path / "film.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10, (64, 48))
    if not writer.isOpened():
        pytest.skip("this OpenCV writes no MJPG")
    for index in range(FRAMES):
        writer.write(np.full((48, 64, 3), 30 * index + 20, np.uint8))
    writer.release()
    return path


def test_every_frame_comes_in_order(film: Path) -> None:
    with VideoSource(film) as source:
        frames = list(source.frames())
    assert [frame.index for frame in frames] == list(range(FRAMES))
    assert frames[2].name == "film.avi#2"
    assert all(frame.pixels.shape == (48, 64, 3) for frame in frames)
    brightness = [float(frame.pixels.mean()) for frame in frames]
    assert brightness == sorted(brightness)
    assert source.live is False
    assert source.description == "video film.avi"


def test_frames_are_not_written_over(film: Path) -> None:
    with VideoSource(film) as source:
        frames = source.frames()
        first = next(frames)
        kept = first.pixels.copy()
        next(frames)
        np.testing.assert_array_equal(first.pixels, kept)


@pytest.mark.parametrize("name", ["text.mp4", "film_01.avi", "model.tflite", "noending"])
def test_what_is_no_video_says_so_in_one_line(cv2, tmp_path, capfd, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"This is not a video.\n" * 50)

    def read_all() -> None:
        with VideoSource(path) as source:
            list(source.frames())

    with pytest.raises(SourceError, match=name) as caught:
        read_all()
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_a_truncated_film_gives_what_it_has_or_an_error(film: Path) -> None:
    film.write_bytes(film.read_bytes()[: film.stat().st_size // 2])
    count = 0
    try:
        with VideoSource(film) as source:
            for _ in source.frames():
                count += 1
    except SourceError:
        assert count == 0
    assert count < FRAMES
