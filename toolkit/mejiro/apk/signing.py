"""Sign an Android package by the schemes v2 and v3, with one key.

Sources: source.android.com/docs/security/features/apksigning, v2 and v3.
"""

from __future__ import annotations

import struct

from mejiro.apk.keys import Key
from mejiro.apk.layout import V2_ID, V3_ID, content_digest, find_layout, with_block, write_block
from mejiro.apk.prefixed import pack

RSA_SHA256 = 0x0103
ECDSA_SHA256 = 0x0201
# Android 9 is the first that reads v3, and no version is the last.
V3_MIN_SDK = 28
V3_MAX_SDK = 0x7FFFFFFF
# In v2, the scheme that must be there as well: nobody can take v3 away and leave v2.
STRIPPING_PROTECTION = 0xBEEFF00D


def sign_package(data: bytes, key: Key) -> bytes:
    """Return the package with signatures of both schemes in place of any that it had.

    RSA keys give the same bytes each time.
    """
    layout = find_layout(data)
    digest = content_digest(layout)
    block = write_block({V2_ID: _sign_v2(digest, key), V3_ID: _sign_v3(digest, key)})
    return with_block(layout, block)


def algorithm_of(key: Key) -> int:
    """Return the number that Android gives the way in which this key signs."""
    return RSA_SHA256 if key.is_rsa else ECDSA_SHA256


def _sign_v2(digest: bytes, key: Key) -> bytes:
    protection = struct.pack("<II", STRIPPING_PROTECTION, 3)
    signed = _digests(digest, key) + pack(pack(key.certificate_der)) + pack(pack(protection))
    return pack(pack(pack(signed) + _signatures(signed, key) + pack(key.public_der)))


def _sign_v3(digest: bytes, key: Key) -> bytes:
    range_of_sdk = struct.pack("<II", V3_MIN_SDK, V3_MAX_SDK)
    signed = _digests(digest, key) + pack(pack(key.certificate_der)) + range_of_sdk + pack(b"")
    signer = pack(signed) + range_of_sdk + _signatures(signed, key) + pack(key.public_der)
    return pack(pack(signer))


def _digests(digest: bytes, key: Key) -> bytes:
    return pack(pack(struct.pack("<I", algorithm_of(key)) + pack(digest)))


def _signatures(signed: bytes, key: Key) -> bytes:
    return pack(pack(struct.pack("<I", algorithm_of(key)) + pack(key.sign(signed))))
