"""Hold what the files that a run was converted to scored on its validation pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mejiro.model import Evaluation
from mejiro_runtime.errors import SpecError
from mejiro_runtime.fields import Fields

EXPORTS_SCHEMA = 1


@dataclass(frozen=True)
class ExportScore:
    """Hold one file's score; `kept` is whether the conversion left the file with the user."""

    name: str
    file: str
    size_bytes: int
    evaluation: Evaluation
    kept: bool = True

    def __post_init__(self) -> None:
        if self.size_bytes < 0:
            raise SpecError(f"the size of {self.file} is {self.size_bytes} bytes")

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "name": self.name,
            "file": self.file,
            "size_bytes": self.size_bytes,
            "kept": self.kept,
            "evaluation": self.evaluation.to_json(),
        }

    @classmethod
    def from_json(cls, value: Any) -> ExportScore:
        """Read what `to_json` wrote; raises SpecError."""
        fields = Fields(value, "score of an exported file")
        score = cls(
            name=fields.text("name"),
            file=fields.text("file"),
            size_bytes=fields.integer("size_bytes"),
            evaluation=Evaluation.from_json(fields.mapping("evaluation")),
            kept=fields.flag("kept"),
        )
        fields.finish()
        return score


@dataclass(frozen=True)
class Exports:
    """Hold the scores of one conversion, the float network's first.

    `model_sha256` is that of the `model.keras` which was converted, `selection` says in a
    sentence which pictures it was scored on, and `validation` whether they were those that the
    run validated with.
    """

    model_sha256: str
    data: str
    validation: bool
    selection: str
    scores: tuple[ExportScore, ...]

    def __post_init__(self) -> None:
        if not self.scores:
            raise SpecError("the scores of a conversion are empty; convert the run again")

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values, as they stand in `exports.json`."""
        return {
            "schema": EXPORTS_SCHEMA,
            "model_sha256": self.model_sha256,
            "data": self.data,
            "validation": self.validation,
            "selection": self.selection,
            "scores": [score.to_json() for score in self.scores],
        }

    @classmethod
    def from_json(cls, value: Any) -> Exports:
        """Read what `to_json` wrote; raises SpecError."""
        fields = Fields(value, "exports.json")
        schema = fields.integer("schema")
        if schema > EXPORTS_SCHEMA:
            raise SpecError(
                f"exports.json has schema {schema}, not up to {EXPORTS_SCHEMA}; upgrade mejiro"
            )
        exports = cls(
            model_sha256=fields.text("model_sha256"),
            data=fields.text("data"),
            validation=fields.flag("validation"),
            selection=fields.text("selection"),
            scores=tuple(ExportScore.from_json(entry) for entry in fields.items("scores")),
        )
        fields.finish()
        return exports
