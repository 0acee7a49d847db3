"""Make the certificate of a page that other machines open, and keep it.

Key and certificate stay in the user's configuration, readable by the user alone: a phone that was
told once to trust the certificate, by its fingerprint, finds the same one the next day. A new
certificate of the same key is made when the machine's names or addresses are no longer all in
it, or a month before it ends.
"""

from __future__ import annotations

import datetime
import ipaddress
import os
import ssl
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mejiro.errors import ServeError
from mejiro_runtime.sinks.web.access import is_address

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

VALID = datetime.timedelta(days=365)
RENEW_BEFORE = datetime.timedelta(days=30)
CLOCKS_DIFFER = datetime.timedelta(days=1)
KEY_FILE, CERTIFICATE_FILE = "key.pem", "certificate.pem"


@dataclass(frozen=True)
class Identity:
    """Hold where a server's key and certificate lie, and the certificate's fingerprint."""

    key: Path
    certificate: Path
    fingerprint: str

    def context(self) -> ssl.SSLContext:
        """Return what a server needs to speak TLS; ServeError if key and certificate do not fit."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            context.load_cert_chain(self.certificate, self.key)
        except (OSError, ValueError) as error:
            raise ServeError(f"{self.certificate} and {self.key} cannot be used: {error}") from None
        return context


def config_folder() -> Path:
    """Return where the user's keys of this program are: $XDG_CONFIG_HOME, else ~/.config."""
    base = os.environ.get("XDG_CONFIG_HOME")
    return (Path(base) if base else Path.home() / ".config") / "mejiro"


def own_identity(names: Sequence[str], folder: Path | None = None) -> Identity:
    """Return a self-signed certificate for `names`, host names or addresses: the kept or a new one.

    `folder` is in the user's configuration unless given.
    """
    folder = folder or config_folder() / "serve"
    key_path, path = folder / KEY_FILE, folder / CERTIFICATE_FILE
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        key = _kept_key(key_path) or _new_key(key_path)
        kept = _kept_certificate(path)
        if kept is None or not _serves(kept, key, names):
            kept = _sign(key, names)
            _write_private(path, _pem(kept))
    except OSError as error:
        raise ServeError(f"{folder} cannot keep a key and a certificate: {error}") from None
    return Identity(key_path, path, fingerprint(kept))


def given_identity(certificate: Path, key: Path) -> Identity:
    """Return the user's own certificate; ServeError if it cannot be read."""
    kept = _kept_certificate(certificate)
    if kept is None:
        raise ServeError(f"{certificate} holds no certificate in PEM form")
    return Identity(key, certificate, fingerprint(kept))


def fingerprint(certificate: x509.Certificate) -> str:
    """Return the SHA-256 of a certificate as browsers show it: pairs of digits and colons."""
    from cryptography.hazmat.primitives import hashes

    return certificate.fingerprint(hashes.SHA256()).hex(":").upper()


def _kept_key(path: Path) -> EllipticCurvePrivateKey | None:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

    if not path.exists():
        return None
    if path.stat().st_mode & 0o077:
        raise ServeError(f"{path} is open to other users of this machine; remove it")
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except (ValueError, TypeError) as error:
        raise ServeError(f"{path} holds no private key: {error}; remove it") from None
    if not isinstance(key, EllipticCurvePrivateKey):
        raise ServeError(f"{path} holds a key of another kind; remove it")
    return key


def _new_key(path: Path) -> EllipticCurvePrivateKey:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    _write_private(
        path,
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
    )
    return key


def _write_private(path: Path, data: bytes) -> None:
    """Write beside, then rename; at no moment can another user read it."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # made with 0600
    with os.fdopen(handle, "wb") as stream:
        stream.write(data)
    Path(name).replace(path)


def _pem(certificate: x509.Certificate) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding

    return certificate.public_bytes(Encoding.PEM)


def _kept_certificate(path: Path) -> x509.Certificate | None:
    from cryptography import x509

    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError):
        return None


def _serves(
    certificate: x509.Certificate, key: EllipticCurvePrivateKey, names: Sequence[str]
) -> bool:
    """Say whether a kept certificate is of `key`, holds all `names`, and does not end soon."""
    from cryptography import x509

    now = datetime.datetime.now(datetime.timezone.utc)
    if certificate.not_valid_after_utc - now < RENEW_BEFORE:
        return False
    if certificate.public_key() != key.public_key():
        return False
    try:
        held = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return False
    known = {str(one.value) for one in held}
    return set(names) <= known


def _sign(key: EllipticCurvePrivateKey, names: Sequence[str]) -> x509.Certificate:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    now = datetime.datetime.now(datetime.timezone.utc)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mejiro serve")])
    held = [
        x509.IPAddress(ipaddress.ip_address(name)) if is_address(name) else x509.DNSName(name)
        for name in dict.fromkeys(names)
    ]
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCKS_DIFFER)
        .not_valid_after(now + VALID)
        .add_extension(x509.SubjectAlternativeName(held), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
