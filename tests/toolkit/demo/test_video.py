"""Check the video: its frames, where the camera looks, and that it is whole or absent."""

from __future__ import annotations

import itertools
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mejiro.data.samples import SamplePicture
from mejiro.demo import video
from mejiro.demo.video import HEIGHT, WIDTH, frames_of, split_frames, window, write_video
from mejiro.errors import MejiroError, UsageError
from mejiro_runtime.sources.video import VideoSource


def plain(name: str, bgr: tuple[int, int, int]) -> SamplePicture:
    return SamplePicture(name, np.full((300, 451, 3), bgr, dtype=np.uint8))


@given(st.integers(1, 40), st.integers(0, 500))
def test_frames_are_shared_evenly_and_none_is_lost(scenes: int, more: int) -> None:
    frames = scenes + more
    spans = split_frames(frames, scenes)
    lengths = [end - first for first, end in spans]
    assert sum(lengths) == frames
    assert max(lengths) - min(lengths) <= 1
    assert spans[0][0] == 0
    assert all(before[1] == after[0] for before, after in itertools.pairwise(spans))


@pytest.mark.parametrize(("frames", "scenes"), [(9, 10), (0, 1), (5, 0)])
def test_too_few_frames_are_refused(frames: int, scenes: int) -> None:
    with pytest.raises(UsageError, match=f"found {frames}"):
        split_frames(frames, scenes)


@given(st.integers(30, 4000), st.integers(30, 4000), st.floats(0, 1), st.booleans())
def test_the_camera_never_looks_beyond_the_photograph(
    width: int, height: int, progress: float, backwards: bool
) -> None:
    matrix = window(width, height, progress, backwards=backwards)
    # Pixel corners lie half a pixel around the centres that the map is about.
    for x, y in ((-0.5, -0.5), (WIDTH - 0.5, HEIGHT - 0.5)):
        at_x, at_y = matrix @ (x, y, 1.0)
        assert -0.5 - 1e-6 <= at_x <= width - 0.5 + 1e-6
        assert -0.5 - 1e-6 <= at_y <= height - 0.5 + 1e-6


@given(st.integers(30, 4000), st.integers(30, 4000))
def test_the_camera_closes_in(width: int, height: int) -> None:
    zooms = [window(width, height, step / 4, backwards=False)[0, 0] for step in range(5)]
    assert zooms == sorted(zooms, reverse=True)
    assert zooms[-1] == pytest.approx(zooms[0] * video.ZOOMED_SHARE)


def test_a_wide_photograph_is_passed_in_either_direction_and_a_tall_one_upwards() -> None:
    def centre(width: int, height: int, progress: float, backwards: bool) -> tuple[float, float]:
        matrix = window(width, height, progress, backwards=backwards)
        x, y = matrix @ ((WIDTH - 1) / 2, (HEIGHT - 1) / 2, 1.0)
        return float(x), float(y)

    assert centre(2000, 600, 0.0, False)[0] < centre(2000, 600, 1.0, False)[0]
    assert centre(2000, 600, 0.0, True)[0] > centre(2000, 600, 1.0, True)[0]
    for backwards in (False, True):
        assert centre(600, 2000, 0.0, backwards)[1] > centre(600, 2000, 1.0, backwards)[1]


def test_a_photograph_of_the_video_s_size_begins_as_it_is() -> None:
    picture = np.random.default_rng(3).integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    first = next(frames_of(picture, 5))
    assert (first == picture).all()


def test_what_is_written_can_be_read_and_shows_each_picture_in_its_span(tmp_path: Path) -> None:
    colours = [(200, 30, 30), (30, 200, 30), (30, 30, 200)]
    pictures = [plain(str(number), colour) for number, colour in enumerate(colours)]
    told: list[tuple[int, int]] = []
    made = write_video(
        pictures, tmp_path / "v.avi", frames=10, on_progress=lambda *step: told.append(step)
    )
    assert told == [(step, 10) for step in range(1, 11)]
    with VideoSource(made.path) as source:
        frames = [frame.pixels for frame in source.frames()]
    assert len(frames) == made.frames == 10
    for colour, (first, end) in zip(colours, made.spans, strict=True):
        for frame in frames[first:end]:
            assert frame.shape == (HEIGHT, WIDTH, 3)
            assert np.abs(frame.mean(axis=(0, 1)) - colour).max() < 12
    assert [path.name for path in tmp_path.iterdir()] == ["v.avi"]


def test_a_video_that_fails_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "v.avi"
    path.write_bytes(b"old")

    def stop(done: int, total: int) -> None:
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_video([plain("a", (9, 9, 9))], path, frames=10, on_progress=stop)
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["v.avi"]


def test_an_opencv_that_cannot_write_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import cv2

    monkeypatch.setattr(cv2, "CAP_OPENCV_MJPEG", cv2.CAP_DSHOW)
    with pytest.raises(MejiroError, match="cannot write a Motion JPEG video"):
        write_video([plain("a", (9, 9, 9))], tmp_path / "v.avi", frames=3)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_noticed_though_opencv_says_nothing(tmp_path: Path) -> None:
    # A limit to the size of files fails as a full disk does, and needs no disk to fill.
    program = f"""
import resource
from pathlib import Path
import numpy as np
from mejiro.data.samples import SamplePicture
from mejiro.demo.video import write_video
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
noise = np.random.default_rng(0).integers(0, 255, (480, 640, 3), dtype=np.uint8)
write_video([SamplePicture("noise", noise)], Path({str(tmp_path / "v.avi")!r}), frames=20)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "of 20 frames; is the disk full?" in done.stderr.splitlines()[-1]
    assert list(tmp_path.iterdir()) == []
