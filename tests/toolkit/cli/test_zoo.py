"""Check what `mejiro zoo` prints."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from mejiro.cli import main
from mejiro.zoo import MODELS
from mejiro_runtime.preprocess import InputSpec


def test_the_table_has_a_line_for_each_row(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["zoo"]) == 0
    lines = capsys.readouterr().out.splitlines()
    first = {line.split()[0]: line for line in lines if line}
    assert MODELS.keys() <= first.keys()
    line = first["efficientnet-b0"]
    for word in ("5.3 M", "386 M", "224x224", "77.1%", "download by Keras", "--phi"):
        assert word in line
    assert "none" in first["googlenet"]


def test_every_published_figure_has_its_source(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["zoo"]) == 0
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("published: ")]
    for spec in MODELS.values():
        (source,) = [line for line in said if line.endswith(spec.published_in)]
        told = source.split(": ")[1].split(", ")
        assert spec.family in told or spec.name in told


def test_json_holds_all_of_a_row(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["zoo", "--json"]) == 0
    entries = {entry["name"]: entry for entry in json.loads(capsys.readouterr().out)}
    assert list(entries) == list(MODELS)
    entry, spec = entries["resnet50"], MODELS["resnet50"]
    assert InputSpec.from_json(entry["input"]) == spec.input_spec()
    assert entry["parameters"] == 25_636_712
    assert entry["options"] == ["image-size", "activation", "alpha", "depth"]
    assert entry["features"] == spec.features
    assert entries["mobilenet-v3-large-minimalistic"]["widths_with_weights"] == [1.0]
    assert entries["googlenet"]["weights"] is None


def test_the_table_needs_no_tensorflow() -> None:
    code = (
        "import sys; from mejiro.cli import main; main(['zoo']); "
        "print(sorted({'tensorflow', 'keras', 'onnx', 'cv2'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
