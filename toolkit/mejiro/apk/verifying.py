"""Check an Android package's signatures as Android does, so that a phone is not the first to.

It is stricter than Android, as it judges what Mejiro writes: one signer, both schemes, nothing
else in the block of signatures. Whose key it is, only the fingerprint tells.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mejiro.apk.layout import V2_ID, V3_ID, content_digest, find_layout, read_block
from mejiro.apk.prefixed import Reader
from mejiro.apk.signing import (
    ECDSA_SHA256,
    RSA_SHA256,
    STRIPPING_PROTECTION,
    V3_MAX_SDK,
    V3_MIN_SDK,
)
from mejiro.errors import ApkError

MAX_BYTES = 1 << 30


@dataclass(frozen=True)
class Verified:
    """Say who signed a package: the SHA-256 of the certificate, and the schemes that hold."""

    fingerprint: str
    schemes: tuple[int, ...] = (2, 3)


@dataclass(frozen=True)
class _Signer:
    """Hold one signer of a scheme, and how its part of the block goes on after what is signed."""

    certificate: bytes
    rest: bytes  # of what is signed, behind the certificates


def verify_apk(path: Path) -> Verified:
    """Check the signatures of a package; ApkError says in one line what does not hold.

    Every byte of the file counts: files and directory by their digest, the signatures themselves
    by being exactly what the schemes say and nothing more.
    """
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise ApkError(f"{path} has {size} bytes; a package of more than {MAX_BYTES} is not read")
    try:
        return verify_package(path.read_bytes())
    except ApkError as error:
        raise ApkError(f"{path} is not a package that Android would take: {error}") from None


def verify_package(data: bytes) -> Verified:
    """Check a package's bytes; as `verify_apk`."""
    layout = find_layout(data)
    pairs = read_block(layout.block)
    for scheme, number in ((2, V2_ID), (3, V3_ID)):
        if number not in pairs:
            raise ApkError(f"it has no signature of scheme v{scheme}")
    if len(pairs) != 2:
        raise ApkError("its block of signatures holds something that is no signature")
    digest = content_digest(layout)
    second = _verify_v2(pairs[V2_ID], digest)
    third = _verify_v3(pairs[V3_ID], digest)
    if second.certificate != third.certificate:
        raise ApkError("its two signatures are by different keys")
    return Verified(hashlib.sha256(second.certificate).hexdigest())


def _only(data: bytes, what: str) -> bytes:
    """Return the one value of a sequence of values."""
    items = Reader(data).items()
    if len(items) != 1:
        raise ApkError(f"its signature has {len(items)} {what}; one is expected")
    return items[0]


def _whole(data: bytes) -> bytes:
    """Return what follows a length and is all there is."""
    reader = Reader(data)
    value = reader.take()
    reader.finish()
    return value


def _verify_v2(value: bytes, digest: bytes) -> _Signer:
    signer = Reader(_only(_whole(value), "signers"))
    signed = signer.take()
    found = _verify_signer(signer, signed, digest)
    attributes = Reader(_only(_whole(found.rest), "attributes"))
    if (attributes.number(), attributes.number()) != (STRIPPING_PROTECTION, 3):
        raise ApkError("its signature v2 does not say that v3 is there as well")
    attributes.finish()
    return found


def _verify_v3(value: bytes, digest: bytes) -> _Signer:
    signer = Reader(_only(_whole(value), "signers"))
    signed = signer.take()
    outside = (signer.number(), signer.number())
    found = _verify_signer(signer, signed, digest)
    rest = Reader(found.rest)
    if (rest.number(), rest.number()) != outside or outside != (V3_MIN_SDK, V3_MAX_SDK):
        raise ApkError("its signature v3 is not for all versions of Android from 9 on")
    if rest.take():
        raise ApkError("its signature v3 has attributes, which are not known")
    rest.finish()
    return found


def _verify_signer(signer: Reader, signed: bytes, digest: bytes) -> _Signer:
    """Check what is alike in both schemes: the signature, the key and the digest."""
    algorithm, signature = _algorithm_and_value(_only(signer.take(), "signatures"))
    public = signer.take()
    signer.finish()
    _check_signature(public, algorithm, signature, signed)

    inside = Reader(signed)
    named, stated = _algorithm_and_value(_only(inside.take(), "digests"))
    certificate = _only(inside.take(), "certificates")
    if named != algorithm:
        raise ApkError("its digest and its signature are of different kinds")
    if stated != digest:
        raise ApkError("its contents were changed after it was signed")
    _check_certificate(certificate, public)
    return _Signer(certificate, inside.rest())


def _algorithm_and_value(data: bytes) -> tuple[int, bytes]:
    reader = Reader(data)
    algorithm, value = reader.number(), reader.take()
    reader.finish()
    return algorithm, value


def _check_signature(public: bytes, algorithm: int, signature: bytes, signed: bytes) -> None:
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
    from cryptography.hazmat.primitives.serialization import load_der_public_key

    try:
        key: Any = load_der_public_key(public)
        if algorithm == RSA_SHA256 and isinstance(key, rsa.RSAPublicKey):
            key.verify(signature, signed, padding.PKCS1v15(), hashes.SHA256())
        elif algorithm == ECDSA_SHA256 and isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(signature, signed, ec.ECDSA(hashes.SHA256()))
        else:
            raise ApkError("its signature is of a kind that is not known")
    except InvalidSignature:
        raise ApkError("its signature does not belong to what it signs") from None
    except (UnsupportedAlgorithm, ValueError):
        raise ApkError("its public key is damaged") from None


def _check_certificate(certificate: bytes, public: bytes) -> None:
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    try:
        key = x509.load_der_x509_certificate(certificate).public_key()
        stated = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except ValueError:
        raise ApkError("its certificate is damaged") from None
    if stated != public:
        raise ApkError("its certificate is of another key")
