"""Each command says what it found, to people and to programs, and ends with the right code."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mejiro_runtime import __version__
from mejiro_runtime.__main__ import main
from mejiro_runtime.golden import array_name, read_arrays
from mejiro_runtime.types import Frame

COMMANDS = ("run", "bench", "verify", "info", "doctor")


def tamper(folder: str, handmade: Any) -> None:
    """Change a golden tensor, and seal the bundle again."""
    path = Path(folder) / "golden" / "inputs.npz"
    arrays = read_arrays(path, 3)
    arrays[2][0, 0, 0, 0] ^= 1
    np.savez(path, **{array_name(i): array for i, array in enumerate(arrays)})
    handmade.seal(Path(folder))


# run


def test_run_writes_a_line_of_json_for_each_frame_and_a_summary(bundle, say) -> None:
    code, out, err = say("run", bundle, "--source", "synthetic:40x30", "--frames", "4", "--json")
    assert (code, err) == (0, "")
    lines = [json.loads(line) for line in out.splitlines()]
    assert [line["frame"] for line in lines[:-1]] == [0, 1, 2, 3]
    for line in lines[:-1]:
        assert line["label"] in ("red, crimson", "vert clair", "目白")
        assert line["age_ns"] >= line["preprocess_ns"] + line["infer_ns"] + line["postprocess_ns"]
    summary = lines[-1]["summary"]
    assert summary["frames"] == 4
    assert summary["stages"]["infer"]["count"] == 4
    assert summary["backend"]["engine"] == "simulated"
    assert summary["artifact"] == "colours.tflite"
    assert summary["source"] == "synthetic 40x30"
    assert summary["load_ns"] > 0
    assert summary["first_infer_ns"] == lines[0]["infer_ns"]
    assert summary["skipped"] == []


def test_run_writes_plain_lines_where_nobody_watches(bundle, say) -> None:
    code, out, err = say("run", bundle, "--source", "synthetic:40x30", "--frames", "3")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].startswith("synthetic#0: ")
    assert lines[2].startswith("synthetic#2: ")
    assert "colours.tflite on simulated 1.0" in out
    assert "frame_to_label" in out
    assert "3 frames; " in lines[-1]
    assert "\x1b" not in out


def test_run_draws_a_table_on_a_terminal(bundle, monkeypatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream = Terminal()
    monkeypatch.setattr(sys, "stdout", stream)
    assert main(["run", bundle, "--source", "synthetic:40x30", "--frames", "3"]) == 0
    assert "\x1b[2Ksynthetic#2" in stream.getvalue()
    assert "frames a second" in stream.getvalue()


def test_run_shows_as_many_answers_as_asked_for(bundle, say) -> None:
    options = ("--source", "synthetic:40x30", "--frames", "1", "--json")
    for top, shown in ((1, 1), (2, 2), (99, 3)):
        _, out, _ = say("run", bundle, *options, "--top", str(top))
        assert len(json.loads(out.splitlines()[0])["top"]) == shown


def test_run_reads_pictures_and_names_what_it_skipped(bundle, say, cv2, handmade, tmp_path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name in ("blue", "red"):
        assert cv2.imwrite(str(folder / f"{name}.png"), handmade.frame(name).pixels)
    (folder / "broken.jpg").write_bytes(b"no picture")
    code, out, _ = say("run", bundle, "--source", str(folder), "--json")
    assert code == 0
    *frames, last = [json.loads(line) for line in out.splitlines()]
    answers = {line["name"]: line["label"] for line in frames}
    assert answers == {"blue.png": "目白", "red.png": "red, crimson"}
    assert last["summary"]["skipped"] == ["broken.jpg"]
    code, out, _ = say("run", bundle, "--source", str(folder))
    assert "skipped, unreadable: broken.jpg" in out
    assert "red.png: red 0." in out  # the first of a synset's names


def test_an_artifact_is_chosen_by_name_or_backend(bundle, say) -> None:
    options = ("--source", "synthetic:8x8", "--frames", "1", "--json")
    for choice, file in (
        (("--artifact", "colours"), "colours.tflite"),
        (("--artifact", "colours.onnx"), "colours.onnx"),
        (("--backend", "onnxruntime"), "colours.onnx"),
        (("--backend", "litert:builtin"), "colours.tflite"),
    ):
        code, out, _ = say("run", bundle, *options, *choice)
        assert code == 0
        assert json.loads(out.splitlines()[-1])["summary"]["artifact"] == file


class Interrupted:
    """Give two frames, and then the user presses Ctrl-C."""

    live = False
    description = "interrupted"
    skipped: tuple[str, ...] = ()

    def __init__(self, handmade: Any) -> None:
        self.handmade = handmade

    def frames(self) -> Iterator[Frame]:
        yield self.handmade.frame("red", index=0)
        yield self.handmade.frame("green", index=1)
        raise KeyboardInterrupt

    def __enter__(self) -> Interrupted:
        return self

    def __exit__(self, *reason: object) -> None:
        return None


@pytest.mark.parametrize("json_lines", [False, True])
def test_ctrl_c_ends_a_run_with_all_that_was_measured(
    bundle, say, handmade, monkeypatch, json_lines: bool
) -> None:
    monkeypatch.setattr(
        "mejiro_runtime.commands.run.open_source", lambda text: Interrupted(handmade)
    )
    code, out, err = say("run", bundle, *(["--json"] if json_lines else []))
    assert code == 130
    assert err == "mejiro-run: interrupted\n"
    if json_lines:
        lines = [json.loads(line) for line in out.splitlines()]
        assert [line["label"] for line in lines[:-1]] == ["red, crimson", "vert clair"]
        assert lines[-1]["summary"]["frames"] == 2
    else:
        assert "2 frames; " in out


def test_a_fallback_is_told(bundle, say, monkeypatch, simulated_engine) -> None:
    from mejiro_runtime import model

    real = model.open_backend

    def fallen_back(*arguments: Any, **options: Any) -> Any:
        backend = real(*arguments, **options)
        backend.info = backend.info._replace(
            requested="litert:xnnpack", fallback="XNNPACK is not there"
        )
        return backend

    monkeypatch.setattr(model, "open_backend", fallen_back)
    options = ("--source", "synthetic:8x8", "--frames", "1")
    _, out, _ = say("run", bundle, *options)
    assert "FALLBACK: asked for litert:xnnpack, but XNNPACK is not there" in out
    _, out, _ = say("run", bundle, *options, "--json")
    assert json.loads(out.splitlines()[-1])["summary"]["backend"]["fallback"]
    _, out, _ = say("verify", bundle)
    assert "FALLBACK: XNNPACK is not there" in out


# bench


def test_bench_reports_stages_and_the_bare_engine(bundle, say) -> None:
    code, out, err = say("bench", bundle, "--source", "synthetic:40x30", "--frames", "25", "--json")
    assert (code, err) == (0, "")
    report = json.loads(out)
    assert report["frames"] == 25
    assert report["warmup_frames"] >= 20
    assert set(report["stages"]) == {
        "capture",
        "preprocess",
        "infer",
        "postprocess",
        "sink",
        "frame_to_label",
        "age",
    }
    for stage in report["stages"].values():
        assert stage["p50_ns"] <= stage["p90_ns"] <= stage["p99_ns"] <= stage["max_ns"]
    assert report["bare_engine"]["p50_ns"] > 0
    assert report["overhead"] > 0
    assert report["load_ns"] > 0
    assert report["device"]["machine"]


def test_bench_prints_a_table(bundle, say) -> None:
    code, out, _ = say("bench", bundle, "--source", "synthetic:40x30", "--frames", "5")
    assert code == 0
    for word in ("p50", "p99", "bare engine", "frame to label / bare engine", "warm-up frames"):
        assert word in out
    assert all(line == line.rstrip() for line in out.splitlines())


# verify


def test_verify_passes_every_artifact_that_runs_here(bundle, say) -> None:
    code, out, err = say("verify", bundle)
    assert (code, err) == (0, "")
    assert "bundle: all 6 files are as written" in out
    assert out.count("PASS ") == 2
    code, out, _ = say("verify", bundle, "--json")
    assert code == 0
    value = json.loads(out)
    assert value["passed"] is True
    assert [v["artifact"] for v in value["artifacts"]] == ["colours.tflite", "colours.onnx"]
    assert value["not_verified"] == []


def test_verify_says_which_stage_differs_first(bundle, say, handmade) -> None:
    tamper(bundle, handmade)
    code, out, err = say("verify", bundle)
    assert (code, err) == (1, "")
    assert "FAIL colours.tflite" in out
    assert "first difference: preprocess of golden frame 2: 1 of 192 values differ" in out
    code, out, _ = say("verify", bundle, "--json")
    assert code == 1
    found = json.loads(out)["artifacts"][0]["difference"]
    assert (found["stage"], found["frame"], found["values"]) == ("preprocess", 2, 1)


def test_verify_says_what_it_left_out(bundle, say) -> None:
    code, out, _ = say("verify", bundle, "--artifact", "colours.onnx")
    assert code == 0
    assert out.count("PASS ") == 1
    assert "not verified: colours.tflite (not asked for, or its engine is not installed)" in out


# info and doctor


def test_info_tells_what_a_bundle_holds(bundle, say, handmade) -> None:
    code, out, err = say("info", bundle)
    assert (code, err) == (0, "")
    assert "bundle: 6 files" in out
    assert "colours.onnx: int8, 0.00 MB, takes 8x8 rgb uint8 by crop" in out
    assert "3 golden frames" in out
    code, out, _ = say("info", bundle, "--json")
    assert json.loads(out)["classes"] == 3
    assert json.loads(out)["name"] == "bundle"


@pytest.mark.parametrize(
    ("evaluation", "shown"),
    [
        ({"top1": 0.875, "pictures": 200}, ", top-1 87.5% of 200"),
        ({"top1": "all"}, "by crop\n"),
        ({}, "by crop\n"),
        (None, "by crop\n"),
    ],
)
def test_info_tells_the_score_where_the_card_has_one(
    bundle, say, handmade, evaluation: Any, shown: str
) -> None:
    handmade.seal(Path(bundle), lambda value: value["artifacts"][0].update(evaluation=evaluation))
    code, out, _ = say("info", bundle)
    assert code == 0
    assert shown in out


def test_doctor_tells_of_the_device_and_tries_the_bundle(bundle, say, handmade) -> None:
    code, out, err = say("doctor")
    assert (code, err) == (0, "")
    assert f"mejiro-runtime {__version__}" in out
    assert "simulated 1.0" in out
    code, out, _ = say("doctor", bundle)
    assert code == 0
    assert out.count("PASS ") == 2
    code, out, _ = say("doctor", bundle, "--json")
    assert json.loads(out)["verification"]["passed"] is True
    tamper(bundle, handmade)
    code, out, _ = say("doctor", bundle)
    assert code == 1
    assert "first difference: preprocess" in out
