"""The two distributions: what their wheels hold, what they say of themselves, their one version."""

from __future__ import annotations

import ast
import email
import subprocess
import sys
import zipfile
from email.message import Message
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

import mejiro
import mejiro_runtime

MAX_RUNTIME_WHEEL_BYTES = 240_000


def build_wheel(project: Path, out: Path) -> zipfile.ZipFile:
    """Build the wheel of `project` with what is installed here, and open it."""
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", str(project)]
    done = subprocess.run(
        [*command, "--outdir", str(out)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = out.glob("*.whl")
    return zipfile.ZipFile(wheel)


@pytest.fixture(scope="module")
def runtime_wheel(project_root: Path, tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    return build_wheel(project_root / "runtime", tmp_path_factory.mktemp("runtime"))


@pytest.fixture(scope="module")
def host_wheel(project_root: Path, tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    return build_wheel(project_root, tmp_path_factory.mktemp("host"))


def metadata_of(wheel: zipfile.ZipFile) -> Message:
    (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    return email.message_from_bytes(wheel.read(name))


def packages_in(wheel: zipfile.ZipFile) -> set[str]:
    tops = {name.partition("/")[0] for name in wheel.namelist()}
    return {top for top in tops if not top.endswith(".dist-info")}


def entry_points_of(wheel: zipfile.ZipFile) -> str:
    (name,) = (name for name in wheel.namelist() if name.endswith("entry_points.txt"))
    return wheel.read(name).decode()


def source_files(folder: Path) -> set[str]:
    """Return the names that files under `folder` should have in a wheel."""
    return {
        str(path.relative_to(folder.parent))
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".pyc"
    }


def test_the_runtime_wheel_is_small(runtime_wheel: zipfile.ZipFile) -> None:
    assert Path(str(runtime_wheel.filename)).stat().st_size <= MAX_RUNTIME_WHEEL_BYTES


def test_the_runtime_wheel_holds_its_package_alone(
    runtime_wheel: zipfile.ZipFile, project_root: Path
) -> None:
    assert packages_in(runtime_wheel) == {"mejiro_runtime"}
    names = {name for name in runtime_wheel.namelist() if name.startswith("mejiro_runtime/")}
    assert names == source_files(project_root / "runtime" / "mejiro_runtime")


def test_the_runtime_depends_on_numpy_alone(runtime_wheel: zipfile.ZipFile) -> None:
    needs = [Requirement(text) for text in metadata_of(runtime_wheel).get_all("Requires-Dist", [])]
    assert [str(need) for need in needs if not need.marker] == ["numpy>=1.23"]
    extras = {str(text) for text in metadata_of(runtime_wheel).get_all("Provides-Extra", [])}
    assert extras == {"camera", "litert", "onnx", "tflite"}


def test_the_camera_extra_takes_opencv_4_and_5(runtime_wheel: zipfile.ZipFile) -> None:
    needs = [Requirement(text) for text in metadata_of(runtime_wheel).get_all("Requires-Dist", [])]
    (opencv,) = (need for need in needs if need.name == "opencv-python-headless")
    assert opencv.specifier.contains("4.11.0.86")
    assert opencv.specifier.contains("5.0.0.93")


def test_the_runtime_wheel_says_what_it_is(runtime_wheel: zipfile.ZipFile) -> None:
    said = metadata_of(runtime_wheel)
    assert said["Name"] == "mejiro-runtime"
    assert said["License-Expression"] == "Apache-2.0"
    assert said["Requires-Python"] == ">=3.10"
    assert sorted(said.get_all("License-File", [])) == ["LICENSE", "NOTICE"]
    assert str(said.get_payload()).startswith("# mejiro-runtime")
    assert "mejiro-run = mejiro_runtime.__main__:main" in entry_points_of(runtime_wheel)


def test_the_host_wheel_holds_toolkit_and_targets(
    host_wheel: zipfile.ZipFile, project_root: Path
) -> None:
    assert packages_in(host_wheel) == {"mejiro", "mejiro_agent", "mejiro_targets"}
    names = {name for name in host_wheel.namelist() if ".dist-info/" not in name}
    toolkit = source_files(project_root / "toolkit" / "mejiro")
    toolkit |= source_files(project_root / "toolkit" / "mejiro_agent")
    assert names == toolkit | source_files(project_root / "targets" / "mejiro_targets")
    assert {"mejiro/py.typed", "mejiro_targets/__init__.py"} <= names


def test_the_host_wheel_says_what_it_is(host_wheel: zipfile.ZipFile) -> None:
    said = metadata_of(host_wheel)
    assert said["Name"] == "mejiro"
    assert said["License-Expression"] == "Apache-2.0"
    assert SpecifierSet(str(said["Requires-Python"])) == SpecifierSet(">=3.10,<3.14")
    assert "mejiro = mejiro.cli:main" in entry_points_of(host_wheel)


def test_there_is_one_version(host_wheel: zipfile.ZipFile, runtime_wheel: zipfile.ZipFile) -> None:
    version = mejiro_runtime.__version__
    assert mejiro.__version__ == version
    assert metadata_of(host_wheel)["Version"] == version
    assert metadata_of(runtime_wheel)["Version"] == version
    needs = [Requirement(text) for text in metadata_of(host_wheel).get_all("Requires-Dist", [])]
    (runtime,) = (need for need in needs if need.name == "mejiro-runtime")
    assert str(runtime.specifier) == f"=={version}"


def third_parties(folder: Path) -> set[str]:
    """Return the packages of others that the files of `folder` import."""
    names: set[str] = set()
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names.update(alias.name.partition(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                names.add((node.module or "").partition(".")[0])
    ours = {"mejiro", "mejiro_agent", "mejiro_runtime", "mejiro_targets"}
    return names - sys.stdlib_module_names - ours


def test_whatever_the_host_imports_is_declared(
    host_wheel: zipfile.ZipFile, runtime_wheel: zipfile.ZipFile, project_root: Path
) -> None:
    declared = {
        canonicalize_name(Requirement(text).name)
        for wheel in (host_wheel, runtime_wheel)
        for text in metadata_of(wheel).get_all("Requires-Dist", [])
    }
    brought_by = metadata.packages_distributions()
    undeclared = {
        name
        for name in third_parties(project_root / "toolkit")
        if not declared & {canonicalize_name(dist) for dist in brought_by.get(name, [])}
    }
    assert undeclared == set()


@pytest.mark.parametrize("name", ["mejiro", "mejiro-runtime"])
def test_what_is_installed_here_is_this_version(name: str) -> None:
    assert metadata.version(name) == mejiro_runtime.__version__


def test_the_changelog_speaks_of_this_version(project_root: Path) -> None:
    text = (project_root / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"## {mejiro_runtime.__version__}" in text
