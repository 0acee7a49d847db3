"""A run is calibrated with what it was trained on, as long as that is there."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from mejiro.quality.run_calibration import calibration_from_run

MakeColourRun = Callable[[Path], Path]
WritePictures = Callable[..., Path]


def test_every_class_gives_as_many_and_none_that_was_validated_with(
    colour_pictures: WritePictures, colour_run: MakeColourRun
) -> None:
    run = colour_run(colour_pictures(each=4))
    chosen = calibration_from_run(run, limit=6)
    names = [picture.name for picture in chosen.pictures]
    assert [name.split("/")[0] for name in names] == ["red", "green", "blue"] * 2
    assert not any(name.endswith("3.png") for name in names)
    assert chosen.note == "calibrated with 6 of the run's 9 training pictures"
    assert calibration_from_run(run, limit=6) == chosen
    assert len(calibration_from_run(run)) == 9


def test_what_was_changed_or_moved_is_passed_over(
    colour_pictures: WritePictures, colour_run: MakeColourRun
) -> None:
    pictures = colour_pictures(each=3)
    run = colour_run(pictures)
    (pictures / "red" / "0.png").write_bytes(b"changed")
    (pictures / "red" / "1.png").unlink()
    names = {picture.name for picture in calibration_from_run(run).pictures}
    assert names == {f"{colour}/{n}.png" for colour in ("green", "blue") for n in (0, 1)}


def test_without_any_the_usual_set_is_taken_and_it_is_said(
    colour_pictures: WritePictures, colour_run: MakeColourRun
) -> None:
    run = colour_run(colour_pictures(each=2))
    value = json.loads((run / "split.json").read_text())
    (run / "split.json").write_text(json.dumps({**value, "root": "/nowhere"}))
    chosen = calibration_from_run(run)
    assert "are no longer where they were" in chosen.note
    assert "The default calibration set is small" in chosen.note
