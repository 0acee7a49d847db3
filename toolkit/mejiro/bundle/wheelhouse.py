"""Gather the wheels that a bundle's device needs, kept so that the next time needs no network."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from mejiro.bundle.closure import Wheel, close, marker_environment, read_wheel
from mejiro.bundle.pip import Fit, download
from mejiro.errors import TargetError
from mejiro_runtime.backends.probe import cache_folder
from mejiro_runtime.errors import SpecError
from mejiro_runtime.fields import Fields, read_json
from mejiro_runtime.files import replacing, sha256_of, write_json

_ROUNDS = 8  # how often pip is asked for what the markers of the target add


@dataclass(frozen=True)
class Wish:
    """Say what a wheelhouse is to hold, and for which machine.

    `requirements` are what is asked for, `provided` maps what the machine has already to
    versions, and `folders` hold wheels that come from elsewhere.
    """

    requirements: tuple[str, ...]
    fit: Fit
    machine: str
    provided: Mapping[str, str]
    folders: tuple[Path, ...] = ()


def wheels_folder() -> Path | None:
    """Return the folder of the user's cache that keeps wheels, if there is a cache at all."""
    base = cache_folder()
    return None if base is None else base / "wheels"


def gather(wish: Wish, *, offline: bool = False) -> tuple[Wheel, ...]:
    """Return the wheels that `wish` needs in the cache, by name.

    What was resolved once is taken from the cache without asking anybody; else pip resolves, with
    the cache before any index, and with `offline` from it alone. Raises what `pip.download` does,
    and TargetError where there is no cache or wheels contradict each other.
    """
    store = wheels_folder()
    if store is None:
        raise TargetError("there is no folder to keep wheels in; set MEJIRO_CACHE to one")
    note = store.parent / "wheelhouses" / f"{_key(wish)}.json"
    kept = _kept(note, store)
    if kept is not None:
        return kept
    store.mkdir(parents=True, exist_ok=True)
    for path in _brought(wish):
        kept_one = store / path.name
        if kept_one.is_file() and sha256_of(kept_one) != sha256_of(path):
            kept_one.unlink()  # pip could take either
    with tempfile.TemporaryDirectory(prefix=".fetching.", dir=store.parent) as name:
        fetched = _fetch(wish, Path(name), store, offline=offline)
        wheels = tuple(_store(wheel, store) for wheel in fetched)
    write_json(note, {"wheels": {wheel.path.name: wheel.sha256 for wheel in wheels}})
    return wheels


def _fetch(wish: Wish, folder: Path, store: Path, *, offline: bool) -> tuple[Wheel, ...]:
    """Let pip fetch into `folder` until every requirement that the target has is met."""
    pins = folder / "constraints.txt"
    pins.write_text(_pins(wish), encoding="utf-8")
    # pip would fetch a wheel of what is provided too, where something requires it.
    alone = ["--no-deps"] if wish.provided else []
    environment = marker_environment(wish.fit.python, wish.machine)
    wanted, missing = list(wish.requirements), tuple[str, ...]()
    for _ in range(_ROUNDS):
        download(
            [*alone, *wanted],
            folder,
            wish.fit,
            constraints=pins,
            links=[*wish.folders, store],
            offline=offline,
        )
        wheels = [read_wheel(path) for path in sorted(folder.glob("*.whl"))]
        closure = close(wish.requirements, wheels, environment, provided=wish.provided)
        missing = closure.missing
        if not missing:
            return closure.wheels
        wanted += missing
    raise TargetError(f"pip brings no wheel of {', '.join(missing)}; name it by hand")


def _pins(wish: Wish) -> str:
    """Return constraints: Mejiro's own list, but for what is asked for in some version."""
    requirements = [Requirement(text) for text in wish.requirements]
    asked = {canonicalize_name(one.name) for one in requirements if one.specifier}
    text = (resources.files("mejiro_targets") / "constraints.txt").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    kept = [line for line in lines if canonicalize_name(Requirement(line).name) not in asked]
    return "".join(f"{line}\n" for line in kept)


def _brought(wish: Wish) -> list[Path]:
    return [path for folder in wish.folders for path in sorted(folder.glob("*.whl"))]


def _key(wish: Wish) -> str:
    """Return what tells one resolution from another: all that it depends on but the index."""
    brought = [[path.name, sha256_of(path)] for path in _brought(wish)]
    content = [
        sorted(wish.requirements),
        wish.fit.python,
        wish.fit.platforms,
        wish.machine,
        sorted(wish.provided.items()),
        brought,
        _pins(wish),
    ]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:24]


def _kept(note: Path, store: Path) -> tuple[Wheel, ...] | None:
    """Return the wheels that `note` lists if all are whole; forget those that are not."""
    if not note.is_file():
        return None
    try:
        fields = Fields(read_json(note), note.name)
        sums = Fields(fields.mapping("wheels"), note.name).rest()
    except SpecError:
        return None
    names = [name for name in sums if Path(name).name == name]
    damaged = [
        name
        for name in names
        if not (store / name).is_file() or sha256_of(store / name) != sums[name]
    ]
    for name in damaged:
        (store / name).unlink(missing_ok=True)
    if damaged or len(names) != len(sums):
        return None
    return tuple(read_wheel(store / name) for name in sorted(names))


def _store(wheel: Wheel, store: Path) -> Wheel:
    """Put a wheel into the cache, whole or not at all, and return it as it lies there."""
    place = store / wheel.path.name
    if not place.is_file() or sha256_of(place) != wheel.sha256:
        with replacing(place) as beside:
            shutil.copyfile(wheel.path, beside)
    return read_wheel(place)


def requirements_text(wheels: Sequence[Wheel]) -> str:
    """Return requirements that take these very wheels and no other."""
    return "".join(
        f"{wheel.name}=={wheel.version} --hash=sha256:{wheel.sha256}\n" for wheel in wheels
    )


def constraints_text(wheels: Sequence[Wheel]) -> str:
    """Return constraints that keep these versions while more packages are installed."""
    return "".join(f"{wheel.name}=={wheel.version}\n" for wheel in wheels)
