"""Read what the command line says of an Android package, and print what was written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from mejiro.cli import options
from mejiro.cli.console import print_json, say
from mejiro.errors import UsageError

if TYPE_CHECKING:
    from mejiro.apk import Apk, ApkOptions

Command = TypeVar("Command", bound=Callable[..., Any])

_OPTIONS = (
    click.option("--label", help="What an APK is called on a phone; default: its title."),
    click.option(
        "--package",
        metavar="NAME",
        help="What an APK is to Android, such as com.example.cats; default: org.mejiro.app.NAME.",
    ),
    click.option("--icon", type=options.PATH, metavar="PNG", help="An APK's icon: a square PNG."),
    click.option(
        "--key", metavar="NAME", help="The key an APK is signed with (see `mejiro keys`)."
    ),
    click.option("--version-code", type=int, help="Of an APK: higher for each; default: 1."),
    click.option("--version-name", metavar="TEXT", help="Of an APK, for people; default: 1.0."),
)


def apk_options(command: Command) -> Command:
    """Add the options of a package to a command."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@dataclass(frozen=True)
class ApkWishes:
    """Hold the options of a package as they were given; None is what was left out."""

    label: str | None
    package: str | None
    icon: Path | None
    key: str | None
    version_code: int | None
    version_name: str | None

    @classmethod
    def take(cls, given: dict[str, Any]) -> ApkWishes:
        """Take the options of a package out of all that a command was given."""
        return cls(**{field.name: given.pop(field.name) for field in fields(cls)})

    def refuse_for(self, what: str) -> None:
        """Raise UsageError if any was given, as `what` has no use for them."""
        given = [
            f"--{field.name.replace('_', '-')}"
            for field in fields(self)
            if getattr(self, field.name) is not None
        ]
        if given:
            raise UsageError(f"{', '.join(given)} is for --target android-apk, not for {what}")

    def options(self) -> ApkOptions:
        """Return the options, checked, with the key open: its passphrase may be asked for."""
        from mejiro.apk import ApkOptions
        from mejiro.apk.icon import read_icon
        from mejiro.apk.keys import find_key, open_key
        from mejiro.cli.keys import ask_passphrase

        if self.icon is not None:
            read_icon(self.icon)
        given = {
            "label": self.label,
            "package": self.package,
            "icon": self.icon,
            "version_code": self.version_code,
            "version_name": self.version_name,
        }
        file = find_key(self.key)
        chosen: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        return ApkOptions(key=open_key(file, ask_passphrase), **chosen)


def check_out(out: Path, *, replace: bool) -> None:
    """Raise UsageError unless a package may be written to `out`."""
    if out.suffix != ".apk":
        raise UsageError(f"{out} is no name for a package; give one that ends in .apk")
    if out.is_dir():
        raise UsageError(f"{out} is a folder; name a file that ends in .apk")
    if out.exists() and not replace:
        raise UsageError(f"{out} exists already; name another file, or pass --replace")


def print_apk(written: Apk, target: str, *, as_json: bool) -> None:
    """Print what a package is."""
    identity = written.identity
    if as_json:
        print_json(
            {
                "apk": str(written.path),
                "target": target,
                "size_bytes": written.size_bytes,
                "package": identity.package,
                "label": identity.label,
                "version_code": identity.version_code,
                "version_name": identity.version_name,
                "component": written.component,
                "signer": written.fingerprint,
            }
        )
        return
    say(f"{written.path}: {written.size_bytes / 1e6:.1f} MB")
    say(f"  {identity.label}, {identity.package}, version {identity.version_name}")
    say(f"  signed (v2, v3) by {written.fingerprint}")
    say(f"Never run on a phone yet; install it with: adb install -r {written.path}")
