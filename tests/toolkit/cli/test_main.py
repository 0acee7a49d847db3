"""The command line speaks one line at a time, with the right exit code, and never a traceback."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest

from mejiro import cli
from mejiro.cli import COMMANDS, main
from mejiro.errors import DataError, ExportError


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(command, capsys):
    assert main([command, "--help"]) == 0
    text = capsys.readouterr().out
    assert "Example" in text
    assert f"mejiro {command}" in text


def test_without_a_command_the_help_is_shown_and_nothing_done(capsys):
    assert main([]) == 2
    assert "convert" in capsys.readouterr().err


def test_version(capsys):
    assert main(["--version"]) == 0
    assert "mejiro, version" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words",
    [
        ["fly"],
        ["convert"],
        ["convert", "efficientnet-lite0"],
        ["convert", "efficientnet-lite0", "--out", "x", "--precision", "int3"],
        ["convert", "efficientnet-lite0", "--out", "x", "--max-drop", "1"],
        ["convert", "efficientnet-lite9", "--out", "x"],
        ["convert", "efficientnet-lite0", "--out", "x", "--recipe", "none.toml"],
        ["convert", "efficientnet-lite0", "--out", "x", "--recipe", "r", "--precision", "fp32"],
        ["evaluate"],
        ["bundle", "--out", "x"],
        ["completion", "tcsh"],
    ],
)
def test_wrong_usage_is_one_line_and_exit_2(words, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    caught = capsys.readouterr()
    assert caught.out == ""
    assert caught.err.startswith("mejiro: error: ")
    assert caught.err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_failure_is_one_line_and_exit_1(capsys, tmp_path):
    assert main(["evaluate", str(tmp_path / "absent.tflite"), "--data", str(tmp_path)]) == 1
    caught = capsys.readouterr()
    assert caught.err.count("\n") == 1
    assert "absent.tflite" in caught.err


def test_debug_shows_the_traceback_wherever_it_stands(tmp_path):
    words = ["evaluate", str(tmp_path / "absent.tflite"), "--data", str(tmp_path)]
    for place in (0, len(words)):
        with pytest.raises(Exception, match="absent"):
            main([*words[:place], "--debug", *words[place:]])


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (DataError("two\nlines"), 1, "two lines"),
        (OSError(28, "No space left on device", "/x/y"), 1, "/x/y: No space left on device"),
        (MemoryError(), 1, "not enough memory"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (click.Abort(), 130, "interrupted"),
    ],
)
def test_what_goes_wrong_becomes_one_line(error, code, text, capsys, monkeypatch):
    def fail(**_: object) -> None:
        raise error

    monkeypatch.setattr(cli.cli, "main", fail)
    assert main(["zoo"]) == code
    caught = capsys.readouterr().err
    assert text in caught
    assert caught.count("\n") == 1


def test_what_a_library_makes_of_ctrl_c_is_still_an_interrupt(capsys, monkeypatch):
    def convert(**_: object) -> None:
        # As TensorFlow does while it traces: its compiled code asks Python and reports that.
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        raise ExportError("tracing failed: bad argument to internal function")

    monkeypatch.setattr(cli.cli, "main", convert)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        assert main(["convert"]) == 130
    finally:
        signal.signal(signal.SIGINT, before)
    assert capsys.readouterr().err == "mejiro: error: interrupted\n"


def test_help_imports_nothing_heavy():
    code = (
        "import sys; from mejiro.cli import main; main(['--help']); "
        "print(sorted({'tensorflow','keras','onnx','onnxruntime','cv2','matplotlib','skimage'}"
        " & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_lines_for_the_shell(shell, capsys):
    assert main(["completion", shell]) == 0
    assert "_MEJIRO_COMPLETE" in capsys.readouterr().out


def test_completion_completes_commands():
    environment = {
        **os.environ,
        "_MEJIRO_COMPLETE": "bash_complete",
        "COMP_WORDS": "mejiro ev",
        "COMP_CWORD": "1",
    }
    code = "from mejiro.cli import main; import sys; sys.argv=['mejiro']; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert "evaluate" in done.stdout


def test_zoo_lists_models_for_people_and_programs(capsys):
    assert main(["zoo"]) == 0
    assert "efficientnet-lite0" in capsys.readouterr().out
    assert main(["zoo", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {"mobilenet-v1", "efficientnet-lite2"} <= {row["name"] for row in rows}


def test_doctor_tells_versions(capsys):
    assert main(["doctor"]) == 0
    assert "tensorflow" in capsys.readouterr().out
    assert main(["doctor", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["packages"]["keras"]


def test_evaluate_prints_and_keeps_the_score(colour_model, colour_pictures, capsys):
    artifact, folder = colour_model(), colour_pictures(each=2)
    (folder / "red" / "broken.jpg").write_text("x")
    words = ["evaluate", str(artifact.path), "--data", str(folder)]
    assert main([*words, "--per-class", "--against", str(artifact.path)]) == 0
    caught = capsys.readouterr()
    assert "top-1 100.0%" in caught.out
    assert "same first answer as colours-fp32.onnx: 100.0%" in caught.out
    assert "green" in caught.out
    assert "broken.jpg" in caught.err
    assert main([*words, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["top1"] == 1.0
    assert len(report["unreadable"]) == 1
    assert json.loads(Path(f"{artifact.path}.json").read_text())["evaluation"]["pictures"] == 6


def test_bundle_prints_where_it_went(colour_model, colour_pictures, capsys, tmp_path):
    artifact, golden = colour_model(), colour_pictures()
    words = ["bundle", str(artifact.path), "--golden", str(golden), "--out"]
    assert main([*words, str(tmp_path / "one")]) == 0
    assert "mejiro-run verify" in capsys.readouterr().out
    assert main([*words, str(tmp_path / "two"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["artifacts"][0]["file"] == "colours-fp32.onnx"


@pytest.mark.slow
def test_ctrl_c_is_one_line_and_exit_130(tmp_path):
    command = [sys.executable, "-m", "mejiro", "convert", "efficientnet-lite0", "--weights", "none"]
    with subprocess.Popen(
        [*command, "--out", str(tmp_path / "out")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        # Whatever it is doing by then, from importing to quantizing: the end is the same.
        time.sleep(6)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert out == ""
    assert err.splitlines()[-1] == "mejiro: error: interrupted"
    assert "Traceback" not in err
    assert not (tmp_path / "out").exists()
