"""Hold what passes between the host's stages: a float model, an exported file, an evaluation."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mejiro_runtime.card import ArtifactCard, Task, card_path, read_card
from mejiro_runtime.errors import UsageError
from mejiro_runtime.fields import Fields
from mejiro_runtime.files import write_json

if TYPE_CHECKING:
    from mejiro_runtime.card import Scores
    from mejiro_runtime.preprocess import InputSpec
    from mejiro_runtime.types import Label


@dataclass(frozen=True)
class TrainedRange:
    """Hold the range that training found for what one operator of the float TFLite file gives.

    `place` counts the file's operators from 0; `operator` is its name in the schema, such as
    CONV_2D. The least and the greatest value are those of the quantized tensor.
    """

    place: int
    operator: str
    low: float
    high: float


@dataclass(frozen=True)
class TrainedQuantization:
    """Hold how a network was trained to be quantized: by which recipe, to which ranges.

    `weights` is a hash of the weights that the ranges go with, `recipe` is plain JSON; see
    `export.trained`.
    """

    weights: str
    recipe: dict[str, Any]
    ranges: tuple[TrainedRange, ...]

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values; `from_json` gives back an equal object."""
        return {
            "weights": self.weights,
            "recipe": self.recipe,
            "ranges": [asdict(one) for one in self.ranges],
        }

    @classmethod
    def from_json(cls, value: Any, what: str = "trained ranges") -> TrainedQuantization:
        """Read what `to_json` wrote; raises SpecError."""
        fields = Fields(value, what)
        trained = cls(
            weights=fields.text("weights"),
            recipe=fields.mapping("recipe"),
            ranges=tuple(_range(entry) for entry in fields.items("ranges")),
        )
        fields.finish()
        return trained


def _range(value: Any) -> TrainedRange:
    fields = Fields(value, "trained range")
    found = TrainedRange(
        place=fields.integer("place"),
        operator=fields.text("operator"),
        low=fields.number("low"),
        high=fields.number("high"),
    )
    fields.finish()
    return found


@dataclass(frozen=True)
class FloatModel:
    """Hold a Keras classifier and all that is needed to use it.

    `keras_model` maps float32 (batch, height, width, channels), made by `input` from pixels, to
    float32 (batch, classes). `input` is FLOAT32 and NHWC. `scores` says whether the output is
    probabilities or logits. `lineage` says what was loaded, trained or pruned, from what.
    `trained` holds the ranges that its int8 files have, if it was trained for them.
    """

    name: str
    keras_model: Any
    input: InputSpec
    labels: tuple[Label, ...]
    scores: Scores
    lineage: dict[str, Any] = field(default_factory=dict)
    trained: TrainedQuantization | None = None


@dataclass(frozen=True)
class Evaluation:
    """Hold what one artifact scored on one set of labelled pictures, through the runtime.

    `top1`, `top5` and `agreement` are shares in 0..1; `agreement` is the share of pictures with
    the same first answer as the artifact `against`. `per_class` maps a label's index to
    (pictures, right answers). `unreadable` names the pictures that were left out.
    """

    data: str
    pictures: int
    top1: float
    top5: float
    backend: dict[str, Any]
    kernel: str
    against: str | None = None
    agreement: float | None = None
    per_class: dict[int, tuple[int, int]] = field(default_factory=dict)
    unreadable: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values, as they stand in a card."""
        return {
            "data": self.data,
            "pictures": self.pictures,
            "top1": self.top1,
            "top5": self.top5,
            "backend": self.backend,
            "kernel": self.kernel,
            "against": self.against,
            "agreement": self.agreement,
            "per_class": {str(key): list(value) for key, value in self.per_class.items()},
            "unreadable": list(self.unreadable),
        }

    @classmethod
    def from_json(cls, value: Any) -> Evaluation:
        """Read what `to_json` wrote; raises SpecError."""
        fields = Fields(value, "evaluation")
        against, agreement = fields.optional("against"), fields.optional("agreement")
        evaluation = cls(
            data=fields.text("data"),
            pictures=fields.integer("pictures"),
            top1=fields.number("top1"),
            top5=fields.number("top5"),
            backend=fields.mapping("backend"),
            kernel=fields.text("kernel"),
            against=None if against is None else str(against),
            agreement=None if agreement is None else float(agreement),
            per_class={
                int(key): (int(pair[0]), int(pair[1]))
                for key, pair in fields.mapping("per_class", {}).items()
            },
            unreadable=tuple(str(name) for name in fields.items("unreadable", [])),
        )
        fields.finish()
        return evaluation


@dataclass(frozen=True)
class Artifact:
    """Hold one exported file and its card, which lies beside it."""

    path: Path
    card: ArtifactCard

    @classmethod
    def open(cls, path: Path) -> Artifact:
        """Read the card beside `path`; raises ModelError if the two do not belong together."""
        return cls(path=path, card=read_card(path))

    @classmethod
    def open_classifier(cls, path: Path) -> Artifact:
        """Do as `open`; raises UsageError, too, for a model of any other task."""
        artifact = cls.open(path)
        task = artifact.card.output.task
        if task is not Task.CLASSIFICATION:
            raise UsageError(
                f"{artifact.card.file} is for {task.value}, and only classifiers can be scored and "
                "explained so far; `mejiro-run run` shows what it sees"
            )
        return artifact

    def with_evaluation(self, evaluation: Evaluation) -> Artifact:
        """Write `evaluation` into the card beside the file, and return the artifact with it."""
        card = replace(self.card, evaluation=evaluation.to_json())
        write_json(card_path(self.path), card.to_json())
        return replace(self, card=card)
