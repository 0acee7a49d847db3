"""Tell who made a bundle: verify its signature with OpenSSH, which devices have.

The format is that of `ssh-keygen -Y` (OpenSSH, PROTOCOL.sshsig): a detached signature of the
manifest, which lists the checksum of everything else, for a namespace of our own.
"""

from __future__ import annotations

from pathlib import Path

from mejiro_runtime.errors import BundleError, MissingPackage
from mejiro_runtime.manifest import MANIFEST_NAME, SIGNATURE_NAME

NAMESPACE = "mejiro-bundle"
MAX_SIGNATURE_BYTES = 64 * 1024
TIMEOUT_S = 30
_SIGN = "sign it with `mejiro bundle --sign KEY`"


def verify_signature(folder: Path, allowed_signers: Path) -> str:
    """Return who signed the bundle in `folder`: a principal of the file `allowed_signers`.

    That file is OpenSSH's: a principal and a public key a line. Whether the bundle is what its
    manifest says, `open_bundle` tells. Raises BundleError if the bundle is unsigned or signed by
    anybody else, or its manifest is another than the one signed; MissingPackage without OpenSSH.
    """
    signature, manifest = folder / SIGNATURE_NAME, folder / MANIFEST_NAME
    if not allowed_signers.is_file():
        raise BundleError(f"{allowed_signers} is not a file; give one of principals and keys")
    for path in (signature, manifest):
        if path.is_symlink() or not path.is_file():
            missing = "is not signed" if path is signature else f"has no {MANIFEST_NAME}"
            raise BundleError(f"{folder} {missing}; {_SIGN}")
    if signature.stat().st_size > MAX_SIGNATURE_BYTES:
        raise BundleError(f"{signature} is larger than {MAX_SIGNATURE_BYTES} bytes; {_SIGN}")
    about = ["-s", str(signature.absolute()), "-f", str(allowed_signers.absolute())]
    code, found = _ssh_keygen("find-principals", *about)
    # Each line is the list of one entry, of which any name will do.
    principals = [line.split(",")[0].strip() for line in found.splitlines() if line.strip()]
    if code or not principals:
        raise BundleError(
            f"{folder} is signed by nobody that {allowed_signers.name} lists; get it from "
            f"somebody listed there, or have them {_SIGN}"
        )
    with manifest.open("rb") as stream:
        data = stream.read()
    for principal in principals:
        code, _ = _ssh_keygen("verify", *about, "-n", NAMESPACE, "-I", principal, data=data)
        if code == 0:
            return principal
    raise BundleError(
        f"the signature of {folder} by {principals[0]} is not one of this manifest: the bundle "
        f"was altered, or the key may not sign it now; {_SIGN}"
    )


def _ssh_keygen(action: str, *options: str, data: bytes = b"") -> tuple[int, str]:
    """Run ``ssh-keygen -Y ACTION``; return its exit code and what it prints."""
    import subprocess  # only a signature needs it, and it costs every start milliseconds

    try:
        done = subprocess.run(
            ["ssh-keygen", "-Y", action, *options],
            input=data,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=TIMEOUT_S,
            check=False,
        )
    except FileNotFoundError:
        raise MissingPackage(
            "ssh-keygen", purpose="verifying a signature", install="sudo apt install openssh-client"
        ) from None
    except subprocess.TimeoutExpired:
        raise BundleError(f"ssh-keygen gave no answer in {TIMEOUT_S} s; try again") from None
    return done.returncode, done.stdout.decode("utf-8", "replace")
