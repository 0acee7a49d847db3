"""Describe one exported model file: what it is, what goes in, what comes out, what it earned.

The host writes a card beside each file it exports or adopts (`lite0-int8.tflite.json`), and the
cards of a bundle's artifacts stand in its manifest; the device reads them here.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from mejiro_runtime.errors import ModelError, SpecError
from mejiro_runtime.fields import Fields, read_json
from mejiro_runtime.files import sha256_of
from mejiro_runtime.preprocess import InputSpec
from mejiro_runtime.types import Label

if TYPE_CHECKING:
    from mejiro_runtime.heads import DetectionSpec

# 2 brought features, 3 tasks other than classification, and state. A card is written in the
# lowest schema that holds what it says, so that older runtimes read what they can run.
CARD_SCHEMA = 3


class Format(str, Enum):
    """Name a model file's format."""

    TFLITE = "tflite"
    ONNX = "onnx"


class Precision(str, Enum):
    """Name the arithmetic inside a file: what most of its weights are stored as."""

    INT8 = "int8"
    FP16 = "fp16"
    FP32 = "fp32"
    UNKNOWN = "unknown"  # an adopted file that does not say


class Task(str, Enum):
    """Name what a model does, which decides how its output is read."""

    CLASSIFICATION = "classification"
    DETECTION = "detection"
    SEGMENTATION = "segmentation"


class Scores(str, Enum):
    """Say what a model's scores are."""

    PROBABILITIES = "probabilities"
    LOGITS = "logits"  # softmax is still to be taken


class OutputSpec(NamedTuple):
    """Say how to read a model's outputs, of any dtype.

    A classifier's first output is (1, classes); further axes have size 1. A detector's outputs
    are as `detection` says. A segmentation's first output is (1, height, width, classes) or
    (1, classes, height, width), with a single score for two classes too, or, if `indices`,
    (1, height, width) with the number of the class.

    Integer outputs are read through the quantization that the file itself states. `background`
    is the index of a class that stands for "none of them" and is never an answer, or None.
    """

    task: Task = Task.CLASSIFICATION
    scores: Scores = Scores.PROBABILITIES
    background: int | None = None
    detection: DetectionSpec | None = None
    indices: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        value: dict[str, Any] = {
            "task": self.task.value,
            "scores": self.scores.value,
            "background": self.background,
        }
        if self.detection is not None:
            value["detection"] = self.detection.to_json()
        if self.task is Task.SEGMENTATION:
            value["indices"] = self.indices
        return value

    @classmethod
    def from_json(cls, value: Any) -> OutputSpec:
        """Read what `to_json` wrote; raises SpecError."""
        fields = Fields(value, "output specification")
        background = fields.optional("background")
        if background is not None and (
            isinstance(background, bool) or not isinstance(background, int)
        ):
            raise SpecError(f"output background must be an index, found {background!r}")
        task = fields.choice("task", Task)
        detection = None
        if task is Task.DETECTION:
            from mejiro_runtime.heads import DetectionSpec

            detection = DetectionSpec.from_json(fields.mapping("detection"))
        spec = cls(
            task=task,
            scores=fields.choice("scores", Scores),
            background=background,
            detection=detection,
            indices=fields.flag("indices") if task is Task.SEGMENTATION else False,
        )
        fields.finish()
        return spec


