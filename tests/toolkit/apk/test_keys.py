from __future__ import annotations

import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from mejiro.apk import keys
from mejiro.errors import KeyFileError, UsageError


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give each test a folder of keys of its own, and keys that are quick to make."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr(keys, "RSA_BITS", 2048)
    return tmp_path / "config" / "mejiro" / "keys"


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_key_is_its_owner_s_alone(folder: Path) -> None:
    made = keys.create_key("cats")
    assert made.path == folder / "cats.pem"
    assert (_mode(folder), _mode(made.path)) == (0o700, 0o600)
    assert [path.name for path in folder.iterdir()] == ["cats.pem"]
    assert made.kind == "RSA 2048"
    assert (made.valid_until - made.valid_from).days == 30 * 365
    opened = keys.open_key(made)
    assert opened.fingerprint == made.fingerprint
    assert opened.sign(b"data") == opened.sign(b"data")


def test_a_key_is_never_overwritten(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = keys.create_key("cats").path.read_bytes()
    with pytest.raises(UsageError, match="there is a key 'cats' already"):
        keys.create_key("cats")
    # Nor by one that is made at the same moment.
    monkeypatch.setattr(Path, "exists", lambda self: False)
    with pytest.raises(UsageError, match="never written over a file"):
        keys.create_key("cats")
    assert (folder / "cats.pem").read_bytes() == before
    assert [path.name for path in folder.iterdir()] == ["cats.pem"]


@pytest.mark.parametrize("name", ["", "../a", "a/b", ".hidden", "a b", "a" * 65, "-x"])
def test_names_stay_in_the_folder(name: str) -> None:
    with pytest.raises(UsageError, match="is no name for a key"):
        keys.create_key(name)


def test_a_passphrase_is_asked_for(folder: Path) -> None:
    made = keys.create_key("cats", "correct horse")
    assert made.encrypted
    asked = []

    def ask(name: str) -> str:
        asked.append(name)
        return "correct horse"

    assert keys.open_key(made, ask).fingerprint == made.fingerprint
    assert asked == ["cats"]
    with pytest.raises(KeyFileError, match="none was given"):
        keys.open_key(made)
    with pytest.raises(KeyFileError, match="the passphrase is wrong"):
        keys.open_key(made, lambda name: "wrong")


def test_the_key_that_is_meant_is_found(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no key yet; make one with `mejiro keys new android`"):
        keys.find_key(None)
    dogs = keys.create_key("dogs")
    assert keys.find_key(None) == dogs
    cats = keys.create_key("cats")
    with pytest.raises(UsageError, match="several keys, cats, dogs; say which with --key"):
        keys.find_key(None)
    android = keys.create_key("android")
    assert keys.find_key(None) == android
    assert keys.find_key("cats") == cats
    assert keys.list_keys() == [android, cats, dogs]
    with pytest.raises(UsageError, match="no key 'birds'"):
        keys.find_key("birds")
    keys.export_key(cats, tmp_path / "copy.pem", private=True)
    assert keys.find_key(str(tmp_path / "copy.pem")).fingerprint == cats.fingerprint


def test_keys_are_exported_to_new_files_alone(tmp_path: Path) -> None:
    made = keys.create_key("cats")
    out = tmp_path / "certificate.pem"
    keys.export_key(made, out)
    assert b"PRIVATE" not in out.read_bytes()
    with pytest.raises(UsageError, match="is there already"):
        keys.export_key(made, out, private=True)
    keys.export_key(made, tmp_path / "all.pem", private=True)
    assert _mode(tmp_path / "all.pem") == 0o600
    assert (tmp_path / "all.pem").read_bytes() == made.path.read_bytes()


def test_what_is_no_key_is_told_in_one_line(tmp_path: Path) -> None:
    one, other = keys.create_key("one"), keys.create_key("other")
    private = one.path.read_bytes().split(b"-----BEGIN CERTIFICATE")[0]
    edwards = ed25519.Ed25519PrivateKey.generate().private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    path = tmp_path / "x.pem"
    for data, why in (
        (b"", "no key with its certificate"),
        (one.certificate_pem, "no key with its certificate"),
        (private, "no key with its certificate"),
        (one.path.read_bytes()[:-60] + b"\n-----END CERTIFICATE-----\n", "cannot be read|no key"),
        (private + other.certificate_pem, "the certificate of another"),
        (b"-----BEGIN PRIVATE KEY-----\nAAAA\n" + one.certificate_pem, "does not open"),
        (edwards + one.certificate_pem, "neither an RSA key nor"),
        (b"x" * (1 << 17), "larger than"),
    ):
        path.write_bytes(data)
        with pytest.raises(KeyFileError, match=why) as caught:
            keys.open_key(keys.find_key(str(path)))
        assert "\n" not in str(caught.value)
    with pytest.raises(KeyFileError, match="cannot be read"):
        keys.find_key(str(tmp_path / "absent.pem"))
