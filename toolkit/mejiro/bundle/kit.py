"""Choose what a target's bundle carries besides the models: engines and their wheels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from mejiro.bundle.closure import Wheel, read_wheel_name
from mejiro.bundle.onnx_version import check_versions
from mejiro.bundle.pip import Fit, NoWheel, Unreachable
from mejiro.bundle.wheelhouse import Wish, gather
from mejiro.errors import TargetError, UsageError
from mejiro.model import Artifact
from mejiro.targets import TargetBackend, TargetProfile, TargetSystem


@dataclass(frozen=True)
class TargetOptions:
    """Say which device a bundle is for, and where its wheels come from.

    `system` is a name, None for the profile's first. `engines` are packages to take instead of
    the first that runs a format. `wheels` are folders of wheels that no index has; with `offline`
    those and the cache are all there is.
    """

    profile: TargetProfile
    system: str | None = None
    engines: tuple[str, ...] = ()
    wheels: tuple[Path, ...] = ()
    offline: bool = False


@dataclass(frozen=True)
class Kit:
    """Hold what was chosen for a device.

    `wheels` lie in the cache; the runtime's own is not among them. `pip` installs them there and
    is not installed itself.
    """

    profile: TargetProfile
    system: TargetSystem
    backends: tuple[TargetBackend, ...]
    requirements: tuple[str, ...]
    wheels: tuple[Wheel, ...]
    pip: Wheel

    @property
    def provided(self) -> dict[str, str]:
        """The packages that the system brings, with the versions that it has at least."""
        return {one.package: one.lowest for one in self.system.provided}

    @property
    def where(self) -> str:
        """What a message calls the system."""
        return _where(self.profile, self.system)


def make_kit(artifacts: Sequence[Artifact], options: TargetOptions) -> Kit:
    """Return the engines for `artifacts` on the target, and all wheels, fetched where necessary.

    Raises UsageError for a name that the target does not have, and TargetError, which names the
    choices, for a wheel that does not exist or cannot be had.
    """
    profile, system = options.profile, options.profile.system(options.system)
    for folder in options.wheels:
        if not folder.is_dir():
            raise UsageError(f"{folder} is not a folder; give one with wheels as --wheels")
    backends = choose_backends(artifacts, options)
    for backend in backends:
        check_versions(artifacts, backend, _where(profile, system))
    fit = Fit.of(profile, system)
    engines = [_brought(backend, options.wheels, fit) or backend.package for backend in backends]
    requirements = (*system.packages, *engines)
    provided = {one.package: one.lowest for one in system.provided}
    asked = tuple(one for one in requirements if Requirement(one).name not in provided)
    wish = Wish(asked, fit, profile.architecture.value, provided, options.wheels)
    try:
        wheels = gather(wish, offline=options.offline) if asked else ()
        (pip,) = gather(Wish(("pip",), fit, wish.machine, {}), offline=options.offline)
    except NoWheel as error:
        raise TargetError(_no_wheel(error.package, options, system)) from None
    except Unreachable as error:
        raise TargetError(
            f"{error}, or pass --offline with the wheels of {_where(profile, system)} in the "
            "cache or in a folder given as --wheels"
        ) from None
    return Kit(profile, system, backends, requirements, wheels, pip)


def choose_backends(
    artifacts: Sequence[Artifact], options: TargetOptions
) -> tuple[TargetBackend, ...]:
    """Return an engine for the format of each artifact: those named, else the target's first.

    An engine whose wheel has to be brought is never replaced by one that an index has: what
    would silently run on the CPU is no substitute.
    """
    profile, system = options.profile, options.profile.system(options.system)
    known = [canonicalize_name(backend.distribution) for backend in system.backends]
    named = [canonicalize_name(name) for name in options.engines]
    for name in named:
        if name not in known:
            raise UsageError(
                f"{_where(profile, system)} has no engine '{name}'; it has {', '.join(known)}"
            )
    chosen: list[TargetBackend] = []
    for artifact in artifacts:
        rows = [one for one in system.backends if one.format is artifact.card.format]
        if not rows:
            raise TargetError(_no_engine(artifact, options, system))
        wanted = [one for one in rows if canonicalize_name(one.distribution) in named]
        chosen += wanted or rows[:1]
    fit = Fit.of(profile, system)
    for backend in chosen:
        if backend.source and not _brought(backend, options.wheels, fit):
            raise TargetError(_not_brought(backend, options, system))
    return tuple(dict.fromkeys(chosen))


def _brought(backend: TargetBackend, folders: Sequence[Path], fit: Fit) -> str | None:
    """Return a requirement of the newest wheel in `folders` that has to be brought; None without.

    It is pinned: what an index has under that name is for other machines.
    """
    if not backend.source:
        return None
    wanted = Requirement(backend.package)
    found = []
    for path in (path for folder in folders for path in folder.glob("*.whl")):
        name, version, tags = read_wheel_name(path)
        if (
            name == canonicalize_name(wanted.name)
            and wanted.specifier.contains(version, prereleases=True)
            and tags & fit.tags()
        ):
            found.append(version)
    return f"{wanted.name}=={max(found)}" if found else None


def _where(profile: TargetProfile, system: TargetSystem) -> str:
    return f"{profile.name} ({system.name})"


def _other_systems(options: TargetOptions, system: TargetSystem, artifact: Artifact) -> list[str]:
    return [
        f"--system {other.name}"
        for other in options.profile.systems
        if other is not system
        and any(backend.format is artifact.card.format for backend in other.backends)
    ]


def _no_engine(artifact: Artifact, options: TargetOptions, system: TargetSystem) -> str:
    formats = sorted({f".{backend.format.value}" for backend in system.backends})
    engines = ", ".join(backend.distribution for backend in system.backends)
    choices = _other_systems(options, system, artifact)
    choices.append(f"a {' or '.join(formats)} file, which {engines} runs there")
    machine = options.profile.architecture.value
    kind = f"{machine} without glibc" if not system.glibc else machine
    return (
        f"{_where(options.profile, system)} has no engine for {artifact.card.file}: no wheel of "
        f"one exists for {kind}; choose {', or '.join(choices)}"
    )


def _not_brought(backend: TargetBackend, options: TargetOptions, system: TargetSystem) -> str:
    others = [
        f"--engine {other.distribution}, which runs on the CPU"
        for other in system.backends
        if other.format is backend.format and not other.source
    ]
    others += [
        f"a .{other.format.value} file with {other.distribution}"
        for other in system.backends
        if other.format is not backend.format
    ]
    choices = ["give its folder as --wheels", *others]
    return (
        f"{backend.distribution} for {_where(options.profile, system)} has to be brought: get a "
        f"wheel of {backend.package} for Python {system.python} from {backend.source} and "
        f"{', or choose '.join(choices)}"
    )


def _no_wheel(package: str, options: TargetOptions, system: TargetSystem) -> str:
    profile = options.profile
    about = (
        f"{_where(profile, system)}: Python {system.python}, {profile.architecture.value}, "
        f"glibc {system.glibc or 'none'}"
    )
    systems = [f"--system {other.name}" for other in profile.systems if other is not system]
    engines = [f"--engine {backend.distribution}" for backend in system.backends]
    brought = "a folder that holds it as --wheels"
    if options.offline:
        return (
            f"the cache has no wheel of {package} for {about}; make this bundle once without "
            f"--offline, or give {brought}"
        )
    return (
        f"no index has a wheel of {package} for {about}; choose "
        f"{', '.join([*systems, *engines])}, {brought}, or a profile of yours that takes it from "
        "apt"
    )
