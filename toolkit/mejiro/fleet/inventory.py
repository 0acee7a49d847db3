"""Read which devices there are, in which groups, and what is particular to each."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mejiro.errors import UsageError
from mejiro_runtime.errors import SpecError
from mejiro_runtime.fields import Fields

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

MAX_HOSTS, MAX_GROUPS, MAX_REQUIREMENTS, MAX_TEXT = 1000, 100, 20, 1000
DEFAULT_TIMEOUT_S, MAX_TIMEOUT_S = 1800, 24 * 3600
_LIMIT_BYTES = 1 << 20
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_URL = re.compile(r"[a-z][a-z0-9+.-]*://[^\s/@-][^\s]*|[a-z][a-z0-9+.-]*:///[^\s]+")
_PASSWORD = re.compile(r"://[^/@]*:[^/@]*@")


@dataclass(frozen=True)
class Variables:
    """Hold what a deploy is told of one device; None leaves the choice to the deploy.

    `require` are requirements of the health gate, `timeout_s` the seconds after which the device
    is given up.
    """

    source: str | None = None
    require: tuple[str, ...] | None = None
    root: str | None = None
    service: bool | None = None
    timeout_s: int | None = None

    def over(self, other: Variables) -> Variables:
        """Return these variables, and those of `other` where these say nothing."""
        mine, theirs = vars(self), vars(other)
        return Variables(**{k: theirs[k] if mine[k] is None else mine[k] for k in mine})

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values of what is said."""
        told = {name: value for name, value in vars(self).items() if value is not None}
        return {k: list(v) if isinstance(v, tuple) else v for k, v in told.items()}


@dataclass(frozen=True)
class Host:
    """Hold one device: its name here, its address, its groups and its resolved variables."""

    name: str
    url: str
    groups: tuple[str, ...] = ()
    variables: Variables = Variables()

    @property
    def timeout_s(self) -> int:
        """The seconds after which it is given up."""
        return self.variables.timeout_s or DEFAULT_TIMEOUT_S


@dataclass(frozen=True)
class Inventory:
    """Hold all devices, in the order of the file."""

    hosts: tuple[Host, ...]
    groups: tuple[str, ...] = ()

    def select(self, group: str | None = None) -> tuple[Host, ...]:
        """Return the devices of `group`, all of them without one; UsageError if there are none."""
        if group is None:
            return self.hosts
        if group not in self.groups:
            known = ", ".join(self.groups) or "none"
            raise UsageError(f"the inventory has no group '{group}'; there are: {known}")
        chosen = tuple(host for host in self.hosts if group in host.groups)
        if not chosen:
            raise UsageError(f"no device of the inventory is in group '{group}'")
        return chosen


def read_inventory(path: Path) -> Inventory:
    """Read an inventory from a TOML file of at most 1 MB; UsageError says what is wrong."""
    try:
        if path.stat().st_size > _LIMIT_BYTES:
            raise UsageError(f"{path} is larger than 1 MB; it cannot be an inventory")
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise UsageError(f"{path} is no text in UTF-8; an inventory is a TOML file") from None
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}") from None
    return parse_inventory(text, str(path))


def parse_inventory(text: str, what: str = "the inventory") -> Inventory:
    """Return the inventory that a TOML document holds; UsageError with one line otherwise.

    A device's own variables come before those of its groups, the first named first, and these
    before the table ``[defaults]``.
    """
    try:
        value = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise UsageError(f"{what} is not valid TOML: {' '.join(str(error).split())}") from None
    try:
        fields = Fields(value, what)
        defaults = _variables(fields.mapping("defaults", {}), f"{what}, [defaults]")
        groups = _groups(fields.mapping("groups", {}), what)
        hosts = fields.mapping("hosts", {})
        fields.finish()
        if not 1 <= len(hosts) <= MAX_HOSTS:
            raise UsageError(f"{what} must list 1 to {MAX_HOSTS} devices, as [hosts.NAME], "
                             f"found {len(hosts)}")  # fmt: skip
        listed = tuple(_host(name, value, groups, defaults, what) for name, value in hosts.items())
    except SpecError as error:
        raise UsageError(str(error).replace("a JSON object", "a table")) from None
    _refuse_twins(listed, what)
    return Inventory(listed, tuple(groups))


