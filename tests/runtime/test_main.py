"""The program as the system runs it: signals, pipes, full disks, and letters it cannot print."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import pytest

import mejiro_runtime

# Where this very package is imported from, so that a child finds it whatever its folder is.
HERE = str(Path(mejiro_runtime.__file__).parents[1])
WAIT_S = 60


def environment(**changes: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": HERE, **changes}


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "mejiro_runtime", *arguments]


def run(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    return subprocess.run(
        command(*arguments), text=True, timeout=WAIT_S, check=False,
        env=environment(**options.pop("env", {})), **options,
    )  # fmt: skip


@pytest.fixture
def script() -> str:
    """Return the installed `mejiro-run`, or skip where the package is only on the path."""
    beside = Path(sysconfig.get_path("scripts")) / "mejiro-run"
    if not beside.is_file():
        pytest.skip("mejiro-run is not installed beside this Python")
    return str(beside)


def test_the_script_and_the_module_are_one_program(script: str) -> None:
    done = subprocess.run([script, "--help"], capture_output=True, text=True, check=True)
    assert done.stdout == run("--help").stdout
    assert done.stdout.startswith("usage: mejiro-run ")


def test_info_and_doctor_need_no_engine(handmade) -> None:
    folder = handmade.write()
    done = run("info", str(folder), "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["name"] == "bundle"
    done = run("doctor", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["runtime"] == mejiro_runtime.__version__


def test_errors_are_one_line_and_debug_shows_more(tmp_path) -> None:
    done = run("info", str(tmp_path))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("mejiro-run: error: ")
    assert done.stderr.count("\n") == 1
    done = run("info", str(tmp_path), "--debug")
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    done = run("fly")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)


@pytest.mark.parametrize("what", ["verify", "bench", "run"])
def test_a_real_bundle_works(real_bundle: Path, what: str) -> None:
    more = [] if what == "verify" else ["--source", "synthetic:64x48", "--frames", "5"]
    done = run(what, str(real_bundle), *more, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    value = json.loads(done.stdout.splitlines()[-1]) if what == "run" else json.loads(done.stdout)
    if what == "verify":
        assert value["passed"] is True
        assert value["artifacts"]
    else:
        report = value["summary"] if what == "run" else value
        assert report["frames"] == 5
        assert report["peak_memory_bytes"] > 0


def test_an_altered_bundle_runs_nothing(real_bundle: Path, copy_of) -> None:
    folder = copy_of(real_bundle)
    path = next((folder / "models").iterdir())
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    for what in ("verify", "run", "bench", "info"):
        done = run(what, str(folder), *(["--source", "synthetic:8x8"] if what == "run" else []))
        assert (done.returncode, done.stdout) == (1, "")
        assert f"models/{path.name} has been altered" in done.stderr
        assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("source", ["synthetic:64x48", "synthetic:64x48@200"])
@pytest.mark.parametrize(
    ("number", "code", "said"),
    [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, -signal.SIGTERM, "terminated")],
)
def test_a_signal_ends_with_a_summary_and_its_code(
    real_bundle: Path, source: str, number: int, code: int, said: str
) -> None:
    process = subprocess.Popen(
        command("run", str(real_bundle), "--source", source, "--json"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    assert process.stdout is not None
    first = [process.stdout.readline() for _ in range(3)]
    process.send_signal(number)
    # `communicate` would lose what `readline` has read ahead, so the same stream reads on.
    assert process.stderr is not None
    out, err = process.stdout.read(), process.stderr.read()
    assert process.wait(timeout=WAIT_S) == code
    assert err == f"mejiro-run: {said}\n"
    lines = [json.loads(line) for line in [*first, *out.splitlines()]]
    assert "summary" in lines[-1]
    # The signal may come between a frame's line and its being counted.
    assert 0 <= len(lines) - 1 - lines[-1]["summary"]["frames"] <= 1


@pytest.mark.parametrize("mode", [[], ["--json"]], ids=["text", "json"])
def test_a_reader_that_goes_away_ends_the_program_quietly(real_bundle: Path, mode) -> None:
    process = subprocess.Popen(
        command("run", str(real_bundle), "--source", "synthetic:64x48", *mode),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline()
    process.stdout.close()
    with process.stderr:
        assert process.stderr.read() == ""
    assert process.wait(WAIT_S) == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("what", ["info", "run"])
def test_a_full_disk_is_one_line(handmade, request, what: str) -> None:
    if what == "info":
        arguments = ["info", str(handmade.write())]
    else:
        bundle = request.getfixturevalue("real_bundle")
        arguments = ["run", str(bundle), "--source", "synthetic:8x8", "--frames", "2"]
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        done = run(*arguments, stdout=full)
    assert done.returncode == 1
    assert done.stderr == "mejiro-run: error: No space left on device\n"


def test_letters_that_a_terminal_lacks_are_spelt_out(handmade) -> None:
    folder = handmade.write("目白")
    old = {"PYTHONIOENCODING": "ascii", "LC_ALL": "C", "PYTHONUTF8": "0"}
    done = run("info", str(folder), env=old)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("\\u76ee\\u767d: ")
    done = run("info", str(folder), "--json", env=old, encoding="utf-8")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["name"] == "目白"


def test_a_hostile_folder_runs_nothing_of_its_own(handmade, script: str) -> None:
    """One may have gone into a stranger's bundle: its files are data."""
    folder = handmade.write()
    for name in ("json", "numpy", "mejiro_runtime", "cv2"):
        (folder / f"{name}.py").write_text("print('sprung')\n", encoding="ascii")
    handmade.seal(folder)
    clean = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    for what in ("info", "doctor"):
        done = subprocess.run(
            [script, what, "."], cwd=folder, capture_output=True, text=True, env=clean, check=False
        )
        assert "sprung" not in done.stdout + done.stderr


def test_a_bundle_is_opened_from_a_place_that_cannot_be_written(real_bundle: Path, copy_of) -> None:
    folder = copy_of(real_bundle)
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        before = sorted(path.name for path in folder.rglob("*"))
        assert run("verify", str(folder)).returncode == 0
        assert sorted(path.name for path in folder.rglob("*")) == before
    finally:
        for path in [folder, *folder.rglob("*")]:
            if path.is_dir():
                path.chmod(0o755)
