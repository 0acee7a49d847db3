"""What goes wrong is told in one line with the right code, and help shows how it is done."""

from __future__ import annotations

from typing import Any

import pytest

from mejiro_runtime import __version__
from mejiro_runtime.__main__ import main, one_line
from mejiro_runtime.command_line import build_parser
from mejiro_runtime.errors import BundleError, UsageError

COMMANDS = ("run", "bench", "verify", "info", "doctor")


WRONG_USAGE = [
    ("run", "{bundle}", "--source", "nothing.jpg"),
    ("run", "{bundle}", "--source", ""),
    ("run", "{bundle}", "--source", "camera:x"),
    ("run", "{bundle}", "--source", "synthetic:0x0"),
    ("run", "{bundle}", "--frames", "0"),
    ("run", "{bundle}", "--source", "synthetic:8x8", "--top", "-1"),
    ("run", "{bundle}", "--source", "synthetic:8x8", "--threads", "0"),
    ("run", "{bundle}", "--source", "synthetic:8x8", "--artifact", "cat"),
    ("run", "{bundle}", "--source", "synthetic:8x8", "--backend", "tensorrt"),
    ("bench", "{bundle}", "--frames", "-5"),
    ("bench", "{bundle}", "--artifact", "colours.onnx", "--backend", "litert"),
    ("verify", "{bundle}", "--artifact", "cat"),
    ("verify", "{bundle}", "--backend", "cat"),
]


@pytest.mark.parametrize("arguments", WRONG_USAGE, ids=" ".join)
def test_wrong_usage_is_one_line_and_exit_2(bundle, say, arguments) -> None:
    code, out, err = say(*(argument.format(bundle=bundle) for argument in arguments))
    assert code == 2
    assert out == ""
    assert err.startswith("mejiro-run: error: ")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("fly",),
        ("run",),
        ("run", "x", "--frames", "many"),
        ("run", "x", "--fram", "3"),
        ("info", "x", "--source", "y"),
        ("--frames", "3"),
    ],
    ids=" ".join,
)
def test_a_line_that_does_not_parse_is_one_line_and_exit_2(capsys, arguments) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert "--help`" in captured.err


@pytest.mark.parametrize("command", ["run", "bench", "verify", "info", "doctor"])
def test_no_bundle_is_one_line_and_exit_1(say, tmp_path, command: str) -> None:
    arguments = [command, str(tmp_path / "absent")]
    if command in ("run", "bench"):
        arguments += ["--source", "synthetic:8x8"]
    code, _, err = say(*arguments)
    assert code == 1
    assert err.startswith("mejiro-run: error: ")
    assert "is not a folder; give the folder that `mejiro bundle` wrote" in err
    assert err.count("\n") == 1


def test_a_source_too_short_to_measure_is_exit_1(bundle, say, cv2, handmade, tmp_path) -> None:
    assert cv2.imwrite(str(tmp_path / "one.png"), handmade.frame("red").pixels)
    code, _, err = say("bench", bundle, "--source", str(tmp_path / "one.png"))
    assert code == 1
    assert "ended after 1 frames, too few to measure" in err


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (BundleError("labels are missing"), 1, "labels are missing"),
        (UsageError("no such thing"), 2, "no such thing"),
        (OSError(28, "No space left on device"), 1, "No space left on device"),
        (PermissionError(13, "Permission denied", "/x/y"), 1, "/x/y: Permission denied"),
        (MemoryError(), 1, "MemoryError"),
        (
            BundleError("two\nlines and \x1b[2J a \x9b31m code \ud800"),
            1,
            "two lines and \\x1b[2J a",
        ),
    ],
)
def test_an_error_is_one_line_with_its_code(say, monkeypatch, error, code: int, text: str) -> None:
    def fail(options: Any) -> int:
        raise error

    monkeypatch.setattr("mejiro_runtime.commands.info.execute", fail)
    found, out, err = say("info", "x")
    assert found == code
    assert out == ""
    assert err.startswith(f"mejiro-run: error: {text}")
    assert err.count("\n") == 1
    assert "Traceback" not in err


@pytest.mark.parametrize("error", [BundleError("x"), KeyboardInterrupt(), OSError("x")])
def test_debug_shows_where_it_came_from(monkeypatch, error: BaseException) -> None:
    def fail(options: Any) -> int:
        raise error

    monkeypatch.setattr("mejiro_runtime.commands.info.execute", fail)
    with pytest.raises(type(error)):
        main(["info", "x", "--debug"])


def test_a_defect_of_ours_is_not_hidden(monkeypatch) -> None:
    def fail(options: Any) -> int:
        raise AssertionError("a defect")

    monkeypatch.setattr("mejiro_runtime.commands.info.execute", fail)
    with pytest.raises(AssertionError, match="a defect"):
        main(["info", "x"])


def test_letters_stay_letters_in_an_error() -> None:
    assert one_line(ValueError("目白 é\tü\u3000x")) == "目白 é ü x"
    assert one_line(ValueError()) == "ValueError"


# Help.


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example_that_parses(capsys, command: str) -> None:
    with pytest.raises(SystemExit) as caught:
        main([command, "--help"])
    assert caught.value.code == 0
    out = capsys.readouterr().out
    example = out.split("example:\n")[1].strip()
    assert example.startswith(f"mejiro-run {command}")
    options = build_parser().parse_args(example.split()[1:])
    assert options.command == command


def test_the_overview_lists_every_command_and_examples_that_parse(capsys) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    out = capsys.readouterr().out
    for command in COMMANDS:
        assert f"\n    {command} " in out
    examples = out.split("examples:\n")[1].strip().splitlines()
    assert len(examples) >= len(COMMANDS)
    for example in examples:
        build_parser().parse_args(example.split()[1:])


def test_the_version_is_told(capsys) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"mejiro-runtime {__version__}\n"
