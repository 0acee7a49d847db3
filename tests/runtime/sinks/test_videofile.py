"""A video holds what was shown, runs as time did, and appears whole or not at all."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mejiro_runtime.errors import MejiroError, UsageError
from mejiro_runtime.sinks import videofile
from mejiro_runtime.sinks.videofile import MAX_REPEATS, VideoFileSink
from mejiro_runtime.types import Frame, PixelOrder, Result, Timing

RESULT = Result(0, "", (), Timing(1, 2, 3, 4, 5))


def frame(index: int, *, at_s: float = 0.0, size: tuple[int, int] = (48, 64)) -> Frame:
    pixels = np.full((*size, 3), 20 * index % 256, np.uint8)
    return Frame(pixels, PixelOrder.BGR, index, int(at_s * 1e9), 0)


def read(cv2: Any, path: Path) -> list[Any]:
    capture = cv2.VideoCapture(str(path))
    frames = []
    while (got := capture.read())[0]:
        frames.append(got[1])
    capture.release()
    return frames


@pytest.mark.parametrize("name", ["out.avi", "out.mp4"])
def test_each_frame_of_a_file_is_written_once(cv2, tmp_path, name: str) -> None:
    path = tmp_path / "new" / name
    sink = VideoFileSink(path, frames_per_second=10)
    for index in range(12):  # more than wait in line at a time
        sink.show(frame(index), RESULT)
    assert not path.exists()  # until it is whole
    sink.close()
    frames = read(cv2, path)
    assert len(frames) == 12
    assert [round(float(one.mean()) / 20) for one in frames] == list(range(12))
    assert [entry.name for entry in path.parent.iterdir()] == [name]
    assert f"{name}: 12 frames as {sink.codec}" in sink.summary
    sink.close()  # again does no harm
    assert not [thread for thread in threading.enumerate() if thread.name == "video"]


class Counting(VideoFileSink):
    """Count what would be written, without a thread or a file."""

    def __init__(self) -> None:
        self._live, self._rate, self._began_ns, self.written = True, 10.0, 0, 0

    def times(self, at_s: float) -> int:
        times = self._times(frame(0, at_s=at_s))
        self.written += times
        return times


def test_a_camera_is_written_as_time_went() -> None:
    sink = Counting()
    assert [sink.times(at) for at in (0.0, 0.1, 0.15, 0.2, 0.5, 0.6)] == [1, 1, 0, 1, 3, 1]
    assert sink.times(3600.0) == 1  # an hour's absence is not an hour of standing picture
    assert sink.times(3600.1) == 1
    assert sink.times(3600.1 + MAX_REPEATS / 10) <= MAX_REPEATS + 1


def test_what_a_camera_gives_too_fast_is_left_out_and_counted(cv2, tmp_path, monkeypatch) -> None:
    go, begun = threading.Event(), threading.Event()

    def slow_paint(frame: Frame, result: Result, **options: Any) -> Any:
        begun.set()
        assert go.wait(30)
        return frame.pixels

    monkeypatch.setattr(videofile, "paint", slow_paint)
    sink = VideoFileSink(tmp_path / "a.avi", live=True, frames_per_second=10)
    sink.show(frame(0), RESULT)
    assert begun.wait(30)
    for index in range(1, 20):
        sink.show(frame(index, at_s=index / 10), RESULT)
    go.set()
    sink.close()
    assert sink.dropped == 19 - videofile.QUEUE
    assert f"{sink.dropped} left out" in sink.summary
    assert len(read(cv2, tmp_path / "a.avi")) == sink.written == 1 + videofile.QUEUE


def test_frames_of_another_size_are_brought_to_the_first_ones(cv2, tmp_path) -> None:
    sink = VideoFileSink(tmp_path / "a.avi")
    for index, size in enumerate(((48, 64), (20, 90), (48, 64))):
        sink.show(frame(index, size=size), RESULT)
    sink.close()
    assert [one.shape for one in read(cv2, tmp_path / "a.avi")] == [(48, 64, 3)] * 3


def test_no_frame_no_file(cv2, tmp_path) -> None:
    path = tmp_path / "a.avi"
    path.write_bytes(b"an older video")
    sink = VideoFileSink(path)
    sink.close()
    assert path.read_bytes() == b"an older video"
    assert "was not written" in sink.summary
    assert len(list(tmp_path.iterdir())) == 1


def test_a_failure_reaches_the_run_and_leaves_nothing(cv2, tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(videofile.CODECS, ".avi", ("zzzz",))
    sink = VideoFileSink(tmp_path / "a.avi")
    sink.show(frame(0), RESULT)
    while sink._failure is None:
        sink._thread.join(0.05)
    with pytest.raises(MejiroError, match="writes no .avi video"):
        sink.show(frame(1), RESULT)
    with pytest.raises(MejiroError, match="writes no .avi video"):
        sink.close()
    assert list(tmp_path.iterdir()) == []


def test_a_codec_that_is_not_there_is_replaced_and_told(cv2, tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(videofile.CODECS, ".avi", ("zzzz", "MJPG"))
    sink = VideoFileSink(tmp_path / "a.avi")
    sink.show(frame(1), RESULT)
    sink.close()
    assert sink.summary.endswith("a.avi: 1 frames as MJPG (this OpenCV does not write zzzz)")


def test_the_ending_names_the_kind(cv2, tmp_path) -> None:
    with pytest.raises(UsageError, match=r"ends in .mp4, .mov, .mkv, .avi, found 'a.gif'"):
        VideoFileSink(tmp_path / "a.gif")
