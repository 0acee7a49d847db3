"""Keep the keys that Android packages are signed with: made here, never overwritten, never sent.

Android takes an update only from the key that signed what is installed. Who loses the key has to
have the app removed, with what it stored, before a new one can be installed.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from mejiro.errors import KeyFileError, UsageError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import ec, rsa
    from cryptography.x509 import Certificate

    PrivateKey: TypeAlias = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey

DEFAULT_NAME = "android"
# Enough until 2030 and beyond by NIST SP 800-57, and every Android that reads v2 takes it.
RSA_BITS = 3072
MAX_FILE_BYTES = 1 << 16
# Android does not look at the dates; shops of apps ask for 25 years.
VALID_DAYS = 30 * 365
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_CERTIFICATE = re.compile(
    rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----\n?", flags=re.DOTALL
)
_ENCRYPTED = b"-----BEGIN ENCRYPTED PRIVATE KEY-----"

AskPassphrase: TypeAlias = Callable[[str], str | None]


@dataclass(frozen=True)
class KeyFile:
    """Say what a file of a key tells without its passphrase."""

    name: str
    path: Path
    fingerprint: str  # SHA-256 of the certificate, as Android names who signed
    kind: str
    valid_from: datetime.date
    valid_until: datetime.date
    encrypted: bool
    certificate_pem: bytes


@dataclass(frozen=True)
class Key:
    """Hold a private key that is open, and the certificate that goes into each package."""

    private: PrivateKey
    certificate_der: bytes
    public_der: bytes

    @property
    def is_rsa(self) -> bool:
        """Return whether it is an RSA key, rather than one of an elliptic curve."""
        from cryptography.hazmat.primitives.asymmetric import rsa

        return isinstance(self.private, rsa.RSAPrivateKey)

    @property
    def fingerprint(self) -> str:
        """Return the SHA-256 of the certificate, in hexadecimal digits."""
        return hashlib.sha256(self.certificate_der).hexdigest()

    def sign(self, data: bytes) -> bytes:
        """Return the signature of `data` with SHA-256; the same each time for an RSA key."""
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

        if isinstance(self.private, rsa.RSAPrivateKey):
            return self.private.sign(data, padding.PKCS1v15(), hashes.SHA256())
        return self.private.sign(data, ec.ECDSA(hashes.SHA256()))


def keys_folder() -> Path:
    """Return the folder of the user's keys, which may not be there yet."""
    home = os.environ.get("XDG_CONFIG_HOME") or Path("~/.config").expanduser()
    return Path(home) / "mejiro" / "keys"


def create_key(name: str, passphrase: str | None = None) -> KeyFile:
    """Make an RSA key with a certificate of its own, readable by its owner alone.

    Raises UsageError for a name that is none or taken: a key is never overwritten.
    """
    path = _path_of(name)
    if path.exists():
        raise UsageError(f"there is a key '{name}' already, {path}; choose another name")
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    _write_new(path, _generate(name, passphrase))
    return read_key_file(path)


def list_keys() -> list[KeyFile]:
    """Return the user's keys by name."""
    return [read_key_file(path) for path in sorted(keys_folder().glob("*.pem"))]


def find_key(wanted: str | None) -> KeyFile:
    """Return the key of this name or file; without either the one key, or the one named android.

    Raises UsageError if there is none, or several and none of that name.
    """
    if wanted is not None and ("/" in wanted or wanted.endswith(".pem")):
        return read_key_file(Path(wanted))
    if wanted is not None:
        path = _path_of(wanted)
        if not path.is_file():
            raise UsageError(
                f"there is no key '{wanted}' in {path.parent}; `mejiro keys list` tells which are"
            )
        return read_key_file(path)
    keys = {key.name: key for key in list_keys()}
    if not keys:
        raise UsageError(f"there is no key yet; make one with `mejiro keys new {DEFAULT_NAME}`")
    if len(keys) == 1:
        return next(iter(keys.values()))
    if DEFAULT_NAME in keys:
        return keys[DEFAULT_NAME]
    raise UsageError(f"there are several keys, {', '.join(keys)}; say which with --key")