@dataclass(frozen=True)
class ArtifactCard:
    """Describe one exported file. `file` is its name in the folder that holds the card.

    `labels` has one entry for each class, in order. `lineage` says where the file came from
    (model, weights, calibration, versions) and `evaluation` what it scored; both are for people
    and later comparisons, and the runtime acts on neither.

    `features` is (height, width, channels) of the second output, float32, where there is one: the
    map whose mean is classified. `head_sha256` is then that of `head_path`.

    `state` names, for each input but the picture, the output that it is given with the next
    picture of a stream: (input, output). At the start of a stream such inputs are zero.
    """

    file: str
    format: Format
    precision: Precision
    input: InputSpec
    output: OutputSpec
    size_bytes: int
    sha256: str
    labels: tuple[Label, ...] = ()
    lineage: dict[str, Any] = field(default_factory=dict)
    evaluation: dict[str, Any] | None = None
    features: tuple[int, ...] = ()
    head_sha256: str = ""
    state: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        if self.file in ("", "..") or Path(self.file).name != self.file:
            raise SpecError(f"a card names a file beside it, found '{self.file}'")
        if len(self.features) not in (0, 3) or {type(n) for n in self.features} - {int}:
            raise SpecError(f"features have height, width and channels, found {self.features}")
        if bool(self.features) != bool(self.head_sha256):
            raise SpecError("features and head_sha256 go together; give both or neither")
        task = self.output.task
        if self.features and task is not Task.CLASSIFICATION:
            raise SpecError(f"only a classifier has features, found them for {task.value}")
        if (task is Task.DETECTION) != (self.output.detection is not None):
            raise SpecError("a detector's card says how its boxes are read, and no other does")
        for names in zip(*self.state, strict=True):
            if len(set(names)) != len(names):
                raise SpecError(f"state names an input or output twice: {', '.join(names)}")
        background = self.output.background
        if background is not None and self.labels and not 0 <= background < len(self.labels):
            raise SpecError(
                f"background class {background} is not one of {len(self.labels)} labels"
            )

    @property
    def name(self) -> str:
        """The file's name without its ending: how reports and `--artifact` speak of it."""
        return Path(self.file).stem

    @property
    def _schema(self) -> int:
        if self.state or self.output.task is not Task.CLASSIFICATION:
            return 3
        return 2 if self.features else 1

    def to_json(self, *, labels: bool = True) -> dict[str, Any]:
        """Return plain JSON values; a bundle, whose labels stand once, leaves `labels` out."""
        value: dict[str, Any] = {
            "schema": self._schema,
            "file": self.file,
            "format": self.format.value,
            "precision": self.precision.value,
            "input": self.input.to_json(),
            "output": self.output.to_json(),
            "size_bytes": self.size_bytes,
            "sha256": self.sha256,
            "lineage": self.lineage,
            "evaluation": self.evaluation,
        }
        if self.features:
            value |= {"features": list(self.features), "head_sha256": self.head_sha256}
        if self.state:
            value["state"] = [{"input": given, "output": made} for given, made in self.state]
        if labels:
            value["labels"] = [
                {"name": label.name, "synset": label.synset} for label in self.labels
            ]
        return value

    @classmethod
    def from_json(cls, value: Any) -> ArtifactCard:
        """Read what `to_json` wrote; raises SpecError."""
        fields = Fields(value, "model card")
        schema = fields.integer("schema")
        if schema > CARD_SCHEMA:
            raise SpecError(
                f"model card has schema {schema}, this version reads up to {CARD_SCHEMA}; "
                "upgrade mejiro"
            )
        evaluation = fields.optional("evaluation")
        labels = tuple(
            _label(index, entry) for index, entry in enumerate(fields.items("labels", []))
        )
        card = cls(
            file=fields.text("file"),
            format=fields.choice("format", Format),
            precision=fields.choice("precision", Precision),
            input=InputSpec.from_json(fields.mapping("input")),
            output=OutputSpec.from_json(fields.mapping("output")),
            size_bytes=fields.integer("size_bytes"),
            sha256=fields.text("sha256"),
            labels=labels,
            lineage=fields.mapping("lineage", {}),
            evaluation=None if evaluation is None else Fields(evaluation, "evaluation").rest(),
            # A field of a later schema than the card's own stays unknown.
            features=_features(fields, schema),
            head_sha256=fields.text("head_sha256", *[""] * (schema > 2)) if schema > 1 else "",
            state=_state(fields.items("state", [])) if schema > 2 else (),
        )
        fields.finish()
        return card

    def with_labels(self, labels: tuple[Label, ...]) -> ArtifactCard:
        """Return the same card with `labels`."""
        return replace(self, labels=labels)


def _features(fields: Fields, schema: int) -> tuple[Any, ...]:
    """Return the size of the features: schema 2 has no other use, from 3 on they are optional."""
    if schema < 2:
        return ()
    return tuple(fields.items("features") if schema == 2 else fields.items("features", []))


def _state(entries: list[Any]) -> tuple[tuple[str, str], ...]:
    links = []
    for entry in entries:
        fields = Fields(entry, "model card state")
        links.append((fields.text("input"), fields.text("output")))
        fields.finish()
    return tuple(links)


def _label(index: int, entry: Any) -> Label:
    fields = Fields(entry, f"label {index}")
    label = Label(index=index, name=fields.text("name"), synset=fields.text("synset", ""))
    fields.finish()
    return label


def card_path(artifact: Path) -> Path:
    """Return where the card of the model file `artifact` lies."""
    return artifact.with_name(artifact.name + ".json")


def head_path(artifact: Path) -> Path:
    """Return where the weights (classes, channels) of the features of `artifact` lie."""
    return artifact.with_name(artifact.name + ".head.npy")


def read_card(artifact: Path, *, check_hash: bool = True) -> ArtifactCard:
    """Read the card beside the model file `artifact`, and check that it speaks of this file.

    Raises ModelError if the file or its card is missing or the two do not belong together, and
    SpecError if the card is not well formed.
    """
    if not artifact.is_file():
        raise ModelError(f"{artifact} is not a file; give an exported .tflite or .onnx")
    path = card_path(artifact)
    if not path.is_file():
        raise ModelError(
            f"{artifact} has no card {path.name} beside it; "
            "for a model of other origin run `mejiro adopt`"
        )
    card = ArtifactCard.from_json(read_json(path))
    if card.file != artifact.name:
        raise ModelError(f"{path} describes '{card.file}'; rename neither file alone")
    expected = {artifact: card.sha256}
    if card.features:
        expected[head_path(artifact)] = card.head_sha256
    for file, sha256 in expected.items():
        if not file.is_file():
            raise ModelError(f"{artifact} has no {file.name} beside it; export it again")
        if check_hash and sha256_of(file) != sha256:
            raise ModelError(f"{file} has changed since {path.name} was written; export it again")
    return card
