"""Find which of a folder's wheels a target needs, by what their metadata say for that target.

pip, asked for another machine's wheels, still reads the markers of their requirements
(`python_version < "3.11"`) as true of the machine it runs on. So what it brought is walked again
with the target's markers (https://packaging.python.org/en/latest/specifications/dependency-specifiers/).
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from email import message_from_bytes
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.tags import Tag
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from packaging.version import Version

from mejiro.errors import TargetError
from mejiro_runtime.files import sha256_of

MAX_METADATA_BYTES = 1 << 22


@dataclass(frozen=True)
class Wheel:
    """Hold a wheel file: its canonical name, version, what it requires, and its checksum.

    `unpacked_bytes` is what it takes installed, compiled Python not counted; `source_bytes` is
    the Python in it.
    """

    path: Path
    name: str
    version: str
    requires: tuple[str, ...]
    sha256: str
    unpacked_bytes: int
    source_bytes: int


def read_wheel(path: Path) -> Wheel:
    """Read the name and the metadata of a wheel; TargetError if it is none."""
    name, version, _ = read_wheel_name(path)
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            (metadata,) = [
                entry
                for entry in entries
                if entry.filename.endswith(".dist-info/METADATA") and entry.filename.count("/") == 1
            ]
            if metadata.file_size > MAX_METADATA_BYTES:
                raise ValueError(f"its metadata has {metadata.file_size} bytes")
            message = message_from_bytes(archive.read(metadata))
    except (zipfile.BadZipFile, ValueError, OSError) as error:
        raise TargetError(f"{path.name} is not a wheel ({error}); fetch it again") from None
    return Wheel(
        path=path,
        name=name,
        version=str(version),
        requires=tuple(message.get_all("Requires-Dist", [])),
        sha256=sha256_of(path),
        unpacked_bytes=sum(entry.file_size for entry in entries),
        source_bytes=sum(e.file_size for e in entries if e.filename.endswith(".py")),
    )


def read_wheel_name(path: Path) -> tuple[str, Version, frozenset[Tag]]:
    """Return the package, version and tags of a wheel's file name; TargetError if it has none."""
    try:
        name, version, _, tags = parse_wheel_filename(path.name)
    except InvalidWheelFilename as error:
        raise TargetError(f"{path.name} is not a wheel ({error}); fetch it again") from None
    return name, version, tags


def marker_environment(python: str, machine: str) -> dict[str, str]:
    """Return the values of all markers on a Linux of `machine` with CPython `python`."""
    return {
        "extra": "",
        "implementation_name": "cpython",
        "implementation_version": f"{python}.0",
        "os_name": "posix",
        "platform_machine": machine,
        "platform_python_implementation": "CPython",
        "platform_release": "",
        "platform_system": "Linux",
        "platform_version": "",
        "python_full_version": f"{python}.0",
        "python_version": python,
        "sys_platform": "linux",
    }


@dataclass(frozen=True)
class Closure:
    """Hold the wheels that are needed, by name, and the requirements that nothing meets."""

    wheels: tuple[Wheel, ...]
    missing: tuple[str, ...]


def close(
    roots: Sequence[str],
    wheels: Iterable[Wheel],
    environment: Mapping[str, str],
    *,
    provided: Mapping[str, str],
) -> Closure:
    """Return which of `wheels` the requirements `roots` lead to where `environment` holds.

    `provided` maps packages that the target has already to their versions. Raises TargetError
    for a requirement that a wheel or a provided package contradicts.
    """
    by_name = {wheel.name: wheel for wheel in wheels}
    has = {canonicalize_name(name): version for name, version in provided.items()}
    needed: dict[str, Wheel] = {}
    missing: list[str] = []
    waiting = [(root, frozenset[str]()) for root in roots]
    seen = set()
    while waiting:
        text, extras = waiting.pop()
        if (text, extras) in seen:
            continue
        seen.add((text, extras))
        requirement = _parsed(text)
        if requirement.marker and not _applies(requirement, environment, extras):
            continue
        name = canonicalize_name(requirement.name)
        wheel = by_name.get(name)
        version = has.get(name) or (wheel.version if wheel else None)
        if version is None:
            missing.append(f"{requirement.name}{requirement.specifier}")
            continue
        if not requirement.specifier.contains(Version(version), prereleases=True):
            raise TargetError(
                f"{requirement.name} {version} is what there is, and {text} is needed; "
                "choose versions that go together"
            )
        if name in has or wheel is None:
            continue
        needed[name] = wheel
        waiting += [(line, frozenset(requirement.extras)) for line in wheel.requires]
    return Closure(tuple(needed[name] for name in sorted(needed)), tuple(sorted(set(missing))))


def _applies(
    requirement: Requirement, environment: Mapping[str, str], extras: frozenset[str]
) -> bool:
    """Say whether a requirement with a marker counts, for one of the `extras` or for none."""
    marker = requirement.marker
    if marker is None:
        return True
    return any(marker.evaluate({**environment, "extra": extra}) for extra in ("", *extras))


def _parsed(text: str) -> Requirement:
    try:
        return Requirement(text)
    except InvalidRequirement as error:
        reason = str(error).partition("\n")[0]
        raise TargetError(f"'{text}' is no requirement: {reason}") from None
