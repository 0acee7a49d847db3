"""Write what a board needs to install a bundle: wheels, a script, a unit, and how to use them."""

from __future__ import annotations

import shlex
import shutil
import string
from importlib import resources
from pathlib import Path

from mejiro.bundle.closure import close, marker_environment, read_wheel
from mejiro.bundle.kit import Kit
from mejiro.bundle.wheelhouse import constraints_text, requirements_text
from mejiro.errors import TargetError
from mejiro.targets import PackageManager, Provided, ServiceManager

INSTALL_NAME = "install.sh"
UNIT_NAME = "mejiro.service.in"
CONSTRAINTS_NAME = "constraints.txt"
REQUIREMENTS_PATH = "wheels/requirements.txt"
PIP_FOLDER = "installer"
# What an environment takes besides its packages, and a tenth for how file systems round up.
_EMPTY_ENVIRONMENT_BYTES = 4 << 20
_ROUNDING = 1.1


class _ShellTemplate(string.Template):
    """Fill in ``@@{name}``; a shell script has other uses for the dollar."""

    delimiter = "@@"


def write_board_files(folder: Path, kit: Kit, runtime_wheel: Path) -> int:
    """Write all but the README into the bundle in `folder`; return the bytes installed, about.

    `runtime_wheel` is in its wheels already. Raises TargetError if the wheels are not all that
    the target needs.
    """
    runtime = read_wheel(runtime_wheel)
    wheels = sorted([*kit.wheels, runtime], key=lambda wheel: wheel.name)
    environment = marker_environment(kit.system.oldest_python, kit.profile.architecture.value)
    roots = [runtime.name, *kit.requirements]
    closure = close(roots, wheels, environment, provided=kit.provided)
    if closure.missing:
        raise TargetError(
            f"{kit.where} lacks {', '.join(closure.missing)}; add it to the target's packages"
        )
    for wheel in kit.wheels:
        shutil.copyfile(wheel.path, folder / "wheels" / wheel.path.name)
    (folder / PIP_FOLDER).mkdir()
    shutil.copyfile(kit.pip.path, folder / PIP_FOLDER / kit.pip.path.name)
    _write(folder / REQUIREMENTS_PATH, requirements_text(wheels))
    _write(folder / CONSTRAINTS_NAME, constraints_text(wheels))
    compiled = sum(wheel.unpacked_bytes + wheel.source_bytes for wheel in wheels)
    needed_bytes = int(_ROUNDING * compiled) + _EMPTY_ENVIRONMENT_BYTES
    _write(folder / INSTALL_NAME, install_text(kit, needed_bytes))
    if kit.profile.service_manager is not ServiceManager.TERMUX:
        _write(folder / UNIT_NAME, _template(UNIT_NAME))
    return needed_bytes


def install_text(kit: Kit, needed_bytes: int) -> str:
    """Return install.sh for `kit`, every value quoted for the shell."""
    system, profile = kit.system, kit.profile
    manager = system.package_manager
    python = ["python"] if manager is PackageManager.PKG else ["python3", "python3-venv"]
    values = {
        "target": profile.name,
        "system": system.title,
        "python": system.python,
        "others": " ".join(
            f"{other.python}={other.name}" for other in profile.systems if other is not system
        ),
        "machine": profile.architecture.value,
        "glibc": system.glibc,
        "needed_kb": str(-(-needed_bytes // 1024)),
        "pip_wheel": f"{PIP_FOLDER}/{kit.pip.path.name}",
        "system_packages": "yes" if system.system_site_packages else "no",
        "provided": " ".join(map(_provided_text, system.provided)),
        "install": manager.install,
        "upgrade": manager.upgrade,
        "python_packages": " ".join(python),
        "venv_package": python[-1],
    }
    quoted = {name: shlex.quote(value) for name, value in values.items()}
    return _ShellTemplate(_template(INSTALL_NAME)).substitute(quoted)


def _provided_text(one: Provided) -> str:
    """Return what install.sh checks: module, package, and the lowest version where those move."""
    return f"{one.module}={one.apt}" + (f"={one.lowest}" if one.moves else "")


def board_readme(name: str, rows: str, kit: Kit, needed_bytes: int) -> str:
    """Return README.md for a board; `rows` are those of the table of models."""
    apt = " ".join(kit.profile.apt)
    termux = kit.profile.service_manager is ServiceManager.TERMUX
    template = "termux-README.md" if termux else "target-README.md"
    return string.Template(_template(template)).substitute(
        name=name,
        title=kit.profile.title,
        system=kit.system.title,
        artifacts=rows,
        python=kit.system.oldest_python,
        packages=" ".join(one.apt for one in kit.system.provided),
        apt_packages=apt,
        needed_mb=f"{needed_bytes / 1e6:.0f}",
        apt=f"\nIts cameras take packages from apt: `sudo apt install {apt}`.\n" if apt else "",
        run="../NAME-env/bin/mejiro-run",
        camera=kit.profile.cameras[0] if kit.profile.cameras else "camera:0",
    )


def _template(name: str) -> str:
    file = resources.files("mejiro_targets") / "templates" / name
    return file.read_text(encoding="utf-8")


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="")
