"""Sign a bundle's manifest with an OpenSSH key, so that a device can tell who made it."""

from __future__ import annotations

import subprocess
from pathlib import Path

from mejiro.errors import MissingPackage, TargetError, UsageError
from mejiro_runtime.manifest import MANIFEST_NAME, SIGNATURE_NAME
from mejiro_runtime.signature import NAMESPACE


def sign_manifest(folder: Path, key: Path) -> None:
    """Write the signature of the bundle in `folder` by `key`, as `ssh-keygen -Y sign` makes it.

    `key` is a private key, or a public one whose private half an agent holds. An Ed25519 key gives
    the same bytes each time. Raises UsageError if there is no such key, MissingPackage without
    OpenSSH, TargetError with what it says if it cannot sign.
    """
    if not key.is_file():
        raise UsageError(f"{key} is not a file; give an OpenSSH key, as `ssh-keygen` makes it")
    command = ["ssh-keygen", "-Y", "sign", "-q", "-n", NAMESPACE, "-f", str(key.absolute())]
    try:
        done = subprocess.run(
            [*command, MANIFEST_NAME],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        raise MissingPackage(
            "ssh-keygen", purpose="signing a bundle", install="sudo apt install openssh-client"
        ) from None
    if done.returncode or not (folder / SIGNATURE_NAME).is_file():
        said = " ".join(done.stderr.removeprefix("Enter passphrase: ").split())
        said = said or f"exit code {done.returncode}"
        raise TargetError(f"{key} cannot sign: {said[:300]}; give another key, or unlock this one")
