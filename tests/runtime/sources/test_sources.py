"""A source is what its name says, or the message lists what it could have been."""

from __future__ import annotations

import pytest

from mejiro_runtime.errors import SourceError, UsageError
from mejiro_runtime.sources import SOURCES, open_source
from mejiro_runtime.sources.camera import CameraSource
from mejiro_runtime.sources.pictures import PictureSource
from mejiro_runtime.sources.reconnecting import Reconnecting
from mejiro_runtime.sources.synthetic import SyntheticSource
from mejiro_runtime.sources.video import VideoSource


def test_names_choose_the_kind(tmp_path) -> None:
    (tmp_path / "a.JPG").write_bytes(b"x")
    (tmp_path / "film.avi").write_bytes(b"x")
    wanted = {
        "camera:0": CameraSource,
        "synthetic:8x8": SyntheticSource,
        str(tmp_path): PictureSource,
        str(tmp_path / "a.JPG"): PictureSource,
        str(tmp_path / "film.avi"): VideoSource,
    }
    for text, kind in wanted.items():
        source = open_source(text)
        assert type(source.source if isinstance(source, Reconnecting) else source) is kind
    assert isinstance(open_source("camera:0"), Reconnecting)
    assert isinstance(open_source("synthetic:8x8@5?fail=1+1"), Reconnecting)
    assert not isinstance(open_source("synthetic:8x8@5"), Reconnecting)
    assert {"camera", "synthetic"} <= set(SOURCES)


@pytest.mark.parametrize("text", ["", "nothing.jpg", "webcam:0", "camera", "\0"])
def test_a_name_that_means_nothing_lists_what_could_be_meant(text: str) -> None:
    with pytest.raises(UsageError, match=r"give a picture, a folder of pictures, .*synthetic"):
        open_source(text)


def test_an_empty_folder_says_what_it_looked_for(tmp_path) -> None:
    (tmp_path / "notes.txt").write_text("", encoding="ascii")
    (tmp_path / ".hidden.jpg").write_text("", encoding="ascii")
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(SourceError, match=r"no pictures in pictures of .*\.jpg, \.png"):
        open_source(str(tmp_path))
