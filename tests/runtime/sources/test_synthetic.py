"""Synthetic frames are the same in every run."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mejiro_runtime.errors import SourceError, UsageError
from mejiro_runtime.sources.synthetic import DISTINCT_FRAMES, MAX_SIDE, SyntheticSource
from mejiro_runtime.types import PixelOrder


@given(st.integers(1, MAX_SIDE), st.integers(1, MAX_SIDE), st.none() | st.integers(1, 9999))
def test_sizes_and_paces_are_read(width: int, height: int, fps: int | None) -> None:
    source = SyntheticSource.parse(f"{width}x{height}" + ("" if fps is None else f"@{fps}"))
    assert (source.width, source.height, source.fps) == (width, height, fps)
    assert source.live is (fps is not None)


WRONG = ["", "x", "640", "640x", "x480", "640x480@", "640x480@-1", "640x480@x", "0x480", "640x0"]
WRONG += ["640x480@0", "640x480@0.0", "99999x1", "16385x1", "-1x1", "640X480", " 640x480", "1e3x1"]


@pytest.mark.parametrize("text", WRONG)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="WxH|sides of 1 to 16384 and more than 0 frames"):
        SyntheticSource.parse(text)


@pytest.mark.parametrize("size", [(64, 48), (1, 1), (301, 7)])
def test_two_runs_give_the_same_frames(size: tuple[int, int]) -> None:
    runs = []
    for _ in range(2):
        with SyntheticSource(*size) as source:
            runs.append(list(islice(source.frames(), DISTINCT_FRAMES + 2)))
    for one, two in zip(*runs, strict=True):
        assert one.pixels.shape == (size[1], size[0], 3)
        assert one.order is PixelOrder.BGR
        assert one.name == two.name
        np.testing.assert_array_equal(one.pixels, two.pixels)
    first, again = runs[0][0], runs[0][DISTINCT_FRAMES]
    np.testing.assert_array_equal(first.pixels, again.pixels)
    assert (first.pixels != runs[0][1].pixels).any()


def test_a_pace_is_waited_for_and_not_forgotten(monkeypatch) -> None:
    clock = [1_000_000_000]
    slept = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        clock[0] += round(seconds * 1e9)

    monkeypatch.setattr("mejiro_runtime.sources.synthetic.perf_counter_ns", lambda: clock[0])
    monkeypatch.setattr("time.sleep", sleep)
    with SyntheticSource(4, 4, fps=10) as source:
        frames = source.frames()
        taken = [next(frames).captured_ns]
        for work_ns in (0, 30_000_000, 250_000_000, 0):
            clock[0] += work_ns
            taken.append(next(frames).captured_ns)
    # Due every 100 ms; what came late is given at once, and the next is due as planned.
    assert [(ns - 1_000_000_000) // 1_000_000 for ns in taken] == [0, 100, 200, 450, 450]
    assert slept == [pytest.approx(0.1), pytest.approx(0.07)]


@pytest.mark.parametrize("text", ["8x8?fail=3+1", "8x8@30?fail=0+1", "8x8@30?fail=3", "8x8@9?x=1"])
def test_a_cue_that_cannot_work_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="fail="):
        SyntheticSource.parse(text)


def test_it_fails_on_cue_and_comes_back(monkeypatch) -> None:
    clock = [10]
    monkeypatch.setattr("mejiro_runtime.sources.synthetic.perf_counter_ns", lambda: clock[0])
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    source = SyntheticSource.parse("8x8@30?fail=2+1.5")
    for _ in range(2):
        with source:
            frames = source.frames()
            assert [next(frames).index, next(frames).index] == [0, 1]
            with pytest.raises(SourceError, match="was lost after 2 frames"):
                next(frames)
        clock[0] += 1_499_999_999
        with pytest.raises(SourceError, match="is away"):
            source.__enter__()
        clock[0] += 1
