"""The borders between and inside the packages; the contracts stand in pyproject.toml."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import grimp
import pytest

PACKAGES = {"mejiro": "toolkit", "mejiro_agent": "toolkit", "mejiro_runtime": "runtime"}

# The one module of the runtime that may name each optional package.
WRAPPED_BY = {
    "ai_edge_litert": "backends/litert.py",
    "tflite_runtime": "backends/litert.py",
    "onnxruntime": "backends/onnxruntime.py",
    "cv2": "opencv.py",
}


def lint_imports(root: Path) -> subprocess.CompletedProcess[str]:
    """Run import-linter on the packages under `root`, by the contracts of its pyproject.toml."""
    paths = os.pathsep.join(str(root / folder) for folder in (*PACKAGES.values(), "targets"))
    program = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    return subprocess.run(
        [sys.executable, "-c", program, "--no-cache"],
        cwd=root,
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture
def copy(project_root: Path, tmp_path: Path) -> Path:
    """Return a copy of the packages that a test may spoil."""
    for package, folder in PACKAGES.items():
        source = project_root / folder / package
        shutil.copytree(source, tmp_path / folder / package, ignore=shutil.ignore_patterns("*.pyc"))
    shutil.copytree(project_root / "targets", tmp_path / "targets")
    shutil.copy(project_root / "pyproject.toml", tmp_path)
    return tmp_path


def test_every_contract_is_kept(project_root: Path) -> None:
    done = lint_imports(project_root)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("file", "line", "broken"),
    [
        ("toolkit/mejiro/errors.py", "import mejiro.model", "The host's rooms BROKEN"),
        ("toolkit/mejiro/stray.py", "import json", "The host's rooms BROKEN"),
        ("runtime/mejiro_runtime/errors.py", "import mejiro_runtime.card", "rooms BROKEN"),
        (
            "runtime/mejiro_runtime/files.py",
            "import mejiro.errors",
            "only a workstation has BROKEN",
        ),
        ("runtime/mejiro_runtime/files.py", "import tensorflow", "only a workstation has BROKEN"),
        ("toolkit/mejiro_agent/wire.py", "import numpy", "nothing but Python BROKEN"),
    ],
)
def test_a_breach_is_noticed(copy: Path, file: str, line: str, broken: str) -> None:
    with (copy / file).open("a", encoding="utf-8") as stream:
        stream.write(f"\n{line}\n")
    done = lint_imports(copy)
    assert done.returncode == 1, done.stdout + done.stderr
    assert broken in done.stdout.replace("\n", " ")


def test_no_files_import_each_other_in_a_circle() -> None:
    graph = grimp.build_graph(*PACKAGES, cache_dir=None)
    imports = {name: graph.find_modules_directly_imported_by(name) for name in graph.modules}
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        pytest.fail("imports go in a circle: " + " <- ".join(error.args[1]), pytrace=False)


def imported_packages(tree: ast.AST) -> Iterator[str]:
    """Yield every top-level package that a file imports, by statement or by `import_module`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield (node.module or "").partition(".")[0]
        elif isinstance(node, ast.Call) and "import_module" in ast.unparse(node.func):
            yield ast.unparse(node.args[0]).strip("'").partition(".")[0]


def test_each_optional_package_is_imported_by_one_module(project_root: Path) -> None:
    package = project_root / "runtime" / "mejiro_runtime"
    strays = [
        f"{path.relative_to(package)} imports {name}"
        for path in package.rglob("*.py")
        for name in set(imported_packages(ast.parse(path.read_text(encoding="utf-8"))))
        if name in WRAPPED_BY and path != package / WRAPPED_BY[name]
    ]
    assert strays == []
