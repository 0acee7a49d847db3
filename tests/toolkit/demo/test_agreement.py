"""Check that agreement is counted, on crops that no calibration has seen."""

from __future__ import annotations

from collections.abc import Callable

from mejiro.data.calibration import default_calibration
from mejiro.demo.agreement import count_agreement, views_of
from mejiro.demo.scenes import SCENES
from mejiro.model import Artifact

WriteColourModel = Callable[..., Artifact]


def test_a_model_agrees_with_itself_and_not_with_one_of_swapped_channels(
    colour_model: WriteColourModel,
) -> None:
    right = colour_model("right")
    same = colour_model("same", sharpness=0.05)
    swapped = colour_model("swapped", order="bgr")
    told: list[tuple[int, int]] = []
    scenes = SCENES[:2]
    with_same, with_swapped = count_agreement(
        [same, swapped], right, scenes, on_progress=lambda *step: told.append(step)
    )
    assert with_same.views == len(views_of(scenes)) == told[-1][0] == told[-1][1]
    assert with_same.first == with_same.views
    assert with_same.share == 1.0
    # The cat and the coffee are reddish: a model that swaps red and blue says otherwise.
    assert with_swapped.first < with_swapped.views / 2
    # Of three classes, every one is among the first five.
    assert with_swapped.in_top == with_swapped.views
    assert with_same.to_json() == {
        "against": "right.onnx",
        "photographs": 2,
        "views": with_same.views,
        "first": with_same.views,
        "in_top": with_same.views,
    }


def test_no_crop_is_one_that_the_default_calibration_shows() -> None:
    def place(view: object) -> tuple[object, ...]:
        return tuple(getattr(view, name) for name in ("sample", "share", "across", "down"))

    calibrated = {place(view) for view in default_calibration().pictures}
    counted = [place(view) for view in views_of(SCENES)]
    assert not calibrated & set(counted)
    assert len(set(counted)) * 2 == len(counted)  # each also mirrored
