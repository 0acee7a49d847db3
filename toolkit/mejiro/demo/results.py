"""Hold all that a demonstration measured, for the page, the picture and the JSON report."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mejiro import __version__
from mejiro.demo.agreement import Agreement
from mejiro.demo.device import Run
from mejiro.demo.environment import Environment
from mejiro.demo.scenes import Scene
from mejiro.model import Artifact, Evaluation
from mejiro_runtime.card import Format
from mejiro_runtime.types import Label

SCHEMA = 1
_FORMAT_NAMES = {Format.TFLITE: "TFLite", Format.ONNX: "ONNX"}


@dataclass(frozen=True)
class ArtifactResult:
    """Hold what one exported file earned. The float reference is neither bundled nor verified.

    `evaluation` is there if labelled pictures were given, else `agreement`; of the reference the
    former only. `bench` is the runtime's report, `video` its run over the video.
    """

    artifact: Artifact
    bench: Mapping[str, Any]
    evaluation: Evaluation | None = None
    agreement: Agreement | None = None
    verification: Mapping[str, Any] | None = None
    video: Run | None = None

    @property
    def name(self) -> str:
        """What people call it: int8 TFLite."""
        card = self.artifact.card
        return f"{card.precision.value} {_FORMAT_NAMES[card.format]}"

    @property
    def stages(self) -> Mapping[str, Mapping[str, int]]:
        """Percentiles by stage, as the bench reports them."""
        stages: Mapping[str, Mapping[str, int]] = self.bench["stages"]
        return stages

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values; of the video's frames what they took, not what they saw."""
        card = self.artifact.card
        return {
            "file": card.file,
            "format": card.format.value,
            "precision": card.precision.value,
            "size_bytes": card.size_bytes,
            "sha256": card.sha256,
            "evaluation": self.evaluation and self.evaluation.to_json(),
            "agreement": self.agreement and self.agreement.to_json(),
            "verification": self.verification and dict(self.verification),
            "bench": dict(self.bench),
            "video": self.video
            and {
                "summary": self.video.summary,
                "frame_to_label_ns": self.video.frame_to_label_ns(),
            },
        }


@dataclass(frozen=True)
class SceneResult:
    """Hold what was seen of one photograph, by the first artifact.

    `top` is the answer to the whole photograph, best first, as the runtime writes it. `seen`
    counts the first answers to the scene's `frames` in the video by label index; `accepted` are
    the labels that count as right.
    """

    scene: Scene
    accepted: tuple[Label, ...]
    top: tuple[Mapping[str, Any], ...]
    frames: int
    seen: Counter[int]
    names: Mapping[int, str] = field(default_factory=dict)

    @property
    def right(self) -> int | None:
        """Frames whose first answer is accepted; None where no class stands for the thing."""
        if not self.accepted:
            return None
        return sum(self.seen[label.index] for label in self.accepted)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "photograph": self.scene.sample,
            "title": self.scene.title,
            "accepted": [label.short for label in self.accepted],
            "top": [dict(answer) for answer in self.top],
            "frames": self.frames,
            "right": self.right,
            "seen": {self.names[index]: count for index, count in self.seen.most_common()},
        }


@dataclass(frozen=True)
class DemoResult:
    """Hold one demonstration. `elapsed_ns` maps each of its stages to what it took.

    `artifacts` are those of the bundle, the first of which made `scenes`; `reference` is float.
    `data` names the labelled pictures, None if there were none. `bundle_bytes` is the size of
    all that would be copied to a device.
    """

    model: str
    weights: str
    calibration: str
    data: str | None
    artifacts: tuple[ArtifactResult, ...]
    reference: ArtifactResult
    scenes: tuple[SceneResult, ...]
    environment: Environment
    bundle_bytes: int
    elapsed_ns: Mapping[str, int]

    @property
    def device(self) -> Mapping[str, Any]:
        """The machine, as the runtime describes it."""
        device: Mapping[str, Any] = self.artifacts[0].bench["device"]
        return device

    @property
    def everything(self) -> tuple[ArtifactResult, ...]:
        """The bundle's artifacts and the reference."""
        return (*self.artifacts, self.reference)

    @property
    def recognised(self) -> tuple[int, int]:
        """Frames answered rightly, of those that show a thing the model has a class for."""
        counted = [scene for scene in self.scenes if scene.right is not None]
        return sum(scene.right or 0 for scene in counted), sum(scene.frames for scene in counted)

    def same_on_video(self) -> tuple[int, int]:
        """Return in how many of the video's frames all artifacts have one first answer."""
        runs = [result.video.frames for result in self.artifacts if result.video is not None]
        rows = list(zip(*runs, strict=True))
        same = sum(len({frame["top"][0]["index"] for frame in row}) == 1 for row in rows)
        return same, len(rows)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values: the report for programs."""
        same, frames = self.same_on_video()
        return {
            "schema": SCHEMA,
            "mejiro": __version__,
            "host_python": platform.python_version(),
            "model": self.model,
            "weights": self.weights,
            "calibration": self.calibration,
            "data": self.data,
            "artifacts": [result.to_json() for result in self.artifacts],
            "reference": self.reference.to_json(),
            "scenes": [scene.to_json() for scene in self.scenes],
            "video": {"frames": frames, "same_first_answer": same},
            "bundle_bytes": self.bundle_bytes,
            "device": dict(self.device),
            "environment": self.environment.to_json(),
            "elapsed_ns": dict(self.elapsed_ns),
        }
