from __future__ import annotations

import os
import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mejiro_agent.errors import Cut
from mejiro_agent.wire import (
    GREETING,
    MAX_PAYLOAD_BYTES,
    Frame,
    Reader,
    WireError,
    pack,
    send,
)

HEADERS = st.dictionaries(
    st.text(max_size=8),
    st.none() | st.booleans() | st.integers() | st.text(max_size=50),
    max_size=5,
)


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    read, write = os.pipe()
    yield read, write
    for handle in (read, write):
        try:
            os.close(handle)
        except OSError:
            pass


@given(st.lists(st.builds(Frame, HEADERS, st.binary(max_size=400)), max_size=5))
def test_frames_are_read_back(frames: list[Frame]) -> None:
    reader = Reader(-1, b"".join(map(pack, frames)))
    assert [reader.take() for _ in frames] == frames
    assert reader.take() is None


@given(st.binary(max_size=300))
def test_other_bytes_are_a_frame_or_an_error(data: bytes) -> None:
    reader = Reader(-1, data)
    try:
        frame = reader.take()
    except WireError:
        return
    assert frame is None or isinstance(frame.header, dict)


@given(st.builds(Frame, HEADERS, st.binary(max_size=100)), st.data())
def test_a_frame_that_is_not_whole_is_waited_for(frame: Frame, data: st.DataObject) -> None:
    whole = pack(frame)
    reader = Reader(-1, whole[: data.draw(st.integers(0, len(whole) - 1))])
    assert reader.take() is None


def test_a_large_frame_goes_through_a_small_pipe(pipe: tuple[int, int]) -> None:
    frame = Frame({"a": 1}, bytes(MAX_PAYLOAD_BYTES))
    sender = threading.Thread(target=send, args=(pipe[1], frame))
    sender.start()
    assert Reader(pipe[0]).frame(10) == frame
    sender.join()


def test_a_frame_that_is_too_large_is_not_sent() -> None:
    with pytest.raises(WireError, match="too large"):
        pack(Frame({}, bytes(MAX_PAYLOAD_BYTES + 1)))


def test_the_end_of_the_other_side_is_told(pipe: tuple[int, int]) -> None:
    os.close(pipe[1])
    with pytest.raises(Cut):
        Reader(pipe[0]).frame(10)


def test_nobody_to_read_is_told(pipe: tuple[int, int]) -> None:
    os.close(pipe[0])
    with pytest.raises(Cut):
        send(pipe[1], Frame({}))


def test_silence_has_an_end(pipe: tuple[int, int]) -> None:
    with pytest.raises(TimeoutError):
        Reader(pipe[0]).frame(0.01)


@given(st.binary(max_size=100).filter(lambda data: GREETING not in data))
def test_what_a_login_prints_is_skipped(noise: bytes) -> None:
    reader = Reader(-1, noise + GREETING + pack(Frame({"hello": 1})))
    assert reader.skip_noise(1) == noise
    assert reader.take() == Frame({"hello": 1})
