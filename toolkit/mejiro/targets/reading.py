"""Read target profiles from TOML: those that Mejiro brings, or one that the user wrote."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

from mejiro.errors import UsageError
from mejiro.targets.profile import (
    AddOn,
    AppForm,
    AppTarget,
    Architecture,
    PackageManager,
    Provided,
    Quantization,
    ServiceManager,
    TargetBackend,
    TargetProfile,
    TargetSystem,
)
from mejiro_runtime.errors import SpecError
from mejiro_runtime.fields import Fields

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SCHEMA = 1
MAX_PROFILE_BYTES = 1 << 18
NO_GLIBC = "none"  # what a profile writes for a system with another C library
Entry = TypeVar("Entry")


def profile_names() -> list[str]:
    """Return the names of all profiles that Mejiro brings, add-ons and apps too, in order."""
    folder = resources.files("mejiro_targets")
    names = [entry.name for entry in folder.iterdir()]
    return sorted(name.removesuffix(".toml") for name in names if name.endswith(".toml"))


def target_names() -> list[str]:
    """Return the names that `load_target` takes, in order."""
    return [name for name in profile_names() if isinstance(load_profile(name), TargetProfile)]


def app_names() -> list[str]:
    """Return the names of the targets that are apps, in order."""
    return [name for name in profile_names() if isinstance(load_profile(name), AppTarget)]


def load_target(name: str) -> TargetProfile:
    """Return the profile called `name`, or that of the file `name` if it ends in ``.toml``.

    Raises UsageError for a name that is none, an add-on's or an app's, SpecError for a file that is
    wrong.
    """
    profile = load_profile(name)
    if isinstance(profile, AppTarget):
        raise UsageError(
            f"{name} is an app, which takes no packages of Python; write it with "
            f"`mejiro bundle ARTIFACT --target {name}`"
        )
    if isinstance(profile, AddOn):
        raise UsageError(
            f"{name} is an add-on, which joins another target; use one of "
            f"{', '.join(profile.joins)}"
        )
    return profile


def load_profile(name: str) -> TargetProfile | AddOn | AppTarget:
    """Return what the profile called `name`, or the file `name`, describes."""
    if name.endswith(".toml"):
        path = Path(name)
        try:
            if path.stat().st_size > MAX_PROFILE_BYTES:
                raise SpecError(f"{path} is larger than {MAX_PROFILE_BYTES} bytes; it is no target")
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise SpecError(f"{path} cannot be read: {error}") from None
        return read_profile(text, str(path))
    if name not in profile_names():
        names = ", ".join([*target_names(), *app_names()])
        raise UsageError(f"there is no target '{name}'; use one of {names}")
    file = resources.files("mejiro_targets") / f"{name}.toml"
    return read_profile(file.read_text(encoding="utf-8"), file.name)


def read_profile(text: str, what: str) -> TargetProfile | AddOn | AppTarget:
    """Read a profile's TOML text; SpecError names `what` and the field that is wrong."""
    try:
        value = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise SpecError(f"{what} is not valid TOML: {error}") from None
    fields = Fields(value, what)
    schema = fields.integer("schema")
    if schema != SCHEMA:
        raise SpecError(f"{what}: 'schema' must be {SCHEMA}, found {schema}")
    kind = fields.text("kind", "board")
    if kind not in READERS:
        raise SpecError(f"{what}: 'kind' must be one of {', '.join(READERS)}, found '{kind}'")
    profile = READERS[kind](fields, what)
    fields.finish()
    return profile


def _read_board(fields: Fields, what: str) -> TargetProfile:
    threads = fields.integer("threads", 0)
    systems = _tables(fields, "system", what, _read_system)
    values: dict[str, Any] = {
        "name": fields.text("name"),
        "title": fields.text("title"),
        "architecture": fields.choice("architecture", Architecture),
        "systems": systems,
        "quantization": fields.choice("quantization", Quantization.INT8),
        "threads": threads or None,
        "cameras": _texts(fields, "cameras", what),
        "apt": _texts(fields, "apt", what),
        "service_manager": fields.choice("service_manager", ServiceManager.SYSTEMD),
    }
    return _made(lambda: TargetProfile(**values), what)


def _read_add_on(fields: Fields, what: str) -> AddOn:
    return AddOn(
        name=fields.text("name"),
        title=fields.text("title"),
        joins=_texts(fields, "joins", what),
        apt=_texts(fields, "apt", what),
        note=fields.text("note"),
    )


def _read_app(fields: Fields, what: str) -> AppTarget:
    values: dict[str, Any] = {
        "name": fields.text("name"),
        "title": fields.text("title"),
        "form": fields.choice("form", AppForm),
        "engines": _texts(fields, "engines", what),
        "note": fields.text("note"),
    }
    return _made(lambda: AppTarget(**values), what)


# The field `kind` -> what reads the rest.
READERS: dict[str, Callable[[Fields, str], TargetProfile | AddOn | AppTarget]] = {
    "board": _read_board,
    "add-on": _read_add_on,
    "app": _read_app,
}


def _read_system(fields: Fields, what: str) -> TargetSystem:
    glibc = fields.text("glibc")
    values: dict[str, Any] = {
        "name": fields.text("name"),
        "title": fields.text("title"),
        "python": fields.text("python"),
        "glibc": "" if glibc == NO_GLIBC else glibc,
        "backends": _tables(fields, "backend", what, _read_backend),
        "packages": _texts(fields, "packages", what),
        "provided": _tables(fields, "provided", what, _read_provided),
        "system_site_packages": fields.flag("system_site_packages", False),
        "package_manager": fields.choice("package_manager", PackageManager.APT),
    }
    return _made(lambda: TargetSystem(**values), what)


def _read_backend(fields: Fields, what: str) -> TargetBackend:
    values: dict[str, Any] = {
        "name": fields.text("name"),
        "package": fields.text("package"),
        "source": fields.text("source", ""),
        "provided": fields.flag("provided", False),
        "opset": fields.integer("opset", 0),
        "ir": fields.integer("ir", 0),
    }
    return _made(lambda: TargetBackend(**values), what)


def _read_provided(fields: Fields, what: str) -> Provided:
    values = [fields.text(name) for name in ("package", "version", "module", "apt")]
    return _made(lambda: Provided(*values), what)


def _tables(
    fields: Fields, name: str, what: str, read: Callable[[Fields, str], Entry]
) -> tuple[Entry, ...]:
    """Read a TOML array of tables, each by `read`, and nothing else in them."""
    entries = []
    for number, value in enumerate(fields.items(name, []), start=1):
        where = f"{what}, {name} {number}"
        if not isinstance(value, dict):
            raise SpecError(f"{where} must be a table, found {type(value).__name__}")
        inner = Fields(value, where)
        entries.append(read(inner, where))
        inner.finish()
    return tuple(entries)


def _texts(fields: Fields, name: str, what: str) -> tuple[str, ...]:
    values = fields.items(name, [])
    for value in values:
        if not isinstance(value, str) or not value.isprintable():
            raise SpecError(f"{what}: '{name}' must be a list of texts, found {value!r} in it")
    return tuple(values)


def _made(make: Callable[[], Entry], what: str) -> Entry:
    """Return what `make` makes; SpecError says where the values that it refuses stand."""
    try:
        return make()
    except SpecError as error:
        raise SpecError(f"{what}: {error}") from None
