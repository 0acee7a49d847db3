"""Make what the tests of Android packages need: a key, a page of three files, its package."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from mejiro.apk.keys import Key, certify
from mejiro.apk.manifest import Identity
from mejiro.apk.template import default_icon
from mejiro.apk.write import pack

IDENTITY = Identity("org.example.cats", "Cats 猫", 7, "1.2.3-rc4")
PAGE: Mapping[str, bytes] = {
    "index.html": b"<!doctype html><meta charset=utf-8><title>page</title>" + b"<p>text" * 40,
    "js/page.js": b"document.title = 'ran';",
    "model/model.tflite": b"".join(hashlib.sha256(bytes([i])).digest() for i in range(64)),
}


def key_of(private: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> Key:
    """Return a private key with a certificate of its own, as Mejiro makes them."""
    certificate = x509.load_pem_x509_certificate(certify(private, "tests"))
    public = private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return Key(private, certificate.public_bytes(Encoding.DER), public)


@pytest.fixture(scope="session")
def key() -> Key:
    """Return a key that is quick to make."""
    return key_of(rsa.generate_private_key(public_exponent=65537, key_size=2048))


@pytest.fixture(scope="session")
def page(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return the files of a page by their paths in it."""
    folder = tmp_path_factory.mktemp("page")
    files = {}
    for name, data in PAGE.items():
        files[name] = folder / name
        files[name].parent.mkdir(exist_ok=True)
        files[name].write_bytes(data)
    return files


@pytest.fixture(scope="session")
def package(page: dict[str, Path], key: Key) -> bytes:
    """Return the package of the page, signed."""
    return pack(IDENTITY, default_icon(), page, key)
