"""Do the workstation's part: convert, compare with float, make a video, write the bundle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mejiro.bundle import write_bundle
from mejiro.data.calibration import default_calibration
from mejiro.data.folders import labelled_pictures
from mejiro.data.samples import read_sample
from mejiro.demo.agreement import Agreement, count_agreement
from mejiro.demo.folder import DemoFolder
from mejiro.demo.narrator import Narrator
from mejiro.demo.scenes import SCENES, Scene
from mejiro.demo.video import Video, write_video
from mejiro.model import Artifact, FloatModel
from mejiro.quality.convert import Scoring, convert
from mejiro.zoo import open_model
from mejiro_runtime import opencv
from mejiro_runtime.bundle import Bundle
from mejiro_runtime.card import Format, Precision
from mejiro_runtime.files import replacing

KINDS = ((Format.TFLITE, Precision.INT8), (Format.ONNX, Precision.INT8))
REFERENCE = (Format.TFLITE, Precision.FP32)


@dataclass(frozen=True)
class Built:
    """Hold what the workstation made. `agreements` has one entry for each of `files`.

    The agreements are None where labelled pictures, called `data`, were scored instead.
    """

    model: FloatModel
    calibration: str
    data: str | None
    files: tuple[Artifact, ...]
    reference: Artifact
    agreements: tuple[Agreement | None, ...]
    video: Video
    bundle: Bundle


def build(
    folder: DemoFolder, model: str, *, data: Path | None, frames: int, narrator: Narrator
) -> Built:
    """Make all that goes to the device, and what it is compared with."""
    with narrator.stage("open the model"):
        opened = open_model(model)
        scoring = _scoring(opened, data)
    with narrator.stage("convert and score" if scoring else "convert"):
        calibration = default_calibration()
        *files, reference = convert(
            opened,
            (*KINDS, REFERENCE),
            folder.models,
            calibration=calibration,
            scoring=scoring,
            on_stage=narrator.say,
            on_progress=narrator.advance,
        ).artifacts
    agreements: Sequence[Agreement | None] = [None] * len(files)
    if scoring is None:
        known = [scene for scene in SCENES if scene.accepted(opened.labels)]
        with narrator.stage("compare with float"):
            agreements = count_agreement(
                files, reference, known or SCENES, on_progress=narrator.advance
            )
    with narrator.stage("make a video"):
        video = _write_pictures(folder, frames, narrator)
    with narrator.stage("write the bundle"):
        bundle = write_bundle(files, folder.bundle, on_progress=narrator.say)
    return Built(
        model=opened,
        calibration=(
            f"{len(calibration)} views of the photographs above, a small set; `mejiro convert "
            "--calibration` takes a folder of one's own"
        ),
        data=scoring.data if scoring else None,
        files=tuple(files),
        reference=reference,
        agreements=tuple(agreements),
        video=video,
        bundle=bundle,
    )


def picture_name(number: int, scene: Scene) -> str:
    """Return what the file of a scene's photograph is called."""
    return f"{number:02d}-{scene.sample}.png"


def _scoring(model: FloatModel, data: Path | None) -> Scoring | None:
    if data is None:
        return None
    return Scoring(pictures=labelled_pictures(data, model.labels), data=data.resolve().name)


def _write_pictures(folder: DemoFolder, frames: int, narrator: Narrator) -> Video:
    """Write the photographs as files, without loss, and the video of them."""
    cv2 = opencv.load("the demo's pictures")
    samples = [read_sample(scene.sample) for scene in SCENES]
    for number, (scene, sample) in enumerate(zip(SCENES, samples, strict=True)):
        _, data = cv2.imencode(".png", sample.pixels)
        with replacing(folder.pictures / picture_name(number, scene)) as beside:
            beside.write_bytes(data.tobytes())
    return write_video(samples, folder.video, frames=frames, on_progress=narrator.advance)
