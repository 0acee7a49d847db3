"""The targets are listed and told of, and what can be built for one is asked without fetching."""

from __future__ import annotations

import json

import pytest

from mejiro.bundle import survey
from mejiro.cli import main
from mejiro.targets import app_names, target_names


def test_all_targets_are_listed(capsys) -> None:
    assert main(["targets"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in shown[1:]] == sorted(
        [*target_names(), *app_names(), "coral-usb"]
    )
    assert main(["targets", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == len(shown) - 1


def test_one_target_is_told_all_about(capsys) -> None:
    assert main(["targets", "raspberry-pi-32bit"]) == 0
    shown = capsys.readouterr().out
    assert "armv7l" in shown
    assert "tflite-runtime==2.14.0" in shown
    assert "numpy 1.24.2 from apt's python3-numpy" in shown
    assert main(["targets", "jetson-orin"]) == 0
    assert "int8-symmetric" in (shown := capsys.readouterr().out)
    assert "onnxruntime-gpu>=1.18 (bring it: NVIDIA's package index for Jetson" in shown
    assert main(["targets", "coral-usb"]) == 0
    assert "libedgetpu1-std" in capsys.readouterr().out
    assert main(["targets", "android-web"]) == 0
    assert "litert.js, onnxruntime-web" in (shown := capsys.readouterr().out)
    assert "Never run on a phone" in shown
    assert main(["targets", "raspberry-pi-5", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["systems"][0]["python"] == "3.11"


def test_an_unknown_target_is_one_line(capsys, tmp_path) -> None:
    for words in (["targets", "toaster"], ["doctor", "--target", "toaster"]):
        assert main(words) == 2
        error = capsys.readouterr().err
        assert "there is no target 'toaster'; use one of" in error
        assert error.count("\n") == 1
    board = tmp_path / "board.toml"
    board.write_text("schema = 1\nname = 7\n", encoding="utf-8")
    assert main(["targets", str(board)]) == 1
    assert "board.toml: 'name' must be str, found int" in capsys.readouterr().err


@pytest.fixture
def index_of(monkeypatch, tmp_path):
    """Return what puts an index into pip's place that offers these versions of everything."""
    monkeypatch.setenv("MEJIRO_CACHE", str(tmp_path / "cache"))

    def index_of(versions: list[str] | None) -> None:
        monkeypatch.setattr(survey, "versions", lambda name, fit: versions)

    return index_of


def test_a_phone_is_told_with_what_its_files_may_be(capsys) -> None:
    assert main(["targets", "android-termux"]) == 0
    shown = capsys.readouterr().out
    assert "Python >=3.10, no glibc" in shown
    assert "onnxruntime (files up to opset 23, IR version 11)" in shown
    assert "numpy >=2 from pkg's python-numpy" in shown
    assert "started by    termux-services" in shown


def test_the_doctor_says_what_can_be_built_for_a_target(capsys, index_of) -> None:
    index_of(["2.3.0"])
    assert main(["doctor", "--target", "raspberry-pi-5", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["formats"] == {"tflite": True, "onnx": True}
    found = {(one["system"], one["package"]): one for one in told["packages"]}
    litert = found["trixie", "ai-edge-litert==2.3.0"]
    assert (litert["from"], litert["formats"]) == ("index", ["tflite"])
    assert found["trixie", "numpy==2.5.5"]["from"] == "nowhere"
    assert main(["doctor", "--target", "jetson-orin"]) == 0
    shown = capsys.readouterr().out
    assert "bring its wheel: mejiro bundle --wheels DIR" in shown
    assert main(["doctor", "--target", "android-termux"]) == 0
    shown = capsys.readouterr().out
    assert ".onnx files can be written" in shown
    assert ".tflite" not in shown  # nothing runs them there
    assert shown.count("on the phone: pkg install") == 3
    index_of(None)
    assert main(["doctor", "--target", "linux-x86_64"]) == 0
    assert "connect to a network" in capsys.readouterr().out
