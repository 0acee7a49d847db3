"""The repository speaks of itself: of no machine that it was written on, and of no registry."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

# Each is spelt so that this file does not hold what it looks for.
MACHINE_PATH = re.compile(r"(?<![\w.~-])/(?:work|root|Users|home/(?!pi\b)\w+)/\w")
REGISTRY = re.compile(
    r"(?:files\.pythonhosted|pypi)[.]org|registry[.](?:npmjs|yarnpkg)[.]|"
    r"(?:extra-)?index-url\s*[= ]\s*\S*:/|proxy[.]golang[.]"
)
LOCKS = {"uv.lock", "poetry.lock", "pdm.lock", "pylock.toml", "package-lock.json", "yarn.lock"}


@pytest.fixture(scope="module")
def tracked(project_root: Path) -> list[Path]:
    """Return the files that git keeps."""
    if not (project_root / ".git").exists():
        pytest.skip(f"{project_root} is no git checkout, so nothing tells what is tracked")
    done = subprocess.run(
        ["git", "ls-files", "-z"], cwd=project_root, capture_output=True, text=True, check=True
    )
    return [project_root / name for name in done.stdout.split("\0") if name]


def lines_with(pattern: re.Pattern[str], files: list[Path]) -> list[str]:
    """Return `file:line: text` of every line of text that `pattern` finds."""
    found = []
    for path in files:
        if not path.is_file():
            continue  # removed, and not committed yet
        data = path.read_bytes()
        if b"\0" in data:
            continue
        for number, line in enumerate(data.decode("utf-8", errors="replace").splitlines(), 1):
            if pattern.search(line):
                found.append(f"{path}:{number}: {line.strip()[:120]}")
    return found


def test_no_file_names_a_path_of_one_machine(tracked: list[Path]) -> None:
    assert lines_with(MACHINE_PATH, tracked) == []


def test_no_file_names_a_registry(tracked: list[Path]) -> None:
    assert lines_with(REGISTRY, tracked) == []


def test_no_lock_file_with_addresses(tracked: list[Path]) -> None:
    assert [str(path) for path in tracked if path.name in LOCKS] == []


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (MACHINE_PATH, "see " + "/".join(["", "home", "someone", "notes"])),
        (MACHINE_PATH, "file://" + "/".join(["", "root", "models"])),
        (REGISTRY, "https://" + ".".join(["pypi", "org"])),
        (REGISTRY, "--index-url" + "=https://example"),
    ],
)
def test_what_is_looked_for_is_found(pattern: re.Pattern[str], text: str, tmp_path: Path) -> None:
    file = tmp_path / "file.md"
    file.write_text(text, encoding="utf-8")
    assert len(lines_with(pattern, [file])) == 1


def test_constraints_are_exact_versions_alone(project_root: Path) -> None:
    lines = (project_root / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = [line for line in lines if line and not line.startswith("#")]
    assert pinned
    exact = re.compile(r"[a-z0-9][a-z0-9-]*==[0-9][\w.+!]*( ; [\w. ='<>!*()]+)?")
    assert [line for line in pinned if not exact.fullmatch(line)] == []


def test_both_distributions_carry_the_same_licence(project_root: Path) -> None:
    runtime = project_root / "runtime"
    assert (runtime / "LICENSE").read_bytes() == (project_root / "LICENSE").read_bytes()
    # The host's goes on about what it carries for pages.
    ours = (project_root / "NOTICE").read_bytes()
    assert ours.startswith((runtime / "NOTICE").read_bytes())
