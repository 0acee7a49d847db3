"""Go the whole way, stage by stage, and time each of them."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

from mejiro.bundle import write_bundle
from mejiro.demo.build import Built, build, picture_name
from mejiro.demo.device import Device, Run
from mejiro.demo.environment import (
    Environment,
    installed_versions,
    make_environment,
    present_environment,
)
from mejiro.demo.folder import DemoFolder, demo_folder
from mejiro.demo.narrator import Narrator
from mejiro.demo.page import demo_page
from mejiro.demo.picture import write_picture
from mejiro.demo.results import ArtifactResult, DemoResult, SceneResult
from mejiro.demo.scenes import SCENES
from mejiro.errors import UsageError
from mejiro.model import Artifact, Evaluation
from mejiro.report.html import write_page
from mejiro_runtime.files import write_json

DEFAULT_MODEL = "efficientnet-lite0"
DEFAULT_FRAMES = 360
BENCH_FRAMES = 200
TOP = 3


@dataclass(frozen=True)
class DemoOptions:
    """Hold what may be chosen about a demonstration.

    `model` is what `mejiro.zoo.open_model` opens. `data` is a folder of labelled pictures to
    score on, `frames` the length of the video. Without `environment` the bundle runs in the
    present environment, and the report says so.
    """

    model: str = DEFAULT_MODEL
    data: Path | None = None
    frames: int = DEFAULT_FRAMES
    environment: bool = True

    def __post_init__(self) -> None:
        if self.frames < len(SCENES):
            raise UsageError(
                f"the video shows {len(SCENES)} photographs, so it needs that many frames or "
                f"more, found {self.frames}"
            )


def run_demo(
    out: Path, *, options: DemoOptions | None = None, narrator: Narrator | None = None
) -> DemoResult:
    """Run the whole demonstration in the folder `out`, and write its reports there.

    `out` is new, empty, or an earlier demonstration's, whose files are replaced. Raises what its
    stages raise; `out` then holds what the finished stages made, each file whole, and no report.
    """
    options, narrator = options or DemoOptions(), narrator or Narrator()
    if options.environment:
        installed_versions()  # what is missing is better known now than in a minute
    with demo_folder(out) as folder:
        built = build(
            folder, options.model, data=options.data, frames=options.frames, narrator=narrator
        )
        environment = present_environment()
        if options.environment:
            with narrator.stage("make an environment"):
                wheel = folder.bundle / built.bundle.manifest.runtime["wheel"]
                environment = make_environment(folder.environment, wheel)
        artifacts, reference, pictures = _measure(folder, built, environment, narrator)
        result = DemoResult(
            model=built.model.name,
            weights=str(built.model.lineage.get("weights", {}).get("summary", "from a file")),
            calibration=built.calibration,
            data=built.data,
            artifacts=artifacts,
            reference=reference,
            scenes=_scenes(built, artifacts[0].video, pictures),
            environment=environment,
            bundle_bytes=sum(entry.size_bytes for entry in built.bundle.manifest.files.values()),
            elapsed_ns=narrator.elapsed_ns,
        )
        with narrator.stage("draw a picture"):
            write_picture(folder.picture, result)
        # Last, since they tell what everything before them took.
        write_json(folder.data, result.to_json())
        write_page(folder.page, demo_page(result))
        return result


def _measure(
    folder: DemoFolder, built: Built, environment: Environment, narrator: Narrator
) -> tuple[tuple[ArtifactResult, ...], ArtifactResult, Run]:
    """Do the device's part; return the files' results, float's, and what was seen in pictures."""
    device = Device(environment, folder.bundle)
    with narrator.stage("verify on the device"):
        verdicts = {entry["artifact"]: entry for entry in device.verify()["artifacts"]}
    with narrator.stage("measure on the device"):
        results = [
            ArtifactResult(
                artifact=file,
                bench=device.bench(file.card.file, frames=BENCH_FRAMES),
                evaluation=_evaluation(file),
                agreement=agreement,
                verification=verdicts[file.card.file],
            )
            for file, agreement in zip(built.files, built.agreements, strict=True)
        ]
        reference = _measure_reference(built.reference, environment, folder)
    with narrator.stage("run over the video"):
        results = [
            replace(one, video=device.run(one.artifact.card.file, built.video.path, top=TOP))
            for one in results
        ]
        pictures = device.run(built.files[0].card.file, folder.pictures, top=TOP)
    return tuple(results), reference, pictures


def _measure_reference(
    reference: Artifact, environment: Environment, folder: DemoFolder
) -> ArtifactResult:
    """Return what float costs in the same environment, from a bundle that is not kept."""
    scratch = Path(tempfile.mkdtemp(prefix=f".{folder.bundle.name}.", dir=folder.path))
    try:
        write_bundle([reference], scratch / "reference")
        device = Device(environment, scratch / "reference")
        bench = device.bench(reference.card.file, frames=BENCH_FRAMES)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return ArtifactResult(artifact=reference, bench=bench, evaluation=_evaluation(reference))


def _evaluation(artifact: Artifact) -> Evaluation | None:
    earned = artifact.card.evaluation
    return None if earned is None else Evaluation.from_json(earned)


def _scenes(built: Built, seen: Run | None, pictures: Run) -> tuple[SceneResult, ...]:
    labels = built.model.labels
    answers = {frame["name"]: frame["top"] for frame in pictures.frames}
    frames = seen.frames if seen is not None else ()
    scenes = []
    for number, (scene, (first, end)) in enumerate(zip(SCENES, built.video.spans, strict=True)):
        counts = Counter(int(frame["top"][0]["index"]) for frame in frames[first:end])
        scenes.append(
            SceneResult(
                scene=scene,
                accepted=scene.accepted(labels),
                top=tuple(answers[picture_name(number, scene)]),
                frames=sum(counts.values()),
                seen=counts,
                names={index: labels[index].short for index in counts},
            )
        )
    return tuple(scenes)
