"""Describe devices: what each is, and which wheels exist for it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement

from mejiro.errors import UsageError
from mejiro_runtime.backends import BACKENDS
from mejiro_runtime.card import Format
from mejiro_runtime.errors import SpecError
from mejiro_runtime.sources import SOURCES

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_PYTHON = re.compile(r"(>=)?3\.(1[0-9])")
_VERSION = re.compile(r"(>=)?[0-9]+(\.[0-9]+)*")
_GLIBC = re.compile(r"2\.([0-9]{1,3})")
_APT = re.compile(r"[a-z0-9][a-z0-9+.-]+")
_MODULE = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*")
# The first manylinux tag by number (PEP 600), and the glibc of the last tag by year (PEP 599).
_OLDEST_GLIBC, _GLIBC_2014 = 5, 17
_MAX_ONNX_VERSION = 1000


class Architecture(str, Enum):
    """Name a CPU architecture as wheels do."""

    AARCH64 = "aarch64"
    ARMV7L = "armv7l"
    X86_64 = "x86_64"


class Quantization(str, Enum):
    """Name the arithmetic that a device's fastest engine wants."""

    INT8 = "int8"
    INT8_SYMMETRIC = "int8-symmetric"  # every zero point of activations at 0, as TensorRT wants


class AppForm(str, Enum):
    """Name what an app is written as."""

    FOLDER = "folder"  # a web site
    APK = "apk"


class ServiceManager(str, Enum):
    """Name what starts programs with the system."""

    SYSTEMD = "systemd"
    TERMUX = "termux-services"
    NONE = "none"


class PackageManager(str, Enum):
    """Name what brings a system's own packages."""

    APT = "apt"
    PKG = "pkg"

    @property
    def install(self) -> str:
        """The command before the names of packages to install."""
        return "pkg install" if self is PackageManager.PKG else "sudo apt install"

    @property
    def upgrade(self) -> str:
        """The command that upgrades all that is installed."""
        return "pkg upgrade" if self is PackageManager.PKG else "sudo apt upgrade"


@dataclass(frozen=True)
class TargetBackend:
    """Name a package that brings one of the runtime's backends to a system.

    `package` is a requirement, pinned unless the wheel has to be brought from `source`, which
    no public index replaces; `source` is empty otherwise. One that is `provided` is among the
    packages that the system brings, which say its version. `opset` and `ir` are the newest of
    ONNX that the oldest version there reads, 0 where files need not be looked at.
    """

    name: str
    package: str
    source: str = ""
    provided: bool = False
    opset: int = 0
    ir: int = 0

    def __post_init__(self) -> None:
        if self.name not in BACKENDS:
            raise SpecError(f"'name' must be one of {', '.join(BACKENDS)}, found '{self.name}'")
        pinned = not (self.source or self.provided)
        _check_requirement("package", self.package, pinned=pinned)
        for name, value in (("opset", self.opset), ("ir", self.ir)):
            if not 0 <= value <= _MAX_ONNX_VERSION:
                raise SpecError(f"'{name}' must lie in 0 to {_MAX_ONNX_VERSION}, found {value}")

    @property
    def distribution(self) -> str:
        """The package's name without its version."""
        return Requirement(self.package).name

    @property
    def format(self) -> Format:
        """The format of the files that it runs."""
        return BACKENDS[self.name].format


@dataclass(frozen=True)
class Provided:
    """Name a package that the system itself brings: the version it has there, and from where.

    `version` is the one of a system that stays as it is, or ``>=`` and the lowest that will do
    where versions move from day to day. `apt` is what the system's package manager calls it.
    """

    package: str
    version: str
    module: str
    apt: str

    def __post_init__(self) -> None:
        _check("version", self.version, _VERSION)
        _check_requirement("package", f"{self.package}=={self.lowest}", pinned=True)
        _check("module", self.module, _MODULE)
        _check("apt", self.apt, _APT)

    @property
    def moves(self) -> bool:
        """Whether the version is a lower end, so that a device has to be asked."""
        return self.version.startswith(">=")

    @property
    def lowest(self) -> str:
        """The version that it has at least."""
        return self.version.removeprefix(">=")

    @property
    def requirement(self) -> str:
        """The package with its version, as a requirement."""
        return f"{self.package}{'' if self.moves else '=='}{self.version}"


@dataclass(frozen=True)
class TargetSystem:
    """Describe one operating system of a target, as far as wheels are concerned.

    `backends` are in the order of preference; `packages` are pinned and go into every wheelhouse,
    `provided` ones into none. `system_site_packages` lets the environment see the system's own
    Python packages. `python` is one version, or ``>=`` and the oldest where the system's moves;
    `glibc` is empty for a system with another C library, which has no wheels but pure ones.
    """

    name: str
    title: str
    python: str
    glibc: str
    backends: tuple[TargetBackend, ...]
    packages: tuple[str, ...]
    provided: tuple[Provided, ...] = ()
    system_site_packages: bool = False
    package_manager: PackageManager = PackageManager.APT

    def __post_init__(self) -> None:
        _check("name", self.name, _NAME)
        _check("python", self.python, _PYTHON)
        if self.glibc:
            _check("glibc", self.glibc, _GLIBC)
        if not self.backends:
            raise SpecError("a system needs at least one 'backend'")
        _check_different("backend", [backend.distribution for backend in self.backends])
        for package in self.packages:
            _check_requirement("packages", package, pinned=True)
        if self.provided and not self.system_site_packages:
            raise SpecError("'provided' packages need 'system_site_packages = true'")
        there = {one.package for one in self.provided}
        for backend in self.backends:
            if backend.provided and backend.distribution not in there:
                raise SpecError(f"{backend.distribution} is provided, but no 'provided' table")

    @property
    def oldest_python(self) -> str:
        """The version of Python that it has at least."""
        return self.python.removeprefix(">=")

    def platform_tags(self, architecture: Architecture) -> tuple[str, ...]:
        """Return the platform tags of wheels that this system can use, the newest first.

        pip takes a tag for itself alone, so each is listed (PEP 600, and PEP 599 for 2014).
        """
        if not self.glibc:
            return ("any",)
        minor = int(self.glibc.partition(".")[2])
        tags = [
            f"manylinux_2_{number}_{architecture.value}"
            for number in range(minor, _OLDEST_GLIBC - 1, -1)
        ]
        if minor >= _GLIBC_2014:
            tags.append(f"manylinux2014_{architecture.value}")
        return (*tags, f"linux_{architecture.value}")


