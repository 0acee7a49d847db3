"""Check that the scores of exported files survive their file."""

from __future__ import annotations

import json

import pytest

from mejiro.model import Evaluation
from mejiro.report.training.exports import Exports, ExportScore
from mejiro_runtime.errors import SpecError

EXPORTS = Exports(
    model_sha256="5" * 64,
    data="flowers",
    validation=True,
    selection="The 12 validation pictures.",
    scores=(
        ExportScore("float Keras", "model.keras", 9_000, Evaluation("f", 12, 0.75, 1, {}, "k")),
        ExportScore(
            "int8 ONNX",
            "tiny-int8.onnx",
            3_000,
            Evaluation("f", 12, 0.5, 1, {"engine": "e"}, "k", "model.keras", 0.7, {0: (4, 2)}),
            kept=False,
        ),
    ),
)


def test_what_is_written_is_read() -> None:
    assert Exports.from_json(json.loads(json.dumps(EXPORTS.to_json()))) == EXPORTS


def test_another_schema_and_other_fields_are_refused() -> None:
    with pytest.raises(SpecError, match="schema 2, not up to 1; upgrade"):
        Exports.from_json({**EXPORTS.to_json(), "schema": 2})
    with pytest.raises(SpecError, match="unknown fields: 'more'"):
        Exports.from_json({**EXPORTS.to_json(), "more": 1})
    with pytest.raises(SpecError, match="empty"):
        Exports.from_json({**EXPORTS.to_json(), "scores": []})
    with pytest.raises(SpecError, match="-1 bytes"):
        ExportScore.from_json({**EXPORTS.scores[0].to_json(), "size_bytes": -1})
