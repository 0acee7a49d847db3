"""A tuned choice is used while it holds, and said to be stale when something has changed."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from mejiro_runtime import tuned as module
from mejiro_runtime.bundle import open_bundle, tuned_path
from mejiro_runtime.errors import SpecError
from mejiro_runtime.tuned import Pace, Tuned, read_tuned, this_cpu, why_stale, write_tuned

SHORT = ("--source", "synthetic:40x30", "--frames", "2", "--json")


def pace(bundle: str, artifact: str = "colours.onnx", **given: Any) -> Pace:
    card = open_bundle(Path(bundle)).card(artifact)
    backend = "litert" if artifact.endswith("tflite") else "onnxruntime"
    values = {"engine": "simulated", "version": "1.0", "threads": 1, "median_ns": 5, **given}
    return Pace(artifact=artifact, sha256=card.sha256, backend=backend, **values)


def write(bundle: str, choice: Pace) -> Tuned:
    tuned = Tuned(choice, (choice,), *this_cpu())
    write_tuned(Path(bundle), tuned, measured={"for": "people"})
    return tuned


def test_the_file_lies_beside_the_bundle(bundle, tmp_path: Path, monkeypatch) -> None:
    folder = Path(bundle)
    assert tuned_path(folder) == folder.parent / "bundle.tuned.json"
    monkeypatch.chdir(folder)
    assert tuned_path(Path()) == folder.parent / "bundle.tuned.json"
    (tmp_path / "link").symlink_to(folder)
    assert tuned_path(tmp_path / "link") == tmp_path / "link.tuned.json"


def test_what_is_written_is_read_back_and_the_bundle_is_as_it_was(bundle) -> None:
    tuned = write(bundle, pace(bundle))
    assert read_tuned(Path(bundle)) == tuned
    assert why_stale(tuned, tuned.choice, open_bundle(Path(bundle))) is None


@pytest.mark.parametrize("command", ["run", "bench"])
def test_the_choice_is_used_and_said(bundle, say, command: str) -> None:
    write(bundle, pace(bundle))
    options = SHORT if command == "run" else ("--frames", "2", "--json")
    code, out, err = say(command, bundle, *options)
    assert code == 0
    assert err == f"tuned: colours.onnx on onnxruntime, 1 threads ({tuned_path(Path(bundle))})\n"
    value = json.loads(out.splitlines()[-1])["summary"] if command == "run" else json.loads(out)
    assert value["artifact"] == "colours.onnx"
    assert value["backend"]["threads"] == 1


@pytest.mark.parametrize(
    "given", [("--artifact", "colours.tflite"), ("--backend", "litert"), ("--threads", "1")]
)
def test_what_is_asked_for_counts_more(bundle, say, given: tuple[str, str]) -> None:
    write(bundle, pace(bundle))
    code, out, err = say("run", bundle, *SHORT, *given)
    assert (code, err) == (0, "")
    assert json.loads(out.splitlines()[-1])["summary"]["artifact"] == "colours.tflite"


def test_other_commands_take_no_notice(bundle, say) -> None:
    write(bundle, pace(bundle))
    code, out, err = say("verify", bundle)
    assert (code, err) == (0, "")
    assert "PASS colours.tflite" in out


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"version": "0.9"}, "the engine is now simulated 1.0, was simulated 0.9"),
        ({"engine": "other"}, "the engine is now simulated 1.0, was other 1.0"),
        ({"sha256": "0" * 64}, "colours.onnx is another model now"),
        ({"artifact": "gone.onnx"}, "the bundle has no artifact 'gone.onnx'"),
        ({"threads": 0}, "threads must be 1 to 256, found 0"),
        ({"backend": "litert"}, "backend litert runs .tflite files"),
    ],
)
def test_what_has_changed_is_said_in_one_line_and_the_choice_ignored(
    bundle, say, change: dict[str, Any], reason: str
) -> None:
    write(bundle, pace(bundle)._replace(**change))
    code, out, err = say("run", bundle, *SHORT)
    assert code == 0
    assert err.startswith(f"not tuned: {reason}")
    assert err.endswith("run `mejiro-run tune` again\n")
    assert err.count("\n") == 1
    assert json.loads(out.splitlines()[-1])["summary"]["artifact"] == "colours.tflite"


def test_another_cpu_makes_it_stale(bundle, say, monkeypatch) -> None:
    write(bundle, pace(bundle))
    monkeypatch.setattr(module, "this_cpu", lambda: ("Another CPU", 64))
    _, _, err = say("run", bundle, *SHORT)
    assert err.startswith("not tuned: the machine is now 64 × Another CPU, was ")


def test_an_engine_that_is_no_longer_there_makes_it_stale(
    bundle, say, simulated_engine_module
) -> None:
    write(bundle, pace(bundle)._replace(backend="nowhere"))
    _, _, err = say("run", bundle, *SHORT)
    assert err.startswith("not tuned: there is no backend 'nowhere'")


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"schema": 2}', '{"schema": 1}'])
def test_a_damaged_file_is_said_and_ignored(bundle, say, text: str) -> None:
    tuned_path(Path(bundle)).write_text(text, encoding="utf-8")
    with pytest.raises(SpecError):
        read_tuned(Path(bundle))
    code, _, err = say("run", bundle, *SHORT)
    assert code == 0
    assert err.startswith("not tuned: ")
    assert err.count("\n") == 1


# Tuning itself, with the simulated engine.


def test_tune_writes_a_choice_that_run_then_uses(bundle, say, quick_tune) -> None:
    code, out, err = say("tune", bundle)
    assert (code, err) == (0, "")
    assert "chosen: colours." in out
    assert str(tuned_path(Path(bundle))) in out
    kept = read_tuned(Path(bundle))
    assert {one.artifact for one in kept.paces} == {"colours.tflite", "colours.onnx"}
    code, out, err = say("run", bundle, *SHORT)
    assert code == 0
    assert err.startswith(f"tuned: {kept.choice.artifact} on ")
    code, out, _ = say("tune", bundle, "--json")
    assert json.loads(out)["choice"]["artifact"].startswith("colours.")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_place_that_cannot_be_written_is_told_before_anything_is_measured(bundle, say) -> None:
    parent = Path(bundle).parent
    parent.chmod(0o555)
    try:
        code, out, err = say("tune", bundle)
    finally:
        parent.chmod(0o755)
    assert (code, out) == (2, "")
    assert "cannot be written" in err


@pytest.mark.parametrize("points", ["-1", "nan"])
def test_a_drop_is_a_number_of_points(bundle, say, points: str) -> None:
    code, _, err = say("tune", bundle, f"--max-drop={points}")
    assert code == 2
    assert "a number of points" in err
