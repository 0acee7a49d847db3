"""Define `mejiro keys`."""

from __future__ import annotations

import os
from pathlib import Path

import click

from mejiro.apk.keys import (
    DEFAULT_NAME,
    KeyFile,
    create_key,
    export_key,
    find_key,
    keys_folder,
    list_keys,
)
from mejiro.cli import options
from mejiro.cli.console import note, print_json, print_table, say
from mejiro.errors import UsageError

PASSPHRASE = "MEJIRO_KEY_PASSPHRASE"


@click.group()
def keys() -> None:
    """Make and keep the keys that Android packages are signed with.

    \b
    Examples:
      mejiro keys new android
      mejiro keys list
      mejiro keys verify cat-finder.apk
    """


@keys.command()
@click.argument("name", default=DEFAULT_NAME)
@click.option(
    "--passphrase",
    is_flag=True,
    help=f"Ask for a passphrase, now and for each use; or take it from {PASSPHRASE}.",
)
@options.as_json
def new(name: str, passphrase: bool, as_json: bool) -> None:
    """Make the key NAME, with a certificate, in a file that only you can read."""
    key = create_key(name, _new_passphrase() if passphrase else None)
    if as_json:
        print_json(_to_json(key))
        return
    _print(key)
    note(
        "Keep a copy in a safe place: without this key no update of an app can be installed over "
        "the app, which has to be removed first, with all that it stored."
    )


@keys.command("list")
@options.as_json
def list_all(as_json: bool) -> None:
    """List the keys that are there."""
    found = list_keys()
    if as_json:
        print_json([_to_json(key) for key in found])
        return
    if not found:
        say(f"no keys in {keys_folder()}; make one with `mejiro keys new {DEFAULT_NAME}`")
        return
    rows = [
        (key.name, key.kind, str(key.valid_until), "yes" if key.encrypted else "no", _short(key))
        for key in found
    ]
    print_table(["name", "kind", "valid until", "passphrase", "SHA-256 of the certificate"], rows)


@keys.command()
@click.argument("name", required=False)
@options.as_json
def show(name: str | None, as_json: bool) -> None:
    """Show the key NAME: what Android calls the one who signed."""
    key = find_key(name)
    if as_json:
        print_json(_to_json(key))
        return
    _print(key)


@keys.command()
@click.argument("name")
@click.option("--out", type=options.PATH, required=True, help="The file to write; a new one.")
@click.option("--private", is_flag=True, help="All of the key, to keep in a safe place.")
def export(name: str, out: Path, private: bool) -> None:
    """Write the certificate of the key NAME to a file, or with --private the whole key."""
    key = find_key(name)
    export_key(key, out, private=private)
    say(f"{out}: the {'private key' if private else 'certificate'} of {key.name}")


@keys.command()
@click.argument("apk", type=options.PATH)
@options.as_json
def verify(apk: Path, as_json: bool) -> None:
    """Check the signatures of the package APK, and tell which of your keys signed it."""
    from mejiro.apk import open_apk

    found = open_apk(apk)
    names = [key.name for key in list_keys() if key.fingerprint == found.fingerprint]
    identity = found.identity
    if as_json:
        print_json(
            {
                "apk": str(apk),
                "package": identity.package,
                "label": identity.label,
                "version_code": identity.version_code,
                "version_name": identity.version_name,
                "signer": found.fingerprint,
                "keys": names,
            }
        )
        return
    say(f"{apk}: {identity.label}, {identity.package}, version {identity.version_name}")
    whose = f"your key {', '.join(names)}" if names else "none of your keys"
    say(f"  signed (v2, v3) by {whose}: {found.fingerprint}")


def ask_passphrase(name: str) -> str | None:
    """Return the passphrase of a key: from the environment, else asked for where one can answer."""
    given = os.environ.get(PASSPHRASE)
    if given:
        return given
    try:
        answer: str = click.prompt(f"Passphrase of the key {name}", hide_input=True, err=True)
    except click.Abort:
        return None
    return answer


def _new_passphrase() -> str:
    given = os.environ.get(PASSPHRASE)
    if given is None:
        given = click.prompt("Passphrase", hide_input=True, confirmation_prompt=True, err=True)
    if not given:
        raise UsageError(f"{PASSPHRASE} is empty; a passphrase has at least one character")
    return given


def _print(key: KeyFile) -> None:
    say(f"{key.name}: {key.kind}, valid until {key.valid_until}")
    say(f"  {key.path}{', with a passphrase' if key.encrypted else ''}")
    say(f"  SHA-256 of the certificate: {key.fingerprint}")


def _short(key: KeyFile) -> str:
    return f"{key.fingerprint[:16]}…"


def _to_json(key: KeyFile) -> dict[str, object]:
    return {
        "name": key.name,
        "path": str(key.path),
        "kind": key.kind,
        "fingerprint": key.fingerprint,
        "valid_from": str(key.valid_from),
        "valid_until": str(key.valid_until),
        "encrypted": key.encrypted,
    }
