"""The runtime as a device has it: what importing it brings in, and what it does without."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import mejiro_runtime

PACKAGE = Path(mejiro_runtime.__file__).parent
MODULES = sorted(
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
    for path in PACKAGE.rglob("*.py")
)

# Runs in an interpreter of its own. Whatever is not allowed is as good as not installed, and an
# attempt to import it from the top of a module ends the import with ImportError.
IMPORT_ALONE = """
import sys

allowed = sys.stdlib_module_names | {"mejiro_runtime"} | set(sys.argv[2].split())

class OnlyAllowed:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] not in allowed:
            raise ModuleNotFoundError(f"{name} is not part of a bare device", name=name)

sys.meta_path.insert(0, OnlyAllowed())
__import__(sys.argv[1])
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""


def import_alone(module: str, *, allowed: str) -> set[str]:
    """Import `module` in a new interpreter and return the top-level modules it then holds."""
    # -I keeps the working folder and PYTHON* variables out; site-packages stay.
    done = subprocess.run(
        [sys.executable, "-I", "-c", IMPORT_ALONE, module, allowed],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


@pytest.fixture(scope="module")
def present_at_start() -> set[str]:
    """Return what site-packages' own .pth files import before any program starts."""
    return import_alone("sys", allowed="numpy")


def test_the_package_imports_the_standard_library_alone(present_at_start: set[str]) -> None:
    brought = import_alone("mejiro_runtime", allowed="") - present_at_start
    assert brought - sys.stdlib_module_names == {"mejiro_runtime"}


@pytest.mark.parametrize("module", MODULES)
def test_every_module_imports_with_numpy_alone(module: str, present_at_start: set[str]) -> None:
    brought = import_alone(module, allowed="numpy") - present_at_start
    # numpy 1 leaves traces of the compiler it was built with.
    traces = {name for name in brought if "cython" in name}
    assert brought - sys.stdlib_module_names - traces <= {"mejiro_runtime", "numpy"}


def test_a_module_that_is_not_allowed_is_noticed() -> None:
    with pytest.raises(AssertionError, match="pytest is not part of a bare device"):
        import_alone("pytest", allowed="numpy")


def test_the_package_says_that_it_is_typed() -> None:
    assert (PACKAGE / "py.typed").is_file()