def read_key_file(path: Path) -> KeyFile:
    """Return what a key's file says openly; KeyFileError if it is no such file."""
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

    data = _read(path)
    found = _CERTIFICATE.findall(data)
    if len(found) != 1 or b"PRIVATE KEY-----" not in data:
        raise KeyFileError(
            f"{path} is no key with its certificate, both as PEM; `mejiro keys new` makes one"
        )
    try:
        certificate = x509.load_pem_x509_certificate(found[0])
        public = certificate.public_key()
        valid = (certificate.not_valid_before_utc.date(), certificate.not_valid_after_utc.date())
    except ValueError as error:
        raise KeyFileError(f"{path} has a certificate that cannot be read: {error}") from None
    if isinstance(public, rsa.RSAPublicKey):
        kind = f"RSA {public.key_size}"
    elif isinstance(public, ec.EllipticCurvePublicKey):
        kind = f"EC {public.curve.name}"
    else:
        raise KeyFileError(f"{path} is neither an RSA key nor one of an elliptic curve")
    return KeyFile(
        name=path.stem,
        path=path,
        fingerprint=hashlib.sha256(_der(certificate)).hexdigest(),
        kind=kind,
        valid_from=valid[0],
        valid_until=valid[1],
        encrypted=_ENCRYPTED in data,
        certificate_pem=found[0],
    )


def open_key(key: KeyFile, ask: AskPassphrase = lambda name: None) -> Key:
    """Return the private key of a file; `ask` is called with its name if it has a passphrase.

    Raises KeyFileError for a passphrase that is wrong, and a key that is not its certificate's.
    """
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import ec, rsa
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    passphrase = ask(key.name) if key.encrypted else None
    if key.encrypted and not passphrase:
        raise KeyFileError(f"the key '{key.name}' has a passphrase, and none was given")
    try:
        data = _CERTIFICATE.sub(b"", _read(key.path))
        private = load_pem_private_key(data, passphrase.encode() if passphrase else None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        why = "the passphrase is wrong, or the file" if key.encrypted else "the file"
        raise KeyFileError(f"the key '{key.name}' does not open: {why} is damaged") from None
    if not isinstance(private, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        raise KeyFileError(f"{key.path} is neither an RSA key nor one of an elliptic curve")
    certificate = x509.load_pem_x509_certificate(key.certificate_pem)
    opened = Key(private, _der(certificate), _public_der(private))
    if opened.public_der != _public_der(certificate):
        raise KeyFileError(f"{key.path} holds a key and the certificate of another")
    return opened


def export_key(key: KeyFile, out: Path, *, private: bool = False) -> None:
    """Copy a key's certificate to a file that is not there yet, or all of it, for its owner alone.

    Raises UsageError if the file is there.
    """
    if out.exists():
        raise UsageError(f"{out} is there already; a key is never written over a file")
    if private:
        _write_new(out, _read(key.path))
    else:
        with out.open("xb") as stream:
            stream.write(key.certificate_pem)


def _path_of(name: str) -> Path:
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"'{name}' is no name for a key; use letters, digits, '.', '-' and '_', at most 64"
        )
    return keys_folder() / f"{name}.pem"


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise KeyFileError(f"{path} is larger than {MAX_FILE_BYTES} bytes; it is no key")
        return path.read_bytes()
    except OSError as error:
        raise KeyFileError(f"{path} cannot be read: {error.strerror}") from None


def _write_new(path: Path, data: bytes) -> None:
    """Write a file that only its owner can read, whole or not at all, and never over another."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        os.link(beside, path)  # unlike a rename, it fails if the name is taken
    except FileExistsError:
        raise UsageError(f"{path} is there already; a key is never written over a file") from None
    finally:
        with contextlib.suppress(OSError):
            beside.unlink()


def _generate(name: str, passphrase: str | None) -> bytes:
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.hazmat.primitives.serialization import (
        BestAvailableEncryption,
        Encoding,
        KeySerializationEncryption,
        NoEncryption,
        PrivateFormat,
    )

    private = rsa.generate_private_key(public_exponent=65537, key_size=RSA_BITS)
    protection: KeySerializationEncryption = NoEncryption()
    if passphrase:
        protection = BestAvailableEncryption(passphrase.encode())
    return private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, protection) + certify(
        private, name
    )


def certify(private: PrivateKey, name: str) -> bytes:
    """Return a certificate for a key, signed by itself, as PEM."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.serialization import Encoding
    from cryptography.x509.oid import NameOID

    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    today = datetime.datetime.now(datetime.timezone.utc).replace(hour=0, minute=0, second=0)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(today)
        .not_valid_after(today + datetime.timedelta(days=VALID_DAYS))
        .sign(private, hashes.SHA256())
    )
    return certificate.public_bytes(Encoding.PEM)


def _der(certificate: Certificate) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding

    return certificate.public_bytes(Encoding.DER)


def _public_der(holder: PrivateKey | Certificate) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return holder.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
