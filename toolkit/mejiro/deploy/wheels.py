"""Say whether a device can install the wheels of a bundle.

Source: the names of wheels,
https://packaging.python.org/en/latest/specifications/platform-compatibility-tags/
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

_MANYLINUX = re.compile(r"manylinux_(\d+)_(\d+)_(\w+)")
# The names that came before those with a glibc version in them.
_LEGACY = {"manylinux1": (2, 5), "manylinux2010": (2, 12), "manylinux2014": (2, 17)}
_PYTHON = re.compile(r"(py|cp)(\d)(\d*)")
# A 32-bit Raspberry Pi's wheels may be named for the older ARM.
_ALIKE = {"armv7l": ("armv7l", "armv6l")}


class Machine(NamedTuple):
    """Hold what decides about wheels: the architecture, and versions as (major, minor)."""

    architecture: str
    python: tuple[int, int]
    glibc: tuple[int, int] | None


def why_not_installable(names: Iterable[str], machine: Machine) -> str | None:
    """Return why one of the wheels called `names` does not fit `machine`, or None if all do."""
    for name in names:
        reason = _why_not(name.rsplit("/", 1)[-1], machine)
        if reason is not None:
            return reason
    return None


def _why_not(name: str, machine: Machine) -> str | None:
    parts = name.removesuffix(".whl").split("-")
    if not name.endswith(".whl") or len(parts) < 5:
        return f"{name} is not the name of a wheel"
    pythons, abis, platforms = (part.split(".") for part in parts[-3:])
    here = f"{machine.python[0]}.{machine.python[1]}"
    if not any(_python_fits(tag, abis, machine.python) for tag in pythons):
        return f"{name} is for {'/'.join(pythons)}, the device has Python {here}"
    reasons = [_why_not_platform(tag, machine) for tag in platforms]
    if None in reasons:
        return None
    return f"{name} {reasons[-1]}"


def _python_fits(tag: str, abis: list[str], python: tuple[int, int]) -> bool:
    found = _PYTHON.fullmatch(tag)
    if found is None:
        return False
    kind, major, minor = found[1], int(found[2]), int(found[3] or 0)
    if kind == "py" or "abi3" in abis or abis == ["none"]:
        return major == python[0] and minor <= python[1]
    return (major, minor) == python


def _why_not_platform(tag: str, machine: Machine) -> str | None:
    if tag == "any":
        return None
    found = _MANYLINUX.fullmatch(tag)
    if found is not None:
        needed, architecture = (int(found[1]), int(found[2])), found[3]
    else:
        family, _, architecture = tag.partition("_")
        if family != "linux" and family not in _LEGACY:
            return f"is for {tag}, the device is Linux on {machine.architecture}"
        needed = _LEGACY.get(family, (0, 0))
    if architecture not in _ALIKE.get(machine.architecture, (machine.architecture,)):
        return f"is for {architecture}, the device is {machine.architecture}"
    if needed > (0, 0) and machine.glibc is None:
        return "needs glibc, which the device does not have (it runs another C library)"
    if machine.glibc is not None and needed > machine.glibc:
        wanted, has = ".".join(map(str, needed)), ".".join(map(str, machine.glibc))
        return f"needs glibc {wanted} or newer, the device has {has}"
    return None