def _groups(value: Mapping[str, Any], what: str) -> dict[str, Variables]:
    if len(value) > MAX_GROUPS:
        raise UsageError(f"{what} has at most {MAX_GROUPS} groups, found {len(value)}")
    return {
        _name(name, "group", what): _variables(table, f"{what}, [groups.{name}]")
        for name, table in value.items()
    }


def _host(
    name: str, value: Any, groups: Mapping[str, Variables], defaults: Variables, what: str
) -> Host:
    _name(name, "device", what)
    where = f"{what}, [hosts.{name}]"
    fields = Fields(value, where)
    url = _url(fields.text("url"), where)
    joined = _texts(fields.items("groups", []), "groups", where)
    for group in joined:
        if group not in groups:
            known = ", ".join(groups) or "none"
            raise UsageError(f"{where}: there is no [groups.{group}]; there are: {known}")
    if len(set(joined)) != len(joined):
        raise UsageError(f"{where}: a group is named twice; keep one of the two")
    variables = _variables(fields.rest(), where)
    for inherited in (*(groups[group] for group in joined), defaults):
        variables = variables.over(inherited)
    return Host(name, url, joined, variables)


def _variables(table: Any, where: str) -> Variables:
    one = isinstance(table, dict) and isinstance(table.get("require"), str)
    fields = Fields({**table, "require": [table["require"]]} if one else table, where)
    names = frozenset(table)
    variables = Variables(
        source=_texts([fields.text("source")], "source", where)[0] if "source" in names else None,
        require=_texts(fields.items("require"), "require", where) if "require" in names else None,
        root=_texts([fields.text("root")], "root", where)[0] if "root" in names else None,
        service=fields.flag("service") if "service" in names else None,
        timeout_s=fields.integer("timeout_s") if "timeout_s" in names else None,
    )
    fields.finish()
    if variables.timeout_s is not None and not 1 <= variables.timeout_s <= MAX_TIMEOUT_S:
        raise UsageError(f"{where}: 'timeout_s' must be 1 to {MAX_TIMEOUT_S} seconds, "
                         f"found {str(variables.timeout_s)[:40]}")  # fmt: skip
    return variables


def _texts(values: list[Any], name: str, where: str) -> tuple[str, ...]:
    if len(values) > MAX_REQUIREMENTS:
        raise UsageError(f"{where}: '{name}' has at most {MAX_REQUIREMENTS} entries, "
                         f"found {len(values)}")  # fmt: skip
    for value in values:
        if not isinstance(value, str) or not value.strip() or not value.isprintable():
            raise UsageError(f"{where}: '{name}' must be printable text, found {str(value)[:40]!r}")
        if len(value) > MAX_TEXT or value.startswith("-"):
            raise UsageError(f"{where}: '{name}' must not begin with a dash, nor be longer than "
                             f"{MAX_TEXT} characters")  # fmt: skip
    return tuple(values)


def _name(name: str, kind: str, what: str) -> str:
    if _NAME.fullmatch(name) is None:
        raise UsageError(f"{what}: a {kind} is called by letters, digits, dots, dashes and "
                         f"underscores, at most 64, found {name[:40]!r}")  # fmt: skip
    return name


def _url(url: str, where: str) -> str:
    if not url.isprintable() or len(url) > MAX_TEXT or _URL.fullmatch(url) is None:
        raise UsageError(f"{where}: 'url' must be like ssh://pi@kitchen.local, found {url[:60]!r}")
    if _PASSWORD.search(url):
        raise UsageError(f"{where}: 'url' holds a password; use a key and take it out")
    return url


def _refuse_twins(hosts: tuple[Host, ...], what: str) -> None:
    seen: dict[str, str] = {}
    for host in hosts:
        if host.url in seen:
            raise UsageError(
                f"{what}: '{seen[host.url]}' and '{host.name}' are one device, {host.url}"
            )
        seen[host.url] = host.name
