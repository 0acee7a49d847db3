from __future__ import annotations

import struct
import subprocess
import zipfile
from io import BytesIO
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mejiro.apk.keys import Key
from mejiro.apk.layout import (
    V2_ID,
    V3_ID,
    find_layout,
    read_block,
    with_block,
    write_block,
)
from mejiro.apk.signing import sign_package
from mejiro.apk.verifying import verify_apk, verify_package
from mejiro.errors import ApkError
from tests.toolkit.apk.conftest import key_of

APKSIGNER = ["apksigner", "verify", "--min-sdk-version", "24"]


def _flip(package: bytes, position: int, bit: int) -> bytes:
    changed = bytearray(package)
    changed[position] ^= 1 << bit
    return bytes(changed)


def _accepted_by_apksigner(folder: Path, package: bytes) -> bool:
    path = folder / "changed.apk"
    path.write_bytes(package)
    return subprocess.run([*APKSIGNER, str(path)], capture_output=True, check=False).returncode == 0


@given(where=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
@settings(max_examples=200)
def test_a_flipped_bit_is_refused(package: bytes, where: float, bit: int) -> None:
    with pytest.raises(ApkError):
        verify_package(_flip(package, int(where * len(package)), bit))


def test_a_flipped_byte_of_the_signatures_and_of_the_directory_is_refused(package: bytes) -> None:
    """Of these, no digest covers the first; all of it is tried."""
    for position in range(find_layout(package).files_end, len(package)):
        with pytest.raises(ApkError):
            verify_package(_flip(package, position, position % 8))


@pytest.mark.slow
@pytest.mark.requires_tool("apksigner")
def test_apksigner_refuses_a_flipped_byte_too(package: bytes, tmp_path: Path) -> None:
    assert _accepted_by_apksigner(tmp_path, package)
    layout = find_layout(package)
    block, size = layout.files_end, len(package)
    middle = block + (layout.directory - block) // 2
    for position in (40, block // 2, block - 1, block + 20, middle, layout.directory + 9, size - 4):
        assert not _accepted_by_apksigner(tmp_path, _flip(package, position, 3)), position


@given(st.binary(max_size=400))
@example(b"PK\x05\x06" + bytes(18))
def test_what_is_no_package_is_told_in_one_line(data: bytes) -> None:
    with pytest.raises(ApkError) as caught:
        verify_package(data)
    assert "\n" not in str(caught.value)


@given(st.data())
def test_damaged_signatures_are_told_in_one_line(package: bytes, data: st.DataObject) -> None:
    layout = find_layout(package)
    block = bytearray(layout.block)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(block) - 1))
        block[at : at + data.draw(st.integers(1, 4))] = data.draw(st.binary(max_size=8))
    if bytes(block) == layout.block:
        return
    with pytest.raises(ApkError) as caught:
        verify_package(with_block(layout, bytes(block)))
    assert "\n" not in str(caught.value)


def test_a_signature_that_was_taken_away_is_missed(package: bytes) -> None:
    layout = find_layout(package)
    pairs = read_block(layout.block)
    for scheme, left in ((3, V2_ID), (2, V3_ID)):
        alone = with_block(layout, write_block({left: pairs[left]}))
        with pytest.raises(ApkError, match=f"no signature of scheme v{scheme}"):
            verify_package(alone)
    with pytest.raises(ApkError, match="no signature"):
        verify_package(with_block(layout, b""))
    more = with_block(layout, write_block({**pairs, 0x42726577: bytes(16)}))
    with pytest.raises(ApkError, match="something that is no signature"):
        verify_package(more)


def test_signatures_by_two_keys_are_refused(package: bytes) -> None:
    other = key_of(rsa.generate_private_key(public_exponent=65537, key_size=2048))
    layout = find_layout(package)
    theirs = read_block(find_layout(sign_package(package, other)).block)
    mixed = {V2_ID: read_block(layout.block)[V2_ID], V3_ID: theirs[V3_ID]}
    with pytest.raises(ApkError, match="different keys"):
        verify_package(with_block(layout, write_block(mixed)))


def test_a_package_is_signed_anew(package: bytes, key: Key) -> None:
    assert sign_package(package, key) == package
    assert verify_package(package).fingerprint == key.fingerprint


@pytest.mark.requires_tool("apksigner")
def test_a_key_of_an_elliptic_curve_serves_too(package: bytes, tmp_path: Path) -> None:
    key = key_of(ec.generate_private_key(ec.SECP256R1()))
    signed = sign_package(package, key)
    assert verify_package(signed).fingerprint == key.fingerprint
    assert _accepted_by_apksigner(tmp_path, signed)


@pytest.mark.requires_tool("apksigner")
def test_what_apksigner_says(package: bytes, key: Key, tmp_path: Path) -> None:
    path = tmp_path / "a.apk"
    path.write_bytes(package)
    said = subprocess.run(
        [*APKSIGNER, "--verbose", "--print-certs", "-Werr", str(path)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "(APK Signature Scheme v2): true" in said
    assert "(APK Signature Scheme v3): true" in said
    assert "Number of signers: 1" in said
    assert f"SHA-256 digest: {key.fingerprint}" in said


def test_large_files_are_digested_in_chunks(key: Key) -> None:
    stream = BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("a", bytes(2_500_000))
    signed = sign_package(stream.getvalue(), key)
    verify_package(signed)
    with pytest.raises(ApkError, match="changed after it was signed"):
        verify_package(_flip(signed, 2_400_000, 0))


def test_a_file_is_named_in_what_is_said_of_it(tmp_path: Path, package: bytes) -> None:
    path = tmp_path / "a.apk"
    path.write_bytes(package[:-1])
    with pytest.raises(ApkError, match=r"a\.apk is not a package that Android would take"):
        verify_apk(path)


def test_an_end_elsewhere_is_refused(package: bytes) -> None:
    with pytest.raises(ApkError, match="end is not where"):
        verify_package(package + b"comment")
    end = len(package) - 22
    comment = package[: end + 20] + struct.pack("<H", 7) + b"comment"
    with pytest.raises(ApkError, match="end is not where"):
        verify_package(comment)