@dataclass(frozen=True)
class TargetProfile:
    """Describe a kind of device: the first of `systems` is the one that is meant by default.

    `threads` is what an engine does best with, None for the CPUs, at most 4. `cameras` are words
    for ``--source``, `apt` packages that they and the systems need.
    """

    name: str
    title: str
    architecture: Architecture
    systems: tuple[TargetSystem, ...]
    quantization: Quantization = Quantization.INT8
    threads: int | None = None
    cameras: tuple[str, ...] = ()
    apt: tuple[str, ...] = ()
    service_manager: ServiceManager = ServiceManager.SYSTEMD

    def __post_init__(self) -> None:
        _check("name", self.name, _NAME)
        if not self.systems:
            raise SpecError("a target needs at least one 'system'")
        _check_different("system", [system.name for system in self.systems])
        if self.threads is not None and not 1 <= self.threads <= 64:
            raise SpecError(f"'threads' must lie in 1 to 64, found {self.threads}")
        for camera in self.cameras:
            if camera.partition(":")[0] not in SOURCES:
                raise SpecError(f"'cameras' holds '{camera}', which is no word for --source")
        for package in self.apt:
            _check("apt", package, _APT)

    @property
    def backends(self) -> tuple[str, ...]:
        """The runtime's backends that some system of it has, in the order of preference."""
        names = [backend.name for system in self.systems for backend in system.backends]
        return tuple(dict.fromkeys(names))

    def system(self, name: str | None = None) -> TargetSystem:
        """Return the system called `name`, the first for None; UsageError lists those there are."""
        if name is None:
            return self.systems[0]
        for system in self.systems:
            if system.name == name:
                return system
        names = ", ".join(system.name for system in self.systems)
        raise UsageError(f"{self.name} has no system '{name}'; it has {names}")

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "name": self.name,
            "title": self.title,
            "architecture": self.architecture.value,
            "quantization": self.quantization.value,
            "threads": self.threads,
            "cameras": list(self.cameras),
            "apt": list(self.apt),
            "service_manager": self.service_manager.value,
            "systems": [_system_to_json(system, self.architecture) for system in self.systems],
        }


@dataclass(frozen=True)
class AddOn:
    """Describe hardware that joins a target, one of `joins`; `note` says what it takes."""

    name: str
    title: str
    joins: tuple[str, ...]
    apt: tuple[str, ...]
    note: str

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "name": self.name,
            "title": self.title,
            "joins": list(self.joins),
            "apt": list(self.apt),
            "note": self.note,
        }


@dataclass(frozen=True)
class AppTarget:
    """Describe a place where no Python runs: a bundle for it is an app, written in `form`.

    `engines` are those that the app brings, in the order of preference; `note` says what it takes.
    """

    name: str
    title: str
    form: AppForm
    engines: tuple[str, ...]
    note: str

    def __post_init__(self) -> None:
        _check("name", self.name, _NAME)
        if not self.engines:
            raise SpecError("an app needs at least one of 'engines'")
        _check_different("engines", list(self.engines))

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "name": self.name,
            "title": self.title,
            "form": self.form.value,
            "engines": list(self.engines),
            "note": self.note,
        }


def _check(name: str, value: str, form: re.Pattern[str]) -> None:
    if not form.fullmatch(value):
        raise SpecError(f"'{name}' must look like {form.pattern}, found '{value}'")


def _check_different(name: str, values: list[str]) -> None:
    for value in values:
        if values.count(value) > 1:
            raise SpecError(f"'{name}' names '{value}' twice")


def _check_requirement(name: str, text: str, *, pinned: bool) -> None:
    try:
        requirement = Requirement(text)
    except InvalidRequirement as error:
        reason = str(error).partition("\n")[0]
        raise SpecError(f"'{name}' holds '{text}', which is no requirement: {reason}") from None
    operators = [specifier.operator for specifier in requirement.specifier]
    if requirement.url or requirement.marker or requirement.extras:
        raise SpecError(f"'{name}' takes names and versions alone, found '{text}'")
    if pinned and (operators != ["=="] or "*" in text):
        raise SpecError(f"'{name}' must be pinned, as in numpy==2.5.5, found '{text}'")


def _system_to_json(system: TargetSystem, architecture: Architecture) -> dict[str, Any]:
    return {
        "name": system.name,
        "title": system.title,
        "python": system.python,
        "glibc": system.glibc,
        "platform_tags": list(system.platform_tags(architecture)),
        "system_site_packages": system.system_site_packages,
        "package_manager": system.package_manager.value,
        "packages": list(system.packages),
        "provided": [vars(one) for one in system.provided],
        "backends": [vars(one) for one in system.backends],
    }
