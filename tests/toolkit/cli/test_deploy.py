from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def bundle(tmp_path: Path, project_root: Path) -> Callable[..., str]:
    sys.path.insert(0, str(project_root / "benchmarks"))
    try:
        stand_in: Any = importlib.import_module("deploy_stand_in")
    finally:
        sys.path.pop(0)
    return lambda name="cat-finder", **options: str(
        stand_in.write_stand_in(tmp_path / name, **options)
    )


@pytest.fixture
def url(tmp_path: Path, run: Run) -> Iterator[str]:
    yield f"local:{tmp_path / 'device'}"
    if (tmp_path / "device").exists():
        run("device", "uninstall", f"local:{tmp_path / 'device'}", "--yes")


def test_a_bundle_goes_out_runs_and_is_looked_after(
    run: Run, bundle: Callable[..., str], url: str, tmp_path: Path
) -> None:
    code, out, _ = run("deploy", bundle(), url, "--service", "--source", "synthetic:64x48")
    assert code == 0
    assert "replaces     nothing" in out
    assert out.splitlines()[-1].startswith(url)
    code, out, _ = run("device", "status", url)
    assert code == 0
    assert "cat-finder" in out
    assert "service      runs" in out
    code, out, _ = run("device", "status", url, "--json")
    assert json.loads(out)["running"] is True
    code, out, _ = run("device", "logs", url, "--lines", "5")
    assert "starting release" in out
    report = tmp_path / "report.json"
    code, out, err = run("device", "bench", url, "--out", str(report), "--require", "memory<1GB")
    assert code == 0
    assert "9.00 ms" in out
    assert "PASS memory<1GB" in err
    assert set(json.loads(report.read_text())) == {"device", "probe", "release", "report"}
    code, _, err = run("device", "rollback", url)
    assert (code, "no release before the current one" in err) == (1, True)
    code, out, _ = run("device", "uninstall", url, "--yes")
    assert code == 0
    assert not (tmp_path / "device").exists()


def test_a_dry_run_prints_the_plan(
    run: Run, bundle: Callable[..., str], url: str, tmp_path: Path
) -> None:
    code, out, _ = run("deploy", bundle(), url, "--dry-run", "--json")
    assert code == 0
    assert json.loads(out)["run"] is None
    assert not (tmp_path / "device").exists()


def test_a_failure_is_one_line_and_exit_1(run: Run, bundle: Callable[..., str], url: str) -> None:
    bad = bundle("bad", behaviour={"bench": "bad"})
    code, _, err = run("deploy", bad, url, "--no-tune", "--require", "memory<100MB")
    assert code == 1
    assert err.startswith("mejiro: error: memory<100MB is FAIL")
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--source", "camera:1"], "add --service"),
        (["--require", "fast"], "is no requirement"),
        (["--clock", "stop"], "refuse"),
        (["--service", "--web", "nowhere"], "HOST:PORT"),
    ],
)
def test_wrong_words_are_told_before_any_connection(
    run: Run, bundle: Callable[..., str], words: list[str], told: str
) -> None:
    code, _, err = run("deploy", bundle(), "ssh://nowhere.invalid", *words)
    assert code == 2
    assert told in err


def test_a_url_that_is_none_is_told(run: Run, bundle: Callable[..., str]) -> None:
    code, _, err = run("deploy", bundle(), "kitchen")
    assert (code, "names no device" in err) == (2, True)


def test_uninstall_asks_first(run: Run, url: str) -> None:
    code, _, err = run("device", "uninstall", url)
    assert (code, "pass --yes" in err) == (2, True)
