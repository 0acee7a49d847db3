"""Name a device: `ssh://[user@]host[:port]`, or `local:DIR` for a folder of this machine."""

from __future__ import annotations

import re
from dataclasses import dataclass

from mejiro.errors import UsageError

_SSH = re.compile(
    r"ssh://(?:(?P<user>[A-Za-z0-9_][A-Za-z0-9_.-]*)@)?"
    r"(?P<host>\[[0-9A-Fa-f:.%a-z]+\]|[A-Za-z0-9_][A-Za-z0-9_.-]*)(?::(?P<port>[0-9]{1,5}))?/?"
)
EXAMPLES = "ssh://pi@kitchen.local, ssh://host:2222, or local:DIR for this machine"


@dataclass(frozen=True)
class DeviceUrl:
    """Hold where a device is; `folder` is set for this machine, `host` for any other."""

    host: str | None = None
    user: str | None = None
    port: int | None = None
    folder: str | None = None

    def __post_init__(self) -> None:
        if (self.host is None) == (self.folder is None):
            raise UsageError(f"a device has either a host or a folder; write {EXAMPLES}")
        if self.port is not None and not 0 < self.port < 65536:
            raise UsageError(f"port {self.port} is not between 1 and 65535; write {EXAMPLES}")

    @property
    def name(self) -> str:
        """What people call the device."""
        return self.host or "this machine"

    @property
    def login(self) -> str:
        """The host as `ssh` takes it, with the user if one was given."""
        return f"{self.user}@{self.host}" if self.user else str(self.host)

    def __str__(self) -> str:
        if self.folder is not None:
            return f"local:{self.folder}"
        host = f"[{self.host}]" if self.host and ":" in self.host else self.host
        user = f"{self.user}@" if self.user else ""
        return f"ssh://{user}{host}" + (f":{self.port}" if self.port else "")


def parse_url(text: str) -> DeviceUrl:
    """Read a device's URL; UsageError that shows how one is written."""
    if text.startswith("local:") and text != "local:":
        return DeviceUrl(folder=text.removeprefix("local:"))
    found = _SSH.fullmatch(text)
    if found is None:
        raise UsageError(f"'{text}' names no device; write {EXAMPLES}")
    host = found["host"].removeprefix("[").removesuffix("]")
    port = int(found["port"]) if found["port"] else None
    return DeviceUrl(host=host, user=found["user"], port=port)
