"""Tell what of a target could be had from here, without fetching it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from packaging.requirements import Requirement
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from mejiro.bundle.pip import Fit, versions
from mejiro.bundle.wheelhouse import wheels_folder
from mejiro.targets import TargetProfile, TargetSystem


class Supply(str, Enum):
    """Name where a package of a target can be had from."""

    CACHE = "cache"
    INDEX = "index"
    ELSEWHERE = "elsewhere"  # no index has it: its wheel has to be brought
    APT = "apt"
    PKG = "pkg"
    UNREACHABLE = "unreachable"  # not in the cache, and no index answers
    NOWHERE = "nowhere"


@dataclass(frozen=True)
class Supplied:
    """Say where one package of a system can be had from; `formats` are the files it runs."""

    system: str
    package: str
    formats: tuple[str, ...]
    supply: Supply

    @property
    def available(self) -> bool:
        """Whether a bundle could hold it, or need not."""
        return self.supply in (Supply.CACHE, Supply.INDEX, Supply.APT, Supply.PKG)


def survey(profile: TargetProfile) -> list[Supplied]:
    """Return where each package of each system of `profile` can be had from."""
    found = []
    for system in profile.systems:
        fit = Fit.of(profile, system)
        for package, formats, source in _packages(system):
            supply = Supply.ELSEWHERE if source else _supply(package, fit)
            found.append(Supplied(system.name, package, formats, supply))
        found += _provided(system)
    return found


def _provided(system: TargetSystem) -> list[Supplied]:
    """Return what the system's own package manager brings, and which files each runs."""
    runs = {one.distribution: one.format.value for one in system.backends if one.provided}
    supply = Supply(system.package_manager.value)
    return [
        Supplied(
            system.name,
            one.requirement,
            (runs[one.package],) if one.package in runs else (),
            supply,
        )
        for one in system.provided
    ]


def _packages(system: TargetSystem) -> list[tuple[str, tuple[str, ...], str]]:
    engines = [
        (one.package, (one.format.value,), one.source)
        for one in system.backends
        if not one.provided
    ]
    return [*engines, *((package, tuple[str, ...](), "") for package in system.packages)]


def _supply(package: str, fit: Fit) -> Supply:
    if in_cache(package, fit):
        return Supply.CACHE
    requirement = Requirement(package)
    offered = versions(requirement.name, fit)
    if offered is None:
        return Supply.UNREACHABLE
    fits = any(requirement.specifier.contains(version, prereleases=True) for version in offered)
    return Supply.INDEX if fits else Supply.NOWHERE


def in_cache(requirement: str, fit: Fit) -> bool:
    """Say whether the cache holds a wheel of a requirement that `fit` takes."""
    store = wheels_folder()
    if store is None or not store.is_dir():
        return False
    wanted, taken = Requirement(requirement), fit.tags()
    for path in store.glob("*.whl"):
        try:
            name, version, _, tags = parse_wheel_filename(path.name)
        except InvalidWheelFilename:
            continue
        if (
            name == canonicalize_name(wanted.name)
            and wanted.specifier.contains(version, prereleases=True)
            and tags & taken
        ):
            return True
    return False
