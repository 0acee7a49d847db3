"""A video gives all its frames in order, and what is no video says so."""

from __future__ import annotations

import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mejiro_runtime.errors import SourceError, UsageError
from mejiro_runtime.sources import open_source, stop, video
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


def test_in_real_time_frames_come_when_they_are_due(film: Path, monkeypatch) -> None:
    clock, waits = [5_000_000_000], []

    class Waits(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            assert timeout is not None
            waits.append(round(timeout, 3))
            clock[0] += max(0, round(timeout * 1e9))
            return self.is_set()

    monkeypatch.setattr(video, "perf_counter_ns", lambda: clock[0])
    source = open_source(f"{film}?pace=real")
    assert source.live
    assert source.description == "video film.avi in real time"
    source._stopped = Waits()  # type: ignore[attr-defined]
    with source:
        frames = source.frames()
        taken = [next(frames).captured_ns for _ in range(3)]
        clock[0] += 250_000_000  # a reader that is late
        taken += [next(frames).captured_ns for _ in range(2)]
        assert waits == [0, 0.1, 0.1, 0, 0]
        stop(source)
        assert next(frames, None) is None
    assert [ns // 1_000_000 - 5000 for ns in taken] == [0, 100, 200, 450, 450]


def test_a_pace_is_real_or_fast(film: Path) -> None:
    assert open_source(f"{film}?pace=fast").live is False
    with pytest.raises(UsageError, match="'pase=real' is no option of a video; .* pace="):
        open_source(f"{film}?pase=real")
    with pytest.raises(UsageError, match="there is no source"):
        open_source(f"{film}s?pace=real")


def test_a_name_may_hold_a_question_mark(film: Path) -> None:
    odd = film.rename(film.with_name("what?pace=real"))
    source = open_source(str(odd))
    assert source.live is False
    with source:
        assert len(list(source.frames())) == FRAMES
    assert open_source(f"{odd}?pace=real").live is True


def test_a_picture_has_no_options(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"x")
    with pytest.raises(UsageError, match="is no option of a picture; its options: none"):
        open_source(f"{tmp_path}/a.jpg?pace=real")


def test_a_film_without_a_rate_has_no_real_time(monkeypatch, tmp_path: Path) -> None:
    class Capture:
        released = 0

        def isOpened(self) -> bool:  # noqa: N802 - OpenCV's name
            return True

        def get(self, key: str) -> float:
            return 0.0

        def release(self) -> None:
            self.released += 1

    capture = Capture()
    fake = SimpleNamespace(VideoCapture=lambda path: capture, CAP_PROP_FPS="fps")
    monkeypatch.setattr(video.opencv, "load", lambda purpose: fake)
    with pytest.raises(SourceError, match="does not tell its frames a second; use pace=fast"):
        VideoSource(tmp_path, real_time=True).__enter__()
    assert capture.released == 1
    VideoSource(tmp_path).__enter__()
